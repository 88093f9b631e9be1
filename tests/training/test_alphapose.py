"""AlphaPose's training: crops by proposals, the parallel branch's targets and gradients, and what is saved."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.training.tiny import HEIGHT, WIDTH, one_process, tiny_people, tiny_recipe, weights
from trustpose.datasets.augment import HRNET, NOTHING, TrainingCrops
from trustpose.files import InputError, read_json, write_json
from trustpose.geometry.boxes import xyxy_to_xywh
from trustpose.geometry.crops import grow_box, transform
from trustpose.heads.stages import Stage
from trustpose.models.runtime.sessions import run_tensors, session_of
from trustpose.models.runtime.weights import load_module
from trustpose.models.spec import ModelSpec
from trustpose.networks.symmetric_transformer import SymmetricTransformer
from trustpose.skeletons import COCO_17
from trustpose.training.initialization import parallel_branch, starting_network
from trustpose.training.learner import Learner
from trustpose.training.loop import fit
from trustpose.training.network_task import NetworkTask, fit_detector_proposals
from trustpose.training.options import TransformerOptions
from trustpose.training.recipe import from_json, to_json
from trustpose.training.tasks import make_task

TORSO = [COCO_17.index(name) for name in ("left_shoulder", "right_shoulder", "left_hip", "right_hip")]
PLACES = np.array([[38, 25], [22, 25], [35, 48], [25, 48]])
RECIPE = replace(tiny_recipe((Stage(1, 1.0, 0.0),)), transformer=TransformerOptions("own", parallel=0.5))
FEET = np.array([0, 0, 0, 0.2 * 72])  # a fifth of the tiny people's boxes


@pytest.fixture(scope="module")
def people():
    """The tiny people, upright, all with shoulders and hips."""
    found = tiny_people()
    xy, v = found.labels.xy.copy(), found.labels.v.copy()
    xy[:, TORSO] = PLACES + np.random.default_rng(0).uniform(-3, 3, (len(xy), 4, 2))
    v[:, TORSO] = 2
    return replace(found, labels=replace(found.labels, xy=xy, v=v))


@pytest.fixture(scope="module")
def detections(people, tmp_path_factory):
    """A detector that cuts a fifth off everybody's feet; on photo 1 it finds only a corner, on photo 2 two boxes."""
    box = people.labels.box - FEET
    box[0] = [0, 0, 8, 8]
    found = [*zip(people.image_id.tolist(), box, strict=True), (2, np.array([4.0, 4, 56, 45]))]
    rows = [{"image_id": image, "category_id": 1, "bbox": xyxy_to_xywh(one).tolist()} for image, one in found]
    path = tmp_path_factory.mktemp("detections") / "boxes.json"
    write_json(path, [row | {"score": 0.5} for row in rows])
    return str(path)


def test_crops_are_cut_by_boxes_with_the_detectors_errors(people, detections):
    generator = fit_detector_proposals(people, detections)
    crops = TrainingCrops(people, WIDTH, HEIGHT, augmentation=replace(NOTHING, flip=0.5), proposals=generator)
    crop = crops[3]
    expected = grow_box(people.labels.box[3] - FEET, 1.25, WIDTH / HEIGHT).reshape(2, 2)
    np.testing.assert_allclose(np.sort(transform(crop.affine, expected), axis=0), [[0, 0], [WIDTH, HEIGHT]], atol=0.3)
    growth = np.sqrt(abs(np.linalg.det(crop.affine[:, :2])))
    np.testing.assert_allclose(crop.box_size / growth, [52, 57.6], atol=0.3)
    assert crop.overlap == pytest.approx(0.8, abs=0.01)
    again, other = crops[3], crops.at_epoch(1)[3]
    assert (again.affine == crop.affine).all() and (other.affine != crop.affine).any()
    plain = replace(crops, proposals=None)[3]
    assert plain.overlap == 1.0 and np.sign(plain.affine[0, 0]) == np.sign(crop.affine[0, 0])  # mirrored alike


def test_boxes_that_do_not_fit_are_refused(people, detections, tmp_path):
    few = tmp_path / "few.json"
    write_json(few, read_json(detections)[:6])
    with pytest.raises(InputError, match=r"few\.json, whose boxes fit 5 of 24 people: expected 8 people or more"):
        fit_detector_proposals(people, str(few))
    with pytest.raises(InputError, match=r"none\.json"):
        fit_detector_proposals(people, str(tmp_path / "none.json"))


def test_the_parallel_branch_learns_the_crop_of_the_labelled_box(people, detections):
    """As if the labelled box alone had cut the crop, with the same rotation and mirroring; joints that the drawn box
    leaves out have no target."""
    task = _task(replace(RECIPE, data=replace(RECIPE.data, proposals=detections)), people)
    cut = [task.samples(0)[row] for row in range(8)]
    batch = task.collate(cut)
    exact = replace(task.samples(0), proposals=None, augmentation=replace(HRNET, scale=0.0))
    crops = [exact[row] for row in range(8)]
    xy = np.stack([crop.xy for crop in crops])
    seen, labelled = (np.stack([crop.v for crop in which]) > 0 for which in (crops, cut))
    assert (labelled != seen).any() and not (labelled & ~seen).any()
    np.testing.assert_allclose(batch["centred"], task.codec.encode(xy, labelled), atol=1e-5)
    np.testing.assert_array_equal(batch["centred_weights"], task.codec.weights(xy, labelled))
    assert not np.allclose(batch["centred"], batch["heatmaps"], atol=0.1)


def test_training_changes_the_stn_and_leaves_the_branch_as_it_was(people, tmp_path):
    task = _task(RECIPE, people)
    before = weights(task)
    fit(task, RECIPE, tmp_path / "training", one_process())
    after = weights(task)
    for name in ("localisation.theta.weight", "localisation.body.0.0.weight", "network.head.weight"):
        assert not torch.equal(before[f"network.{name}"], after[f"network.{name}"]), name
    frozen = [name for name in before if name.startswith("parallel.")]
    assert frozen and all(torch.equal(before[name], after[name]) for name in frozen)
    assert "heatmap,parallel" in (tmp_path / "training" / "train.csv").read_text().splitlines()[0]
    _check_export(task, tmp_path / "model")


def _check_export(task, folder):
    """The folder's ONNX file and its weights give the trained network's heatmaps."""
    network = task.learner.network
    with torch.no_grad():  # the identity would hide an STN that is left out
        network.localisation.theta.bias.add_(torch.tensor([-0.2, 0.05, 0.1, 0.02, -0.1, -0.1]))
    task.export(folder)
    network.eval()
    image, spec = torch.randn(3, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)), ModelSpec.read(folder)
    assert spec.localisation == "own" and not any("parallel" in name for name in load_module(spec).state_dict())
    with torch.no_grad():
        expected, loaded = network(image).heatmaps[-1], load_module(spec)(image).heatmaps[-1]
        plain = network.network(image).heatmaps[-1]
    torch.testing.assert_close(loaded, expected, atol=1e-6, rtol=0)
    session = session_of(spec.onnx.read_bytes(), spec.onnx)
    tensors = run_tensors(session, spec.onnx, ["heatmaps"], {"image": image.numpy()})
    np.testing.assert_allclose(tensors[0], expected, atol=1e-5)
    assert (expected - plain).abs().max() > 1e-2
    again = starting_network(RECIPE, folder)
    assert isinstance(again, SymmetricTransformer) and not isinstance(again.network, SymmetricTransformer)
    with pytest.raises(InputError, match=r"has localisation 'own', see --transformer\.localisation"):
        starting_network(replace(RECIPE, transformer=TransformerOptions()), folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"localisation": "resnet-19"}, "transformer.localisation: resnet-19 cannot see half of 64 × 48 pixels"),
        ({"network": "hourglass-1"}, "own needs a network of one stage, got StackedHourglass; name a timm network"),
        ({"network": "tinypose"}, "transformer.localisation: own cannot see half of 64 × 48 pixels"),
        ({"head": "oks-net"}, "transformer.parallel: expected 0 with head oks-net"),
        ({"system": "detector"}, "is for training networks, expected none with system detector"),
    ],
)
def test_what_cannot_be_built_is_refused(changes, message, tmp_path):
    transformer = TransformerOptions(changes.get("localisation", "own"))
    options = {name: value for name, value in changes.items() if name != "localisation"}
    recipe = replace(RECIPE, transformer=transformer, **options)
    with pytest.raises(InputError, match=message):
        if "system" in changes:
            make_task(recipe, tmp_path, None, tmp_path)
        parallel_branch(starting_network(recipe, None), recipe)


def test_recipes_keep_it():
    assert from_json(json.loads(json.dumps(to_json(RECIPE)))) == RECIPE
    without = replace(RECIPE, transformer=TransformerOptions("own", 0.0))
    assert parallel_branch(starting_network(without, None), without) is None


def _task(recipe, people):
    torch.manual_seed(0)
    network = starting_network(recipe, None)
    return NetworkTask(recipe, Learner(network, None, parallel_branch(network, recipe)), people, None)
