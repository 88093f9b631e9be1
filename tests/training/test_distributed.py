"""Two processes make the weights of one."""

from dataclasses import replace

import pytest
import torch
from lightning_fabric import Fabric

from tests.training.tiny import one_process, tiny_recipe, tiny_task, weights
from trustpose.files import InputError
from trustpose.heads.stages import Stage
from trustpose.training import distributed
from trustpose.training.loop import NonFiniteLossError, fit

STAGES = (Stage(1, 1.0, 0.0), Stage(1, 10.0, 1.0), Stage(1, 1.0, 1.0, "head"))


def recipe(**options):
    """Joint training with hard samples of the whole batch; nowhere batch norm."""
    made = tiny_recipe(STAGES, "oks-net", **({"batch_size": 8, "ema": 0.9, "clip": 5.0} | options))
    return replace(made, head_options={"downsampling": "max-pool"}, data=replace(made.data, folds=3))


def _train(fabric: Fabric, folder, **options) -> dict[str, float]:
    torch.set_num_threads(1)
    made = recipe(**options)
    task = tiny_task(made, norm=False)
    numbers = fit(task, made, folder, fabric)
    if fabric.is_global_zero:
        torch.save({"weights": weights(task), "numbers": numbers}, folder / "end.pt")
    return numbers


def _fail(fabric: Fabric, folder) -> None:
    torch.set_num_threads(1)
    task = tiny_task(recipe(), norm=False)
    compute = task.losses

    def losses(model, batch, totals):
        terms = compute(model, batch, totals)
        return {name: term * (float("nan") if fabric.global_rank == 1 else 1) for name, term in terms.items()}

    task.losses = losses
    try:
        fit(task, task.recipe, folder, fabric)
    except NonFiniteLossError as error:
        (folder / f"{fabric.global_rank}.txt").write_text(str(error))


def two_processes() -> Fabric:
    return Fabric(accelerator="cpu", devices=2, strategy="ddp_fork")


@pytest.mark.slow
def test_two_processes_give_the_weights_of_one(tmp_path):
    _train(one_process(), tmp_path / "one")
    two_processes().launch(_train, tmp_path / "two")
    first_loaded, two = (torch.load(tmp_path / name / "end.pt", weights_only=True) for name in ("one", "two"))
    started = weights(tiny_task(recipe(), norm=False))
    moved = max(float((first_loaded["weights"][name] - started[name]).abs().max()) for name in started)
    apart = max(float((first_loaded["weights"][name] - two["weights"][name]).abs().max()) for name in started)
    assert moved > 0.01
    assert apart < 1e-5
    assert first_loaded["numbers"].keys() == two["numbers"].keys()
    checkpoints = [torch.load(tmp_path / name / "checkpoint.pt", weights_only=True) for name in ("one", "two")]
    assert [len(checkpoint["random"]) for checkpoint in checkpoints] == [1, 2]


@pytest.mark.slow
def test_a_loss_that_is_not_finite_in_one_process_stops_both(tmp_path):
    two_processes().launch(_fail, tmp_path)
    output = [(tmp_path / f"{rank}.txt").read_text() for rank in (0, 1)]
    assert output[0] == output[1]
    assert output[0].count("image_id") == 1  # only the second process's samples


def test_batches_that_cannot_be_divided_are_reported(tmp_path):
    made = recipe(batch_size=8)
    task = tiny_task(made)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distributed, "count", lambda: 3)
        with pytest.raises(InputError, match=r"train.batch_size: expected a multiple of accumulate × processes, 1 × 3"):
            fit(task, made, tmp_path, one_process())
