"""`trustpose suppress`: remove or lower duplicate poses of one person in a results file, or rank by another score."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trustpose.cli.choices import POSE_AREAS, completed, skeletons
from trustpose.cli.outputs import check_outputs, print_notes, skeleton_file
from trustpose.files import InputError

if TYPE_CHECKING:
    import numpy as np

    from trustpose.grouping.suppression import Suppressed
    from trustpose.poses import Poses
    from trustpose.skeletons import Skeleton

METHODS = ("none", "oks-nms", "soft-oks-nms", "soft-oks-nms-linear", "pose-nms")
WAYS = f"{', '.join(METHODS[:-1])} or {METHODS[-1]}"
THRESHOLD_MEANS = (
    "OKS above which a pose is dropped (oks-nms) or lowered (soft-oks-nms-linear); σ of soft-oks-nms; similarity above "
    "which pose-nms drops. Default: 0.9, of pose-nms 0.5."
)
DISTANCE_MEANS = (
    "σ₁,σ₂,λ of pose-nms: the scale of scores, that of distances, in tenths of the box and squared, and the weight of "
    "distances against scores; or alphapose, for the rules and parameters of AlphaPose's code. Default: 0.3,1,1."
)
AREA_MEANS = "Area for OKS between poses: crop (the box extended to 3:4 and enlarged by 1.25), box, or"


def suppress(
    *,
    results: Annotated[Path, typer.Option(help="COCO keypoint results, JSON.")],
    out: Annotated[Path, typer.Option(help="Write the remaining results to this file (-: standard output).")],
    method: Annotated[
        str, typer.Option(**completed(lambda: METHODS), help=f"Suppression of overlapping poses: {WAYS}.")
    ] = "oks-nms",
    threshold: Annotated[float | None, typer.Option(help=THRESHOLD_MEANS)] = None,
    distance: Annotated[str | None, typer.Option(help=DISTANCE_MEANS)] = None,
    score: Annotated[
        str, typer.Option(help="Field of a result by which poses are ranked, or a product: pose_score*bbox_score.")
    ] = "score",
    area: Annotated[
        str, typer.Option(**completed(lambda: POSE_AREAS), help=f"{AREA_MEANS} keypoints (the box around them).")
    ] = "crop",
    in_vis_threshold: Annotated[
        float | None, typer.Option(help="Compare only keypoints with a score above this in both poses. Default: all.")
    ] = None,
    skeleton: Annotated[
        str, typer.Option(**completed(skeletons), help="Skeleton with the sigmas for OKS: NAME or FILE.json.")
    ] = "coco17",
) -> None:
    """Suppress poses that overlap with a better one in the same photo, in the results of any estimator.

    oks-nms and pose-nms drop them; soft-oks-nms multiplies their scores by exp(−OKS² / σ), soft-oks-nms-linear by
    1 − OKS.
    Remaining rows are unchanged except for `score`, the score of the ranking, possibly lowered. If that changes it,
    the estimator's own score moves to `pose_score`, unless the file has one. --method none only changes the ranking.
    """
    from trustpose.files import write_json
    from trustpose.grouping.suppression import suppressor
    from trustpose.skeletons import skeleton_of

    check_outputs({"--out": out}, {"--results": results, "--skeleton": skeleton_file(skeleton)})
    joints = skeleton_of(skeleton)
    how = suppressor(method, threshold, area, joints, in_vis_threshold, distance)
    rows, poses, ranking = _read(results, score, joints)
    started = time.perf_counter()
    try:
        found = how(poses, ranking)
    except InputError as error:
        raise InputError(f"{results}: {error}") from None
    seconds = time.perf_counter() - started
    left = _rescored(rows, found)
    write_json(out, left)
    lowered = int((found.score < ranking).sum())
    text = f"{len(left)} of {len(rows)} poses kept, {lowered} with a lower score"
    typer.echo(f"{text}, in {seconds:.2f} s ({len(rows) / max(seconds, 1e-9):.0f} poses/s): {out}")


def _read(path: Path, score: str, joints: "Skeleton") -> "tuple[list[dict[str, Any]], Poses, np.ndarray]":
    """Return the rows unchanged, their poses, and the score (N,) to rank by: the product of the named fields."""
    from trustpose.files import read_json
    from trustpose.formats.coco import read_results

    fields = [field.strip() for field in score.split("*")]
    if not all(fields):
        raise InputError(f"--score: expected the name of a field, or names with * between them, got {score!r}")
    files = [read_results(path, skeleton=joints, score_field=field) for field in fields]
    print_notes(files[0].notes)
    ranking = files[0].score
    for file in files[1:]:
        ranking = ranking * file.score
    return read_json(path), files[0].poses, ranking


def _rescored(rows: list[dict[str, Any]], found: "Suppressed") -> list[dict[str, Any]]:
    """Return the kept rows with the score they are ranked by and the estimator's own."""
    new = found.score.tolist()
    is_changed = any(row["score"] != score for row, score in zip(rows, new, strict=True))
    left = []
    for row, score, kept in zip(rows, new, found.keep.tolist(), strict=True):
        if kept:
            own = {"pose_score": row["score"]} if is_changed and row.get("pose_score") is None else {}
            left.append(row | own | {"score": score})
    return left
