"""Heatmap networks that take any size: their specs, both backends, export, and all people in a whole real photo."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.networks.short import build_short
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.export.inner_tensors import find_maps
from trustpose.export.model_folder import Provenance, save_model_folder
from trustpose.export.onnx import export_onnx
from trustpose.export.trust_folder import Fitted, save_trust_folder, save_trust_network
from trustpose.files import InputError
from trustpose.geometry.crops import Grid, cut_out, transform
from trustpose.heads.network import attach
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.photos import read_image
from trustpose.models.runtime.backends import OnnxNetwork
from trustpose.models.runtime.torch_network import TorchNetwork
from trustpose.models.runtime.weights import load_module
from trustpose.models.spec import HeatmapOutput, ModelSpec, default_folder
from trustpose.networks.preparation import Preparation
from trustpose.networks.zoo import ZOO, build
from trustpose.predict.predictor import Predictor
from trustpose.skeletons import COCO_17


def _rewritten(path: Path, name: str, value: object, part: str = "input") -> None:
    text = json.loads(path.with_suffix(".json").read_text())
    text[part][name] = value
    path.with_suffix(".json").write_text(json.dumps(text))


def test_a_spec_has_a_multiple_and_the_usual_size(tmp_path: Path) -> None:
    path = write_network(tmp_path, is_free=True)
    spec = ModelSpec.read(path)
    assert (spec.input.multiple, spec.input.height, spec.input.width) == (4, 256, 192)
    assert spec.output == HeatmapOutput(17, 64, 48, 4.0)  # the map's size follows
    path.with_suffix(".json").write_text(json.dumps(spec.to_json()))
    assert ModelSpec.read(path) == spec
    assert spec.input.takes(400, 60) and not spec.input.takes(402, 60) and not spec.input.takes(0, 60)


@pytest.mark.parametrize(
    ("part", "name", "value"),
    [
        ("input", "height", "multiple of 8, 256 usual"),
        ("input", "height", "multiple of four"),
        ("input", "width", "multiple of 4, 190 usual"),
        ("output", "stride", 3),
        ("output", "height", 32),
    ],
)
def test_wrong_fields_are_named(tmp_path: Path, part: str, name: str, value: object) -> None:
    path = write_network(tmp_path, is_free=True)
    _rewritten(path, name, value, part)
    field = {("input", "height"): "width" if value == "multiple of 8, 256 usual" else "height"}.get((part, name), name)
    field = "stride" if (part, name) == ("output", "height") else field
    with pytest.raises(InputError, match=rf"colours\.json: field '{part}\.{field}'"):
        ModelSpec.read(path)


def test_any_size_goes_in_and_no_other(tmp_path: Path) -> None:
    network = OnnxNetwork(ModelSpec.read(write_network(tmp_path, is_free=True)))
    pixels = np.random.default_rng(0).integers(0, 256, (3, 64, 100, 3), dtype=np.uint8)
    outputs = network(pixels)
    assert outputs.heatmaps[-1].shape == (3, 17, 16, 25) and outputs.grids["heatmaps"].stride == (4.0, 4.0)
    np.testing.assert_allclose(outputs.heatmaps[-1][:, :, :, :20], network(pixels[:, :, :80]).heatmaps[-1], atol=1e-6)
    for wrong in (pixels[:, :62], pixels[:, :, :99]):
        with pytest.raises(ValueError, match=r"pixels: expected \(B, H, W in multiples of 4, 3\), got"):
            network(wrong)
    fixed = OnnxNetwork(ModelSpec.read(write_network(tmp_path / "fixed")))
    with pytest.raises(ValueError, match=r"pixels: expected \(B, 256, 192, 3\), got"):
        fixed(pixels)


def test_a_file_of_one_size_is_no_network_for_any(tmp_path: Path) -> None:
    path = write_network(tmp_path)
    for side, usual in (("height", 256), ("width", 192)):
        _rewritten(path, side, f"multiple of 4, {usual} usual")
    with pytest.raises(InputError, match=r"colours\.onnx: its input is .*the spec's field 'input' says"):
        OnnxNetwork(ModelSpec.read(path))


def test_top_down_keeps_to_the_usual_size(tmp_path: Path) -> None:
    photo, _, boxes = photo_of_people(3)
    free, fixed = (
        Predictor(OnnxNetwork(ModelSpec.read(write_network(tmp_path / str(is_free), is_free=is_free))), flip=True)
        for is_free in (True, False)
    )
    first, second = free(photo, boxes), fixed(photo, boxes)
    np.testing.assert_array_equal(first.xy, second.xy)
    np.testing.assert_array_equal(first.score, second.score)


def _saved(out: Path, module: nn.Module, name: str) -> ModelSpec:
    options: dict[str, Any] = {"prepared": Preparation(channels="RGB", codec="dark"), "provenance": Provenance("free")}
    return save_model_folder(
        out, module, network=name, skeleton=COCO_17, height=256, width=192, free_size=32, **options
    )


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> ModelSpec:
    """The default's network, exported for any size."""
    module = load_module(ModelSpec.read(default_folder()))
    return _saved(tmp_path_factory.mktemp("free") / "model", module, "tinypose")


@pytest.mark.parametrize("name", ["light-mobilenetv2-050", "simple-baseline-r50"])
def test_an_exported_network_of_the_zoo_in_both_backends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setitem(ZOO, name, partial(build_short, name))
    torch.manual_seed(0)
    module = build(name).eval()
    spec = _saved(tmp_path / "model", module, name)
    assert (spec.input.multiple, spec.input.size) == (32, "any multiple of 32, longest side 384")
    pixels = np.random.default_rng(0).integers(0, 256, (2, 96, 160, 3), dtype=np.uint8)
    first, second = OnnxNetwork(spec)(pixels), TorchNetwork(spec, load_module(spec), device="cpu")(pixels)
    assert first.heatmaps[-1].shape == (2, 17, 24, 40)
    scale = np.abs(second.heatmaps[-1]).max()
    np.testing.assert_allclose(first.heatmaps[-1] / scale, second.heatmaps[-1] / scale, atol=1e-4)
    assert second.features is not None and second.grids["features"].stride == (4.0, 4.0)


def test_with_a_trust_head_it_is_for_the_usual_size(tmp_path: Path) -> None:
    """A head is built for one size of feature map, joined to the zoo's network or to its ONNX file."""
    torch.manual_seed(0)
    network = attach("keypoint-tokens", build("light-mobilenetv2-050"), 256, 192).eval()
    free = _saved(tmp_path / "free", network.network, "light-mobilenetv2-050")
    fitted = Fitted("keypoint-tokens", "segment")
    maps = {"backbone": find_maps(free, ["backbone"])["backbone"].name}
    made = [
        save_trust_network(tmp_path / "zoo", free, network, fitted),
        save_trust_folder(tmp_path / "onnx", free, network.head, maps, fitted),
    ]
    pixels, box = np.random.default_rng(0).integers(0, 256, (2, 256, 192, 3), dtype=np.uint8), np.full((2, 2), 0.7)
    trusts = [OnnxNetwork(spec).with_trust(pixels, box)[1] for spec in made]
    assert [spec.input.multiple for spec in made] == [None, None]
    np.testing.assert_allclose(*(trust.quality for trust in trusts), atol=1e-4)  # type: ignore[call-overload]


class _Tagging(nn.Module):
    """Heatmaps of stride 4, and what no field of `Outputs` is for: tags of stride 8 and two offset maps."""

    def forward(self, image: Tensor) -> Outputs:
        maps = nn.functional.avg_pool2d(image[:, :1], 4).repeat(1, 17, 1, 1)
        tags = nn.functional.avg_pool2d(maps, 2)
        return Outputs([maps], extra={"tags": tags, "offsets": (maps, -maps)}, grids={"tags": Grid((8.0, 8.0))})


def test_other_tensors_come_through_the_runtime_to_the_decoder(tmp_path: Path) -> None:
    spec = ModelSpec.read(write_network(tmp_path, is_free=True))
    pixels = np.random.default_rng(0).integers(0, 256, (1, 64, 96, 3), dtype=np.uint8)
    outputs = TorchNetwork(spec, _Tagging(), device="cpu")(pixels)
    assert outputs.names == ("heatmaps", "tags", "offsets") and outputs["tags"].shape == (1, 17, 8, 12)
    assert outputs.grids == {"heatmaps": Grid((4.0, 4.0)), "tags": Grid((8.0, 8.0))}
    np.testing.assert_array_equal(outputs["offsets"][1], -outputs.heatmaps[-1])
    assert isinstance(spec.codec, HeatmapCodec)
    candidates = spec.codec.candidates(outputs, max_per_map=3)
    cell = np.floor(np.rint(candidates.xy / 4) * 4 / 8 + 0.5).astype(int).clip(0, (11, 7))
    expected = outputs["tags"][candidates.input, candidates.joint, cell[:, 1], cell[:, 0]]
    assert candidates.tags is not None and len(candidates) == 17 * 3
    np.testing.assert_array_equal(candidates.tags[:, 0], expected.astype(np.float64))


class _OneSize(nn.Module):
    """Its maps are always of the size that it was traced with."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 4, 4)

    def forward(self, image: Tensor) -> Outputs:
        return Outputs([self.layer(image) + torch.zeros(int(image.shape[2]) // 4, int(image.shape[3]) // 4)])


def test_a_network_for_one_size_is_not_exported_for_any(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="network: its graph is for one size of image"):
        export_onnx(_OneSize(), tmp_path / "one.onnx", 64, 64, free_size=32)
    assert not list(tmp_path.iterdir())
    export_onnx(_OneSize(), tmp_path / "one.onnx", 64, 64)
    with pytest.raises(ValueError, match="free_size: expected None for SimCC, or a divisor of 256 and 192, got 50"):
        save_model_folder(
            tmp_path / "model",
            _OneSize(),
            **{"network": "hrnet-w32", "skeleton": COCO_17, "height": 256, "width": 192, "free_size": 50},
            **{"prepared": Preparation(), "provenance": Provenance("one")},
        )


@pytest.mark.parametrize(("photo", "both"), [("000000567740.jpg", 8), ("000000548246.jpg", 8)])
def test_all_people_in_a_whole_photo(free: ModelSpec, data_dir: Path, photo: str, both: int) -> None:
    """The default's network, which learnt on crops of one person, on a photo of two or three large ones.

    Of `both` joints or more, two people's are found, each by a candidate of its own within 10 input pixels.
    """
    spec = replace(free, input=replace(free.input, longest=512))
    labelled = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    files = labelled.images.file_name
    assert files is not None
    image_id = labelled.images.id[list(files).index(photo)]
    truth = labelled.truth
    assert truth.image_id is not None and truth.num_keypoints is not None
    truth = truth[np.flatnonzero((truth.image_id == image_id) & (truth.num_keypoints >= 8))]
    pixels = read_image(data_dir / "coco" / "dev" / photo)
    affine, width, height = spec.input.letterbox(*pixels.shape[1::-1])
    assert max(width, height) == 512 and width != height
    whole = cut_out(pixels, affine, width, height)[None]
    outputs = OnnxNetwork(spec)(whole)
    in_torch = TorchNetwork(spec, load_module(spec), device="cpu")(whole)
    np.testing.assert_allclose(outputs.heatmaps[-1], in_torch.heatmaps[-1], atol=1e-4)
    assert isinstance(spec.codec, HeatmapCodec)
    candidates = spec.codec.candidates(outputs, min_score=0.1)
    xy = transform(affine, truth.xy.reshape(-1, 2)).reshape(truth.xy.shape)
    shared = 0
    for joint in range(17):
        mine = candidates.xy[candidates.joint == joint]
        if len(mine) < 2:
            continue
        distance = np.linalg.norm(xy[:, joint, None] - mine, axis=2)  # (people, candidates)
        near = (distance.min(axis=1) < 10) & (truth.v[:, joint] > 0)
        shared += len(set(distance.argmin(axis=1)[near])) >= 2
    assert shared >= both
