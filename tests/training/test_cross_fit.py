"""Heads of a cross-fit: none learns from its own fold, whose people it judges; the last learns from all."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.people_cases import write_training_folder
from tests.predict.tiny_trust import write_network
from tests.training.tiny import equal
from trustpose.cli import main
from trustpose.files import InputError, write_json
from trustpose.heads.keypoint_tokens import KeypointTokens
from trustpose.heads.token_calibration import uncalibrated_components
from trustpose.networks.checkpoint_files import read_tensors
from trustpose.predict.load import load
from trustpose.training.frozen_task import FrozenTask, frozen_task, unseen
from trustpose.training.recipe import FrozenOptions, to_json, with_overrides
from trustpose.training.recipes import find_recipe
from trustpose.training.tasks import make_task

RECIPE = find_recipe("simplepose-trust")
SMALL = replace(
    RECIPE,
    frozen=FrozenOptions(views=2, cross_fit=True),
    data=replace(RECIPE.data, folds=3),
    head_options={"token": 4, "hidden": 8, "occlusion": 4},
    train=replace(RECIPE.train, epochs=2, batch_size=8, log_every=1, warmup=2),
)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A data folder, a network, and where features are stored once."""
    folder = tmp_path_factory.mktemp("cross")
    return write_training_folder(folder / "data", photos=12), write_network(folder / "network"), folder / "stored"


@pytest.fixture(scope="module")
def task(files):
    return frozen_task(SMALL, *files)


def gradients(task: FrozenTask, rows: np.ndarray) -> list[float]:
    """How much each head would learn from these people."""
    task.model.zero_grad()
    task.train_mode()
    batch = task.collate(rows.tolist())
    losses = task.losses(task.model, batch, task.counts(batch))
    torch.stack(list(losses.values())).sum().backward()
    return [
        sum(float(parameter.grad.abs().sum()) for parameter in head.parameters() if parameter.grad is not None)
        for head in task.learner.heads
    ]


def test_no_copy_learns_from_its_own_fold(task):
    assert len(task.learner.heads) == 1 + 3 and len(task.training) == len(task.held_out) == 24
    for fold in range(3):
        rows = np.flatnonzero(task.fold[: len(task.held_out)] == fold)
        learnt = gradients(task, rows)
        assert len(rows) > 1 and learnt[1 + fold] == 0
        assert all(value > 0 for number, value in enumerate(learnt) if number != 1 + fold)


def test_each_loss_is_that_of_a_head_alone(task):
    """The sum over heads, each as if it were trained by itself on the rows that it may see."""
    task.train_mode()
    for part in task.model.modules():
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
    batch = task.collate(list(range(24)))
    totals = task.counts(batch)
    found, expected = task.losses(task.model, batch, totals), dict.fromkeys(("visibility", "opks", "oks"), 0.0)
    for number, head in enumerate(task.learner.heads):
        alone = frozen_single(task, head)
        rows = [row for row in range(24) if number == 0 or task.fold[row] != number - 1]
        for name, term in alone.losses(alone.model, alone.collate(rows), totals).items():
            expected[name] += float(term)
    assert {name: pytest.approx(float(term), rel=1e-5) for name, term in found.items()} == expected


def frozen_single(task: FrozenTask, head: KeypointTokens) -> FrozenTask:
    """A task of one head, on the same features."""
    recipe = with_overrides(SMALL, {"frozen.cross_fit": "false"})
    return FrozenTask(recipe, task.network, head, task.crops, task.features)


def test_people_are_judged_by_the_copy_that_has_not_seen_them(task):
    torch.manual_seed(3)
    for head in task.learner.heads:
        for parameter in head.parameters():
            parameter.data.add_(torch.randn_like(parameter) * 0.2)
    rows = np.array([5, 0, 17, 24, 30, 9])  # of both views
    trust = task.trust_in(rows)
    parts = unseen(task, uncalibrated_components, rows, task.features)
    for index, row in enumerate(rows):
        head = task.learner.heads[1 + task.fold[row]]
        pooled = task.pooled(np.array([row]), task.features)
        with torch.no_grad():
            alone = head.trust(head.logits(pooled))
            expected = head.components(pooled)
        torch.testing.assert_close(trust.visibility[index], alone.visibility[0])
        for part, one in zip(parts, expected, strict=True):
            torch.testing.assert_close(part[index], one[0])
    assert set(task.validate()) >= {"ap.AP", "pose.pearson"}


@pytest.mark.parametrize("cross_fit", ["true", "false"])
def test_people_that_the_network_has_seen_teach_but_do_not_calibrate(files, task, tmp_path, cross_fit):
    data, model, _ = files
    truth = json.loads((data / "train_gt.json").read_text())
    truth["images"] = truth["images"][::2]
    unseen = {image["id"] for image in truth["images"]}
    truth["annotations"] = [annotation for annotation in truth["annotations"] if annotation["image_id"] in unseen]
    (tmp_path / "unseen.json").write_text(json.dumps(truth))
    some = {"data.unseen": str(tmp_path / "unseen.json"), "frozen.cross_fit": cross_fit}
    found = frozen_task(with_overrides(SMALL, some), data, model, tmp_path / "stored")
    image_id = np.asarray(found.features.columns["image_id"])
    assert len(found.held_out) == found.flip.people and set(image_id[found.held_out].tolist()) <= unseen
    assert len(set(image_id[found.training].tolist()) - unseen) > 1
    if cross_fit == "true":
        np.testing.assert_array_equal(found.training, task.training)
        assert len(found.held_out) == np.isin(image_id[: found.features.people], list(unseen)).sum()


def test_unseen_photos_must_have_people(files, tmp_path):
    data, model, _ = files
    truth = json.loads((data / "train_gt.json").read_text())
    truth |= {"images": [truth["images"][0] | {"id": 999}], "annotations": []}
    (tmp_path / "none.json").write_text(json.dumps(truth))
    recipe = with_overrides(SMALL, {"data.unseen": str(tmp_path / "none.json")})
    with pytest.raises(InputError, match=r"data\.unseen: .*none\.json: none of its photos has held-out people"):
        frozen_task(recipe, data, model, tmp_path / "stored")
    recipe = with_overrides(find_recipe("bottom-up-trust"), {"data.unseen": "gt.json"})
    with pytest.raises(InputError, match=r"data\.unseen: is for trust heads on a frozen network, got system groups"):
        make_task(recipe, [data], model, tmp_path / "other")


def test_from_the_command_line(files, tmp_path, capsys):
    data, model, _ = files
    recipe, out = tmp_path / "small.json", tmp_path / "out"
    write_json(recipe, to_json(SMALL))
    words = ("train", recipe, "--data", data, "--model", model, "--out", out, "--accelerator=cpu")
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    assert not ended.value.code and " on the held-out fold" in capsys.readouterr().out
    fitted_on = json.loads((out / "model.json").read_text())["trust"]["fitted_on"]
    assert (fitted_on["people"], fitted_on["held_out_people"]) == (24, 24)
    assert fitted_on["calibrated_on"] == "the 24 held-out people, by copies of the head that have not seen them"
    saved = read_tensors(out / "model.safetensors")
    average = torch.load(out / "training" / "checkpoint.pt", weights_only=True)["ema"]["average"]
    fitted = ("calibration", "occlusion")
    head = {name: value for name, value in saved.items() if not name.startswith(fitted)}
    assert equal(head, {name: average[f"head.{name}"] for name in head})  # the one that has seen all
    assert any(saved[f"occlusion.{name}"].abs().sum() > 0 for name in ("last", "last_bias"))
    assert len(load(out, detector="whole")(sorted((data / "train").iterdir())[0])) == 1


def test_folds_are_needed(files):
    with pytest.raises(InputError, match=r"frozen.cross_fit: expected data.folds of 2 or more, got 0"):
        frozen_task(with_overrides(SMALL, {"data.folds": "0"}), *files)
