"""Imported bottom-up networks: a model folder with the project's licence, whose people are those of the network."""

import json

import numpy as np
import pytest

from trustpose.cli import main

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from tests.networks import openpose_names  # noqa: E402
from tests.networks.official_names import state_dict  # noqa: E402
from tests.networks.random_weights import build_random  # noqa: E402
from trustpose.export import public_checkpoints  # noqa: E402
from trustpose.export.model_folder import Provenance  # noqa: E402
from trustpose.export.public_checkpoints import PART, PHOTO, _spec  # noqa: E402
from trustpose.models.outputs.dense import HeatmapOutput  # noqa: E402
from trustpose.models.outputs.fields import FieldOutput  # noqa: E402
from trustpose.models.spec import ModelSpec  # noqa: E402
from trustpose.networks.lightweight_openpose import LightweightOpenPose  # noqa: E402
from trustpose.networks.openpose import (  # noqa: E402
    BODIES,
    BODY_MAPS,
    PART_SKELETONS,
)
from trustpose.networks.preparation import LICENCES  # noqa: E402
from trustpose.predict.load import load  # noqa: E402


@pytest.mark.parametrize("network", [*BODY_MAPS, *PART_SKELETONS])
def test_specs_read_as_they_were_written(tmp_path, network):
    height, width = PHOTO if network in BODY_MAPS else PART
    spec = _spec(tmp_path, network, height, width, Provenance(network, "free", "made up"))
    (tmp_path / "model.json").write_text(json.dumps(spec.to_json()))
    assert ModelSpec.read(tmp_path) == spec
    if network in BODY_MAPS:
        output = spec.expect(FieldOutput)
        keypoints, limbs = BODIES[network.rpartition("-")[2]] if "light" not in network else BODIES["body18"]
        assert output.shapes(656, 368) == [(1, keypoints + 1, 46, 82), (1, 2 * limbs, 46, 82)]
        names = [{spec.skeleton.keypoints[end] for end in output.limbs[index]} for index in output.redundant]
        ears = [{"right_shoulder", "right_ear"}, {"left_shoulder", "left_ear"}]
        assert names == ([] if "body15" in network else ears)
    else:
        assert spec.expect(HeatmapOutput).shapes(spec.input) == [(len(spec.skeleton) + 1, 46, 46)]


def test_limbs_lead_where_fields_of_their_own_maps_do(tmp_path):
    """OpenPose's maps stand in another order than its limbs: each link is read from its own pair."""
    spec = _spec(tmp_path, "openpose-2017-body18", 64, 64, Provenance("a"))
    output = spec.expect(FieldOutput)
    fields = np.arange(38, dtype=np.float32).reshape(1, 38, 1, 1) + np.zeros((1, 38, 8, 8), np.float32)
    read = output.outputs([np.zeros((1, 19, 8, 8), np.float32), fields])["fields"][0, :, 0, 0]
    assert read[:6].tolist() == [12, 13, 20, 21, 14, 15]  # neck to right shoulder, to left shoulder, right upper arm


def test_a_checkpoint_becomes_a_folder(tmp_path, capsys):
    module = build_random(LightweightOpenPose).eval()
    table = {"neck.last": "cpm.conv", "neck": "cpm", "backbone": "model", "stages.0": "initial_stage"}
    table |= {"stages.1": "refinement_stages.0"}

    def theirs(name: str) -> str:
        ours = next(prefix for prefix in table if name.startswith(prefix))
        rest = name.removeprefix(ours)
        for branch, old in (("heatmaps", "heatmaps"), ("fields", "pafs")):
            rest = rest.replace(f".{branch}.0", f".{old}.0.0").replace(f".{branch}.2", f".{old}.1.0")
        return table[ours] + rest

    file = tmp_path / "checkpoint_iter_370000.pth"
    torch.save({"state_dict": {theirs(name): one for name, one in module.state_dict().items()}, "iter": 370000}, file)
    folder = tmp_path / "light"
    options = ["--network", "lightweight-openpose", "--out", str(folder), "--size", "64x96"]
    with pytest.raises(SystemExit) as done:
        main(["import", str(file), *options])
    assert done.value.code == 0
    printed = capsys.readouterr().out
    assert "18 keypoints (openpose_coco18), 64×96" in printed and "Licence of the weights: Apache-2.0" in printed
    spec = ModelSpec.read(folder)
    assert (spec.licence, spec.network) == ("Apache-2.0", "lightweight-openpose")
    assert (spec.input.multiple, spec.input.longest, spec.input.channels) == (8, 96, "BGR")
    photo = np.random.default_rng(0).integers(0, 256, (50, 96, 3), np.uint8)
    padded = np.zeros((56, 96, 3), np.float32)
    padded[:50] = photo[..., ::-1]
    with torch.no_grad():
        outputs = module(torch.from_numpy(padded / 256 - 0.5).permute(2, 0, 1)[None])
    people = spec.expect(FieldOutput).decode([outputs.heatmaps[-1].numpy(), outputs["fields"].numpy()], 96, 56)
    poses = load(folder)(photo)
    assert len(poses) == len(people.xy) and poses.pose_score is not None
    np.testing.assert_allclose(poses.pose_score, people.person_score, rtol=1e-4)


def test_licences_that_forbid_commerce_are_kept(tmp_path, monkeypatch):
    """OpenPose's by the names of its layers, whatever file they are in; the user's own word comes first."""
    saved = []
    monkeypatch.setattr(public_checkpoints, "save_openpose_folder", lambda *given: saved.append(given[3]))
    with torch.device("meta"):
        tensors = state_dict(openpose_names.openpose_part())
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", lambda *_: None)
    for licence, expected in (("unknown", LICENCES["openpose"]), ("my own", "my own")):
        with torch.device("meta"):
            public_checkpoints.import_checkpoint(
                tensors, "openpose-hand", tmp_path, file=tmp_path, provenance=Provenance("hand", licence)
            )
        assert saved[-1].licence == expected
    assert "non-commercial research use only" in LICENCES["openpose"] and "non-commercial" in LICENCES["alphapose"]


def test_wrong_options_are_named(tmp_path, capsys):
    file = tmp_path / "light.pth"
    module = build_random(LightweightOpenPose)
    torch.save({name.replace("backbone.", "model."): one for name, one in module.state_dict().items()}, file)
    for options, reason in (
        (["--network", "lightweight-openpose", "--size", "60x96"], "--size: expected multiples of 8, got '60x96'"),
        (["--network", "openpose-hand"], "tensor names: expected those of"),
    ):
        with pytest.raises(SystemExit) as done:
            main(["import", str(file), "--out", str(tmp_path / "out"), *options])
        complaint = capsys.readouterr().err
        assert done.value.code == 2 and reason in complaint and not (tmp_path / "out").exists()
