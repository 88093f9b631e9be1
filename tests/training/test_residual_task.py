"""The pose residual network's training: from labels to a folder, in seconds, and what it learns."""

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

import trustpose as tp  # noqa: E402
from trustpose.files import InputError  # noqa: E402
from trustpose.networks.multi_pose_net import read_residual  # noqa: E402
from trustpose.training.recipe import with_overrides  # noqa: E402
from trustpose.training.recipes import find_recipe  # noqa: E402
from trustpose.training.residual_task import residual_task  # noqa: E402

SMALL = {"residual.hidden": 16, "train.batch_size": 8, "train.warmup": 0, "train.epochs": 30, "train.lr": 0.01}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """Pairs of people with overlapping boxes: the left one's keypoints are in the upper half of its box, the other's in
    the lower half."""
    folder = tmp_path_factory.mktemp("labels")
    random = np.random.default_rng(0)
    photos = 60
    keypoints = np.zeros((2 * photos, 17, 3), np.float32)
    box = np.zeros((2 * photos, 4), np.float32)
    for photo in range(photos):
        for side in range(2):
            row, corner = 2 * photo + side, np.array([0.2 + 0.1 * side, 0.2])
            xy = random.uniform(0, 1, (17, 2)) * [0.3, 0.25] + corner + [0, 0.25 * side]
            keypoints[row] = np.concatenate([xy, np.full((17, 1), 2)], axis=1)
            box[row] = corner[0] + 0.15, corner[1] + 0.25, 0.3, 0.5
    np.savez(
        folder / "labels_train2017.npz",
        image_id=np.repeat(np.arange(1, photos + 1), 2),
        bbox_cxcywh_norm=box,
        kpts_norm=keypoints,
        wh=np.full((2 * photos, 2), 400),
    )
    return folder


def test_training_from_labels_alone(data, tmp_path):
    numbers = tp.train("pose-residual", data, tmp_path / "model", changes=SMALL | {"data.folds": 4}, accelerator="cpu")
    untrained = residual_task(with_overrides(find_recipe("pose-residual"), SMALL | {"data.folds": 4}), data, None)
    assert numbers["ap.AP"] > untrained.validate()["ap.AP"] + 0.1
    network = read_residual(tmp_path / "model")
    assert json.loads((tmp_path / "model" / "residual.json").read_text())["hidden"] == 16
    again = residual_task(untrained.recipe, data, tmp_path / "model")
    assert torch.equal(again.network.last.weight, network.last.weight)
    assert again.validate()["ap.AP"] == pytest.approx(numbers["ap.AP"], abs=0.02)  # bfloat16 in training only


def test_loss_is_torchs_binary_cross_entropy(data):
    recipe = with_overrides(find_recipe("pose-residual"), SMALL | {"data.folds": 0})
    task = residual_task(recipe, data, None)
    batch = task.collate([task.samples(0)[index] for index in range(5)])
    task.network.eval()
    loss = task.losses(task.model, batch, task.counts(batch))["cells"]
    with torch.no_grad():
        probability = task.network(batch["maps"])
    expected = torch.nn.functional.binary_cross_entropy(probability, batch["targets"], reduction="sum") / 5
    assert float(loss.detach()) == pytest.approx(float(expected), rel=1e-4)
    assert task.describe(batch)["annotation_id"] == (batch["row"] + 1).tolist()


def test_contested_boxes_only(data, tmp_path):
    arrays = dict(np.load(data / "labels_train2017.npz"))
    alone = {name: array[::2] for name, array in arrays.items()}  # the left people of 30 photos are alone
    some = {name: np.concatenate([alone[name][:30], array[60:]]) for name, array in arrays.items()}
    np.savez(tmp_path / "labels_train2017.npz", **some)
    changes = SMALL | {"data.folds": 0}
    recipe = with_overrides(find_recipe("pose-residual"), changes)
    assert len(residual_task(recipe, tmp_path, None).samples(0)) == 60
    everybody = with_overrides(recipe, {"residual.contested": False})
    assert len(residual_task(everybody, tmp_path, None).samples(0)) == 90
    np.savez(tmp_path / "labels_train2017.npz", **alone)
    with pytest.raises(InputError, match=r"residual\.contested: no box of"):
        residual_task(recipe, tmp_path, None)


def test_folders_without_labels_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"holds no labels, expected labels_train2017\.npz, train_gt\.json, "):
        residual_task(find_recipe("pose-residual"), tmp_path, None)
