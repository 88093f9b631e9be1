"""Ultralytics' raw output read anew; with the package itself, random weights and a real photo, where it is installed.

The package is AGPL-3.0: only its own extra installs it, and the tests run without it.
"""

import importlib.metadata

import numpy as np
import pytest

from tests.predict.adapters.people import labelled_photo
from tests.predict.torchvision_operators import stand_in
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.io.photos import read_image
from trustpose.predict.adapters.boxes import separate
from trustpose.predict.adapters.ultralytics import GREY, letterbox, read_raw
from trustpose.predict.load import load


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 640), (480, 640)), ((427, 640), (448, 640)), ((333, 200), (640, 384))]
)
def test_letterbox(size, expected):
    """The photo in the middle of grey; its corner and scale lead there and back."""
    pixels = np.zeros((*size, 3), np.uint8)
    image, scale, corner = letterbox(pixels, 640)
    assert image.shape == (*expected, 3)
    left, top = corner.astype(int)
    width, height = round(size[1] * scale), round(size[0] * scale)
    assert (image[top : top + height, left : left + width] == 0).all()
    assert (image == GREY).all(axis=2).sum() == image.shape[0] * image.shape[1] - width * height
    assert 0 <= expected[1] - width - 2 * left <= 1 and 0 <= expected[0] - height - 2 * top <= 1


@pytest.mark.parametrize("classes", [1, 80])
def test_raw_outputs_by_hand(classes):
    """Both documented layouts of one person at (10, 20)–(30, 60) and one of lower score, with any confidences."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 1, (2, 17, 3))
    box, score = np.array([[10.0, 20, 30, 60], [0, 0, 4, 8]]), np.array([0.9, 0.1])
    raw = np.zeros((4 + classes + 51, 2))
    raw[:4] = np.array([[20, 40, 20, 40], [2, 4, 4, 8]]).T  # centre and size
    raw[4] = score
    raw[4 + classes :] = keypoints.reshape(2, 51).T
    for given in (raw, np.concatenate([box, score[:, None], np.zeros((2, 1)), keypoints.reshape(2, 51)], axis=1)):
        mine = read_raw(given, classes, 0, "x")
        np.testing.assert_allclose(mine.box, box)
        np.testing.assert_allclose(mine.score, score)
        np.testing.assert_allclose(mine.keypoints, keypoints)
        assert mine.is_separate == (given is not raw)  # the second layout needs no suppression
    with pytest.raises(InputError, match=r"x: gave an output \(7, 2\), expected"):
        read_raw(raw[:7], classes, 0, "x")


def test_overlapping_candidates():
    box = np.array([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 10, 4], [20, 20, 30, 30]])  # IoU with the first 0.9, 0.4, 0
    score = np.array([0.5, 0.9, 0.4, 0.6])
    assert separate(box, score, 0.7).tolist() == [1, 3, 2]
    assert separate(box, score, 0.95).tolist() == [1, 3, 0, 2]
    assert separate(box[:0], score[:0], 0.7).tolist() == []


@pytest.fixture(scope="module")
def predictor():
    """yolov8n-pose with random weights, normalised so that boxes and confidences differ from place to place."""
    pytest.importorskip("ultralytics", reason=not_installed("ultralytics", "ultralytics"))
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    predictor = load("ultralytics:yolov8n-pose.yaml", min_box_score=0.0, image_size=256)
    module = predictor.estimator.module
    for layer in module.modules():
        if isinstance(layer, torch.nn.Conv2d) and layer.bias is not None:
            torch.nn.init.normal_(layer.weight, 0, 0.3)
            torch.nn.init.zeros_(layer.bias)
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.momentum = None  # the mean over all that it sees
    with torch.no_grad():
        module.train()(torch.rand(4, 3, 256, 192))
    module.eval()
    return predictor


def test_its_zeroed_points_are_undone(predictor, data_dir, monkeypatch):
    """Every person and keypoint of the package's own results, at their places; where those are zeroed, ours are not.

    8.3 zeroes what is below 0.5, 8.4 does not; coordinates are cut off at the photo's edges by both.
    """
    stand_in(monkeypatch)
    from ultralytics import YOLO

    path, _ = labelled_photo(data_dir)
    pixels = read_image(path)
    model = YOLO("yolov8n-pose.yaml")
    model.model.kpt_shape = [17, 3]  # versions before 8.4 ask for it, as training leaves it
    model.model.load_state_dict(predictor.estimator.module.state_dict())
    image = np.ascontiguousarray(pixels[..., ::-1])
    results = model.predict(image, conf=0.0001, iou=0.7, max_det=300, imgsz=256, device="cpu", verbose=False)[0]
    theirs = results.keypoints.data.numpy()  # (N, 17, 3)
    candidates = predictor.estimator.candidates(pixels)
    box, score, keypoints = candidates.box, candidates.score, candidates.keypoints
    edges = [pixels.shape[1], pixels.shape[0]]
    cut_box, cut = np.clip(box, 0, edges * 2), np.clip(keypoints[..., :2], 0, edges)
    low = theirs[..., 2] < 0.5  # (N, 17)
    pixel = max(pixels.shape) / 256  # of the network's; 8.3 puts keypoints up to 0.6 of one beside where boxes are put
    far = np.abs(cut_box[None] - results.boxes.xyxy.numpy()[:, None]).max(axis=2) / pixel  # (theirs, mine)
    far = np.maximum(far, 100 * np.abs(score[None] - results.boxes.conf.numpy()[:, None]))
    far = np.maximum(far, 100 * np.abs(keypoints[None, ..., 2] - theirs[:, None, :, 2]).max(axis=2))
    apart = np.abs(cut[None] - theirs[:, None, :, :2]).max(axis=3) / pixel  # (theirs, mine, 17)
    far = np.maximum(far, np.where(low[:, None], 0, apart).max(axis=2))
    assert len(theirs) > 10 and 0.05 < low.mean() < 0.95
    assert far.min(axis=1).max() < 0.7
    is_zeroed = (theirs[low][:, :2] == 0).all()
    version = tuple(int(part) for part in importlib.metadata.version("ultralytics").split(".")[:2])
    assert is_zeroed == (version < (8, 4))
    poses = predictor(path)
    assert 10 < len(poses) <= 300 and (poses.score < 0.5).any()
    assert not (poses.xy == 0).all(axis=2).any() and not (keypoints[..., :2] == 0).all(axis=2).any()


def test_models_that_are_none(tmp_path):
    pytest.importorskip("ultralytics", reason=not_installed("ultralytics", "ultralytics"))
    with pytest.raises(InputError, match=r"ultralytics: expected ultralytics:MODEL"):
        load("ultralytics")
    with pytest.raises(InputError, match=r"is a model for 'detect', expected 'pose'"):
        load("ultralytics:yolov8n.yaml")
    (tmp_path / "text.pt").write_text("no weights")
    with pytest.raises(InputError, match="cannot be loaded by ultralytics"):
        load(f"ultralytics:{tmp_path / 'text.pt'}")


def test_networks_that_need_no_suppression(data_dir):
    """YOLO26 prints people, not anchors: each is kept."""
    pytest.importorskip("ultralytics", minversion="8.4", reason="needs ultralytics 8.4 (AGPL-3.0)")
    predictor = load("ultralytics:yolo26n-pose.yaml", min_box_score=0.0, image_size=128)
    predictor.estimator.module.model[-1].end2end = True  # as in its trained networks
    predictor.estimator._person = 7  # of 80 classes in the yaml: random weights print any
    pixels = read_image(labelled_photo(data_dir)[0])
    candidates = predictor.estimator.candidates(pixels)
    poses = predictor(pixels)
    assert candidates.is_separate and len(poses) == len(candidates.score) > 0
    np.testing.assert_allclose(np.sort(poses.pose_score), np.sort(candidates.score))
    assert (candidates.keypoints[..., 2] >= 0).all() and (candidates.keypoints[..., 2] <= 1).all()
