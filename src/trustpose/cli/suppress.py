"""`trustpose suppress`: remove or lower duplicate poses of one person in a results file, or rank by another score."""

from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_notes
from trustpose.cli.progress import progress_bar
from trustpose.cli.records import skeleton_names
from trustpose.io.output_files import skeleton_file
from trustpose.options import option
from trustpose.predict.options import SUPPRESSION_DISTANCE, SUPPRESSION_THRESHOLD, SUPPRESSIONS, OverlapOptions


@dataclass(frozen=True)
class SuppressFiles:
    """What is read, and where it is written."""

    results: Path = option(help="COCO keypoint results: JSON, CSV, Parquet or a folder of its parts.")
    out: Path = option(help="Write the remaining results to this file (-: standard output).")


@dataclass(frozen=True)
class SuppressOptions(OverlapOptions):
    """The options of `predict.suppressed_results.suppress_results`."""

    method: str = option("oks-nms", names=SUPPRESSIONS, help="How overlapping poses of one person are suppressed.")
    threshold: float | None = option(None, help=SUPPRESSION_THRESHOLD)
    distance: str | None = option(None, help=SUPPRESSION_DISTANCE)
    score: str = option(
        "score", help="Field of a result by which poses are ranked, or a product of fields: pose_score*bbox_score."
    )
    in_vis_threshold: float | None = option(
        None, help="Compare only keypoints whose scores are above this in both poses. Default: all keypoints."
    )
    merge: bool = option(
        False,
        help="Merge the keypoints of dropped poses into the kept ones, as AlphaPose does. For results without trust.",
    )
    skeleton: str = option("coco17", names=skeleton_names, help="Skeleton with the sigmas for OKS: NAME or FILE.json.")


@command(
    "trustpose suppress --results results.json --out kept.json",
    "trustpose suppress --results r.json --method soft-oks-nms --out kept.json",
)
def suppress(files: SuppressFiles, options: SuppressOptions) -> None:
    """Suppress poses that overlap with a better one in the same photo, in the results of any estimator.

    oks-nms and pose-nms drop them; soft-oks-nms multiplies their scores by exp(−OKS² / σ), soft-oks-nms-linear by
    1 − OKS. --method none only changes the ranking.

    The remaining rows are unchanged except for `score`, the score of the ranking, possibly lowered. With another
    --score or a soft method, the estimator's own score moves to `pose_score`, unless the file has one.
    """
    inputs = {"--results": files.results, "--skeleton": skeleton_file(options.skeleton)}
    check_outputs({"--out": files.out}, inputs)
    from trustpose.predict.suppressed_results import suppress_results

    with progress_bar("poses", description="suppressing") as advance:
        done = suppress_results(files.results, files.out, **asdict(options), progress=advance)
    print_notes(done.notes)
    speed = done.poses / max(done.seconds, 1e-9)
    typer.echo(
        f"{done.remaining} of {done.poses} poses kept, {done.lowered} with a lower score, in {done.seconds:.2f} s "
        f"({speed:.0f} poses/s): {files.out}"
    )
