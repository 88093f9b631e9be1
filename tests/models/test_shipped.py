"""The bundled model: its size, and on real photos its detections, poses and trust."""

import json
import subprocess
import sys

import cv2
import numpy as np
import pytest

import trustpose
from trustpose.cli import main
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.oks import oks, opks
from trustpose.io.coco.truth import read_coco_truth
from trustpose.models.runtime.backends import BoxDetector
from trustpose.models.spec import ModelSpec, default_folder, shipped_folders
from trustpose.predict.detectors import default_detector
from trustpose.skeletons import COCO_17


def test_their_specs_and_size():
    """At most 12 MB together, COCO's joints, all fields of trust, and their sources."""
    folders = shipped_folders()
    assert [folder.name for folder in folders] == [
        "default",
        "default-detector",
        "default-fast",
        "default-fast-detector",
    ]
    assert sum(path.stat().st_size for folder in folders for path in folder.iterdir()) <= 12e6
    spec, boxes, *faster = map(ModelSpec.read, folders)
    assert spec.fast is not None and spec.fast.costs and spec.fast_folders() == tuple(folders[2:])
    assert spec.onnx == default_folder() / "model.onnx" and spec.skeleton.name == "coco17"
    assert spec.trust is not None and {"quality", "visibility", "pose_quality"} <= set(spec.trust.outputs)
    for one in (spec, boxes, *faster):
        assert one.licence == "Apache-2.0" and one.source != "unknown"
        card = one.onnx.with_name("README.md").read_text()
        assert all(f"**{part}" in card for part in ("What it is", "Data", "Numbers", "Limits", "Licence"))


def test_weights_are_in_half_the_bytes():
    """Large tensors are float16, 8-bit, or no weights."""
    onnx = pytest.importorskip("onnx", reason="the train extra is not installed")
    for folder in shipped_folders():
        model = onnx.load(folder / "model.onnx")
        onnx.checker.check_model(model)
        large = [tensor for tensor in model.graph.initializer if np.prod(tensor.dims) >= 1000]
        assert onnx.TensorProto.FLOAT not in {tensor.data_type for tensor in large} and large


def test_pictures_without_people():
    """Noise, plain colours and slow waves: no person is found."""
    random = np.random.default_rng(0)
    wave = 127 + 100 * np.sin(np.arange(500) / 40)
    photos = [
        np.zeros((300, 400, 3), np.uint8),
        np.full((200, 700, 3), 200, np.uint8),
        random.integers(0, 256, (240, 320, 3), dtype=np.uint8),
        np.broadcast_to(wave[:, None, None], (500, 400, 3)).astype(np.uint8),
    ]
    assert len(trustpose.load("default")(photos)) == 0


def test_they_run_without_torch():
    script = """
import sys, numpy, trustpose
poses = trustpose.load("default")(numpy.zeros((60, 80, 3), numpy.uint8), boxes=numpy.array([[0.0, 0, 80, 60]]))
sys.exit("torch" if "torch" in sys.modules else 0 if len(poses) == 1 and poses.quality is not None else "no poses")
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("width", "height"), [(1, 1), (7, 900), (3000, 40), (4000, 3000)])
def test_photos_of_any_size(width, height):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)
    detections = default_detector(min_score=1e-4)(pixels)
    assert np.isfinite(detections.xyxy).all() and (detections.xyxy >= 0).all()
    assert (detections.xyxy <= [width, height, width, height]).all()


@pytest.fixture(scope="module")
def labelled(data_dir):
    """Pixels and people's boxes of development photos that show one or two people, all large."""
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    photos = []
    for image_id, name in zip(truth.images.id, truth.images.file_name, strict=True):
        box = truth.truth.box[truth.truth.image_id == image_id]
        if len(box) in (1, 2) and (box[:, 3] - box[:, 1]).min() > 150:
            photos.append((cv2.imread(str(data_dir / "coco" / "dev" / name))[..., ::-1].copy(), box))
    return photos[:20]


def test_large_people_are_found(labelled):
    detector, found = BoxDetector(ModelSpec.read(default_folder().with_name("default-detector"))), []
    for pixels, box in labelled:
        boxes = detector(pixels).xyxy
        found += (
            (paired_iou(box[:, None], boxes[None]) > 0.5).any(axis=1).tolist() if len(boxes) else [False] * len(box)
        )
    assert len(labelled) >= 10 and np.mean(found) > 0.8


def test_a_crowd_of_thirty_is_found(data_dir):
    """Thirty people in sport, each in a cell of 200 × 260 pixels: most cells have a detection, few have many."""
    photos = sorted((data_dir / "lspet" / "images").iterdir())[100:130]
    crowd = np.full((5 * 260, 6 * 200, 3), 128, np.uint8)
    for index, path in enumerate(photos):
        photo = cv2.imread(str(path))[..., ::-1]
        scale = min(250 / photo.shape[0], 190 / photo.shape[1])
        photo = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
        top, left = index // 6 * 260, index % 6 * 200
        crowd[top : top + photo.shape[0], left : left + photo.shape[1]] = photo
    poses = trustpose.load("default")(crowd)
    assert poses.box is not None and poses.quality is not None
    middle = (poses.box[:, :2] + poses.box[:, 2:]) / 2 // [200, 260]
    found = np.unique(middle, axis=0)
    assert len(found) >= 25 and (poses.ranking_score > 0.05).sum() <= 45


def test_poses_with_trust(labelled):
    """All fields are filled, within their ranges, and the torch-free runtime gives the same in a batch and alone."""
    predictor = trustpose.load("default")
    pixels = [photo for photo, _ in labelled[:4]]
    poses = predictor(pixels)
    assert len(poses) >= 4 and poses.xy.shape[1:] == (17, 2)
    for values in (poses.quality, poses.visibility, poses.pose_quality, poses.box_score):
        assert values is not None and np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1
    np.testing.assert_allclose(poses.visibility.sum(axis=2), 1, atol=1e-5)
    alone = predictor(pixels[0])
    together = poses[np.flatnonzero(poses.image_id == 0)]
    np.testing.assert_allclose(alone.xy, together.xy, atol=1e-2)
    np.testing.assert_allclose(alone.pose_quality, together.pose_quality, atol=1e-4)


def test_poses_and_trust_on_real_people(data_dir):
    """In ground-truth boxes, on every seventh development photo: far from chance, and sure where it is right."""
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json")
    rows = np.flatnonzero((truth.truth.v > 0).any(axis=1))
    people = truth.truth[rows]
    chosen = truth.images.id[::7].tolist()
    names = dict(zip(truth.images.id.tolist(), truth.images.file_name, strict=True))
    kept = [people[np.flatnonzero(people.image_id == image)] for image in chosen]
    kept_names = [names[image] for image, some in zip(chosen, kept, strict=True) if len(some)]
    kept = [some for some in kept if len(some)]
    poses = trustpose.load("default")(
        [data_dir / "coco" / "dev" / name for name in kept_names], boxes=[some.box for some in kept]
    )
    xy, v, area = (np.concatenate([getattr(some, name) for some in kept]) for name in ("xy", "v", "area"))
    similarity = oks(poses.xy, xy, v, area, COCO_17.sigmas)
    assert len(similarity) > 100 and similarity.mean() > 0.6
    assert np.corrcoef(similarity, poses.pose_quality)[0, 1] > 0.6
    each = opks(poses.xy, xy, v, area, COCO_17.sigmas)
    assert np.corrcoef(each.ravel(), poses.quality.ravel())[0, 1] > 0.7
    assert np.abs(each - poses.quality).mean() < np.abs(each - each.mean()).mean()
    assert ((poses.visibility[..., 1:].sum(axis=2) > 0.5) == (v > 0)).mean() > 0.8


def test_from_the_command_line(data_dir, tmp_path, capsys):
    photo = sorted((data_dir / "coco" / "dev").iterdir())[0]
    with pytest.raises(SystemExit) as ended:
        main(["predict", str(photo), "--out", str(tmp_path / "out")])
    assert ended.value.code == 0 and "on 1 photo" in capsys.readouterr().out
    for row in json.loads((tmp_path / "out" / "results.json").read_text()):
        assert row["score"] == pytest.approx(row["presence"] * row["pose_quality"], abs=1e-6)
        assert len(row["keypoint_quality"]) == len(row["visibility"]) == 17


def test_the_same_in_torch(labelled):
    """Up to rounding: in ONNX batch norm is part of the convolutions before they become float16, in torch it is not."""
    pytest.importorskip("torch", reason="the train extra is not installed")
    pixels, boxes = zip(*labelled, strict=True)  # more than a batch
    onnx, torch = (
        trustpose.load("default", backend=backend)(list(pixels), boxes=list(boxes)) for backend in ("onnx", "torch")
    )
    assert len(onnx) == len(torch) >= 17
    assert np.median(np.abs(onnx.xy - torch.xy)) < 0.1
    for name in ("score", "quality", "visibility", "pose_quality"):
        assert np.abs(getattr(onnx, name) - getattr(torch, name)).mean() < 0.005, name
