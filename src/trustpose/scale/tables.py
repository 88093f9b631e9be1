"""Calibrate or track poses in Parquet on a Ray cluster: one task a file, or a group of files that share clips.

Files are read where they are: on a disk that all machines see at the same path. Each task writes one block as
`run.predict_at_scale` does, at once and under a name that depends on what was read alone, so that a killed run goes on.
"""

import hashlib
import io
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.metadata import version
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from trustpose.calibration.calibrator import Calibrator, CalibratorStream
from trustpose.calibration.rows import calibrated_rows, calibrated_schema
from trustpose.files import InputError
from trustpose.io.clips import Clip, find_clips, places_in
from trustpose.io.parquet import ParquetParts, rows_in, sort_by_photo
from trustpose.io.pose_stream import ResultsParts, open_results
from trustpose.io.tables import TableOrRows, Write, tracked_rows, with_track_id
from trustpose.json_records import read_record
from trustpose.poses.tables import package
from trustpose.scale.cluster import Cluster, Share, cluster, import_ray, unwrap_error
from trustpose.scale.folder import RunFolder, Total
from trustpose.scale.options import ClusterOptions
from trustpose.scale.run import remaining, write_blocks
from trustpose.scale.stages import counts_of, error_cells
from trustpose.scale.storage import StoragePath
from trustpose.scale.table import KEY, Counts, parquet_bytes
from trustpose.scale.units import LAST
from trustpose.skeletons import Skeleton
from trustpose.tracking import Tracker

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

        def write(rows: TableOrRows) -> None:
            tables.append(arrow.Table.from_pylist(rows, schema=self.schema) if isinstance(rows, list) else rows)

        counts, output = self.rows(part, write)
        table = arrow.concat_tables(tables).replace_schema_metadata({KEY: counts.to_json(), _OUTPUT_KEY: output})
        return parquet_bytes(table), counts


def digest_of(files: Sequence[Path]) -> str:
    """Return twelve characters that are equal for the same files with the same sizes."""
    sizes = [[str(file), file.stat().st_size] for file in files]
    return hashlib.sha256(orjson.dumps(sizes)).hexdigest()[:12]


class _Apply:
    """An actor: writes the block of a part a row; its name and counts, for `counts_of`."""

    def __init__(self, task: TableTask, folder: RunFolder) -> None:
        self._task, self._folder = task, folder

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        part = read_record(TablePart, orjson.loads(row["part"]))
        try:
            content, counts = self._task.content(part)
            self._folder.commit(part.name, content)
        except InputError as error:
            return {"name": "", "counts": b"", **error_cells(error)}
        return {"name": part.name, "counts": counts.to_json(), **error_cells(None)}


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
        raise InputError(f"{source.name}: is not a block of this run ({type(error).__name__})") from None


CLIP_IDS = 10_000_000
"""Tracks of clip number n have the ids n × this + 1, 2, …"""


@dataclass(frozen=True)
class Calibrate(TableTask):
    """Apply a calibrator; a part is a file. The rows and warnings are those of one process."""

    calibrator: Calibrator = field(kw_only=True)
    skeleton: Skeleton | None = None

    @classmethod
    def of(cls, calibrator: Calibrator, results: str | Path, skeleton: Skeleton | None = None) -> "Calibrate":
        """Open the results. Raises InputError."""
        results_parts = open_results(Path(results).absolute())
        return cls(
            results_parts, calibrated_schema(calibrator, results_parts.parts), calibrator=calibrator, skeleton=skeleton
        )

    @property
    def settings(self) -> dict[str, Any]:
        """The calibrator and the user's skeleton."""
        names = None if self.skeleton is None else list(self.skeleton.keypoints)
        return {"task": "calibrate", "calibrator": self.calibrator.card.as_dict(), "skeleton": names}

    def parts(self) -> list[TablePart]:
        """Return a part for each file. Raises InputError for a photo that is in two files."""
        parts = self.results.parts
        before: tuple[Path, Any] | None = None  # a file and its last photo
        for file in parts.files:
            ends = _ends(replace(parts, files=(file,)))
            if ends is None:
                continue
            if before is not None and before[1] == ends[0]:
                raise InputError(
                    f"{before[0]}: field 'image_id': rows of photo {before[1]!r} are in the next file, expected each "
                    "photo in one file, as `trustpose convert` writes the parts of a folder"
                )
            before = (file, ends[1])
        starts = [0, *accumulate(rows_in(file) for file in parts.files)]
        return [
            TablePart(number, (number,), digest_of([file]), starts[number]) for number, file in enumerate(parts.files)
        ]

    def rows(self, part: TablePart, write: Write) -> tuple[Counts, bytes]:
        """Write the part's rows with trust. Raises InputError."""
        applied = CalibratorStream(self.calibrator, len(self.results), self.skeleton, part.start)
        photos = people = 0
        for batch, rows in self.of_files(part).batches():
            write(calibrated_rows(applied, batch, rows, self.schema))
            people += len(batch.poses)
            photos += len(np.unique(batch.poses.image_id))  # type: ignore[arg-type]
        buffer = io.BytesIO()
        np.savez(buffer, **applied.state())  # type: ignore[arg-type]
        return Counts(photos=photos, people=people), buffer.getvalue()

    def end(self, outputs: Sequence[tuple[bytes, int]]) -> tuple[str, ...]:
        """Return the warnings on distribution shift. Raises InputError for scores on another scale."""
        whole = CalibratorStream(self.calibrator, len(self.results), self.skeleton)
        for content, count in outputs:
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                whole.join(arrays, count)
        try:
            return whole.warnings()
        except InputError as error:
            raise InputError(f"{self.results.path}: {error}; do not use the output") from None


def _ends(parts: Any) -> tuple[Any, Any] | None:
    """Return the first and the last photo of a file."""
    ends: tuple[Any, Any] | None = None
    for ids in parts.runs():
        if len(ids):
            ends = (ids[0].as_py() if ends is None else ends[0], ids[-1].as_py())
    return ends


@dataclass(frozen=True)
class Track(TableTask):
    """Track each clip; a part is the clips that share files. Tracks are those of one process; their ids are counted
    from `CLIP_IDS` × the clip's number."""

    options: dict[str, Any] = field(kw_only=True)
    named: dict[str, Any] = field(kw_only=True)
    clips: tuple[Clip, ...] = field(kw_only=True)

    @classmethod
    def of(cls, results: str | Path, skeleton: Skeleton, options: dict[str, Any], named: dict[str, Any]) -> "Track":
        """Open the results. options: of `Tracker`; named: the settings that identify them in the manifest. Raises
        InputError."""
        results_parts = open_results(Path(results).absolute(), skeleton=skeleton, is_ordered=False)
        clips = tuple(find_clips(results_parts.parts))
        return cls(results_parts, with_track_id(results_parts.parts.schema), options=options, named=named, clips=clips)

    @property
    def settings(self) -> dict[str, Any]:
        """The options."""
        return {"task": "track", **self.named}

    def parts(self) -> list[TablePart]:
        """Group the clips by the files that they share."""
        groups: list[tuple[set[int], list[int]]] = []
        for number, clip in enumerate(self.clips):
            files, clips = set(clip.files), [number]
            for group_sharing in [group for group in groups if group[0] & files]:
                files, clips = files | group_sharing[0], [*group_sharing[1], *clips]
                groups.remove(group_sharing)
            groups.append((files, clips))
        table_parts = []
        for number, (files, clips) in enumerate(sorted(groups, key=lambda group: min(group[1]))):
            named = tuple(sorted(files))
            digest = digest_of([self.results.parts.files[number] for number in named])
            table_parts.append(TablePart(number, named, digest, clips=tuple(sorted(clips))))
        return table_parts

    def rows(self, part: TablePart, write: Write) -> tuple[Counts, bytes]:
        """Write the part's rows with track ids. Raises InputError."""
        clips = [self.clips[number] for number in part.clips]
        tracker, tracked_clip = Tracker(**self.options), -1
        frames = people = 0
        with tempfile.TemporaryDirectory(prefix="trustpose-") as folder:
            results_parts = self.of_files(part)
            results_parts = replace(results_parts, parts=sort_by_photo(results_parts.parts, Path(folder)))
            for batch, rows in results_parts.batches():
                clip, frame = places_in(clips, batch.poses.image_id)  # type: ignore[arg-type]
                ids = []
                for number in np.unique(clip).tolist():
                    if number != tracked_clip:
                        tracked_clip, tracker.next_id = number, part.clips[number] * CLIP_IDS + 1
                    in_clip = np.flatnonzero(clip == number)
                    columns = {"frame": frame[in_clip], "clip": clip[in_clip], "group": batch.category_id[in_clip]}
                    ids += tracker(batch.poses[in_clip], **columns).track_id.tolist()  # type: ignore[union-attr]
                write(tracked_rows(rows.rows, ids, self.schema.names))
                people += len(batch.poses)
                frames += len(np.unique(batch.poses.image_id))  # type: ignore[arg-type]
        return Counts(photos=frames, people=people), b""

    def end(self, outputs: Sequence[tuple[bytes, int]]) -> tuple[str, ...]:
        """Return no warnings. Raises InputError if rows are missing."""
        if (count := sum(rows for _, rows in outputs)) != len(self.results):
            raise InputError(f"{count:,} poses were read, expected {len(self.results):,}: did the files change?")
        return ()
