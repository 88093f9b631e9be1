"""The two tasks on tables: apply a calibrator, and track."""

import io
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.calibration.calibrator import Calibrator, CalibratorStream
from trustpose.calibration.rows import calibrated_rows, calibrated_schema
from trustpose.files import InputError
from trustpose.formats.coco.results_in_batches import open_results
from trustpose.formats.parquet_clips import Clip, find_clips
from trustpose.formats.parquet_sorting import sort_by_photo
from trustpose.formats.row_writing import Write, tracked_rows, with_track_id
from trustpose.scale.table import Counts
from trustpose.scale.tables import TablePart, TableTask, digest_of, rows_in
from trustpose.skeletons import Skeleton
from trustpose.tracking.in_batches import TracksInBatches

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
            write(calibrated_rows(applied, batch, rows))
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
            raise InputError(f"{self.results.path}: {error}; the output is not to be used") from None


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
        begins = [number * CLIP_IDS + 1 for number in part.clips]
        tracks = TracksInBatches([(clip.first, clip.step) for clip in clips], begins, **self.options)
        frames = people = 0
        with tempfile.TemporaryDirectory(prefix="trustpose-") as folder:
            results_parts = self.of_files(part)
            results_parts = replace(results_parts, parts=sort_by_photo(results_parts.parts, Path(folder)))
            for batch, rows in results_parts.batches():
                if len(categories := np.unique(batch.category_id)) > 1:
                    raise InputError(
                        f"{rows.place(0)} and later: field 'category_id': expected one, got {categories[:2]}"
                    )
                write(tracked_rows(rows.rows, tracks(batch.poses).tolist(), self.schema.names))
                people += len(batch.poses)
                frames += len(np.unique(batch.poses.image_id))  # type: ignore[arg-type]
        return Counts(photos=frames, people=people), b""

    def end(self, outputs: Sequence[tuple[bytes, int]]) -> tuple[str, ...]:
        """Return no warnings. Raises InputError if rows are missing."""
        if (count := sum(rows for _, rows in outputs)) != len(self.results):
            raise InputError(f"{count:,} poses were read, expected {len(self.results):,}: did the files change?")
        return ()
