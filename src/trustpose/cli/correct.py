"""`trustpose correct`: write the accepted suggestions of a review into the labels, with a log of every change."""

from dataclasses import dataclass
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, say_written
from trustpose.files import InputError, is_stdout
from trustpose.options import argument, option


@dataclass(frozen=True)
class CorrectFiles:
    """What is corrected and by what, and where it is written."""

    gt: Path = argument(metavar="GT", help="Ground truth that was reviewed: COCO JSON.")
    review: Path = option(help="The suspects: the file of `trustpose review`.")
    out: Path = option(help="Write the corrected ground truth to this file (-: standard output).")
    log: Path | None = option(
        None, help="Write each change to this file: CSV, a keypoint a line. Default: NAME.changes.csv beside --out."
    )


@dataclass(frozen=True)
class CorrectOptions:
    """The options of `tp.correct`."""

    decisions: Path | None = option(
        None,
        metavar="FILE",
        help="People's decisions, a JSON object a line: annotation_id, keypoint and kind of the suspect; decision "
        "(accept, skip, correct); for correct value [x, y, v], or keypoints of a whole person; reviewer and time if "
        "you like. Later lines overrule earlier ones.",
    )
    accept_above: float | None = option(
        None, help="Accept the suspects without a decision that are more probable than this, 0 to 1."
    )


@command(
    "trustpose correct gt.json --review r.json --decisions d.jsonl --out c.json",
    "trustpose correct gt.json --review r.json --accept-above 0.9 --out c.json",
)
def correct(files: CorrectFiles, options: CorrectOptions) -> None:
    """Correct keypoint labels by the suspects of `trustpose review` that people, or a probability, accept.

    Only keypoints and num_keypoints of corrected people change; everything else in the file stays. Where accepted
    suspects contradict each other about a keypoint, corrections by hand come first, then people's decisions, then
    what is accepted by probability, the most probable first; the log names what was overruled.
    """
    if files.log is None and is_stdout(files.out):
        raise InputError("--log: is missing, expected a file for the changes, as --out is standard output")
    from trustpose.reviews.correct import changes_path
    from trustpose.reviews.correct import correct as correct_labels

    log = changes_path(files.out) if files.log is None else files.log
    inputs = {"GT": files.gt, "--review": files.review, "--decisions": options.decisions}
    check_outputs({"--out": files.out, "--log": log}, inputs)
    if options.accept_above is not None and not 0 <= options.accept_above <= 1:
        raise InputError(f"--accept-above: expected a number from 0 to 1, got {options.accept_above}")
    corrected = correct_labels(files.gt, files.review, decisions=options.decisions, accept_above=options.accept_above)
    corrected.save(files.out, log=log)
    typer.echo(f"{corrected.accepted:,} suspects accepted")
    say_written(files.out, f"{len(corrected):,} keypoints of {corrected.people:,} people changed")
    say_written(log, "the changes")
