"""`trustpose track` of Parquet that does not fit into memory."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from trustpose.cli.in_batches import bar, check_not_inside
from trustpose.cli.outputs import say_written
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.skeletons import Skeleton


def check_in_memory(options: Mapping[str, Any]) -> None:
    """Raise InputError if an option for results in memory was given."""
    name = next((name for name, value in options.items() if value is not None), None)
    if name is not None:
        raise InputError(f"{name}: expected results in one file, not a folder of parts or --engine ray")


def track_parts(results: Path, out: Path, skeleton: "Skeleton", options: dict[str, Any]) -> None:
    """Write the rows of Parquet results with track ids, image ids ascending. Raises InputError."""
    from trustpose.io.clips import find_clips
    from trustpose.io.parquet import sort_by_photo
    from trustpose.io.pose_stream import open_results
    from trustpose.io.tables import row_writer, tracked_rows, with_track_id
    from trustpose.tracking.in_batches import TracksInBatches

    check_not_inside(out, results)
    stream = open_results(results, skeleton=skeleton, is_ordered=False)
    started, poses, categories = time.perf_counter(), 0, set[int]()
    schema = with_track_id(stream.parts.schema)
    with tempfile.TemporaryDirectory(prefix="trustpose-") as folder:
        clips = find_clips(stream.parts)
        stream = replace(stream, parts=sort_by_photo(stream.parts, Path(folder)))
        tracks = TracksInBatches([(clip.first, clip.step) for clip in clips], **options)
        with bar("tracking", len(stream)) as advance, row_writer(out, schema) as write:
            for batch, rows in stream.batches():
                categories.update(batch.category_id.tolist())
                if len(categories) > 1:
                    raise InputError(f"{rows.place(0)} and later: field 'category_id': expected one category")
                ids = tracks(batch.poses)
                poses += int((ids >= 0).sum())
                write(tracked_rows(rows.rows, ids.tolist(), schema.names))
                advance(len(ids))
    seconds = time.perf_counter() - started
    typer.echo(
        f"{tracks.next_id - 1} tracks of {poses} poses in {len(clips)} clips, {len(stream) - poses} without a track, "
        f"in {seconds:.2f} s ({len(stream) / max(seconds, 1e-9):.0f} poses/s)"
    )
    say_written(out, "results with track_id")
