"""Surfaces of photos: the exported network gives what the task computes, in boxes of users or of a detector."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from trustpose import load
from trustpose.datasets.capsule_folder import write_capsule_people
from trustpose.files import InputError
from trustpose.geometry.crops import Boxes
from trustpose.io.photos import read_image
from trustpose.models.spec import ModelSpec
from trustpose.predict.surfaces import SurfacePredictor
from trustpose.training.recipe import with_overrides
from trustpose.training.recipes import find_recipe
from trustpose.training.surface_task import SurfaceTask, surface_task


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[SurfaceTask, Path]:
    """A network with random weights, but without the background, and its folder."""
    return random_network("dense-pose-small", tmp_path_factory)


@pytest.fixture(scope="module")
def on_regions(tmp_path_factory: pytest.TempPathFactory) -> tuple[SurfaceTask, Path]:
    """The same with regions of whole photos."""
    return random_network("dense-pose-regions-small", tmp_path_factory)


def random_network(name: str, tmp_path_factory: pytest.TempPathFactory) -> tuple[SurfaceTask, Path]:
    folder = tmp_path_factory.mktemp("surfaces")
    people = write_capsule_people(folder / "people", 4, size=96)
    changes = {
        "height": 64,
        "width": 64,
        "surfaces.hidden": 32,
        "surfaces.layers": 1,
        "data.folds": 0,
        "surfaces.quality": True,
        "surfaces.mesh": str(people / "mesh.npz"),
        "data.augmentation": "nothing",
    }
    task = surface_task(with_overrides(find_recipe(name), changes), people)
    with torch.no_grad():
        task.network.predictor.ann_index_lowres.bias[1] += 1.0  # type: ignore[index]
        for name in ("u_lowres", "v_lowres"):
            getattr(task.network.predictor, name).weight *= 20
    task.export(folder / "model")
    return task, folder


def test_a_photo_gives_what_the_task_computes(trained: tuple[SurfaceTask, Path]) -> None:
    task, folder = trained
    expected = task.predict(task.crops)
    predictor = SurfacePredictor(folder / "model")
    assert repr(predictor) == "SurfacePredictor(dense-pose-small: surface 32×32 of one person, with trust)"
    for row, truth in enumerate(expected):
        photo = folder / "people" / "images" / f"{row}.png"
        surfaces = predictor(photo, task.crops.truth.box[row : row + 1], image_id=row)
        surface = surfaces.surfaces[0]
        assert surfaces.image_id.tolist() == [row] and (surface.part > 0).any()
        assert (surface.part == truth.part).mean() > 0.99  # ties of logits
        same = surface.part == truth.part
        np.testing.assert_allclose(surface.uv[same], truth.uv[same], atol=2e-3)
        assert surface.quality is not None and truth.quality is not None
        np.testing.assert_allclose(surface.quality, truth.quality, atol=2e-3)
        np.testing.assert_allclose(surfaces.score, expected.score[row], atol=5e-3)


@pytest.mark.parametrize("flip", [False, True])
def test_regions_of_all_people_come_from_one_run(on_regions: tuple[SurfaceTask, Path], flip: bool) -> None:
    task, folder = on_regions
    expected = task.predict(task.crops)
    mirror = folder / "people" / "mirror.mat"
    predictor = SurfacePredictor(folder / "model", flip=flip, mirror=mirror)
    assert repr(predictor).endswith("surface 56×56 of each box in a photo, with trust)")
    photo = folder / "people" / "images" / "2.png"
    box = task.crops.truth.box[2]
    boxes = np.stack([box, box + np.array([3, -4, 5, 6]), box])
    together = predictor(photo, boxes)
    alone = [predictor(photo, boxes[row : row + 1]).surfaces[0] for row in range(3)]
    for surface, single in zip(together, alone, strict=True):
        assert (surface.part == single.part).mean() > 0.99
        assert surface.quality is not None and single.quality is not None
        np.testing.assert_allclose(surface.quality, single.quality, atol=2e-3)
    assert not np.array_equal(alone[0].part, alone[1].part)
    assert len(predictor(photo, np.zeros((0, 4)))) == 0
    if not flip:
        truth = expected.surfaces[2]
        assert (alone[0].part == truth.part).mean() > 0.99 and (truth.part > 0).any()
        assert truth.quality is not None and alone[0].quality is not None
        np.testing.assert_allclose(alone[0].quality, truth.quality, atol=2e-3)
        return
    straight = SurfacePredictor(folder / "model")(photo, boxes[:1]).surfaces[0]
    pixels = np.ascontiguousarray(read_image(photo)[:, ::-1])
    back = np.array([[96 - box[2], box[1], 96 - box[0], box[3]]])
    mirrored = SurfacePredictor(folder / "model")(pixels, back).surfaces[0]
    assert straight.quality is not None and mirrored.quality is not None and alone[0].quality is not None
    mean = (straight.quality + mirrored.quality[:, ::-1]) / 2
    np.testing.assert_allclose(alone[0].quality, mean, atol=2e-3)


def test_boxes_of_a_detector_and_none(trained: tuple[SurfaceTask, Path]) -> None:
    task, folder = trained
    box = task.crops.truth.box[:1]
    photo = folder / "people" / "images" / "0.png"

    def detector(_: np.ndarray) -> Boxes:
        return Boxes(np.repeat(box, 2, axis=0), np.zeros(2, np.int64), np.array([0.9, 0.3]))

    predictor = SurfacePredictor(folder / "model", detector=detector)
    alone, detected = predictor(photo, box), predictor(photo)
    np.testing.assert_allclose(detected.score, alone.score * [0.9, 0.3])
    assert len(predictor(photo, np.zeros((0, 4)))) == 0
    with pytest.raises(ValueError, match=r"boxes: expected finite numbers \(N, 4\)"):
        predictor(photo, [[1.0, 2.0, np.nan, 4.0]])
    mirrored = SurfacePredictor(folder / "model", flip=True, mirror=folder / "people" / "mirror.mat")(photo, box)
    assert not np.array_equal(mirrored.surfaces[0].uv, alone.surfaces[0].uv)


def test_what_gives_no_surfaces_or_no_poses(trained: tuple[SurfaceTask, Path]) -> None:
    _, folder = trained
    with pytest.raises(InputError, match="gives surfaces, not poses; `trustpose surfaces` predicts them"):
        load(folder / "model")
    with pytest.raises(InputError, match="expected a network that gives surfaces"):
        SurfacePredictor("default")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("output", {"kind": "surfaces", "height": 32, "width": 32, "coarse": 3}, "'output.coarse': expected 2, or 15"),
        ("output", {"kind": "surfaces", "height": 32}, "'output.width' is missing"),
        ("crop", {"padding": 1.25, "aspect": 0.5}, "'crop.aspect': expected the input's width / height, 1, got 0.5"),
        ("crop", {"padding": 20}, "'crop.padding': expected a number from 0.1 to 10"),
        ("skeleton", "coco17", "'skeleton' is unknown"),
    ],
)
def test_specs(trained: tuple[SurfaceTask, Path], tmp_path: Path, field: str, value: object, message: str) -> None:
    spec = ModelSpec.read(trained[1] / "model")
    assert spec.to_json() == json.loads((trained[1] / "model" / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(spec.to_json() | {field: value}))
    with pytest.raises(InputError) as error:
        ModelSpec.read(tmp_path)
    assert message in str(error.value)
