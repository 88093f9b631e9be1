"""Calibrate or track poses in Parquet on a Ray cluster: one task a file, or a group of files that share clips.

Files are read where they are: on a disk that all machines see at the same path. Each task writes one block as
`run.predict_at_scale` does, at once and under a name that depends on what was read alone, so that a killed run goes on.
"""

import hashlib
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import orjson

from trustpose.files import InputError
from trustpose.formats.coco.results_in_batches import ResultsParts
from trustpose.formats.parquet_parts import ParquetParts
from trustpose.formats.row_writing import Write
from trustpose.poses.tables import package
from trustpose.scale.blocks import remaining, write_blocks
from trustpose.scale.cluster import Cluster, Share, cluster, import_ray, unwrap_error
from trustpose.scale.folder import RunFolder, Total
from trustpose.scale.options import ClusterOptions
from trustpose.scale.stages import counts_of, error_cells
from trustpose.scale.storage import StoragePath
from trustpose.scale.table import KEY, Counts, parquet_bytes
from trustpose.scale.units import LAST

_OUTPUT_KEY = b"trustpose found"


@dataclass(frozen=True)
class TablePart:
    """The part of a table that one task reads and writes.

    files: of the table, by number. start: the index of their first row in the whole table. clips: those of the table's
    clips that lie in these files. done: for `blocks.remaining`.
    """

    number: int
    files: tuple[int, ...]
    digest: str
    start: int = 0
    clips: tuple[int, ...] = ()
    done: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """The name of the part's block."""
        return f"{self.number:07d}-{0:05d}-{self.digest}{LAST}"


@dataclass(frozen=True)
class TableTask(ABC):
    """A task on a table of results: `parts` divides it, `rows` computes a part's new rows, and `end` checks the outputs
    of all parts."""

    results: ResultsParts
    schema: Any

    @property
    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """The settings on which the new rows depend, besides the rows that are read."""

    @abstractmethod
    def parts(self) -> list[TablePart]:
        """Divide the table. Raises InputError if that is impossible."""

    @abstractmethod
    def rows(self, part: TablePart, write: Write) -> tuple[Counts, bytes]:
        """Write a part's rows; return their counts, and the output that `end` reads. Raises InputError."""

    @abstractmethod
    def end(self, outputs: Sequence[tuple[bytes, int]]) -> tuple[str, ...]:
        """Return warnings.

        outputs: of each part, in order, with the number of its rows. Raises InputError.
        """

    def of_files(self, part: TablePart) -> ResultsParts:
        """Return the results in a part's files."""
        files = tuple(self.results.parts.files[number] for number in part.files)
        rows = sum(rows_in(file) for file in files)
        table: ParquetParts = replace(self.results.parts, files=files, rows=rows)
        return replace(self.results, parts=table)

    def content(self, part: TablePart) -> tuple[bytes, Counts]:
        """Return a part's block, a Parquet file."""
        arrow = package("pyarrow")
        tables = [self.schema.empty_table()]

        def write(rows: list[dict[str, Any]]) -> None:
            tables.append(arrow.Table.from_pylist(rows, schema=self.schema))

        counts, output = self.rows(part, write)
        table = arrow.concat_tables(tables).replace_schema_metadata({KEY: counts.to_json(), _OUTPUT_KEY: output})
        return parquet_bytes(table), counts


def rows_in(file: Path) -> int:
    """Return the number of rows of a Parquet file."""
    return package("pyarrow.parquet").read_metadata(file).num_rows


def digest_of(files: Sequence[Path]) -> str:
    """Return twelve characters that are equal for the same files with the same sizes."""
    sizes = [[str(file), file.stat().st_size] for file in files]
    return hashlib.sha256(orjson.dumps(sizes)).hexdigest()[:12]


class _Apply:
    """An actor: writes the block of a part a row; its name and counts, for `counts_of`."""

    def __init__(self, task: TableTask, folder: RunFolder) -> None:
        self._task, self._folder = task, folder

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        part = TablePart(**{name: _tuples(value) for name, value in orjson.loads(row["part"]).items()})
        try:
            content, counts = self._task.content(part)
            self._folder.commit(part.name, content)
        except InputError as error:
            return {"name": "", "counts": b"", **error_cells(error)}
        return {"name": part.name, "counts": counts.to_json(), **error_cells(None)}


def _tuples(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def settings_of(task: TableTask, parts: Sequence[TablePart]) -> dict[str, Any]:
    """Return the settings on which a run's blocks depend; a resumed run must have the same."""
    of_all = hashlib.sha256("\n".join(part.name for part in parts).encode()).hexdigest()
    return task.settings | {"sources": of_all}


def run_on_table(
    task: TableTask, out: str, scale_options: ClusterOptions, tell: Callable[[Counts], None] = lambda _: None
) -> tuple[Total, tuple[str, ...]]:
    """Run a task on a table on a Ray cluster, and write Parquet files to the folder `out`; return the counts, and
    warnings. `scale_options.resume` continues a stopped run. Raises InputError, also if Ray is not installed."""
    import_ray()
    folder, parts = RunFolder(StoragePath.of(out)), task.parts()
    settings = settings_of(task, parts)
    folder.begin(settings, is_resumed=scale_options.resume, is_replaced=scale_options.overwrite)
    total, started = Total(), time.perf_counter()
    finished = folder.finished() if scale_options.resume else {}
    for counts in finished.values():
        total.add(counts)
        tell(counts)
    earlier = total.people
    if remaining(parts, finished):
        with cluster(scale_options.address) as machines:
            write = partial(_through, machines, task, folder)
            for counts in write_blocks(machines, (scale_options.workers, "cpu"), parts, finished, write):
                total.add(counts)
                tell(counts)
    warnings = task.end([_output_of(folder.file(part.name)) for part in parts])
    about = {
        "seconds": round(time.perf_counter() - started, 1),
        "rows_of_earlier_runs": earlier,
        "warnings": list(warnings),
        "versions": {name: version(name) for name in ("trustpose", "ray", "pyarrow", "numpy")},
    }
    folder.finish(settings, total, about)
    return total, warnings


def _through(
    machines: Cluster, task: TableTask, folder: RunFolder, share: Share, todo: list[TablePart]
) -> Iterator[tuple[str, Counts]]:
    data = machines.ray.data
    with machines.settings():
        units = data.from_items([{"part": orjson.dumps(part)} for part in todo], override_num_blocks=len(todo))
        done = units.map(
            _Apply,
            fn_constructor_args=(task, folder),
            compute=data.ActorPoolStrategy(size=share.workers),
            num_cpus=share.cpus,
        )
        try:
            for row in done.iter_rows():
                yield counts_of(row)
        except Exception as error:
            raise unwrap_error(error) from error


def _output_of(source: StoragePath) -> tuple[bytes, int]:
    try:
        with source.open() as opened:
            file = package("pyarrow.parquet").ParquetFile(opened)
            return (file.schema_arrow.metadata or {})[_OUTPUT_KEY], file.metadata.num_rows
    except (OSError, KeyError, package("pyarrow").ArrowException) as error:
        raise InputError(f"{source.name}: is no block of this run ({type(error).__name__})") from None
