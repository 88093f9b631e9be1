"""The loop's parts: accumulation, precision, clipping, losses that are no numbers."""

import json
from dataclasses import replace
from itertools import pairwise

import cv2
import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.tiny import equal, one_process, rows, tiny_recipe, tiny_task, weights
from trustpose.files import InputError
from trustpose.heads.stages import Stage
from trustpose.training.loop import NonFiniteLossError, fit
from trustpose.training.people import single_opencv_thread


def trained(folder, recipe, **options):
    task = tiny_task(recipe, **options)
    fit(task, recipe, folder, one_process(recipe.train.precision))
    return task


@pytest.mark.parametrize("head", [None, "metamodel"])
def test_accumulation_is_the_large_batch(tmp_path, head):
    stages = (Stage(1, 1.0, 0.3),)
    if head is None:
        first_trained_model, parts = (
            trained(tmp_path / str(n), tiny_recipe(stages, batch_size=12, accumulate=n), norm=False) for n in (1, 4)
        )
        state, second_weights = weights(first_trained_model), weights(parts)
        assert max(float((state[name] - second_weights[name]).abs().max()) for name in state) < 1e-5
        assert not equal(state, weights(tiny_task(first_trained_model.recipe, norm=False)))
        return
    # the metamodel has batch norm; without it training, its gradients are the same too, class weights and all
    found = []
    for cuts in ([12], [3, 3, 6]):
        task = tiny_task(tiny_recipe(stages, head), norm=False)
        task.stage(stages[0])
        task.model.eval()
        samples = [task.samples(0)[number] for number in range(12)]
        ends = np.cumsum([0, *cuts])
        batches = [task.collate(samples[a:b]) for a, b in pairwise(ends)]
        counts = [task.counts(batch) for batch in batches]
        totals = {name: torch.stack([part[name] for part in counts]).sum() for name in counts[0]}
        for batch in batches:
            torch.stack(list(task.losses(task.model, batch, totals).values())).sum().backward()
        found.append({name: parameter.grad for name, parameter in task.model.named_parameters()})
    for name, gradient in found[0].items():
        assert torch.allclose(gradient, found[1][name], rtol=1e-3, atol=1e-6), name


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_the_loss_falls(tmp_path, precision):
    recipe = tiny_recipe(
        (Stage(12, 100.0, 1.0),), "oks-net", precision=precision, log_every=6, area="box", validate_every=12
    )
    recipe = replace(recipe, data=replace(recipe.data, augmentation="nothing"))
    task = trained(tmp_path, recipe)
    log = rows(tmp_path / "train.csv")
    first, last = (np.mean([float(row["heatmap"]) for row in part]) for part in (log[:3], log[-3:]))
    assert last < 0.92 * first
    assert all(value.dtype == torch.float32 for value in weights(task).values() if value.is_floating_point())


def test_bf16_is_another_arithmetic(tmp_path):
    first_trained_model, second_trained_model = (
        trained(tmp_path / p, tiny_recipe(precision=p)) for p in ("32-true", "bf16-mixed")
    )
    assert not equal(weights(first_trained_model), weights(second_trained_model))


def test_a_loss_that_is_not_finite_names_its_samples(tmp_path):
    recipe = tiny_recipe(batch_size=4)
    task = tiny_task(recipe)
    compute, seen = task.losses, []

    def losses(model, batch, totals):
        seen.append(batch["annotation_id"].tolist())
        terms = compute(model, batch, totals)
        return {name: term / (0 if len(seen) == 8 else 1) for name, term in terms.items()}

    task.losses = losses
    with pytest.raises(NonFiniteLossError) as caught:
        fit(task, recipe, tmp_path, one_process())
    assert "the loss is not finite in epoch 1, step 7: {'heatmap': 'inf'} of image_id" in str(caught.value)
    assert f"annotation_id {', '.join(map(str, seen[-1]))} " in str(caught.value)
    written = json.loads((tmp_path / "non-finite.json").read_text())
    assert (written["epoch"], written["step"], written["step_in_epoch"]) == (1, 7, 1)
    assert written["batches"][0]["samples"]["annotation_id"] == seen[-1]
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["place"]["step"] == 6  # the weights before it


def test_clipping_bounds_the_step(tmp_path):
    stages, options = (Stage(1, 1e6, 0.0),), {"optimiser": "sgd", "lr": 1.0, "batch_size": 24}
    recipe = tiny_recipe(stages, clip=1e-3, **options)
    before, after = weights(tiny_task(recipe)), weights(trained(tmp_path, recipe))
    names = [name for name in before if "running" not in name and "num_batches" not in name]
    moved = torch.sqrt(sum((after[name] - before[name]).square().sum() for name in names))
    assert float(moved) == pytest.approx(1e-3, rel=1e-2)


@pytest.mark.parametrize("optimiser", ["adam", "adamw", "sgd", "rmsprop"])
def test_every_optimiser_trains(tmp_path, optimiser):
    recipe = tiny_recipe((Stage(1, 1.0, 0.0),), optimiser=optimiser, lr=1e-2, weight_decay=0.01)
    assert not equal(weights(trained(tmp_path, recipe)), weights(tiny_task(recipe)))


def test_workers_change_nothing(tmp_path):
    first_trained_model, second_trained_model = (
        trained(tmp_path / str(n), tiny_recipe((Stage(1, 1.0, 0.0),), workers=n)) for n in (0, 2)
    )
    assert equal(weights(first_trained_model), weights(second_trained_model))


@pytest.mark.parametrize(("workers", "threads"), [(0, 3), (2, 1)])
def test_opencv_has_one_thread_in_processes_that_make_batches(workers, threads):
    before = cv2.getNumThreads()
    cv2.setNumThreads(3)
    try:
        with single_opencv_thread(workers):
            assert cv2.getNumThreads() == threads
        assert cv2.getNumThreads() == 3
    finally:
        cv2.setNumThreads(before)


def test_tensorboard_has_what_the_tables_have(tmp_path):
    trained(tmp_path, tiny_recipe())
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    shown = [(event.step, event.value) for event in events.Scalars("train/loss")]
    log = [(int(row["step"]), float(row["loss"])) for row in rows(tmp_path / "train.csv")]
    assert np.allclose(shown, log, rtol=1e-5)


def test_too_few_people_are_reported(tmp_path):
    recipe = tiny_recipe(batch_size=25)
    with pytest.raises(InputError, match="25 is more than the 24 available samples"):
        trained(tmp_path, recipe)
