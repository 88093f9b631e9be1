"""The order of samples and the learning rate, as functions of the position in the run."""

import math

import numpy as np
from jaxtyping import Int

from trustpose.files import InputError
from trustpose.training.recipe import TrainOptions
from trustpose.trust.stages import Strategy

_ORDER = 17  # a random stream separate from those of the augmentation


def steps_per_epoch(samples: int, options: TrainOptions) -> int:
    """Return the number of full batches in an epoch; the remaining samples vary. Raises InputError for less than
    one."""
    if samples < options.batch_size:
        raise InputError(f"train.batch_size: {options.batch_size} is more than the {samples} available samples")
    return samples // options.batch_size


def sample_order(seed: int, epoch: int, samples: int) -> Int[np.ndarray, " N"]:
    """Return the samples' indices in the order of an epoch."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, epoch, _ORDER]))).permutation(samples)


def batch_parts(order: Int[np.ndarray, " n"], options: TrainOptions, rank: int, processes: int) -> list[list[int]]:
    """Return the indices of each part that process `rank` of `processes` computes, in order: `accumulate` parts per
    batch.

    A batch is divided into parts, and each part into a slice for every process.
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
