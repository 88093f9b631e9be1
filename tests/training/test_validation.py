"""Validation gives the audit's numbers, which are those of `trustpose predict` and `trustpose audit` on files."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.people_cases import write_training_folder
from tests.training.tiny import tiny_network, tiny_people, tiny_recipe
from trustpose.codecs import Outputs
from trustpose.datasets.dataset_ops import subset
from trustpose.evaluation.audit import audit
from trustpose.files import InputError
from trustpose.geometry.crops import transform
from trustpose.heads.network import attach
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.poses import write_results
from trustpose.predict.load import load
from trustpose.skeletons import MPII_16
from trustpose.training.network_task import Learner, NetworkTask
from trustpose.training.people import open_people
from trustpose.training.validation import _Labelled


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_training_folder(tmp_path_factory.mktemp("data"), photos=6)


def task_on(data, head: str | None = None, **options) -> NetworkTask:
    """A network with informative heatmaps, validated on all people."""
    recipe = tiny_recipe(head=head, **options)
    recipe = replace(recipe, data=replace(recipe.data, dataset="made up"))
    torch.manual_seed(3)
    network = tiny_network(norm=False)
    made = None if head is None else attach(head, network, recipe.height, recipe.width).head
    people = open_people(data, recipe.data)
    return NetworkTask(recipe, Learner(network, made), people, people)


@pytest.mark.parametrize("head", [None, "oks-net"])
@pytest.mark.parametrize("flip", [False, True])
def test_numbers_are_those_of_prediction_and_audit(data, tmp_path, head, flip):
    task = task_on(data, head, flip_test=flip)
    metrics = task.validate()
    task.export(tmp_path / "model")
    predictor = load(tmp_path / "model", flip=flip)
    file = read_coco_truth(data / "train_gt.json")
    truth = file.truth[np.flatnonzero((file.truth.v > 0).any(axis=1))]
    images = [data / "train" / name for name in file.images.file_name]
    boxes = [truth.box[truth.image_id == image] for image in file.images.id.tolist()]
    poses = predictor(images, boxes=boxes)
    ids = np.concatenate([truth.annotation_id[truth.image_id == image] for image in file.images.id.tolist()])
    poses = replace(poses, image_id=file.images.id[poses.image_id], annotation_id=ids)
    score = poses.pose_score if head is None else poses.pose_quality
    write_results(tmp_path / "results.json", poses, score=score)
    record = audit(file, read_results(tmp_path / "results.json", truth=file), draws=0)
    for name in ("keypoint.pearson", "pose.pearson", "keypoint.brier", "visibility.labelled.f1"):
        expected = record.number(name)
        assert metrics[name] == pytest.approx(float("nan") if expected is None else expected, abs=2e-3, nan_ok=True), (
            name
        )
    assert ("network.ap.AP" in metrics) == (head is not None)
    assert np.isfinite(metrics["pose.pearson"])


def test_labels_that_are_not_ternary_have_no_ternary_numbers(data):
    """v of a data set that says labelled or not: as an audit of its file, validation counts labelled alone."""
    task = task_on(data, "metamodel")
    numbers = task.validate()
    assert np.isfinite(numbers["visibility.ternary.total.f1"])
    assert task.validation is not None
    crops = task.validation.crops
    labels = replace(crops.people.labels, has_visibility=np.zeros_like(crops.people.labels.has_visibility))
    crops = replace(crops, people=replace(crops.people, labels=labels))
    task.validation = replace(task.validation, crops=crops)
    labelled = task.validate()
    assert np.isnan(labelled["visibility.ternary.total.f1"]) and np.isnan(labelled["visibility.ternary.occluded.f1"])
    assert labelled["visibility.labelled.f1"] == pytest.approx(numbers["visibility.labelled.f1"], nan_ok=True)


def test_heatmaps_that_are_right_have_an_ap_of_1(data):
    """The network is replaced by a perfect one: AP, and r of a perfect OKS, are the highest possible."""
    task = task_on(data)
    validation = task.validation
    assert validation is not None
    validation.options = replace(validation.options, batch_size=5)
    crops, codec, seen = validation.crops, replace(task.codec, decoding="dark"), []
    validation.codec = codec
    everybody = [_Labelled(crops, np.arange(len(crops)))[number] for number in range(len(crops))]
    xy = np.stack([transform(affine, sample.xy) for sample, _, affine in everybody])

    def predict(image, _):
        start = sum(seen)
        seen.append(len(image))
        return Outputs([torch.from_numpy(codec.encode(xy[start : start + len(image)]))]), None

    numbers = validation(predict, torch.device("cpu"))
    assert seen == [5, 5, 2]
    assert numbers["ap.AP"] > 0.9
    assert numbers["oracle_ap.AP"] == pytest.approx(numbers["ap.AP"], abs=0.02)


def test_no_folds_no_numbers_and_no_sigmas_no_validation(data):
    task = task_on(data)
    task.validation = None
    assert task.validate() == {}
    recipe = replace(task.recipe, data=replace(task.recipe.data, skeleton="mpii16"))
    nobody = replace(subset(tiny_people(1), np.arange(0)), skeleton=MPII_16)
    with pytest.raises(InputError, match=r"^data.skeleton: mpii16 has no published sigmas, which validation"):
        NetworkTask(recipe, task.learner, nobody, nobody)
