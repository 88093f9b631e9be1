"""Keypoints with depths: from Human3.6M's layout to a folder, by heatmaps and by the integral at both stages."""

from pathlib import Path

import cv2
import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

import trustpose as tp  # noqa: E402
from tests.human36m_cases import write_human36m  # noqa: E402
from trustpose.datasets.human36m import PROTOCOLS, read_human36m  # noqa: E402
from trustpose.files import InputError  # noqa: E402
from trustpose.models.outputs.volumes import VolumeOutput  # noqa: E402
from trustpose.models.runtime.weights import load_module  # noqa: E402
from trustpose.models.spec import ModelSpec  # noqa: E402
from trustpose.training.crops import AUGMENTATIONS  # noqa: E402
from trustpose.training.recipe import Recipe, with_overrides  # noqa: E402
from trustpose.training.recipes import find_recipe  # noqa: E402
from trustpose.training.volume_task import HeldOut, VolumeTask, volume_task  # noqa: E402

SMALL = {
    "network": "small-hourglass-2",
    "height": 64,
    "width": 64,
    "data.sigma": 1.0,
    "data.augmentation": "flip",
    "volumes.depth": 8,
    "train.batch_size": 2,
    "train.epochs": 30,
    "train.lr": 1e-2,
    "train.schedule": "cosine",
    "train.validate_every": 30,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_human36m(tmp_path_factory.mktemp("human36m") / "data", (1, 5, 6, 7, 8, 9, 11), (0,))


def _recipe(name: str, **changes: object) -> Recipe:
    return with_overrides(find_recipe(name), SMALL | changes)


def _errors_on_training_people(task: VolumeTask, network: torch.nn.Module, data: Path) -> dict[str, float]:
    """The made-up poses of the test subjects cannot be known."""
    crops = task.crops.crops.with_augmentation(AUGMENTATIONS["nothing"])
    seen = HeldOut(read_human36m(data, PROTOCOLS["2"].training, 5), crops)
    return seen.errors(network.eval(), task.codec, task.recipe.train)


@pytest.mark.parametrize("name", ["single-person/human36m/h1-stage-1", "single-person/human36m/i1-stage-2"])
def test_learns_from_files_to_a_folder(data, tmp_path, name):
    untrained = volume_task(_recipe(name), data)
    before = _errors_on_training_people(untrained, untrained.network, data)
    numbers = tp.train(name, data, tmp_path / "model", changes=SMALL, accelerator="cpu")
    assert {"mpjpe", "pa_mpjpe", "stage-1.mpjpe", "stage-2.mpjpe"} <= set(numbers)
    assert numbers["mpjpe"] == numbers["stage-2.mpjpe"] and numbers["pa_mpjpe"] < numbers["mpjpe"]
    spec = ModelSpec.read(tmp_path / "model")
    network = load_module(spec)
    after = _errors_on_training_people(untrained, network, data)
    for stage in ("stage-1", "stage-2"):
        assert after[f"{stage}.mpjpe"] < 0.75 * before[f"{stage}.mpjpe"], (before, after)
    output = spec.output
    assert isinstance(output, VolumeOutput) and (output.depth, output.extent) == (8, 2.0)
    again = volume_task(_recipe(name), data, tmp_path / "model")
    assert torch.equal(next(again.network.parameters()), next(network.parameters()))
    with pytest.raises(InputError, match="gives 136 maps"):
        volume_task(_recipe(name, **{"volumes.depth": 16}), data, tmp_path / "model")


def test_the_model_predicts_x_and_y_in_photos_and_depths_from_crops(data, tmp_path):
    task = volume_task(_recipe("single-person/human36m/i1-stage-2"), data)
    task.export(tmp_path / "model")
    people = read_human36m(data, (9,), 64)
    photo = data / "images" / people.truth.images.names()[int(people.truth.image_id[0])]
    box = people.root_boxes(2.0)[0]
    poses = tp.load(str(tmp_path / "model"))(str(photo), boxes=box[None])
    assert poses.xy.shape == (1, 17, 2) and poses.skeleton.name == "human36m17"
    crop = task.held_out.crops[0]
    with torch.no_grad():
        pixels = (
            torch.from_numpy(crop.pixels).permute(2, 0, 1) / 255 - torch.tensor([0.485, 0.456, 0.406])[:, None, None]
        )
        maps = task.network.eval()((pixels / torch.tensor([0.229, 0.224, 0.225])[:, None, None])[None]).heatmaps[-1]
    xyz = task.codec.decode_volumes(maps.numpy()).xyz
    inverse = cv2.invertAffineTransform(crop.affine)
    expected = xyz[0, :, :2] @ inverse[:, :2].T + inverse[:, 2]
    np.testing.assert_allclose(poses.xy[0], expected, atol=0.05)


def test_samples_have_the_depth_of_the_person_as_shown(data):
    """A crop that is twice as large shows depths twice as large, and a mirrored one those of the other side."""
    people = read_human36m(data, PROTOCOLS["2"].training, 5)
    task = volume_task(_recipe("single-person/human36m/i1-stage-2", **{"data.augmentation": "hrnet"}), data)
    flip = task.crops.crops.flip_index
    flipped = 0
    for index in range(len(task.crops)):
        crop, depth = task.samples(3)[index]
        scale = np.sqrt(abs(np.linalg.det(crop.affine[:, :2]))) * 2.0 * 200.0 / people.root_depth[index] / 64
        is_flipped = np.linalg.det(crop.affine[:, :2]) < 0
        flipped += is_flipped
        np.testing.assert_allclose(depth, (people.depth[index] * scale)[flip if is_flipped else np.arange(17)])
    assert 0 < flipped < len(task.crops)
    batch = task.collate([task.samples(0)[index] for index in range(3)])
    assert batch["xyz"].shape == (3, 17, 3) and batch["weights"].shape == (3, 17)
    assert task.describe(batch)["image_id"] == people.truth.image_id[:3].tolist()


def test_what_does_not_fit_is_refused_in_one_line(data, tmp_path):
    for changes, message in (
        ({"data.folds": 5}, "data.folds: expected 0 with system volumes"),
        ({"data.skeleton": "coco17"}, "data.skeleton: expected human36m17"),
        (
            {"train.objective": "coordinates", "network": "deep-pose-1"},
            "train.objective: expected heatmaps or integral",
        ),
        ({"head": "oks-net"}, "head, deepen: expected none with system volumes"),
    ):
        with pytest.raises(InputError, match=message):
            volume_task(_recipe("single-person/human36m/i1-stage-2", **changes), data)
    with pytest.raises(InputError, match=r"no such file.*licence from http://vision.imar.ro/human3.6m"):
        volume_task(_recipe("single-person/human36m/i1-stage-2"), tmp_path)
