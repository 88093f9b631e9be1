"""The two stages of a run, as Ray Data calls them on any machine: a row comes in, rows go out."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from trustpose.files import InputError
from trustpose.predict.options import PredictOptions
from trustpose.scale.attempts import Attempt
from trustpose.scale.folder import RunFolder
from trustpose.scale.reading import blocks
from trustpose.scale.units import TABLE, VIDEO, Unit
from trustpose.scale.worker import BlockPredictor

_LARGEST = 2**31 - 1  # bytes in a cell of Arrow's


@dataclass(frozen=True)
class Work:
    """What a predictor is loaded with: the arguments of `tp.load`, and the model's fingerprint."""

    model: str
    options: PredictOptions
    fingerprint: str | None

    def with_threads(self, cpus: int) -> "Work":
        """The same with as many threads as CPUs, unless the options name a number."""
        return replace(self, options=replace(self.options, threads=self.options.threads or cpus))


class Read:
    """An actor: reads a unit a row, and yields its blocks. Raises InputError for a block that is too large to be sent.

    An actor, not a task: Ray would start a process for most of the tasks, which takes longer than they do.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the unit's blocks, each with its name."""
        unit = Unit.from_json(row["unit"])
        # foreign code, which may end the process, reads only these two
        is_risky = unit.kind in (TABLE, VIDEO)
        attempt = self._folder.attempt(f"{unit.number:07d}-{unit.digest}") if is_risky else None
        try:
            yield from _rows(unit, attempt)
        finally:
            if attempt is not None:
                attempt.over()


def _rows(unit: Unit, attempt: Attempt | None) -> Iterator[dict[str, Any]]:
    for block in blocks(unit, attempt):
        if sum(len(photo.content) for photo in block.photos) > 0.99 * _LARGEST:
            raise InputError(
                f"{block.photos[0].name}: {len(block.photos)} photos have over 2 GB; use a smaller --block"
            )
        yield {"name": block.name, "block": pickle.dumps(block)}


class Predict:
    """An actor: loads a predictor once, predicts a block a row, and writes its file. Raises InputError, DiskError.

    A block that is done again after a fault replaces its own file.
    """

    def __init__(self, work: Work, folder: RunFolder) -> None:
        self._predict = BlockPredictor(work.model, work.options, work.fingerprint)
        self._folder = folder

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the block's name and counts."""
        attempt = self._folder.attempt(row["name"])
        try:
            content, counts = self._predict(pickle.loads(row["block"]), attempt)  # what `Read` sent
        finally:
            attempt.over()
        self._folder.commit(row["name"], content)
        return {"name": row["name"], "counts": counts.to_json()}
