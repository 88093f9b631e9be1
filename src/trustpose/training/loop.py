"""The training loop, in one process or many: `fit` goes through stages, epochs and steps, and validates and saves.

Below it, in this order: the average of the weights, the state of a run, its steps, and the order of samples and rates.

The order of the samples is a function of (seed, epoch) and each sample one of (seed, epoch, index), so a run
interrupted at any point, even by SIGKILL, resumes from its last checkpoint to the same weights: bit for bit on a CPU
with the same number of threads; on a GPU as far as torch's operations are deterministic.

With P processes every batch of the optimiser is divided into P slices, and terms are sums over the whole batch's counts
(`task.Task`), so P processes give the weights of one up to rounding. Batch norm is the exception, as its statistics are
those of one process's slice: on GPUs it is replaced by SyncBatchNorm, with statistics over all slices; on CPUs torch
has no equivalent, and the equality holds for networks without batch norm in training mode (such as a stage that trains
a head without it). `accumulate` divides a batch in the same way in one process; there batch norm always uses the parts.
"""

import math
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from trustpose.files import InputError, write_json
from trustpose.heads.stages import Stage, Strategy
from trustpose.training import distributed
from trustpose.training.checkpoint import (
    InterruptedRun,
    NonFiniteLossError,
    OutOfTime,
    RunPosition,
    random_state,
    read_checkpoint,
    restore,
    stop_on_signals,
    write_checkpoint,
)
from trustpose.training.logs import Logs, progress
from trustpose.training.people import load_batches, single_opencv_thread
from trustpose.training.recipe import Recipe, TrainOptions, to_json
from trustpose.training.task import Task

CHECKPOINT = "checkpoint.pt"
NON_FINITE = "non-finite.json"  # the samples that gave a loss that is not finite
_ORDER = 17  # the random stream of the samples' order, separate from those of the augmentation


def fit(
    task: Task, recipe: Recipe, folder: Path, fabric: Fabric, *, resume: bool = True, until: float | None = None
) -> dict[str, float]:
    """Train a recipe.

    At the end `task.model` has the final weights: the average, if the recipe has one.

    Args:
        task: the model, its samples, losses and validation.
        recipe: what is trained, and how.
        folder: where checkpoint, logs and the recipe are written.
        fabric: must be launched.
        resume: whether to go on from the folder's checkpoint, if there is one.
        until: the run ends after the first step that ends at this `time.monotonic()` or later, so that at least one
            step is done; None: no limit.

    Returns:
        The numbers of the last validation.

    Raises:
        InputError: if a checkpoint is broken or from another recipe.
        NonFiniteLossError: if a loss is NaN or infinite.
        InterruptedRun: after SIGINT or SIGTERM.
        OutOfTime: at `until`. Both after a checkpoint was written.
    """
    run, resumed = _prepare(task, recipe, folder, fabric, resume)
    run.until = until
    position, plan = run.position, run.plan
    if fabric.is_global_zero:
        write_json(folder / "recipe.json", to_json(recipe))
        run.logs = Logs(folder, position.step if resumed else None, position.epoch if resumed else None)
    numbers: dict[str, float] = {}
    try:
        with (
            stop_on_signals(run.stop),
            progress(plan.epochs * run.steps, position.step, fabric.is_global_zero) as show,
            single_opencv_thread(recipe.train.workers),
        ):
            stage: Stage | None = None
            model: nn.Module | None = None
            optimiser: Any = None
            while position.epoch < plan.epochs:
                if plan.stage_at(position.epoch) is not stage:
                    stage = plan.stage_at(position.epoch)
                    model, optimiser = _start_stage(run, stage)
                if model is not None:
                    for text in _train_epoch(run, model, optimiser):
                        show(position.step, text)
                else:
                    position.step += run.steps - position.step_in_epoch
                position.epoch += 1
                position.step_in_epoch = 0
                numbers = _validate(run)
                _save(run)
    finally:
        if run.logs is not None:
            run.logs.close()
    if run.ema.decay:
        task.model.load_state_dict(run.ema.average)
    return numbers


class Ema:
    """The exponential moving average of a model's weights.

    average ← average + (1 − d) (weights − average) after each step, d = min(decay, (1 + n) / (10 + n)) at step n.

    The lower decay of the first steps (as in TensorFlow's ExponentialMovingAverage with num_updates) removes the random
    initialisation. Values that training does not change stay bit-identical in the average. Integers (batch norm's
    counter) are copied. decay 0: no average, the weights themselves.
    """

    def __init__(self, model: nn.Module, decay: float):
        self.decay = decay
        self.updates = 0
        self.average = {name: value.detach().clone() for name, value in model.state_dict().items()} if decay else {}

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Update the average with the weights of one step."""
        if not self.decay:
            return
        self.updates += 1
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates))
        state = model.state_dict()
        averaged = [name for name, value in state.items() if value.is_floating_point()]
        update_average = get_ema_multi_avg_fn(decay)  # all tensors in one call
        update_average([self.average[name] for name in averaged], [state[name] for name in averaged], self.updates)
        for name in state.keys() - set(averaged):
            self.average[name].copy_(state[name])

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """Use the average's weights inside the block and the model's own after it."""
        if not self.decay:
            yield
            return
        weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
        model.load_state_dict(self.average)
        try:
            yield
        finally:
            model.load_state_dict(weights)

    def state_dict(self) -> dict[str, Tensor | int | dict[str, Tensor]]:
        """Return the state for a checkpoint."""
        return {"updates": self.updates, "average": self.average}

    def load_state_dict(self, state: Mapping) -> None:
        """Restore the state from a checkpoint. Raises ValueError if it is from another model."""
        shapes = {name: value.shape for name, value in state["average"].items()}
        if shapes != {name: value.shape for name, value in self.average.items()}:
            raise ValueError("ema: its tensors are from another model")
        self.updates = state["updates"]
        for name, value in state["average"].items():
            self.average[name].copy_(value)


@dataclass
class _Run:
    """The state that the functions of the loop share.

    Attributes:
        task, recipe, folder, fabric, until: as of `fit`.
        optimiser: of all parameters.
        ema: the average of the weights.
        position: how far the run has come.
        plan: the recipe's stages.
        steps: number of steps in an epoch.
        logs: only in the first process.
        since: when the steps of the next row of the logs began.
        stop: set by a signal.
    """

    task: Task
    recipe: Recipe
    folder: Path
    fabric: Fabric
    optimiser: torch.optim.Optimizer
    ema: Ema
    position: RunPosition
    plan: Strategy
    steps: int
    until: float | None = None
    logs: Logs | None = None
    since: float = field(default_factory=time.perf_counter)
    stop: threading.Event = field(default_factory=threading.Event)

    @property
    def options(self) -> TrainOptions:
        return self.recipe.train


def _prepare(task: Task, recipe: Recipe, folder: Path, fabric: Fabric, resume: bool) -> tuple[_Run, bool]:
    """Build the run on its device; also return whether it was resumed from a checkpoint."""
    options, plan = recipe.train, recipe.plan
    if options.batch_size % (options.accumulate * distributed.count()):
        raise InputError(
            f"train.batch_size: expected a multiple of accumulate × processes, {options.accumulate} × "
            f"{distributed.count()}, got {options.batch_size}"
        )
    samples = len(task.samples(0))
    steps = steps_per_epoch(samples, options)
    position = RunPosition(samples=samples)
    saved: dict[str, Any] | None = None
    if resume and (folder / CHECKPOINT).is_file():
        saved, position = read_checkpoint(folder / CHECKPOINT, recipe, samples)
        if position.step != position.epoch * steps + position.step_in_epoch or position.step_in_epoch > steps:
            raise InputError(
                f"{folder / CHECKPOINT}: is broken (step {position.step} is not in epoch {position.epoch})"
            )
        _load(task.model, saved["model"], folder)
    torch.manual_seed(int(np.random.SeedSequence([options.seed, distributed.rank()]).generate_state(1)[0]))
    if distributed.count() > 1 and fabric.device.type == "cuda":
        task.model = nn.SyncBatchNorm.convert_sync_batchnorm(task.model)
    model = task.model.to(fabric.device)
    if options.channels_last:
        model.to(memory_format=torch.channels_last)  # type: ignore torch's stub lacks it
    optimiser = make_optimiser(model, options, plan.learning_rate)
    ema = Ema(model, options.ema)
    if saved is not None:
        restore(folder / CHECKPOINT, saved, optimiser, {"ema": ema, "precision": fabric.strategy.precision})
    run = _Run(
        task=task,
        recipe=recipe,
        folder=folder,
        fabric=fabric,
        optimiser=optimiser,
        ema=ema,
        position=position,
        plan=plan,
        steps=steps,
    )
    return run, saved is not None


def _load(model: nn.Module, tensors: Mapping[str, Tensor], folder: Path) -> None:
    """Load a checkpoint's weights. Raises InputError if they do not fit the model."""
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()[:200]
        raise InputError(f"{folder / CHECKPOINT}: its tensors do not fit the model ({reason})") from None


def make_optimiser(model: nn.Module, options: TrainOptions, rate: float) -> torch.optim.Optimizer:
    """Build the optimiser for all parameters; those without a gradient in a stage do not change, even by weight
    decay."""
    parameters, decay = model.parameters(), options.weight_decay
    if options.optimiser == "sgd":
        return torch.optim.SGD(parameters, rate, momentum=0.9, weight_decay=decay)
    if options.optimiser == "rmsprop":
        return torch.optim.RMSprop(parameters, rate, weight_decay=decay)
    kinds = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}
    # one pass over memory on CPUs; on GPUs mixed precision cannot clip the gradients of fused optimisers
    is_fused = all(parameter.device.type == "cpu" for parameter in model.parameters())
    return kinds[options.optimiser](parameters, rate, weight_decay=decay, fused=is_fused or None)


def _start_stage(run: _Run, stage: Stage) -> tuple[nn.Module | None, Any]:
    """Wrap model and optimiser in Fabric again when the trainable parameters change; None if nothing is trained."""
    run.task.stage(stage)
    run.optimiser.zero_grad()
    if not any(parameter.requires_grad for parameter in run.task.model.parameters()):
        return None, None
    model, optimiser = run.fabric.setup(run.task.model, run.optimiser)
    return model, optimiser


def _train_epoch(run: _Run, model: nn.Module, optimiser: Any) -> Iterator[str]:
    """Run the epoch's steps from the current position; yield the text to show after each."""
    position, options = run.position, run.options
    run.task.train_mode()
    order = sample_order(options.seed, position.epoch, position.samples)[position.step_in_epoch * options.batch_size :]
    loader = run.fabric.setup_dataloaders(
        DataLoader(
            run.task.samples(position.epoch),  # type: ignore anything with length and items will do
            batch_sampler=batch_parts(order, options, distributed.rank(), distributed.count()),
            collate_fn=run.task.collate,
            num_workers=options.workers,
            pin_memory=run.fabric.device.type == "cuda",
            generator=torch.Generator(),  # else the loader would use the global one, once per resumption
        ),
        use_distributed_sampler=False,
    )
    parts = load_batches(loader)
    run.since = time.perf_counter()
    while position.step_in_epoch < run.steps:
        batches = [next(parts) for _ in range(options.accumulate)]
        rate = learning_rate(run.plan, options, position.epoch, position.step, run.steps)
        terms = _step(run, model, optimiser, batches, rate)
        position.step += 1
        position.step_in_epoch += 1
        yield _log(run, terms, rate)
        if position.step % options.checkpoint_every == 0:
            _save(run)
        is_late = run.until is not None and time.monotonic() >= run.until
        # all processes stop after the same step, if any of them has to
        is_interrupted, is_out_of_time = distributed.add_up(
            torch.tensor([run.stop.is_set(), is_late], dtype=torch.float, device=run.fabric.device)
        ).tolist()
        if is_interrupted or is_out_of_time:
            _save(run)
            epochs, steps = run.plan.epochs, run.plan.epochs * run.steps
            progress_text = f"epoch {position.epoch + 1} of {epochs}, step {position.step} of {steps}"
            raise InterruptedRun if is_interrupted else OutOfTime(progress_text)


def _step(run: _Run, model: nn.Module, optimiser: Any, batches: list[Any], rate: float) -> dict[str, float]:
    """Run one step of the optimiser. Returns the terms of the whole batch."""
    counts = [run.task.counts(batch) for batch in batches]
    local = torch.stack([torch.stack([part[name].float() for part in counts]).sum() for name in counts[0]])
    totals = dict(zip(counts[0], distributed.add_up(local), strict=True))
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.zero_grad()
    sums: dict[str, float] = {}
    for number, batch in enumerate(batches):
        with run.fabric.no_backward_sync(model, enabled=number + 1 < len(batches)):  # type: ignore
            terms = run.task.losses(model, batch, totals)
            values = distributed.add_up(torch.stack(list(terms.values()))).tolist()
            if not np.isfinite(values).all():
                _refuse(run, terms, batch)
            # gradients of several processes are averaged, but the terms have to be summed
            run.fabric.backward(torch.stack(list(terms.values())).sum() * distributed.count())
        sums = {name: sums.get(name, 0.0) + value for name, value in zip(terms, values, strict=True)}
    if run.options.clip:
        run.fabric.clip_gradients(model, optimiser, max_norm=run.options.clip, error_if_nonfinite=False)  # type: ignore
    optimiser.step()
    run.ema.update(run.task.model)
    return sums


def _refuse(run: _Run, terms: Mapping[str, Tensor], batch: Any) -> None:
    """Write which samples of which processes gave a loss that is not finite, and raise NonFiniteLossError."""
    values = {name: float(term.detach()) for name, term in terms.items()}
    failure = None
    if not np.isfinite(list(values.values())).all():
        terms_as_text = {name: repr(value) for name, value in values.items()}
        failure = {"terms": terms_as_text, "samples": dict(run.task.describe(batch))}
    failures = [entry for entry in distributed.gather_objects(failure) if entry is not None]
    position = run.position
    report = {
        "epoch": position.epoch,
        "step_in_epoch": position.step_in_epoch,
        "step": position.step,
        "batches": failures,
    }
    path = run.folder / NON_FINITE
    if run.fabric.is_global_zero:
        write_json(path, report)
    listed = "; ".join(f"{entry['terms']} of {_short(entry['samples'])}" for entry in failures)
    raise NonFiniteLossError(
        f"the loss is not finite in epoch {position.epoch}, step {position.step}: {listed} (see {path})"
    )


def _short(samples: Mapping[str, Any]) -> str:
    """Format the first few of each list of ids."""
    return ", ".join(
        f"{name} {', '.join(map(str, values[:8]))}{' …' if len(values) > 8 else ''}" for name, values in samples.items()
    )


def _log(run: _Run, terms: Mapping[str, float], rate: float) -> str:
    """Add a step to the current log row, and write it when it is due; return the text to show."""
    position, options = run.position, run.options
    for name, value in terms.items():
        position.pending[name] = position.pending.get(name, 0.0) + value
    position.pending_steps += 1
    speed = options.batch_size * position.pending_steps / max(time.perf_counter() - run.since, 1e-9)
    if position.step % options.log_every == 0 or position.step_in_epoch == run.steps:
        means = {name: value / position.pending_steps for name, value in position.pending.items()}
        row = {
            "step": position.step,
            "epoch": position.epoch,
            "learning_rate": rate,
            "loss": sum(means.values()),
            **means,
        }
        if run.logs is not None:
            run.logs.step({**row, "samples_per_second": round(speed, 2)})
        position.pending = {}
        position.pending_steps = 0
        run.since = time.perf_counter()
    return " ".join(f"{name} {value:.4g}" for name, value in terms.items()) + f" · {speed:.0f}/s"


def _validate(run: _Run) -> dict[str, float]:
    """Compute and log the audit's numbers of the averaged weights; {} if no validation is due at this epoch's end."""
    position = run.position
    if position.epoch % run.options.validate_every and position.epoch < run.plan.epochs:
        return {}
    with run.ema.applied(run.task.model):
        numbers = run.task.validate()
    if run.logs is not None and numbers:
        run.logs.validated({"epoch": position.epoch, "step": position.step, **numbers})
    return numbers


def _save(run: _Run) -> None:
    """Write the checkpoint, in the first process, with the random state of all."""
    states = distributed.gather_objects(random_state())
    if not run.fabric.is_global_zero:
        return
    parts = {
        "model": run.task.model.state_dict(),
        "ema": run.ema.state_dict(),
        "optimiser": run.optimiser.state_dict(),
        "precision": run.fabric.strategy.precision.state_dict(),
        "random": states,
    }
    write_checkpoint(run.folder / CHECKPOINT, parts, run.position, run.recipe)


def steps_per_epoch(samples: int, options: TrainOptions) -> int:
    """Return the number of full batches in an epoch; which samples are left out varies. Raises InputError for less than
    one."""
    if samples < options.batch_size:
        raise InputError(f"train.batch_size: {options.batch_size} is more than the {samples} available samples")
    return samples // options.batch_size


def sample_order(seed: int, epoch: int, samples: int) -> Int[np.ndarray, " N"]:
    """Return the samples' indices in the order of an epoch."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch, _ORDER]))).permutation(samples)


def batch_parts(order: Int[np.ndarray, " n"], options: TrainOptions, rank: int, processes: int) -> list[list[int]]:
    """Return the samples of each part of a batch that process `rank` of `processes` computes, in order.

    A batch is divided into `accumulate` parts, and each part into a slice for every process.
    """
    batches = len(order) // options.batch_size
    slice_size = options.batch_size // (options.accumulate * processes)
    cut = order[: batches * options.batch_size].reshape(-1, processes, slice_size)  # of no batches, no parts
    return cut[:, rank].tolist()


def learning_rate(plan: Strategy, options: TrainOptions, epoch: int, step: int, steps: int) -> float:
    """Return the learning rate of step `step`, counted from 0 over all epochs of `steps` each.

    The cosine falls to 0 over all epochs, or over each stage's if stages train different parts of a network.
    """
    if options.schedule == "cosine":
        first, epochs = _span(plan, epoch)
        rate = plan.learning_rate * (1 + math.cos(math.pi * (step - first * steps) / (epochs * steps))) / 2
    else:
        rate = plan.learning_rate * 0.1 ** sum(epoch >= drop for drop in plan.drops)
    return rate * min(1.0, (step + 1) / options.warmup) if options.warmup else rate


def _span(plan: Strategy, epoch: int) -> tuple[int, int]:
    """Return the first epoch and the number of epochs of one fall of the rate."""
    if all(stage.part is None for stage in plan.stages):
        return 0, plan.epochs
    first = 0
    for stage in plan.stages:
        if epoch < first + stage.epochs:
            return first, stage.epochs
        first += stage.epochs
    raise ValueError(f"epoch: expected 0 to {plan.epochs - 1}, got {epoch}")
