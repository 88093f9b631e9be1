"""`trustpose review`: suspected label errors of a ground truth, each with its kind and a probability."""

from dataclasses import dataclass
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_notes, say_written
from trustpose.cli.records import CalibratorOption
from trustpose.files import InputError, write_json
from trustpose.options import option

KINDS = "position, swapped, person_swapped, other_person, missing, invented, visibility"


@dataclass(frozen=True)
class ReviewFiles(CalibratorOption):
    """What is reviewed, and where the suspects are written."""

    gt: Path = option(help="Ground truth whose labels are reviewed: COCO JSON, or the files of other data sets.")
    results: Path = option(help="COCO keypoint results with trust on the same people: JSON, CSV or Parquet.")
    out: Path = option(
        help="Write the suspects to this file: a JSON list, the most probable first (-: standard output)."
    )


@dataclass(frozen=True)
class ReviewOptions:
    """The options of `tp.review`."""

    kinds: str | None = option(
        None, metavar="NAMES", help=f"Kinds of errors to list, with commas between them: {KINDS}. Default: all."
    )
    min_probability: float = option(0.05, help="Leave out suspects that are less probable than this, 0 to 1.")
    common: bool = option(False, help="Use only the photos that the ground truth and all results have in common.")


@command(
    "trustpose review --gt gt.json --results results.json --out review.json",
    "trustpose review --gt gt.json --results r.json --kinds swapped --out s.json",
)
def review(files: ReviewFiles, options: ReviewOptions) -> None:
    """List suspected errors of keypoint labels: shifted, swapped, another person's, missing, invented, wrong v.

    Each row of the list has annotation_id, image_id, keypoint (null: the whole person), kind, probability and
    suggestion ([x, y, v], or all keypoints). Probabilities are for data in which each kind of error spoils 5 % of
    the labels that it can spoil; with fewer errors they are too high, and the order remains.
    """
    calibrator = None if files.calibrator is None else Path(files.calibrator)
    check_outputs({"--out": files.out}, {"--gt": files.gt, "--results": files.results, "--calibrator": calibrator})
    from trustpose.reviews import review as find_suspects
    from trustpose.reviews.review import check_kinds

    kinds = None if options.kinds is None else [name.strip() for name in options.kinds.split(",")]
    try:
        check_kinds(kinds)
    except InputError as error:
        raise InputError(f"--{error}") from None
    if not 0 <= options.min_probability <= 1:
        raise InputError(f"--min-probability: expected a number from 0 to 1, got {options.min_probability}")
    suspects = find_suspects(
        files.gt,
        files.results,
        calibrator=files.calibrator,
        kinds=kinds,
        min_probability=options.min_probability,
        common=options.common,
    )
    print_notes(suspects.notes)
    write_json(files.out, suspects.to_json())
    for kind, count in suspects.count_of_kinds().items():
        typer.echo(f"{kind:<16} {count:,}")
    say_written(files.out, f"{len(suspects):,} suspects among the labels of {suspects.people:,} people")
