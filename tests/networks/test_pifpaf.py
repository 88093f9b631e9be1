"""PifPaf's networks: equal to OpenPifPaf's with the same tensors; imported, they are a model of whole photos.

OpenPifPaf 0.13.11 (AGPL) was installed elsewhere and run, not read: `openpifpaf_fields.json` has some of the numbers
that its networks gave for the state dicts of `official_names.py`, in its own layout (docs/parity.md).
"""

import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.cli.cases import run
from tests.networks import official_names as names
from trustpose.files import InputError
from trustpose.models.outputs.composite_fields import CompositeOutput
from trustpose.models.spec import ModelSpec
from trustpose.networks.bottom_up import map_values
from trustpose.networks.checkpoints import convert, recognise, zoo_network
from trustpose.networks.zoo import COMPOSITE_FIELDS, build
from trustpose.predict.load import load

SHAPES = {
    "pifpaf-shufflenetv2k16": names.openpifpaf_shufflenet,
    "pifpaf-shufflenetv2k30": lambda: names.openpifpaf_shufflenet((8, 16, 6), (32, 512, 1024)),
    "pifpaf-r50": names.openpifpaf_resnet50,
}
PARAMETERS = {  # as OpenPifPaf's networks have
    "pifpaf-shufflenetv2k16": 10_125_960,
    "pifpaf-shufflenetv2k30": 29_977_268,
    "pifpaf-r50": 25_450_484,
}
RECORDED = json.loads((Path(__file__).parent / "openpifpaf_fields.json").read_text())


@cache
def tensors(name: str) -> dict[str, torch.Tensor]:
    return names.state_dict(SHAPES[name](), filled=True)


@pytest.mark.parametrize("name", COMPOSITE_FIELDS)
def test_fields_are_those_of_the_authors_program(name: str) -> None:
    assert recognise(tensors(name)) == "openpifpaf" and zoo_network(tensors(name), "openpifpaf") == name
    network = build(name)
    assert sum(tensor.numel() for tensor in network.parameters()) == PARAMETERS[name]
    network.load_state_dict(convert(tensors(name), network))
    photo = torch.linspace(-2, 2, 3 * 80 * 112).sin().reshape(1, 3, 80, 112) * torch.linspace(-2, 2, 112)
    with torch.no_grad():
        outputs = network.eval()(photo)
    joints = map_values("intensity", outputs["intensity"]).unflatten(1, (17, 5))[0]
    limbs = map_values("association", outputs["association"]).unflatten(1, (19, 7))[0]
    assert joints.shape == (17, 5, 10, 14) and limbs.shape == (19, 7, 10, 14)
    assert np.allclose(outputs.heatmaps[-1][0], joints[:, 0])
    # theirs: confidence, x, y as positions in cells, size; of limbs both ends, then both sizes
    columns = torch.arange(14.0)
    joints[:, 1] += columns
    joints[:, 2] += torch.arange(10.0)[:, None]
    ours = joints[3::9, [0, 1, 2, 4], 2, 3:13:7].flatten()
    np.testing.assert_allclose(ours, RECORDED[name]["cif"], atol=1e-4)
    limbs[:, [1, 4]] += columns
    limbs[:, [2, 5]] += torch.arange(10.0)[:, None]
    ours = limbs[4::9, :, 5, 4:13:8][:, [0, 1, 2, 4, 5, 3, 6]].flatten()
    np.testing.assert_allclose(ours, RECORDED[name]["caf"], atol=1e-4)


def test_a_missing_tensor_and_another_backbone_are_named() -> None:
    theirs = tensors("pifpaf-r50")
    without = {name: tensor for name, tensor in theirs.items() if name != "base_net.block3.1.conv2.weight"}
    with pytest.raises(InputError, match=r"base_net\.block3\.1\.conv2\.weight: missing tensor"):
        convert(without, build("pifpaf-r50"))
    assert zoo_network(names.state_dict(names.openpifpaf_shufflenet(widths=(24, 464, 928))), "openpifpaf") == "pifpaf"


def test_a_checkpoint_becomes_a_folder_that_finds_people(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    name, file, out = "pifpaf-shufflenetv2k16", tmp_path / "k16.pth", tmp_path / "k16"
    torch.save(tensors(name), file)
    assert run("import", file, "--network", "pifpaf-r50", "--out", out) == 2
    assert "this is an openpifpaf (pifpaf-shufflenetv2k16), you asked for pifpaf-r50" in capsys.readouterr().err
    assert run("import", file, "--network", name, "--skeleton", "coco17", "--out", out) == 2
    assert f"--skeleton: {name} has its own" in capsys.readouterr().err
    assert run("import", file, "--network", name, "--size", "64x96", "--out", out) == 0
    assert "AGPL-3.0" in capsys.readouterr().out
    model = json.loads((out / "model.json").read_text())
    model["output"] |= {"min_seed": 0.01, "min_link": 0.0}  # fields of random weights vote for no place in particular
    (out / "model.json").write_text(json.dumps(model))
    spec = ModelSpec.read(out)
    output = spec.expect(CompositeOutput)
    assert (output.stride, len(output.limbs), spec.input.longest, spec.input.channels) == (8.0, 19, 96, "RGB")
    edges = {frozenset(edge) for edge in spec.skeleton.edges}
    assert {frozenset(limb) for limb in output.limbs} == edges
    photo = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
    people = load(out)([photo])
    pixels = (torch.from_numpy(photo) / 255 - torch.tensor(spec.input.mean)) / torch.tensor(spec.input.std)
    network = build(name)
    network.load_state_dict(convert(tensors(name), network))
    with torch.no_grad():
        outputs = network.eval()(pixels.permute(2, 0, 1)[None])
    maps = [map_values(name, outputs[name]).numpy() for name in ("intensity", "association")]
    expected = output.decode(maps, 96, 64)
    assert len(people) == len(expected.xy) > 0
    assert np.allclose(people.xy, expected.xy, atol=1e-2) and np.allclose(people.score, expected.score, atol=1e-3)
