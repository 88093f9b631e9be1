"""Commands on Parquet results that do not fit into memory: read, and written, in batches of whole photos."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from trustpose.cli.outputs import say_written
from trustpose.files import BOM, InputError, read_bytes
from trustpose.io.output_files import check_not_inside as check_not_inside

if TYPE_CHECKING:
    from collections.abc import Callable

    from trustpose.skeletons import Skeleton


_TRUTH_ROWS = 50_000  # of a row group


@contextmanager
def bar(description: str, total: int) -> "Iterator[Callable[[int], None]]":
    """Show a progress bar; yields a function that advances it by a number of rows."""
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda done: progress.update(task, advance=done)


def convert_in_batches(sources: Sequence[Path], out: Path, other_options: Sequence[str]) -> None:
    """Write the rows of Parquet results as JSON, Parquet or parts, checked but unchanged. Raises InputError, also for
    `other_options`, the names of options that are for other tools' files."""
    from trustpose.io.pose_stream import open_results
    from trustpose.io.tables import row_writer

    if len(sources) > 1:
        raise InputError(
            f"{sources[1]}: expected one Parquet file or one folder of its parts, got {len(sources)} sources"
        )
    if other_options:
        raise InputError(
            f"{other_options[0]}: applies to other tools' files; {sources[0]} is Parquet, whose rows "
            "are kept as they are"
        )
    check_not_inside(out, sources[0])
    stream = open_results(sources[0], is_ordered=False)
    with bar("converting", len(stream)) as advance, row_writer(out, stream.parts.schema) as write:
        for batch, rows in stream.batches():
            write(rows.rows)
            advance(len(batch.poses))
    from trustpose.poses.rows import counted

    say_written(
        out,
        f"{len(stream):,} poses, {stream.keypoint_count} keypoints, "
        f"from {counted(len(stream.parts.files), 'Parquet file')}",
    )


def is_truth(sources: Sequence[Path], out: Path) -> bool:
    """Return whether a single COCO ground truth in JSON is to become Parquet."""
    if len(sources) != 1 or sources[0].suffix.lower() != ".json" or out.suffix.lower() not in (".parquet", ""):
        return False
    content = read_bytes(sources[0], "poses")
    return content.removeprefix(BOM).lstrip()[:1] == b"{" and all(
        name in content for name in (b'"images"', b'"annotations"', b'"categories"')
    )


def convert_truth(
    source: Path, out: Path, category: str | None, skeleton: "Skeleton | None", other_options: Sequence[str]
) -> None:
    """Write a COCO ground truth, read at once, as Parquet for audits in batches. Raises InputError, also for
    `other_options`, the names of options that are for results."""
    from trustpose.io.coco.truth import read_coco_truth
    from trustpose.io.tables import row_writer
    from trustpose.io.truth_stream import truth_rows

    if other_options:
        raise InputError(
            f"{other_options[0]}: applies to poses; {source} is a ground truth, whose people are kept as they are"
        )
    truth = read_coco_truth(source, category, skeleton)
    rows, schema = truth_rows(truth)
    with row_writer(out, schema) as write:
        for start in range(0, len(rows), _TRUTH_ROWS):
            write(rows[start : start + _TRUTH_ROWS])
    say_written(out, f"{len(truth.truth):,} people on {len(truth.images):,} photos, a ground truth for --gt")
