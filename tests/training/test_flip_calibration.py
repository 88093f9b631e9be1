"""The flip test of a trained head: its stored features are what prediction sees, and its line what prediction draws."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.people_cases import write_training_folder
from tests.predict.tiny_trust import write_network
from tests.training.test_cross_fit import SMALL
from trustpose.geometry.crops import invert_affine, transform
from trustpose.heads.heads import Trust
from trustpose.heads.targets import TrustTargets
from trustpose.heads.token_calibration import flip_lines
from trustpose.io.coco.truth import read_coco_truth
from trustpose.models.spec import ModelSpec
from trustpose.predict.boxes import boxes_from_truth
from trustpose.predict.load import load
from trustpose.predict.photos import Image
from trustpose.training.frozen_task import frozen_task

ONE_VIEW = replace(SMALL, frozen=replace(SMALL.frozen, views=1), train=replace(SMALL.train, epochs=1))


@pytest.fixture(scope="module", params=[None, 1.1], ids=["same padding", "tighter"])
def trained(request, tmp_path_factory):
    """Data, the network's spec and a task on it."""
    folder = tmp_path_factory.mktemp("flip")
    data = write_training_folder(folder / "data", photos=8)
    crop = {"padding": 1.25} | ({} if request.param is None else {"flip_padding": request.param})
    network = write_network(folder / "network", batch="batch", crop=crop)
    return data, network, frozen_task(ONE_VIEW, data, network, folder / "stored")


def photos_with_boxes(data) -> list[Image]:
    file = read_coco_truth(data / "train_gt.json")
    boxes = boxes_from_truth(file.truth).of_images(file.images.id)
    names = file.images.names()
    return [
        Image(data / "train" / names[int(image)], box, int(image))
        for image, box in zip(file.images.id, boxes, strict=True)
    ]


def test_the_stored_keypoints_are_those_of_the_predictor(trained):
    data, network, task = trained
    predictor = load(network, detector="whole", flip=True)
    poses = [prediction.poses for prediction in predictor.stream(photos_with_boxes(data))]
    found = {
        int(annotation_id): xy for pose in poses for annotation_id, xy in zip(pose.annotation_id, pose.xy, strict=True)
    }
    columns = task.flip.columns
    stored = transform(invert_affine(columns["affine"]), columns["found_xy"].astype(np.float64))
    assert len(stored) == len(task.held_out) == len(found) > 8
    expected = np.array([found[person] for person in columns["annotation_id"].tolist()])
    distance = np.linalg.norm(stored - expected, axis=2)
    assert (distance < 0.01).mean() > 0.9  # maps of this network have peaks of nearly the same height


def test_the_model_draws_its_line(trained, tmp_path):
    """The trust of flip test and line, against the same model's without the line."""
    data, _, task = trained
    torch.manual_seed(1)
    for head in task.learner.heads:
        for parameter in head.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.3)
    task.export(tmp_path / "model")
    trust = ModelSpec.read(tmp_path / "model").trust
    lines, padding = trust.flip, task.network.spec.flip_padding or 1.25
    assert set(lines) == {"quality", "pose_quality"}
    assert trust.fitted_on["flip_calibrated_on"].endswith(f"not seen them, mirrored crops of padding {padding}")
    photos = photos_with_boxes(data)[:3]
    with_line = [poses.poses for poses in load(tmp_path / "model", detector="whole", flip=True).stream(photos)]
    json_path = tmp_path / "model" / "model.json"
    value = json.loads(json_path.read_text())
    del value["trust"]["flip"]
    json_path.write_text(json.dumps(value))
    without = [poses.poses for poses in load(tmp_path / "model", detector="whole", flip=True).stream(photos)]
    for first, second in zip(with_line, without, strict=True):
        for name, (slope, offset) in lines.items():
            logit = slope * np.log(getattr(second, name) / (1 - getattr(second, name))) + offset
            np.testing.assert_allclose(getattr(first, name), 1 / (1 + np.exp(-logit)), atol=1e-5)
        assert np.abs(first.quality - second.quality).max() > 1e-3
        np.testing.assert_array_equal(first.visibility, second.visibility)


def test_lines_are_found_again():
    """Outcomes drawn at the probabilities of a known line; unknown joints and people without labels say nothing."""
    rng = np.random.default_rng(0)
    logit, pose = rng.normal(size=(4000, 5)), rng.normal(size=4000)

    def drawn(values: np.ndarray, slope: float, offset: float) -> torch.Tensor:
        return torch.from_numpy((rng.random(values.shape) < 1 / (1 + np.exp(-(slope * values + offset)))).astype(float))

    opks, oks = drawn(logit, 1.5, -0.4), drawn(pose, 0.7, 0.3)
    known = torch.ones(4000, 5, dtype=torch.bool)
    known[:, 4], opks[:, 4], oks[::2] = False, 0.0, torch.nan
    quality, expected = (torch.from_numpy(1 / (1 + np.exp(-one))) for one in (logit, pose))
    mean = Trust(quality=quality, pose_quality=expected)
    lines = flip_lines(mean, TrustTargets(opks, oks, torch.ones(4000, 5, dtype=torch.int64)), known)
    np.testing.assert_allclose(lines["quality"], (1.5, -0.4), atol=0.1)
    np.testing.assert_allclose(lines["pose_quality"], (0.7, 0.3), atol=0.15)
