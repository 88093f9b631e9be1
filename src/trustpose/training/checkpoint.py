"""A training's checkpoint: one file to resume from, written atomically, read without running code.

It holds the model, the average, the optimiser, the precision's scaler, the position in the run, the unfinished row of
the logs, the random state of every process, and the recipe.
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
_ADAM = {"step", "exp_avg", "exp_avg_sq"}
_MOMENTS: dict[type, set[str]] = {  # the state of each optimiser per tensor
    torch.optim.Adam: _ADAM,
    torch.optim.AdamW: _ADAM,
    torch.optim.SGD: {"momentum_buffer"},
    torch.optim.RMSprop: {"step", "square_avg"},
}
_Steps = Annotated[int, within(0, 2**53 - 1)]
_PARTS = ("model", "ema", "optimiser", "precision", "place", "random", "recipe")


@dataclass
class RunPosition:
    """The position in a run: epochs done, steps done in the next one, steps in total, and the sums for the next log
    row."""

    epoch: _Steps = 0
    step_in_epoch: _Steps = 0
    step: _Steps = 0
    samples: _Steps = 0
    pending: dict[str, float] = field(default_factory=dict)
    pending_steps: _Steps = 0


def write_checkpoint(path: Path, parts: dict[str, Any], position: RunPosition, recipe: Recipe) -> None:
    """Write state dicts (`model`, `ema`, `optimiser`, `precision`), the `random` state of all processes, and the
    rest."""
    content = {"format": FORMAT, **parts, "place": asdict(position), "recipe": to_json(_essence(recipe))}
    with atomic_write(path) as file:
        torch.save(content, file)


def read_checkpoint(path: Path, recipe: Recipe, samples: int) -> tuple[dict[str, Any], RunPosition]:
    """Return the parts and the position. `samples`: the current number of samples per epoch.

    Raises InputError if the file is broken, from another recipe (naming the first field that differs) or from other
    data.
    """
    content = _load(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT or any(name not in content for name in _PARTS):
        raise InputError(f"{path}: is not a checkpoint of a training, expected {FORMAT!r}")
    current_recipe = to_json(_essence(recipe))
    try:
        before = to_plain(content["recipe"])
        if not isinstance(before, dict):
            raise ValueError("recipe: expected an object")
        differs = first_difference(before, current_recipe)
        position = read_record(RunPosition, content["place"], "", "place")
        _check_parts(content)
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: is broken ({' '.join(str(error).split())[:120]})") from None
    if differs is not None:
        was, is_now = (reprlib.repr(_value_at(value, differs)) for value in (before, current_recipe))
        raise InputError(
            f"{path}: has another recipe: {differs} was {was}, now it is {is_now}; choose another --out, or "
            "start over with --no-resume"
        )
    if position.samples != samples:
        raise InputError(f"{path}: was written with {position.samples} training samples, the data now has {samples}")
    return content, position


def _check_parts(content: dict[str, Any]) -> None:
    """Raise ValueError if a part has another type than a run writes; its shapes are checked when it is used."""
    kinds = {"model": dict, "ema": dict, "optimiser": dict, "precision": dict, "random": list}
    for name, kind in kinds.items():
        if not isinstance(content[name], kind):
            raise ValueError(f"{name}: expected a {kind.__name__}")
    if not all(isinstance(state, dict) for state in content["random"]):
        raise ValueError("random: expected an object for each process")
    tensors = [content["model"], content["ema"].get("average")]
    for name, part in zip(("model", "ema.average"), tensors, strict=True):
        if not isinstance(part, dict) or not all(
            isinstance(key, str)
            and isinstance(tensor, torch.Tensor)
            and tensor.layout is torch.strided
            and not tensor.is_meta
            for key, tensor in part.items()
        ):
            raise ValueError(f"{name}: expected tensors by name")
    if type(content["ema"].get("updates")) is not int:
        raise ValueError("ema.updates: expected a whole number")


def restore(path: Path, content: dict[str, Any], optimiser: torch.optim.Optimizer, stateful: dict[str, Any]) -> None:
    """Restore the optimiser and the objects of `stateful` ("ema", "precision") from a checkpoint's content.

    Raises InputError if one does not match.
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
    """Raise ValueError if options differ from the recipe's or a tensor's shape from its parameter's."""
    groups = optimiser.state_dict()["param_groups"]
    for group, saved_group in zip(groups, state["param_groups"], strict=True):
        differs = next(
            (key for key in group.keys() & saved_group.keys() - {"lr"} if group[key] != saved_group[key]), None
        )
        if differs is not None:
            raise ValueError(f"optimiser.{differs} was {reprlib.repr(saved_group[differs])}")
    shapes = [parameter.shape for group in optimiser.param_groups for parameter in group["params"]]
    keys = _MOMENTS[type(optimiser)]
    for number, entry in state["state"].items():
        if entry.keys() != keys:
            raise ValueError(f"optimiser: expected {', '.join(sorted(keys))} of each tensor")
        for tensor in entry.values():
            if tensor is not None and (tensor.layout is not torch.strided or tensor.shape not in (shapes[number], ())):
                raise ValueError(f"optimiser: a tensor is {tuple(tensor.shape)}, not {tuple(shapes[number])}")


def random_state() -> dict[str, Any]:
    """Return the random state of torch, numpy and Python in this process, as tensors and plain values."""
    kind, keys, position, has_gauss, gauss = np.random.get_state()  # noqa: NPY002  # for code that still uses it
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None,
        "numpy": (str(kind), [int(key) for key in keys], int(position), int(has_gauss), float(gauss)),
        "python": random.getstate(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restore a `random_state`."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    random.setstate(state["python"])


def _load(path: Path) -> Any:
    """Load with torch without running code. torch's own messages, which advise running code, are not shown."""
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


def _essence(recipe: Recipe) -> Recipe:
    """Return the recipe without fields that do not affect the result."""
    train = replace(recipe.train, workers=0, checkpoint_every=1, validate_every=1)
    return replace(recipe, title="", sources=(), evaluation=Evaluation(), not_runnable="", train=train)


def _value_at(value: Any, name: str) -> Any:
    for key in name.split("."):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


class InterruptedRun(KeyboardInterrupt):
    """A run was interrupted by SIGINT or SIGTERM, after a checkpoint was written."""


class NonFiniteLossError(ArithmeticError):
    """A loss was NaN or infinite; the message names epoch, step and samples."""


class OutOfTime(KeyboardInterrupt):
    """The run's time is up, and its progress is on disk; the message states the progress."""


@contextmanager
def stop_on_signals(stop: threading.Event) -> Iterator[None]:
    """Inside the block the first signal sets `stop`; a second one of its kind has its usual effect.

    An ignored signal stays ignored. Python delivers signals to the main thread only; in other threads nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = {number: handler for number, handler in before.items() if handler is not signal.SIG_IGN}

    def ask(number: int, _: object) -> None:
        stop.set()
        signal.signal(number, before[signal.Signals(number)])

    for number in before:
        signal.signal(number, ask)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def time_limit(until: float | None, saying: str) -> Iterator[None]:
    """Raise OutOfTime inside the block, at any point, once `time.monotonic()` reaches `until`; None for never.

    For work without steps between which to check the clock. Alarms reach only the main thread, and do not exist on
    Windows; elsewhere nothing changes.
    """
    if until is None or threading.current_thread() is not threading.main_thread() or not hasattr(signal, "setitimer"):
        yield
        return

    def stop(_: int, __: object) -> None:
        raise OutOfTime(saying)

    handler = signal.signal(signal.SIGALRM, stop)
    remaining, interval = signal.setitimer(
        signal.ITIMER_REAL, max(until - time.monotonic(), 1e-3)
    )  # 0 would mean never
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, handler)
        signal.setitimer(signal.ITIMER_REAL, remaining, interval)
