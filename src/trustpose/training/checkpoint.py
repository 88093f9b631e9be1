"""A run as one file, from which it goes on as if nothing had happened. Written whole or not at all, read without code.

It holds the model, the average, the optimiser, the precision's scaler, the place in the run, the logs' unfinished row,
the state of every process's random numbers, and the recipe.
"""

import pickle
import random
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from trustpose.files import InputError, atomic_write
from trustpose.training.recipe import Evaluation, Recipe, to_json
from trustpose.training.values import first_difference

FORMAT = "trustpose training, 1"
_PARTS = ("model", "ema", "optimiser", "precision", "place", "random", "recipe")


@dataclass
class Place:
    """Where a run is: epochs done, steps done in the next one, steps done in all, and the sums for the next log row."""

    epoch: int = 0
    step_in_epoch: int = 0
    step: int = 0
    samples: int = 0
    pending: dict[str, float] = field(default_factory=dict)
    pending_steps: int = 0


def write_checkpoint(path: Path, parts: dict[str, Any], place: Place, recipe: Recipe) -> None:
    """Write state dicts (`model`, `ema`, `optimiser`, `precision`) and `random`, of all processes, with the rest."""
    content = {"format": FORMAT, **parts, "place": asdict(place), "recipe": to_json(_essence(recipe))}
    with atomic_write(path) as file:
        torch.save(content, file)


def read_checkpoint(path: Path, recipe: Recipe, samples: int) -> tuple[dict[str, Any], Place]:
    """The parts and the place. `samples`: how many there are in an epoch now.

    Raises InputError where the file is broken, of another recipe (naming the first field that differs) or of other
    data.
    """
    content = _load(path)
    if not isinstance(content, dict) or content.get("format") != FORMAT or any(name not in content for name in _PARTS):
        raise InputError(f"{path}: is no checkpoint of a training, expected {FORMAT!r}")
    now = to_json(_essence(recipe))
    differs = first_difference(content["recipe"], now)
    if differs is not None:
        was, is_now = _at(content["recipe"], differs), _at(now, differs)
        raise InputError(
            f"{path}: is of another recipe: {differs} was {was!r}, now it is {is_now!r}; choose another --out, or "
            "start anew with --no-resume"
        )
    place = Place(**content["place"])
    if place.samples != samples:
        raise InputError(f"{path}: was made with {place.samples} training samples, the data has {samples} now")
    return content, place


def random_state() -> dict[str, Any]:
    """The state of torch's, numpy's and Python's own random numbers in this process, as tensors and plain values."""
    kind, keys, at, has_gauss, gauss = np.random.get_state()  # noqa: NPY002  # whoever still draws from it
    return {
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_available() and torch.cuda.is_initialized() else None,
        "numpy": (str(kind), [int(key) for key in keys], int(at), int(has_gauss), float(gauss)),
        "python": random.getstate(),
    }


def set_random_state(state: dict[str, Any]) -> None:
    """What `random_state` gave, back."""
    torch.set_rng_state(state["torch"])
    if state["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
    kind, keys, *rest = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *rest))  # noqa: NPY002
    random.setstate(state["python"])


def _load(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        raise InputError(f"{path}: is no checkpoint of a training, or it is broken") from None
    except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
        reason = (str(error) or "it ends too early").splitlines()[0]
        raise InputError(f"{path}: cannot be read, it is broken or cut short ({reason})") from None


def _essence(recipe: Recipe) -> Recipe:
    """The recipe without what changes nothing in the result."""
    train = replace(recipe.train, workers=0, checkpoint_every=1, validate_every=1)
    return replace(recipe, title="", sources=(), evaluation=Evaluation(), not_runnable="", train=train)


def _at(value: Any, name: str) -> Any:
    for key in name.split("."):
        if isinstance(value, list):
            value = value[int(key)] if int(key) < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value
