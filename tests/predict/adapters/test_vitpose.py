"""ViTPose by transformers itself, with random weights, against transformers' own image processor."""

import importlib

import numpy as np
import pytest

from tests.predict.adapters.people import labelled_photo
from trustpose.codecs import Outputs
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.geometry.boxes import xyxy_to_xywh
from trustpose.io.photos import read_image
from trustpose.predict.load import load

torch = pytest.importorskip("torch", reason=not_installed("torch", "transformers"))
pytest.importorskip("transformers", reason=not_installed("transformers", "transformers"))
importlib.import_module("trustpose.networks.backbones")  # knows how to import torchvision beside any torch


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The folder of a ViTPose of two narrow layers whose maps are noise of some height, above 0 at their peaks."""
    from transformers import VitPoseBackboneConfig, VitPoseConfig, VitPoseForPoseEstimation, VitPoseImageProcessor

    torch.manual_seed(0)
    backbone = VitPoseBackboneConfig(hidden_size=32, num_hidden_layers=2, num_attention_heads=2, out_indices=[2])
    model = VitPoseForPoseEstimation(VitPoseConfig(backbone_config=backbone, num_labels=17))
    torch.nn.init.normal_(model.head.conv.weight, 0, 0.3)
    torch.nn.init.constant_(model.head.conv.bias, 1.0)
    folder = tmp_path_factory.mktemp("vitpose")
    model.save_pretrained(folder)
    VitPoseImageProcessor().save_pretrained(folder)
    return folder


def _theirs(checkpoint, pixels, boxes):
    """Keypoints (N, 17, 2) and scores (N, 17) as transformers' documentation computes them, and the maps."""
    from transformers import VitPoseForPoseEstimation, VitPoseImageProcessor

    model = VitPoseForPoseEstimation.from_pretrained(checkpoint).eval()
    processor = VitPoseImageProcessor.from_pretrained(checkpoint)
    given = [xyxy_to_xywh(boxes).tolist()]
    with torch.inference_mode():
        outputs = model(**processor(pixels, boxes=given, return_tensors="pt"))
    people = processor.post_process_pose_estimation(outputs, boxes=given)[0]
    return (
        np.stack([person["keypoints"].numpy() for person in people]),
        np.stack([person["scores"].numpy() for person in people]),
        outputs.heatmaps.numpy(),
    )


def test_the_same_crops_and_maps_as_its_own_processor(checkpoint, data_dir):
    """On a real photo: the same peaks, but for its truncating pixels where ours are rounded; places within a map pixel,
    as noise is smoothed differently. Beyond the photo's edge it interpolates differently, so both crops are within."""
    path, truth = labelled_photo(data_dir)
    boxes = np.concatenate([truth.box, truth.box + np.array([10.0, 20, -15, -30])])
    predictor = load(f"vitpose:{checkpoint}", device="cpu")
    poses = predictor(path, boxes=boxes)
    xy, score, heatmaps = _theirs(checkpoint, read_image(path), boxes)
    assert score.min() > 0
    np.testing.assert_allclose(poses.score, score, atol=0.02)
    map_pixel = (boxes[:, 2:] - boxes[:, :2]).max() * 1.25 / min(heatmaps.shape[2:])
    assert np.abs(poses.xy - xy).max() < map_pixel
    np.testing.assert_array_equal(poses.box, boxes)
    assert predictor.skeleton.name == "coco17" and "Apache-2.0" in predictor.licence


def test_the_same_places_where_maps_are_bumps(checkpoint):
    """What a trained network gives: our UDP codec and transformers' post-processing within 0.05 map pixels."""
    from transformers import VitPoseImageProcessor

    rng = np.random.default_rng(0)
    centre = np.stack([rng.uniform(3, 44, (4, 17)), rng.uniform(3, 60, (4, 17))], axis=2)  # map pixels
    y, x = np.mgrid[:64, :48]
    far = (x - centre[..., 0, None, None]) ** 2 + (y - centre[..., 1, None, None]) ** 2
    heatmaps = np.exp(-far / 8).astype(np.float32)  # (4, 17, 64, 48), sigma 2
    predictor = load(f"vitpose:{checkpoint}", device="cpu")
    mine = predictor.codec.decode(Outputs(heatmaps=[heatmaps]))

    class Given:
        def __init__(self, maps):
            self.heatmaps = torch.from_numpy(maps)

    box = [0.0, 0.0, 48.0 / 1.25, 64.0 / 1.25]  # enlarged by 1.25 about its middle: 48 × 64 pixels
    processor = VitPoseImageProcessor.from_pretrained(checkpoint)
    people = processor.post_process_pose_estimation(Given(heatmaps), boxes=[[box]] * 4)
    corner = np.array(box[2:]) / 2 - [24, 32]
    theirs = (np.stack([person[0]["keypoints"].numpy() for person in people]) - corner) * [
        47 / 48,
        63 / 64,
    ]  # map pixels
    np.testing.assert_allclose(mine.xy * [47 / 191, 63 / 255], theirs, atol=0.05)
    np.testing.assert_allclose(mine.xy * [47 / 191, 63 / 255], centre, atol=0.05)


def test_a_point_without_a_positive_peak_stays_at_its_peak(checkpoint):
    heatmaps = np.full((1, 17, 64, 48), -5.0, np.float32)
    heatmaps[:, :, 30, 20] = -1.0
    xy = load(f"vitpose:{checkpoint}", device="cpu").codec.decode(Outputs(heatmaps=[heatmaps])).xy
    np.testing.assert_allclose(xy * [47 / 191, 63 / 255], np.broadcast_to([20, 30], (1, 17, 2)), atol=1.0)


def test_options(checkpoint, data_dir):
    """Batches, a flip and the network itself, as with our own networks."""
    path, truth = labelled_photo(data_dir)
    boxes = np.repeat(truth.box, 3, axis=0) + np.arange(3)[:, None] * 7.0
    first_poses, all_ = (
        load(f"vitpose:{checkpoint}", device="cpu", batch_size=size)(path, boxes=boxes) for size in (1, 16)
    )
    np.testing.assert_allclose(first_poses.xy, all_.xy, atol=0.05)
    flipped = load(f"vitpose:{checkpoint}", device="cpu", flip=True)
    assert np.abs(flipped(path, boxes=boxes).score - first_poses.score).max() > 0.1
    assert flipped.network(torch.zeros(1, 3, 256, 192)).heatmaps[-1].shape == (1, 17, 64, 48)


def test_checkpoints_that_cannot_be_loaded(tmp_path, checkpoint):
    with pytest.raises(InputError, match=r"vitpose: expected vitpose:FOLDER or vitpose:NAME"):
        load("vitpose")
    with pytest.raises(InputError, match=r"cannot be loaded by transformers"):
        load(f"vitpose:{tmp_path}")
    with pytest.raises(InputError, match=r"takes no option 'skeleton'; its options are device, precision"):
        load(f"vitpose:{checkpoint}", skeleton="coco17")
