"""Log a run: CSV tables, TensorBoard's events, and a progress bar on a terminal."""

import csv
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from trustpose.files import InputError, atomic_write

Row = Mapping[str, int | float]


class Table:
    """A CSV file to which rows of numbers are appended; a new column rewrites the file.

    Rows of an earlier run with `key` up to `last` are kept; later ones and an incomplete line are removed. None starts
    with an empty file. Raises InputError if the file is not such a table.
    """

    def __init__(self, path: Path, key: str, last: int | None):
        self.path = path
        self.columns: list[str] = []
        self.rows: list[dict[str, str]] = []
        if last is not None and path.is_file():
            self._read(key, last)
        self._rewrite()

    def write(self, row: Row) -> None:
        """Append a row; it is in the file when this returns."""
        cells = {name: repr(value) for name, value in row.items()}
        self.rows.append(cells)
        new = [name for name in cells if name not in self.columns]
        if new:
            self.columns += new
            self._rewrite()
            return
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, restval="").writerow(cells)

    def _read(self, key: str, last: int) -> None:
        with self.path.open(newline="") as file:
            reader = csv.DictReader(file)
            self.columns = list(reader.fieldnames or [])
            for row in reader:
                if None in row or None in row.values():
                    continue
                try:
                    if int(row[key]) <= last:
                        self.rows.append(row)
                except (KeyError, ValueError):
                    raise InputError(f"{self.path}: expected a table with a column of whole numbers '{key}'") from None

    def _rewrite(self) -> None:
        with atomic_write(self.path, "w") as file:
            writer = csv.DictWriter(file, self.columns, restval="", lineterminator="\r\n")
            if self.columns:
                writer.writeheader()
            writer.writerows(self.rows)


class Events:
    """A file of scalars for TensorBoard in a folder; its steps from `first` on replace those of an earlier run.

    Written by the training thread: TensorBoard's own writer has a thread, which prints a traceback if the folder is
    removed or the disk is full. Here a failed write raises OSError.
    """

    def __init__(self, folder: Path, first: int):
        # these classes are created at run time
        from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # type: ignore
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._event, self._summary = Event, Summary
        folder.mkdir(parents=True, exist_ok=True)
        name = f"events.out.tfevents.{time.time():017.6f}.{socket.gethostname()}.{os.getpid()}"
        self._records = RecordWriter((folder / name).open("xb"))
        self._write(Event(file_version="brain.Event:2"))
        self._write(Event(step=first, session_log=SessionLog(status=SessionLog.START)))

    def write(self, scalars: Mapping[str, float], step: int) -> None:
        """Add named scalars of a step; they are in the file when this returns."""
        values = [self._summary.Value(tag=name, simple_value=value) for name, value in scalars.items()]
        self._write(self._event(step=step, summary=self._summary(value=values)))

    def close(self) -> None:
        """Close the file."""
        self._records.close()

    def _write(self, event: Any) -> None:
        event.wall_time = time.time()
        self._records.write(event.SerializeToString())
        self._records.flush()


class Logs:
    """train.csv, validation.csv and tensorboard/ in a folder; rows of an earlier run after `step`, `epoch` are removed.

    train.csv: a row every `log_every` steps, means since the previous row. validation.csv: a row per validation,
    `epoch` being the number of finished epochs.
    """

    def __init__(self, folder: Path, step: int | None, epoch: int | None):
        self.train = Table(folder / "train.csv", "step", step)
        self.validation = Table(folder / "validation.csv", "epoch", epoch)
        self._events = Events(folder / "tensorboard", 0 if step is None else step + 1)

    def step(self, row: Row) -> None:
        """Append a row to train.csv; needs "step"."""
        self.train.write(row)
        self._event("train", row)

    def validated(self, row: Row) -> None:
        """Append a row to validation.csv; needs "step" and "epoch"."""
        self.validation.write(row)
        self._event("validation", row)

    def close(self) -> None:
        """Close TensorBoard's file; the tables are closed after every row."""
        self._events.close()

    def _event(self, kind: str, row: Row) -> None:
        scalars = {f"{kind}/{name}": value for name, value in row.items() if name not in ("step", "epoch")}
        self._events.write(scalars, int(row["step"]))


@contextmanager
def progress(total: int, done: int, is_shown: bool) -> Iterator[Callable[[int, str], None]]:
    """Yield a function of (steps done, text) that updates a progress bar of `total` steps, if `is_shown`, on a
    terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not is_shown or not console.is_terminal:
        yield lambda _, __: None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=total, completed=done)
        yield lambda step, text: bar.update(task, completed=step, description=text)
