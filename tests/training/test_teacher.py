"""Joints labelled by a teacher: their selection, positions and losses; they are predicted once."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import trustpose as tp
from tests.people_cases import listed_people, write_training_folder
from tests.training.tiny import tiny_people, tiny_recipe, tiny_task
from trustpose.cli import main
from trustpose.datasets.dataset_ops import map_joints, subset, with_pseudo_labels
from trustpose.datasets.lspet import clean, lspet_people, read_lspet
from trustpose.datasets.people import People
from trustpose.datasets.photo_people import Cut, cut_sample
from trustpose.datasets.sharding import ShardOptions, write_shards
from trustpose.files import InputError, write_json
from trustpose.heads.stages import Stage
from trustpose.skeletons import COCO_17, LSP_14, MPII_16
from trustpose.training.crops import CropLabels, collate, training_crops
from trustpose.training.losses import HEAD_LOSSES
from trustpose.training.people import open_people
from trustpose.training.recipe import DataOptions, to_json
from trustpose.training.teacher import (
    CACHE,
    TeacherPredictions,
    open_teacher,
    predict,
    select_pseudo_labels,
    with_teacher,
)

FACE = np.arange(5)  # nose, eyes, ears


@pytest.fixture(scope="module")
def teacher():
    return open_teacher("default", COCO_17)


def faceless(count: int = 6) -> People:
    """People of a data set without face joints; every second one's other joints have no visibility."""
    mask = ~np.isin(np.arange(17), FACE)
    samples = [
        replace(
            tiny_person,
            xy=tiny_person.xy * mask[:, None],
            v=tiny_person.v * mask,
            has_joint=mask,
            has_visibility=mask & (index % 2 == 0),
        )
        for index, tiny_person in enumerate(tiny_people(count))
    ]
    return listed_people(samples, COCO_17)


def filled(people: People) -> People:
    """The faces are filled in."""
    is_face = np.tile(np.isin(np.arange(17), FACE), (len(people), 1))
    xy = np.random.default_rng(5).uniform((8, 8), (52, 72), (len(people), 17, 2))
    return with_pseudo_labels(people, xy, is_face, np.zeros_like(is_face))


def is_filled(people: People) -> np.ndarray:
    """Which joints (N, K) have a place that is not their data set's."""
    return (people.labels.v > 0) & ~people.labels.has_joint


def batches(head: str | None = None):
    """The task, a batch with filled joints, and the same without them."""
    recipe = tiny_recipe((Stage(1, 1.0, 1.0),), head)
    task = tiny_task(recipe, listed_people(list(filled(faceless())), COCO_17))
    crops = list(training_crops(filled(faceless()), recipe, task.codec))
    without = [replace(crop, v=np.where(crop.has_joint, crop.v, 0)) for crop in crops]
    return task, *(collate(some, task.codec, "segment") for some in (crops, without))


def test_filled_joints_reach_the_heatmaps_alone():
    task, batch, without = batches()
    changed = {name for name in batch if not torch.equal(batch[name], without[name])}
    assert changed <= {"heatmaps", "weights", "xy"}  # xy is not read where v is 0
    assert batch["weights"][:, :5].sum() > 20 and not without["weights"][:, :5].any()
    assert torch.equal(batch["weights"][:, 5:], without["weights"][:, 5:])
    assert not batch["is_known"][:, :5].any() and not batch["v"][:, :5].any()
    peaks = batch["heatmaps"][:, :5].flatten(2).max(dim=2).values[batch["weights"][:, :5] > 0]
    assert (peaks > 0.5).float().mean() > 0.9
    task.stage(task.recipe.plan.stages[0])
    losses = [task.losses(task.model, some, {"people": torch.tensor(6)}) for some in (batch, without)]
    assert losses[0]["heatmap"] > losses[1]["heatmap"]


@pytest.mark.parametrize("head", HEAD_LOSSES)
def test_no_head_learns_from_filled_joints(head):
    task, batch, without = batches(head)
    task.stage(task.recipe.plan.stages[0])
    counts = [task.counts(some) for some in (batch, without)]
    assert {name: float(count) for name, count in counts[0].items()} == {
        name: float(count) for name, count in counts[1].items()
    }
    task.model.eval()  # dropout would tell them apart
    with torch.no_grad():
        terms = [task.losses(task.model, some, counts[0]) for some in (batch, without)]
    others = [name for name in terms[0] if name != "heatmap"]
    assert others and all(float(terms[0][name]) == float(terms[1][name]) for name in others)
    assert terms[0]["heatmap"] != terms[1]["heatmap"]


def test_oks_is_over_the_joints_that_people_labelled():
    task, batch, _ = batches("oks-net")
    labels = CropLabels.of(batch)
    found = torch.where(labels.is_known[..., None], labels.xy, labels.xy + 1000)  # the filled ones are nowhere near
    heatmaps = torch.from_numpy(task.codec.encode(found.numpy(), (labels.v > 0).numpy()))
    targets = task._targets({"heatmaps": [heatmaps]}, labels)
    is_inside = (batch["weights"] > 0) & labels.is_known & (labels.v > 0)
    assert is_inside.sum() > 30
    for row in range(6):
        people_labelled = labels.v[row] > 0
        assert targets.oks[row] == pytest.approx(float(targets.opks[row][people_labelled].mean()), abs=1e-6)
    assert not targets.opks[:, :5].any() and not targets.visibility[:, :5].any()


def test_sure_places_are_taken_and_labels_far_from_very_sure_ones_are_not_kept():
    sigmas = np.full(4, 0.05)  # k = 0.1: with area 100² OPKS is e^-½ at 10 pixels
    lesson = TeacherPredictions(
        xy=np.array([[[10.0, 10], [10, 10], [40, 10], [40, 10]]]),
        quality=np.array([[0.7, 0.69, 0.95, 0.89]]),
        label_xy=np.array([[[0.0, 0], [0, 0], [10, 10], [10, 10]]]),  # 3 × 10 pixels away: e^-4.5 = 0.011
        area=np.array([1e4]),
    )
    missing = np.array([[True, True, False, False]])
    taken, removed = select_pseudo_labels(lesson, missing, ~missing, 0.7, sigmas)
    assert taken.tolist() == [[True, False, False, False]]
    assert removed.tolist() == [[False, False, True, False]]
    near = replace(lesson, label_xy=np.array([[[0.0, 0], [0, 0], [19, 10], [10, 10]]]))  # 21 pixels: e^-2.2 = 0.11
    assert not select_pseudo_labels(near, missing, ~missing, 0.7, sigmas)[1].any()


def test_places_are_the_predictors_for_whole_photos_and_for_parts(teacher):
    people = faceless(4)
    lesson = predict(people, teacher, np.arange(4))
    direct = tp.load("default", flip=True)(
        [person.pixels for person in people], boxes=[person.box[None] for person in people]
    )
    np.testing.assert_allclose(lesson.xy, direct.xy, atol=1e-3)
    np.testing.assert_allclose(lesson.quality, direct.quality, atol=1e-5)
    assert lesson.area.tolist() == [1800.0] * 4 and np.array_equal(lesson.label_xy, [person.xy for person in people])
    large = [
        replace(person, pixels=np.kron(person.pixels, np.ones((8, 8, 1), np.uint8)), box=person.box * 8, area=np.nan)
        for person in people
    ]
    parts = listed_people([cut_sample(one, Cut(size=300, margin=2.0)) for one in large], COCO_17)
    assert all(part.affine[0, 0] < 1 for part in parts)
    whole, part = (predict(some, teacher, np.arange(4)) for some in (listed_people(large, COCO_17), parts))
    assert np.median(np.linalg.norm(whole.xy - part.xy, axis=2)) < 12  # of 640 pixels
    assert part.area.tolist() == pytest.approx([0.53 * 52 * 8 * 72 * 8] * 4)


def test_only_people_with_unknown_joints_are_predicted(teacher, tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("trustpose.training.teacher.predict", lambda *a: asked.append(a[2].tolist()) or predict(*a))
    full, bare = list(tiny_people(3)), list(faceless(5))[3:]
    people = listed_people([*full, *bare], COCO_17)
    taught = with_teacher(people, teacher, 0.0, tmp_path / CACHE)
    assert asked == [[3, 4]]
    assert is_filled(taught).sum(axis=1).tolist() == [0, 0, 0, 5, 5]
    assert [one.v.tolist() for one in list(taught)[:3]] == [one.v.tolist() for one in full]


def test_predicted_once_and_anew_where_anything_is_another(teacher, tmp_path, monkeypatch, capsys):
    asked, path = [], tmp_path / "training" / CACHE
    monkeypatch.setattr("trustpose.training.teacher.predict", lambda *a: asked.append(0) or predict(*a))
    people = faceless(3)
    first = with_teacher(people, teacher, 0.0, path)
    output = "trustpose: the teacher fills 15 of 15 missing joints and removes 0 labels\n"
    assert (len(asked), capsys.readouterr().err) == (1, output)
    again = with_teacher(people, teacher, 0.0, path)
    assert (len(asked), capsys.readouterr().err) == (1, output)
    assert np.array_equal(first.labels.xy, again.labels.xy) and np.array_equal(is_filled(first), is_filled(again))
    assert is_filled(with_teacher(people, teacher, 1.0, path)).sum() == 0  # another threshold
    with_teacher(subset(people, np.array([0, 2])), teacher, 1.0, path)  # other people
    moved = listed_people([replace(person, xy=person.xy + 1) for person in people], COCO_17)
    with_teacher(moved, teacher, 1.0, path)  # other labels
    with monkeypatch.context() as patch:
        patch.setattr(teacher, "spec", replace(teacher.spec, padding=1.3))
        with_teacher(moved, teacher, 1.0, path)  # another teacher
    assert len(asked) == 5
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(InputError, match=r"teacher.npz: holds teacher predictions that cannot be read .*; remove the"):
        with_teacher(moved, teacher, 1.0, path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> list[Path]:
    """A COCO folder, and shards of people without faces."""
    folder = tmp_path_factory.mktemp("data")
    folders = [write_training_folder(folder / name, photos=photos) for name, photos in (("coco", 9), ("more", 4))]
    people = map_joints(open_people(folders[1], DataOptions()), LSP_14)
    write_shards(people, folder / "shards", ShardOptions(), {}, lambda _: None)
    return [folders[0], folder / "shards"]


def run(capsys, *arguments) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(["train", *map(str, arguments), "--accelerator", "cpu"])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_a_training_with_a_teacher_and_the_next_run_reads_its_predictions(folders, tmp_path, capsys, monkeypatch):
    asked = []
    monkeypatch.setattr("trustpose.training.teacher.predict", lambda *a: asked.append(len(a[2])) or predict(*a))
    recipe = tiny_recipe()
    write_json(tmp_path / "small.json", to_json(replace(recipe, data=replace(recipe.data, folds=3))))
    arguments = (tmp_path / "small.json", *(word for folder in folders for word in ("--data", folder)), "--out")
    options = ("--teacher", "default", "--data.teacher_quality=0")
    code, _, errors = run(capsys, *arguments, tmp_path / "out", *options)
    assert (code, asked) == (0, [8]), errors  # the first folder's people are known
    assert errors == "trustpose: the teacher fills 40 of 40 missing joints and removes 0 labels\n"
    assert run(capsys, *arguments, tmp_path / "out", *options)[0] == 0 and asked == [8]
    assert run(capsys, *arguments, tmp_path / "plain")[0] == 0
    paths = [tmp_path / name / "model.safetensors" for name in ("out", "plain")]
    assert paths[0].read_bytes() != paths[1].read_bytes()


def test_no_teacher_where_none_fits_is_one_line(folders, tmp_path, capsys):
    recipe = tmp_path / "small.json"
    write_json(recipe, to_json(tiny_recipe()))
    out = ("--data", folders[0], "--out", tmp_path / "out")
    write_json(tmp_path / "mpii.json", to_json(replace(tiny_recipe(), data=DataOptions(skeleton="mpii16", folds=0))))
    assert run(capsys, recipe, *out)[0] == 0  # a network without a head
    for arguments, message in (
        (("light-detector", "--teacher=default"), "--teacher: is for training networks, expected none with system"),
        ((recipe, "--teacher", tmp_path / "no"), f"{tmp_path / 'no'}: no such file"),
        ((recipe, "--teacher", tmp_path / "out"), "predicts no keypoint quality; a teacher needs a trust"),
        (
            (tmp_path / "mpii.json", "--teacher=default"),
            f"default: has skeleton coco17, but the training uses {MPII_16.name}",
        ),
        ((recipe, "--teacher=default", "--data.teacher_quality=2"), "teacher_quality: expected 0 to 1, got 2"),
    ):
        code, output, errors = run(capsys, *arguments, "--data", folders[0], "--out", tmp_path / "other")
        assert (code, output, errors.count("\n")) == (2, "", 1), errors
        assert message in errors
    assert not (tmp_path / "other").exists()


def test_lspets_faces_are_filled_in_between_neck_and_head_top(data_dir, teacher, tmp_path, capsys):
    lspet = clean(read_lspet(data_dir / "lspet"))
    source = lspet_people(lspet, data_dir / "lspet" / "images")
    people = subset(map_joints(source, COCO_17), np.arange(24))
    taught = with_teacher(people, teacher, 0.7, tmp_path / CACHE)
    assert "labels" in capsys.readouterr().err
    assert not is_filled(taught)[:, 5:][np.stack([person.has_joint[5:] for person in people])].any()
    noses = np.flatnonzero(is_filled(taught)[:, 0])
    neck, top = (lspet.truth.xy[noses, LSP_14.keypoints.index(name)] for name in ("neck", "head_top"))
    nose, head = taught.labels.xy[noses, 0], top - neck
    length = np.linalg.norm(head, axis=1)
    along = np.clip(((nose - neck) * head).sum(axis=1) / length**2, 0, 1)
    beside = np.linalg.norm(nose - neck - along[:, None] * head, axis=1) / length
    assert len(noses) >= 4
    assert np.median(beside) < 0.3 and (beside < 0.75).mean() >= 0.75
