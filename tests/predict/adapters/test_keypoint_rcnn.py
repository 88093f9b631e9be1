"""torchvision's Keypoint R-CNN itself, with random weights."""

import importlib
from urllib.error import URLError

import numpy as np
import pytest

from tests.predict.adapters.people import labelled_photo
from tests.predict.torchvision_operators import stand_in
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.io.photos import read_image
from trustpose.predict.load import load

torch = pytest.importorskip("torch", reason=not_installed("torch", "train"))
importlib.import_module("trustpose.networks.backbones")  # knows how to import torchvision beside any torch


@pytest.fixture(scope="module")
def random_predictor():
    """The network with random weights, looking at smaller photos and at fewer places than usual."""
    torch.manual_seed(0)
    predictor = load("keypointrcnn:random", device="cpu")
    module = predictor.estimator.module
    module.transform.min_size, module.roi_heads.detections_per_img = (160,), 10
    module.rpn._post_nms_top_n = module.rpn._pre_nms_top_n = {"training": 0, "testing": 40}
    return predictor


@pytest.fixture
def predictor(random_predictor, monkeypatch):
    stand_in(monkeypatch)
    return random_predictor


@pytest.mark.slow
def test_all_that_torchvision_prints_is_kept(predictor, data_dir):
    path, truth = labelled_photo(data_dir)
    poses = predictor(path)
    pixels = torch.from_numpy(read_image(path).copy()).permute(2, 0, 1) / 255
    with torch.inference_mode():
        theirs = {name: value.numpy() for name, value in predictor.estimator.module([pixels])[0].items()}
    assert len(poses) == len(theirs["scores"]) > 5 and (theirs["labels"] == 1).all()
    np.testing.assert_allclose(poses.xy, theirs["keypoints"][..., :2], rtol=1e-6)
    np.testing.assert_allclose(poses.score, theirs["keypoints_scores"], rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(poses.pose_score, theirs["scores"], rtol=1e-5)
    np.testing.assert_array_equal(poses.box_score, poses.pose_score)
    np.testing.assert_allclose(poses.box, theirs["boxes"], rtol=1e-5)
    assert not ((poses.score >= 0) & (poses.score <= 1)).all()  # logits, as they are
    middle = np.median(poses.pose_score)
    predictor.min_score = middle
    try:
        assert len(predictor(path)) == (poses.pose_score >= middle).sum()
    finally:
        predictor.min_score = None
    with pytest.raises(ValueError, match="finds the people of whole photos by itself"):
        predictor(path, boxes=truth.box)


@pytest.mark.slow
def test_weights_from_a_file(predictor, tmp_path):
    """The same tensors, the same poses; a file that does not fit is named."""
    tensors = predictor.estimator.module.state_dict()
    torch.save(tensors, tmp_path / "weights.pth")
    loaded = load(f"keypointrcnn:{tmp_path / 'weights.pth'}", device="cpu").estimator.module.state_dict()
    assert all(torch.equal(tensors[name], loaded[name]) for name in tensors)
    (tmp_path / "weights.pth").unlink()
    torch.save({"backbone.body.conv1.weight": torch.zeros(2)}, tmp_path / "small.pth")
    with pytest.raises(InputError, match=r"small\.pth: tensor backbone\.body\.conv1\.weight: .* the file \[2\]"):
        load(f"keypointrcnn:{tmp_path / 'small.pth'}", device="cpu")


def test_where_weights_cannot_be_fetched(monkeypatch):
    def unreachable(**_):
        raise URLError("no network")

    detection = importlib.import_module("torchvision.models.detection")
    monkeypatch.setattr(detection, "keypointrcnn_resnet50_fpn", unreachable)
    with pytest.raises(InputError, match=r"could not fetch its weights .*no network.* name a file of them"):
        load("keypointrcnn")


def test_a_torchvision_for_another_torch(random_predictor, monkeypatch):
    def missing(_):
        raise NotImplementedError("Could not run 'torchvision::nms'\nwith arguments from the 'CPU' backend")

    monkeypatch.setattr(random_predictor.estimator, "module", Missing(missing))
    with pytest.raises(InputError, match="torchvision was built for another torch"):
        random_predictor(np.zeros((64, 64, 3), np.uint8))


class Missing(torch.nn.Linear):
    """A network whose operators are missing."""

    def __init__(self, forward):
        super().__init__(1, 1)
        self.forward = forward
