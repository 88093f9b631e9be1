"""A network of surfaces learns capsule people, with trust for each pixel, from files to a folder that predicts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.surface_cases import person_value, surface_file
from trustpose.codecs.surface import SurfaceCodec
from trustpose.datasets.capsule_folder import write_capsule_people
from trustpose.datasets.surface_people import SurfaceCrops, open_surface_people
from trustpose.files import InputError
from trustpose.io.surface_mesh import read_surface_mesh
from trustpose.io.surface_mirror import read_uv_mirror
from trustpose.skeletons.surface_parts import MASK_OF_PART
from trustpose.training.crops import AUGMENTATIONS
from trustpose.training.recipe import Recipe, with_overrides
from trustpose.training.recipes import find_recipe
from trustpose.training.surface_losses import SurfacePoints, read_at_points
from trustpose.training.surface_task import surface_numbers, surface_task
from trustpose.training.train import train


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_capsule_people(tmp_path_factory.mktemp("capsules") / "people", 12, size=96)


def _recipe(people: Path, name: str = "dense-pose-small", **changes: object) -> Recipe:
    files = {"surfaces.mesh": str(people / "mesh.npz"), "surfaces.mirror": str(people / "mirror.mat")}
    small = {"height": 64, "width": 64, "surfaces.hidden": 32, "surfaces.layers": 1, "data.folds": 3}
    return with_overrides(find_recipe(name), files | small | changes)


def test_labels_stay_on_their_pixels(people: Path) -> None:
    """Turned, scaled and mirrored crops of the surface itself, in the place of a photo, have the labels' parts."""
    truth, folder = open_surface_people(people)
    mirror = read_uv_mirror(people / "mirror.mat")
    crops = SurfaceCrops(truth, folder, 96, 96, (48, 48), augmentation=AUGMENTATIONS["hrnet"], mirror=mirror)
    agree = []
    for row in range(len(crops)):
        crop = crops.at_epoch(row)[row]
        inside = ((crop.xy >= 0) & (crop.xy < 1)).all(axis=1)
        column, line = np.floor(crop.xy[inside] * 48).astype(int).T
        agree.append(crop.mask[line, column] == MASK_OF_PART[crop.part[inside]])
        assert not np.isnan(crop.uv).any()
    assert np.concatenate(agree).mean() > 0.8  # points near a part's border have another cell's middle


def test_perfect_maps_are_perfect_surfaces(people: Path) -> None:
    """The labels through targets, codec and metric: AP of surfaces that are the photo's own."""
    from trustpose.datasets.capsule_person import render
    from trustpose.poses.surfaces import Surfaces

    truth, folder = open_surface_people(people)
    crops = SurfaceCrops(truth, folder, 96, 96, (96, 96))
    codec = SurfaceCodec(96, 96)
    surfaces = []
    for row in range(len(truth)):
        photo = render(np.random.default_rng([0, row]), 96, 96)
        surfaces.append(codec.decode(codec.encode(photo.surface), photo.surface.box, truth.box[row]))
    perfect = Surfaces(tuple(surfaces), truth.image_id, np.ones(len(truth)))
    numbers = surface_numbers(perfect, crops, read_surface_mesh(people / "mesh.npz"))
    assert numbers["surface.part"] > 0.99 and numbers["surface.uv"] < 0.01
    assert numbers["surface.gps"] > 0.97 and numbers["surface.AP"] > 0.9


def test_regions_stay_on_their_pixels(people: Path) -> None:
    """The person's box in turned, scaled and mirrored photos: points and masks over it have the labels' parts."""
    truth, folder = open_surface_people(people)
    mirror = read_uv_mirror(people / "mirror.mat")
    crops = SurfaceCrops(truth, folder, 96, 96, (48, 48), 1.0, whole=True, mirror=mirror)
    for augmentation in ("nothing", "hrnet"):
        drawn = replace(crops, augmentation=AUGMENTATIONS[augmentation])
        agree = []
        for row in range(len(crops)):
            crop = drawn.at_epoch(row)[row]
            inside = ((crop.xy >= 0) & (crop.xy < 1)).all(axis=1)
            assert inside.all()
            column, line = np.floor(crop.xy * 48).astype(int).T
            agree.append(crop.mask[line, column] == MASK_OF_PART[crop.part])
            np.testing.assert_array_equal(crop.box, truth.box[row])
            if augmentation == "nothing":
                np.testing.assert_allclose(crop.region, truth.box[row], atol=1e-9)
        assert np.concatenate(agree).mean() > 0.8  # points near a part's border have another cell's middle


@pytest.mark.parametrize("name", ["dense-pose-small", "dense-pose-regions-small"])
def test_it_learns_people_by_heart(people: Path, name: str) -> None:
    recipe = _recipe(people, name, **{"surfaces.quality": True, "data.augmentation": "nothing"})
    task = surface_task(recipe, people)
    crops = replace(task.crops, truth=task.crops.truth[np.arange(4)])
    batch = task.collate([crops[row] for row in range(4)])
    totals = task.counts(batch)
    optimiser = torch.optim.AdamW(task.model.parameters(), 3e-3)
    task.train_mode()
    losses = []
    for _ in range(100):
        terms = task.losses(task.model, batch, totals)
        total = torch.stack(list(terms.values())).sum()
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        losses.append(float(total.detach()))
    assert set(terms) == {"parts", "u", "v", "mask", "quality"}
    assert losses[-1] < 0.4 * losses[0]
    numbers = surface_numbers(task.predict(crops), crops, task.mesh)
    assert numbers["surface.part"] > 0.5 and numbers["surface.gps"] > 0.3
    points = SurfacePoints(*(batch[f"point_{name}"] for name in ("person", "xy", "part", "uv")))
    with torch.no_grad():
        maps = task.model(*task._inputs(batch))
    assert read_at_points(maps["quality"], points).shape == (len(points.part), 1)


@pytest.mark.slow
def test_from_files_to_a_model_folder(people: Path, tmp_path: Path) -> None:
    changes = {"train.epochs": 1, "train.batch_size": 4, "surfaces.quality": True, "train.validate_every": 1}
    recipe = _recipe(people, **changes)
    numbers = train(recipe, people, tmp_path / "model")
    assert {"surface.AP", "surface.gps", "surface.part", "surface.uv"} <= set(numbers)
    assert (tmp_path / "model" / "model.onnx").is_file()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"head": "oks-net"}, "head, deepen: expected none"),
        ({"height": 80}, "height: expected a multiple of 32"),
        ({"surfaces.mesh": None, "surfaces.quality": True}, "surfaces.quality: needs surfaces.mesh"),
    ],
)
def test_what_is_refused(people: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        surface_task(_recipe(people, **changes), people)


def test_a_folder_without_surfaces(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no labelled surfaces"):
        open_surface_people(tmp_path)
    surface_file(tmp_path / "surfaces.json", person_value())
    with pytest.raises(InputError, match=r"images: no such directory"):
        open_surface_people(tmp_path)
    (tmp_path / "images").mkdir()
    truth, folder = open_surface_people(tmp_path)
    with pytest.raises(InputError, match=r"3.jpg: no such file"):
        SurfaceCrops(truth, folder, 32, 32, (16, 16))[0]
