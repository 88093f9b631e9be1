"""How a training survives interruptions: checkpoints to resume from, and stops by signals and time limits.

A checkpoint is one file, written atomically and read without running code. It holds the model, the average of its
weights, the optimiser, the precision's scaler, the position in the run with the unfinished row of the logs, the random
state of every process, and the recipe. A signal or the end of the time does not interrupt a step (`stop_on_signals`),
so that the loop can write a checkpoint first; work that has no steps is interrupted at any point (`time_limit`).
"""

import pickle
import random
import reprlib
import signal
import threading
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch

from trustpose.files import InputError, atomic_write
from trustpose.json_records import read_record, within
from trustpose.networks.checkpoint_files import check_archive
from trustpose.training import distributed
from trustpose.training.recipe import Evaluation, Recipe, to_json
from trustpose.training.values import first_difference, to_plain

FORMAT = "trustpose training, 1"
_ADAM_STATE = {"step", "exp_avg", "exp_avg_sq"}
_OPTIMISER_STATES: dict[type, set[str]] = {  # what each optimiser keeps of a tensor
    torch.optim.Adam: _ADAM_STATE,
    torch.optim.AdamW: _ADAM_STATE,
    torch.optim.SGD: {"momentum_buffer"},
    torch.optim.RMSprop: {"step", "square_avg"},
}
_Steps = Annotated[int, within(0, 2**53 - 1)]
_PARTS = ("model", "ema", "optimiser", "precision", "place", "random", "recipe")  # "place" is the position


class InterruptedRun(KeyboardInterrupt):
    """A run was interrupted by SIGINT or SIGTERM, after a checkpoint was written."""


class NonFiniteLossError(ArithmeticError):
    """A loss was NaN or infinite; the message names epoch, step and samples."""


class OutOfTime(KeyboardInterrupt):
    """The run's time is up, and its progress is on disk; the message states the progress."""


@dataclass
class RunPosition:
    """How far a run has come.

    Attributes:
        epoch: number of finished epochs.
        step_in_epoch: number of finished steps of the epoch after them.
        step: number of finished steps in all epochs.
        samples: number of samples in an epoch; a run does not resume on other data.
        pending: sums of the losses' terms, by name, over the steps since the last row of the logs.
        pending_steps: number of these steps.
    """

    epoch: _Steps = 0
    step_in_epoch: _Steps = 0
    step: _Steps = 0
    samples: _Steps = 0
    pending: dict[str, float] = field(default_factory=dict)
    pending_steps: _Steps = 0


def write_checkpoint(path: Path, parts: dict[str, Any], position: RunPosition, recipe: Recipe) -> None:
    """Write a checkpoint, atomically.

    Args:
        path: the file.
        parts: the state dicts "model", "ema", "optimiser" and "precision"; and "random", the `random_state` of each
            process.
        position: how far the run has come.
        recipe: what is trained.

    Raises:
        InputError: if the file cannot be written.
    """
    content = {"format": FORMAT, **parts, "place": asdict(position), "recipe": to_json(_without_extras(recipe))}
    with atomic_write(path) as file:
        torch.save(content, file)


def read_checkpoint(path: Path, recipe: Recipe, samples: int) -> tuple[dict[str, Any], RunPosition]:
    """Return the content of a checkpoint, and the position in its run.

    Args:
        path: the file.
        recipe: what is trained now.
        samples: the number of samples in an epoch now.

    Raises:
        InputError: if the file is broken, from another recipe (the message names the first field that differs) or from
            other data.
    """
    content = _load(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT or any(name not in content for name in _PARTS):
        raise InputError(f"{path}: is not a checkpoint of a training, expected {FORMAT!r}")
    recipe_now = to_json(_without_extras(recipe))
    try:
        recipe_before = to_plain(content["recipe"])
        if not isinstance(recipe_before, dict):
            raise ValueError("recipe: expected an object")
        changed_field = first_difference(recipe_before, recipe_now)
        position = read_record(RunPosition, content["place"], "", "place")
        _check_parts(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is broken ({' '.join(str(error).split())[:120]})") from None
    if changed_field is not None:
        before = reprlib.repr(_value_at(recipe_before, changed_field))
        now = reprlib.repr(_value_at(recipe_now, changed_field))
        raise InputError(
            f"{path}: has another recipe: {changed_field} was {before}, now it is {now}; choose another --out, or "
            "start over with --no-resume"
        )
    if position.samples != samples:
        raise InputError(f"{path}: was written with {position.samples} training samples, the data now has {samples}")
    return content, position


def _load(path: Path) -> Any:
    """Load a file with torch, without running code. Raises InputError in place of torch's messages, which advise to run
    code."""
    if not check_archive(path):
        raise InputError(f"{path}: is not a checkpoint of a training, or it is broken")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(f"{path}: is not a checkpoint of a training, or it is broken") from None
    except Exception as error:  # torch's rebuilding functions raise anything for a broken pickle
        reason = (str(error) or "it ends too early").splitlines()[0][:120]
        raise InputError(f"{path}: cannot be read, it is broken or truncated ({reason})") from None


def _check_parts(content: dict[str, Any]) -> None:
    """Raise ValueError if a part has another type than a run writes; its shapes are checked when it is used."""
    kinds = {"model": dict, "ema": dict, "optimiser": dict, "precision": dict, "random": list}
    for name, kind in kinds.items():
        if not isinstance(content[name], kind):
            raise ValueError(f"{name}: expected a {kind.__name__}")
    if not all(isinstance(state, dict) for state in content["random"]):
        raise ValueError("random: expected an object for each process")
    for name, weights in {"model": content["model"], "ema.average": content["ema"].get("average")}.items():
        if not isinstance(weights, dict) or not all(_is_named_tensor(*item) for item in weights.items()):
            raise ValueError(f"{name}: expected tensors by name")
    if type(content["ema"].get("updates")) is not int:
        raise ValueError("ema.updates: expected a whole number")


def _is_named_tensor(name: Any, tensor: Any) -> bool:
    is_dense = isinstance(tensor, torch.Tensor) and tensor.layout is torch.strided and not tensor.is_meta
    return isinstance(name, str) and is_dense


def _without_extras(recipe: Recipe) -> Recipe:
    """Return the recipe without the fields that do not affect the weights, such as its title and `workers`."""
    train = replace(recipe.train, workers=0, checkpoint_every=1, validate_every=1)
    return replace(recipe, title="", sources=(), evaluation=Evaluation(), not_runnable="", train=train)


def _value_at(value: Any, name: str) -> Any:
    """Return a value of a JSON object by its dotted name, such as "strategy.stages.0.epochs"; None if there is none."""
    for key in name.split("."):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def restore(path: Path, content: dict[str, Any], optimiser: torch.optim.Optimizer, stateful: dict[str, Any]) -> None:
    """Restore the optimiser, further objects and this process's random state from a checkpoint.

    Args:
        path: the checkpoint's file, for the message.
        content: what `read_checkpoint` returned.
        optimiser: of the same parameters as when it was written.
        stateful: the objects to restore by the names of their parts: "ema", "precision".

    Raises:
        InputError: if a part is from another model or optimiser.
    """
    try:
        _check_optimiser(content["optimiser"], optimiser)
        optimiser.load_state_dict(content["optimiser"])
        for name, part in stateful.items():
            part.load_state_dict(content[name])
        if distributed.rank() < len(content["random"]):
            set_random_state(content["random"][distributed.rank()])
    except Exception as error:  # each part raises its own errors for a wrong state
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{path}: its state does not fit this training ({reason})") from None


def _check_optimiser(state: Any, optimiser: torch.optim.Optimizer) -> None:
    """Raise ValueError if a saved option differs from the optimiser's, or a saved tensor's shape from its
    parameter's."""
    groups = optimiser.state_dict()["param_groups"]
    for group, saved_group in zip(groups, state["param_groups"], strict=True):
        for option in group.keys() & saved_group.keys() - {"lr"}:  # the loop sets the rate of every step
            if group[option] != saved_group[option]:
                raise ValueError(f"optimiser.{option} was {reprlib.repr(saved_group[option])}")
    shapes = [parameter.shape for group in optimiser.param_groups for parameter in group["params"]]
    expected_names = _OPTIMISER_STATES[type(optimiser)]
    for number, entry in state["state"].items():
        if entry.keys() != expected_names:
            raise ValueError(f"optimiser: expected {', '.join(sorted(expected_names))} of each tensor")
        for tensor in entry.values():
            if tensor is not None and (tensor.layout is not torch.strided or tensor.shape not in (shapes[number], ())):
                raise ValueError(f"optimiser: a tensor is {tuple(tensor.shape)}, not {tuple(shapes[number])}")


def random_state() -> dict[str, Any]:
    """Return the random state of torch, numpy and Python in this process, as tensors and plain values."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002  # libraries may still use it
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None,
        "numpy": (str(kind), [int(key) for key in keys], int(position), int(has_gauss), float(gauss)),
        "python": random.getstate(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restore what `random_state` returned."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    random.setstate(state["python"])


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Let the first SIGINT or SIGTERM inside the block set `stop`; a second one of its kind has its usual effect.

    An ignored signal stays ignored. Python delivers signals to the main thread only; in other threads nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in handlers.items() if handler is not signal.SIG_IGN}

    def request_stop(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, handlers[signal.Signals(number)])

    for number in handlers:
        signal.signal(number, request_stop)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def time_limit(until: float | None, message: str) -> Iterator[None]:
    """Raise OutOfTime with this message, at any point inside the block, once `time.monotonic()` reaches `until`.

    For work without steps between which to check the clock. None: no limit. Alarms reach only the main thread and do
    not exist on Windows; in other threads, and there, there is no limit either.
    """
    if until is None or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_: int, __: object) -> None:
        raise OutOfTime(message)

    handler = signal.signal(signal.SIGALRM, stop)
    seconds = max(until - time.monotonic(), 1e-3)  # 0 would mean never
    earlier_timer = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, *earlier_timer)
