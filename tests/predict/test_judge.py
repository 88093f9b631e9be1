"""Trust at given positions: the graph with `xy` equals the head in torch, and `judge` fills trust for other estimators'
poses on real photos."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import trustpose as tp
from tests.networks.random_weights import build_random
from tests.predict.tiny_trust import real_crops
from trustpose.export.inner_tensors import find_maps
from trustpose.export.model_folder import Provenance, save_model_folder
from trustpose.export.trust_folder import Fitted, save_trust_folder, save_trust_network
from trustpose.files import InputError
from trustpose.heads.network import attach, new_head
from trustpose.io.coco.truth import read_coco_truth
from trustpose.models.runtime.backends import OnnxNetwork, open_runtime
from trustpose.models.runtime.weights import load_trust_network
from trustpose.models.spec import ModelSpec
from trustpose.networks.preparation import Preparation
from trustpose.networks.rtmpose import rtmpose
from trustpose.poses import Poses
from trustpose.predict.predictor import Predictor
from trustpose.skeletons import COCO_17, MPII_16

FITTED = Fitted("keypoint-tokens", "segment")
LEFT_WRIST = COCO_17.keypoints.index("left_wrist")


@pytest.fixture(scope="module")
def specs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ModelSpec]:
    """The default's network and head as two folders: a graph with the input "xy", and one without."""
    folder, default = tmp_path_factory.mktemp("models"), ModelSpec.read("default")
    network = load_trust_network(default)
    assert default.trust is not None
    fitted = Fitted(default.trust.head, "segment", options=dict(default.trust.options))
    return {
        name: save_trust_network(folder / name, default, network, fitted, reads_xy=name == "told")
        for name in ("told", "alone")
    }


@pytest.fixture(scope="module")
def crops(data_dir: Path, specs: dict[str, ModelSpec]) -> np.ndarray:
    return real_crops(data_dir, specs["told"], 6)


BOX = np.linspace(0.3, 0.9, 12).reshape(6, 2)


def _close(first: Any, second: Any, most: float = 1e-5) -> None:
    assert set(first.filled()) == set(second.filled()) >= {"quality", "visibility", "pose_quality"}
    for name, value in first.filled().items():
        np.testing.assert_allclose(value, second.filled()[name], atol=most, rtol=0)


def test_the_graph_equals_the_head_in_torch(specs: dict[str, ModelSpec], crops: np.ndarray) -> None:
    xy = np.random.default_rng(0).uniform(-5, 70, (6, 17, 2))
    xy[1, :5] = np.nan
    onnx, in_torch = (open_runtime(specs["told"], backend=backend, device=device) for backend, device in BACKENDS)
    assert onnx.reads_positions and in_torch.reads_positions
    _close(onnx.with_trust(crops, BOX, xy)[1], in_torch.with_trust(crops, BOX, xy)[1])
    plain = open_runtime(specs["alone"], backend="torch", device="cpu")  # told or not as it comes
    _close(plain.with_trust(crops, BOX, xy)[1], in_torch.with_trust(crops, BOX, xy)[1], most=0)


BACKENDS = (("onnx", None), ("torch", "cpu"))


@pytest.mark.parametrize("xy_kind", ["peaks", "NaN"])
def test_at_its_own_peaks_it_equals_the_graph_without_xy(
    specs: dict[str, ModelSpec], crops: np.ndarray, xy_kind: str
) -> None:
    alone = OnnxNetwork(specs["alone"])
    outputs, expected = alone.with_trust(crops, BOX)
    peak = outputs.heatmaps[-1].reshape(6, 17, -1).argmax(axis=2)
    xy = np.stack([peak % 48, peak // 48], axis=2) + 0.3  # the nearest pixel counts
    onnx_network = OnnxNetwork(specs["told"])
    found = onnx_network.with_trust(crops, BOX, np.full((6, 17, 2), np.nan) if xy_kind == "NaN" else xy)
    _close(found[1], expected)
    np.testing.assert_array_equal(found[0].heatmaps[-1], onnx_network(crops).heatmaps[-1])
    assert not alone.reads_positions


def test_the_json_names_the_input_xy(specs: dict[str, ModelSpec], tmp_path: Path) -> None:
    text = json.loads(specs["told"].onnx.with_name("model.json").read_text())
    assert text["trust"]["xy"] == "xy" and specs["told"].trust is not None
    assert "xy" not in json.loads(specs["alone"].onnx.with_name("model.json").read_text())["trust"]
    assert ModelSpec.read("default").trust == replace(ModelSpec.read("default").trust, xy=None)  # type: ignore[type-var]
    for wrong, message in ((3, r"field 'trust\.xy'"), ("box", r"field 'trust\.xy': expected another input than")):
        (tmp_path / "model.json").write_text(json.dumps(text | {"trust": text["trust"] | {"xy": wrong}}))
        with pytest.raises(InputError, match=message):
            ModelSpec.read(tmp_path / "model.json")
    (tmp_path / "model.json").write_text(json.dumps(text | {"trust": text["trust"] | {"xy": "places"}}))
    (tmp_path / "model.onnx").write_bytes(specs["told"].onnx.read_bytes())
    with pytest.raises(InputError, match=r"its inputs are image, box, xy; .* and 'trust\.box' 'box' and 'trust\.xy'"):
        OnnxNetwork(ModelSpec.read(tmp_path))


@pytest.mark.parametrize(("backend", "device"), BACKENDS)
def test_wrong_positions_are_refused(
    specs: dict[str, ModelSpec], crops: np.ndarray, backend: str, device: str | None
) -> None:
    runtime = open_runtime(specs["told"], backend=backend, device=device)
    message = r"xy: this network's trust reads at given positions, .*\(B, K, 2\).*, got None"
    with pytest.raises(ValueError, match=message):
        runtime.with_trust(crops, BOX)
    with pytest.raises(ValueError, match=r"xy: expected \(6, 17, 2\), got \(6, 3, 2\)"):
        runtime.with_trust(crops, BOX, np.zeros((6, 3, 2)))
    alone = OnnxNetwork(specs["alone"])
    with pytest.raises(ValueError, match="xy: this network's trust head reads at its own peaks only"):
        alone.with_trust(crops, BOX, np.zeros((6, 17, 2)))


def test_heads_that_read_whole_maps_are_not_exported_so(tmp_path: Path) -> None:
    default = ModelSpec.read("default")
    network = load_trust_network(default).network
    with pytest.raises(ValueError, match="reads_xy: OKSNet reads maps as a whole, expected False"):
        save_trust_network(tmp_path / "out", default, attach("oks-net", network, 256, 192), FITTED, reads_xy=True)
    assert not list(tmp_path.iterdir())


def test_a_simcc_networks_head_takes_positions_in_bins(tmp_path: Path) -> None:
    """An ONNX network and a head joined: `save_trust_folder` compares the graph with the head in torch at places."""
    prepared, provenance = Preparation(codec="simcc"), Provenance("rtmpose")
    module = build_random(lambda: rtmpose("tiny", 17, height=64, width=64)).eval()
    options: dict[str, Any] = {"prepared": prepared, "provenance": provenance, "height": 64, "width": 64}
    source = save_model_folder(tmp_path / "network", module, network="rtmpose-t", skeleton=COCO_17, **options)
    maps = find_maps(source, ["backbone"])
    torch.manual_seed(0)
    head = new_head("keypoint-tokens", [one.shape for one in maps.values()], 17, tokens=256).eval()
    tensors = {name: one.name for name, one in maps.items()}
    spec = save_trust_folder(tmp_path / "model", source, head, tensors, FITTED, reads_xy=True)
    crops = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    runtime = OnnxNetwork(spec)
    outputs, own = runtime.with_trust(crops, BOX[:2], np.full((2, 17, 2), np.nan))
    assert outputs.simcc is not None
    bins = np.stack([logits.argmax(axis=2) for logits in outputs.simcc], axis=2).astype(np.float64)
    _close(runtime.with_trust(crops, BOX[:2], bins)[1], own)
    moved = runtime.with_trust(crops, BOX[:2], 127 - bins)[1]
    assert own.quality is not None and moved.quality is not None and np.abs(moved.quality - own.quality).max() > 1e-4
    pixels, xy = np.zeros((80, 90, 3), np.uint8), np.full((1, 17, 2), 30.0)
    judged = Predictor(runtime)._on_map(xy)
    assert judged is not None
    np.testing.assert_array_equal(judged, 2 * xy)  # two bins a pixel
    assert Predictor(runtime).judge(pixels, Poses(xy=xy, box=np.array([[5.0, 5, 60, 70]]))).quality is not None


@pytest.fixture(scope="module")
def photo(data_dir: Path) -> tuple[Path, Poses]:
    """A photo of two people, and their labels as poses."""
    name, labelled = "000000567740.jpg", read_coco_truth(data_dir / "coco" / "dev_gt.json")
    assert labelled.images.file_name is not None
    image_id = labelled.images.id[list(labelled.images.file_name).index(name)]
    truth = labelled.truth
    assert truth.image_id is not None and truth.num_keypoints is not None
    truth = truth[np.flatnonzero((truth.image_id == image_id) & (truth.num_keypoints >= 15))]
    poses = Poses(xy=truth.xy, box=truth.box, missing=truth.v == 0, skeleton=COCO_17, image_id=truth.image_id)
    return data_dir / "coco" / "dev" / name, poses


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("backend", ["onnx", "torch"])
def test_a_wrist_that_is_far_away_is_expected_to_be_wrong(
    specs: dict[str, ModelSpec], photo: tuple[Path, Poses], backend: str, flip: bool
) -> None:
    device = "cpu" if backend == "torch" else None
    predictor = tp.load(specs["told"].onnx.parent, backend=backend, device=device, flip=flip)
    file, poses = photo
    xy = poses.xy.copy()
    height = poses.person_box()[0, 3] - poses.person_box()[0, 1]
    xy[0, LEFT_WRIST] += (0.0, -0.4 * height)
    right, wrong = (predictor.judge(file, replace(poses, xy=positions)) for positions in (poses.xy, xy))
    assert right.quality is not None and wrong.quality is not None
    assert right.pose_quality is not None and wrong.pose_quality is not None and right.visibility is not None
    np.testing.assert_array_equal(wrong.xy, xy)
    assert right.quality[0, LEFT_WRIST] > 0.5 > 0.4 > wrong.quality[0, LEFT_WRIST]
    assert wrong.pose_quality[0] < right.pose_quality[0]
    np.testing.assert_allclose(wrong.quality[1:], right.quality[1:], atol=1e-6)
    np.testing.assert_allclose(right.visibility.sum(axis=2), 1, atol=1e-3)
    assert poses.missing is not None and (right.quality[poses.missing] == 0).all()


def test_both_backends_judge_alike_and_several_photos_keep_their_order(
    specs: dict[str, ModelSpec], photo: tuple[Path, Poses]
) -> None:
    file, poses = photo
    predictors = [tp.load(specs["told"].onnx.parent, backend=name, device=at, flip=True) for name, at in BACKENDS]
    both = replace(Poses.concatenate([poses, poses]), image_id=np.array([1, 0] * len(poses)))
    first, second = (predictor.judge([file, file], both) for predictor in predictors)
    alone = predictors[0].judge(file, poses)
    for name in ("quality", "visibility", "pose_quality"):
        np.testing.assert_allclose(getattr(first, name), getattr(second, name), atol=1e-4)
        twice = np.concatenate([getattr(alone, name)] * 2)
        np.testing.assert_allclose(getattr(first, name), twice, atol=1e-5)
    assert len(predictors[0].judge(file, poses[np.zeros(0, np.int64)])) == 0


def test_its_own_poses_are_judged_as_they_were_predicted(
    specs: dict[str, ModelSpec], photo: tuple[Path, Poses]
) -> None:
    """Except for peaks that are refined into the next pixel; and the graph with "xy" predicts the same as the one
    without."""
    file, poses = photo
    first_loaded, alone = (tp.load(specs[name].onnx.parent) for name in ("told", "alone"))
    first_poses, plain = (predictor(file, boxes=poses.person_box()) for predictor in (first_loaded, alone))
    np.testing.assert_allclose(first_poses.xy, plain.xy, atol=1e-3)
    np.testing.assert_allclose(first_poses.quality, plain.quality, atol=1e-5)  # type: ignore[arg-type]
    judged = first_loaded.judge(file, first_poses)
    assert judged.quality is not None and plain.quality is not None
    assert np.abs(judged.quality - plain.quality).max() < 0.05


def test_refused_poses(specs: dict[str, ModelSpec], photo: tuple[Path, Poses], data_dir: Path) -> None:
    file, poses = photo
    with pytest.raises(InputError, match="its trust head cannot read at given keypoints; load it with backend='torch'"):
        tp.load(specs["alone"].onnx.parent).judge(file, poses)
    with pytest.raises(InputError, match="has no trust head that can read at given keypoints"):
        tp.load(data_dir / "networks" / "movenet-multipose.onnx").judge(file, poses)
    loaded = tp.load(specs["told"].onnx.parent)
    with pytest.raises(ValueError, match=r"poses: expected those of coco17, got 16 keypoints \(mpii16\)"):
        loaded.judge(file, Poses(xy=np.zeros((1, 16, 2)), skeleton=MPII_16))
    with pytest.raises(
        ValueError, match=r"poses\.image_id: expected numbers from 0 to 1, the images' positions in the list"
    ):
        loaded.judge([file, file], poses)
    with pytest.raises(InputError, match=r"none\.jpg: no such file"):
        loaded.judge("none.jpg", poses)
