"""Bottom-up networks: targets that decode to their labels, a training on whole photos, and the models that it gives."""

from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

import trustpose as tp
from tests.training.dots import write_photos_of_dots
from tests.training.tiny import equal, one_process, tiny_recipe
from trustpose.datasets.labelled_photos import PhotoView
from trustpose.export.inner_tensors import find_maps
from trustpose.files import InputError
from trustpose.grouping.box_grids import BoxGrid
from trustpose.heads.stages import Stage, Strategy
from trustpose.metrics.average_precision import evaluate
from trustpose.models.spec import ModelSpec, output_kind
from trustpose.networks.associative_embedding import pose_ae
from trustpose.networks.bottom_up import WIDTH, BottomUpNetwork
from trustpose.networks.hourglass_104 import hourglass_104
from trustpose.networks.multi_pose_net import PoseResidualNetwork, residual_function, write_residual
from trustpose.networks.zoo import ZOO
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17
from trustpose.training.bottom_up_options import BottomUpOptions
from trustpose.training.bottom_up_task import WEIGHTS, BottomUpTargets, bottom_up_task, limbs_of, maps_spec
from trustpose.training.crops import normalise
from trustpose.training.loop import fit
from trustpose.training.recipe import DataOptions, Recipe
from trustpose.training.tasks import make_task

KINDS = ("fields", "tags", "centres", "composite-fields", "disks")
SIZE = 128


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_photos_of_dots(tmp_path_factory.mktemp("people"))


def small_recipe(epochs: int = 1, kinds: tuple = KINDS, **train) -> Recipe:
    recipe = tiny_recipe((Stage(epochs, 1.0, 0.0),), **({"optimiser": "adamw", "batch_size": 2} | train))
    options = BottomUpOptions(kinds=kinds, sigma=1.0, smallest=1.0, largest=1.5, longest=SIZE)
    return replace(
        recipe, system="bottom-up", height=64, width=64, data=DataOptions(folds=3), bottom_up=options, head=None
    )


def people(count: int = 3) -> PhotoView:
    """People side by side in one view."""
    random = np.random.default_rng(1)
    xy = random.uniform((4, 20), (36, 108), (count, 17, 2)) + np.arange(count)[:, None, None] * [40, 0]
    labelled = random.random((count, 17)) < 0.9
    box = np.concatenate([xy.min(axis=1) - 2, xy.max(axis=1) + 2], axis=1)
    return PhotoView(
        np.zeros((SIZE, SIZE, 3), np.uint8), xy, labelled, box, np.zeros((0, 4)), np.zeros((SIZE, SIZE), bool), 1
    )


def perfect_maps(view: PhotoView, targets: BottomUpTargets) -> dict[str, np.ndarray]:
    """The maps of a network without error, by the names of its tensors."""
    found = targets.collate([view])
    y, x = (np.indices(found["weight"].shape[1:]) + 0.5) * targets.stride
    low_x, low_y, high_x, high_y = found["sides"][0]
    tags = np.zeros((17, *found["weight"].shape[1:]), np.float32)
    for person, (cells, is_tagged) in enumerate(zip(found["cell"][0], found["is_tagged"][0], strict=True)):
        for joint in np.flatnonzero(is_tagged):
            tags[joint].flat[cells[joint]] = 3 * person
    sides = np.stack([x - low_x, y - low_y, high_x - x, high_y - y])[None].astype(np.float32)
    maps = {"centre": found["bumps"][:, None], "sides": sides, "joints": found["offsets"], "tags": tags[None]}
    flat = {name: found[name].reshape(1, -1, *found[name].shape[3:]) for name in ("intensity", "association")}
    flat |= {name: found[name] for name in ("disks", "short", "middle")}
    return maps | flat | {"heatmaps": found["heatmaps"], "fields": found["fields"]}


def as_network_outputs(maps: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    """The maps as a network gives them: logits of confidences, logarithms of spreads and sizes."""
    raw = {name: torch.from_numpy(array.copy()) for name, array in maps.items()}
    raw["centre"] = 30 * (raw["centre"] == 1) - 15.0
    raw["disks"] = 30 * raw["disks"] - 15.0
    for name, count, logarithms in (("intensity", 5, (3, 4)), ("association", 7, (3, 6))):
        fields = raw[name].view(1, -1, count, *raw[name].shape[2:])
        is_near = fields[:, :, 0] > 0
        fields[:, :, 0] = 30 * is_near - 15.0
        for channel in logarithms:
            fields[:, :, channel] = torch.where(is_near, fields[:, :, channel], 1.0).log()
    for channel in (3, 6):  # sure of their vectors
        raw["association"].view(1, -1, 7, *raw["association"].shape[2:])[:, :, channel] = -3.0
    raw["intensity"].view(1, -1, 5, *raw["intensity"].shape[2:])[:, :, 3] = -3.0
    return raw


@pytest.mark.parametrize("kind", [*KINDS, "boxed"])
def test_targets_decode_to_their_labels(kind):
    view, recipe = people(), small_recipe()
    targets = BottomUpTargets(KINDS, limbs_of(COCO_17), SIZE, sigma=1.0, width=1.0)
    output = maps_spec(recipe, kind, Path()).output
    maps = perfect_maps(view, targets)
    found = output.decode([maps[name] for name in output.tensors], SIZE, SIZE)
    area = (view.box[:, 2:] - view.box[:, :2]).prod(axis=1)
    truth = Truth(
        np.where(view.labelled[..., None], view.xy, 0), 2 * view.labelled.astype(int), area=area, box=view.box
    )
    truth = replace(truth, image_id=np.ones(3, int), annotation_id=np.arange(3) + 1, iscrowd=np.zeros(3, bool))
    poses = Poses(found.xy, found.score, found.person_score, image_id=np.ones(len(found.xy), int))
    ap = evaluate(poses, truth, found.person_score, sigmas=COCO_17.sigmas, area="file").summary()
    assert ap.AP75 == pytest.approx(1.0) and ap.AP > 0.85


def test_losses_are_least_at_the_targets_and_ignore_what_is_unknown():
    view = people()
    targets = BottomUpTargets(KINDS, limbs_of(COCO_17), SIZE, sigma=1.0)
    batch = {name: torch.from_numpy(np.asarray(array)) for name, array in targets.collate([view, view]).items()}
    totals = targets.counts(batch)
    right = {name: maps.repeat(2, 1, 1, 1) for name, maps in as_network_outputs(perfect_maps(view, targets)).items()}
    nothing = {name: torch.zeros_like(maps) for name, maps in right.items()}
    good, bad = targets.losses(right, batch, totals), targets.losses(nothing, batch, totals)
    assert all(good[name] < 0.05 for name in good)
    assert bad["push"] == pytest.approx(WEIGHTS["push"] / 2) and all(
        bad[name] > 0.5 for name in bad if name not in ("pull", "push")
    )

    unknown = replace(view, ignored=np.ones((SIZE, SIZE), bool), labelled=view.labelled & False)
    batch = {name: torch.from_numpy(np.asarray(array)) for name, array in targets.collate([unknown]).items()}
    lost = targets.losses({name: maps[:1] for name, maps in right.items()}, batch, targets.counts(batch))
    assert lost["heatmaps"] == lost["fields"] == lost["pull"] == lost["offsets"] == lost["association"] == 0


def test_a_training_gives_a_model_of_each_kind(data, tmp_path):
    recipe = small_recipe(2, lr=3e-3)
    task = make_task(recipe, data, None, tmp_path)
    assert isinstance(task.model.network, BottomUpNetwork) and len(task.samples(0)) < 9
    first = {name: value.clone() for name, value in task.model.state_dict().items()}
    numbers = fit(task, recipe, tmp_path / "training", one_process())
    assert set(numbers) == {"ap.AP", "ap.AP50", "ap.AP75", "ap.AR"} and 0 <= numbers["ap.AP"] <= 1
    assert not equal(first, task.model.state_dict())
    folder = tmp_path / "model"
    task.export(folder)
    assert [output_kind(at) for at in (folder, *(folder / kind for kind in KINDS[1:]))] == list(KINDS)
    photo = cv2.imread(str(data / "train" / "1.png"))[..., ::-1]
    for at in (folder, *(folder / kind for kind in KINDS[1:])):
        poses = tp.load(at)(photo)
        assert poses.skeleton == COCO_17 and poses.xy.shape[1:] == (17, 2)
    features = find_maps(ModelSpec.read(folder / "disks"), ["features"])["features"]  # for trust heads
    assert features.shape[0] == WIDTH
    maps = ModelSpec.read(folder / "centres")
    arrays, size, _ = tp.load(folder / "centres").network.run(photo)
    with torch.no_grad():
        pixels = maps.input.fit(photo)[0]
        expected = task.model.eval()(normalise(torch.from_numpy(pixels[None])))
    assert np.allclose(arrays[0], expected[-1]["centre"].sigmoid(), atol=1e-4) and size == (128, 96)

    again = bottom_up_task(recipe, data, folder)  # starts from the trained network
    assert equal(again.model.state_dict(), task.model.state_dict())
    with pytest.raises(InputError, match="branches"):
        bottom_up_task(small_recipe(kinds=("tags",)), data, folder)


def test_two_heads_with_a_pose_residual_network(data, tmp_path):
    torch.manual_seed(0)
    residual = PoseResidualNetwork(BoxGrid(), hidden=4).eval()
    (tmp_path / "residual").mkdir()
    write_residual(tmp_path / "residual", residual)
    recipe = small_recipe(kinds=("boxed",))
    recipe = replace(recipe, bottom_up=replace(recipe.bottom_up, residual=str(tmp_path / "residual")))
    task = make_task(recipe, data, None, tmp_path)
    batch = task.collate([task.samples(0)[index] for index in range(2)])
    assert set(task.losses(task.model, batch, task.counts(batch))) == {"heatmaps", "centres", "sides"}
    task.export(tmp_path / "model")
    predictor = tp.load(tmp_path / "model")
    output = predictor.network.output
    assert ModelSpec.read(tmp_path / "model").output == output and output.residual == "residual.onnx"
    photo = cv2.imread(str(data / "train" / "1.png"))[..., ::-1]
    assert predictor(photo).xy.shape[1:] == (17, 2)

    maps = perfect_maps(people(), BottomUpTargets(KINDS, limbs_of(COCO_17), SIZE, sigma=1.0))
    arrays = [maps[name] for name in output.tensors]
    by_file, by_torch, by_centre = (
        output.decode(arrays, SIZE, SIZE, function)
        for function in (predictor.network._residual, residual_function(residual), None)
    )
    assert len(by_file.xy) == len(by_centre.xy) == 3
    assert np.array_equal(by_file.xy, by_torch.xy) and by_file.box.shape == (3, 4)

    (tmp_path / "model" / "residual.onnx").write_bytes((tmp_path / "model" / "model.onnx").read_bytes())
    with pytest.raises(InputError, match=r"residual\.onnx: expected maps \(boxes, 56, 36, 17\)"):
        tp.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("name", "network", "kind"),
    [
        ("small-pose-ae", partial(pose_ae, 2, channels=16, increase=4), "tags"),
        ("small-hourglass-104", partial(hourglass_104, channels=(8, 8, 12, 12, 12, 16)), "centres"),
    ],
)
def test_networks_of_several_stages_train_and_export(data, tmp_path, monkeypatch, name, network, kind):
    monkeypatch.setitem(ZOO, name, network)
    recipe = replace(small_recipe(kinds=(kind,)), network=name)
    task = make_task(recipe, data, None, tmp_path)
    batch = task.collate([task.samples(0)[index] for index in range(2)])
    both = task.losses(task.model, batch, task.counts(batch))
    maps = task.model(normalise(batch["pixels"]))
    last = task.targets.losses(maps[-1], batch, task.counts(batch))
    first = task.targets.losses(maps[0], batch, task.counts(batch))
    assert len(maps) == 2 and both["heatmaps"].detach() == pytest.approx(
        float((last["heatmaps"] + first["heatmaps"]).detach()), rel=1e-4
    )
    fit(task, recipe, tmp_path / "training", one_process())
    task.export(tmp_path / "model")
    assert output_kind(tmp_path / "model") == kind
    poses = tp.load(tmp_path / "model")(cv2.imread(str(data / "train" / "1.png"))[..., ::-1])
    assert poses.xy.shape[1:] == (17, 2)


def test_branches_learn_on_a_frozen_network(data, tmp_path):
    recipe = replace(small_recipe(), strategy=Strategy((Stage(1, 1.0, 0.0, "head"),), 1e-2, (), "scratch"))
    task = make_task(recipe, data, None, tmp_path)
    first = {name: value.clone() for name, value in task.model.state_dict().items()}
    fit(task, recipe, tmp_path / "training", one_process())
    changed = {name for name, value in task.model.state_dict().items() if not torch.equal(value, first[name])}
    learnt = ("network.branches.", "network.tag_slopes")
    assert changed and all(name.startswith(learnt) for name in changed)  # no batch norm statistics either


def test_tags_begin_as_a_slope_over_the_photo_and_with_none_near_zero(data):
    photo = torch.rand(1, 3, 64, 96)
    tags = bottom_up_task(small_recipe(), data, None).model.eval()(photo)[-1]["tags"]
    right, down = torch.diff(tags, dim=3).mean(), torch.diff(tags, dim=2).mean()
    # 1.25 and 0.5 per 100 input pixels, in cells of 4 pixels; the branch itself adds little at first
    torch.testing.assert_close(torch.stack([right, down]), torch.tensor([0.05, 0.02]), rtol=0, atol=2e-3)
    without = small_recipe()
    without = replace(without, bottom_up=replace(without.bottom_up, tag_coordinates=False))
    assert bottom_up_task(without, data, None).model.eval()(photo)[-1]["tags"].abs().max() < 0.1 < tags.abs().max()


COMPOSITES = ("intensity", "intensity_vectors", "association", "association_vectors", "sizes")


@pytest.mark.parametrize(
    ("kinds", "learnt"),
    [
        (KINDS[:-1], ("heatmaps", "fields", "centres", "sides", "offsets", *COMPOSITES)),
        (("disks",), ("disks", "short", "middle")),
    ],
)
def test_a_network_learns_a_batch_by_heart(data, kinds, learnt):
    torch.manual_seed(0)
    task = bottom_up_task(small_recipe(kinds=kinds), data, None)
    optimiser = torch.optim.Adam(task.model.parameters(), 1e-2)
    batch = task.collate([task.samples(0)[index] for index in range(4)])
    lost = []
    for _ in range(50):
        terms = task.losses(task.model, batch, task.counts(batch))
        optimiser.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        optimiser.step()
        lost.append({name: float(term.detach()) for name, term in terms.items()})
    for name in learnt:
        assert lost[-1][name] < 0.9 * lost[0][name], name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"height": 60, "width": 60}, "multiple of 32"),
        ({"deepen": 1}, "head, deepen"),
        ({"network": "mspn-1"}, "network"),
    ],
)
def test_what_it_refuses(data, changes, message):
    with pytest.raises(InputError, match=message):
        bottom_up_task(replace(small_recipe(), **changes), data, None)
    for kinds in (("tags", "tags"), ("centres", "boxed")):
        with pytest.raises(ValueError, match="kinds"):
            BottomUpOptions(kinds=kinds)
