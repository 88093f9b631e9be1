"""The two stages of a run, as Ray Data calls them on any machine: a row comes in, rows go out."""

import pickle
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from trustpose.files import DiskError, InputError
from trustpose.predict.options import PredictOptions
from trustpose.scale.folder import RunFolder
from trustpose.scale.reading import blocks
from trustpose.scale.table import Counts
from trustpose.scale.units import TABLE, VIDEO, Unit
from trustpose.scale.worker import BlockPredictor

_LARGEST = 2**31 - 1  # bytes in a cell of Arrow's


@dataclass(frozen=True)
class Work:
    """The arguments of `tp.load` for a worker's predictor, and the model's fingerprint."""

    model: str
    options: PredictOptions
    fingerprint: str | None

    def with_threads(self, cpus: int) -> "Work":
        """The same with as many threads as CPUs, unless the options name a number."""
        return replace(self, options=replace(self.options, threads=self.options.threads or cpus))


class Read:
    """An actor: reads a unit a row, and yields its blocks.

    An actor, not a task: Ray would start a process for most of the tasks, which takes longer than they do.
    """

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder

    def __call__(self, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the unit's blocks, each with its name."""
        try:
            yield from self._blocks(Unit.from_json(row["unit"]))
        except InputError as error:
            yield {"name": "", "block": b"", **error_cells(error)}

    def _blocks(self, unit: Unit) -> Iterator[dict[str, Any]]:
        # foreign code, which may end the process, reads only these two
        is_risky = unit.kind in (TABLE, VIDEO)
        attempt = self._folder.attempt(f"{unit.number:07d}-{unit.digest}") if is_risky else None
        try:
            for block in blocks(unit, attempt):
                if sum(len(photo.content) for photo in block.photos) > 0.99 * _LARGEST:
                    raise InputError(
                        f"{block.photos[0].name}: {len(block.photos)} photos have over 2 GB; use a smaller --block"
                    )
                yield {"name": block.name, "block": pickle.dumps(block), **error_cells(None)}
        finally:
            if attempt is not None:
                attempt.over()


class Predict:
    """An actor: loads a predictor once, predicts a block a row, and writes its file.

    A block that is done again after a fault replaces its own file.
    """

    def __init__(self, work: Work, folder: RunFolder) -> None:
        self._folder = folder
        self._error: InputError | None = None
        try:
            self._predict = BlockPredictor(work.model, work.options, work.fingerprint)
        except InputError as error:
            self._error = error

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Return the block's name and counts, for `counts_of`."""
        if row["error"]:
            return {"name": "", "counts": b"", "error": row["error"], "is_disk": row["is_disk"]}
        try:
            return {"name": row["name"], "counts": self._done(row).to_json(), **error_cells(None)}
        except InputError as error:
            return {"name": "", "counts": b"", **error_cells(error)}

    def _done(self, row: dict[str, Any]) -> Counts:
        if self._error is not None:
            raise self._error
        attempt = self._folder.attempt(row["name"])
        try:
            content, counts = self._predict(pickle.loads(row["block"]), attempt)  # what `Read` sent
        finally:
            attempt.over()
        self._folder.commit(row["name"], content)
        return counts


def counts_of(row: dict[str, Any]) -> tuple[str, Counts]:
    """Return a block's name and counts. Raises the InputError or DiskError that ended it."""
    if row["error"]:
        raise (DiskError if row["is_disk"] else InputError)(row["error"])
    return row["name"], Counts.from_json(row["counts"])


def error_cells(error: InputError | None) -> dict[str, Any]:
    """Return an error as values: of one that is raised, Ray brings only the text, with the trace in it."""
    return {"error": str(error or ""), "is_disk": isinstance(error, DiskError)}
