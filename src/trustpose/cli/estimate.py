"""`trustpose estimate`: accuracy of a results file without labels, with intervals."""

from dataclasses import dataclass
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_notes, say_written
from trustpose.cli.records import CalibratorOption, SkeletonOption
from trustpose.files import json_bytes, write_json
from trustpose.io.output_files import skeleton_file
from trustpose.options import argument, option


@dataclass(frozen=True)
class EstimateFiles(SkeletonOption, CalibratorOption):
    """Whose accuracy is estimated, and where it is written."""

    results: Path = argument(
        metavar="RESULTS",
        help="COCO keypoint results with trust: JSON, CSV, Parquet or a folder of its parts.",
    )
    json: bool = option(False, help="Print JSON.")
    out: Path | None = option(None, help="Write the same JSON to this file.")


@command(
    "trustpose estimate results.json",
    "trustpose estimate theirs.json --calibrator shipped:simplepose --json",
)
def estimate(files: EstimateFiles) -> None:
    """Estimate how accurate the poses of a results file are, without labels: mean OKS, AP, OPKS by keypoint.

    Each number has a 95 % interval. It covers chance, the calibration, and people or photos unlike those that the trust
    was fitted on: the more unlike they are, the wider it is. AP counts people whom nobody found by the share that was
    missed at fitting.
    """
    calibrator = None if files.calibrator is None else Path(files.calibrator)
    inputs = {"RESULTS": files.results, "--calibrator": calibrator, "--skeleton": skeleton_file(files.skeleton)}
    check_outputs({"--out": files.out}, inputs)
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.io.read_poses import read_poses
    from trustpose.reviews.estimate import accuracy_of

    poses = read_poses(files.results, skeleton=files.skeleton)
    added = None if files.calibrator is None else Calibrator.load(files.calibrator)
    accuracy = accuracy_of(poses, files.results, added)
    if files.json:
        typer.echo(json_bytes(accuracy.to_json()).decode(), nl=False)
    else:
        for name, value, low, high in accuracy.rows():
            typer.echo(f"{name:<34} {value:6.3f}  ({low:.3f}–{high:.3f})")
    print_notes(accuracy.notes)
    if files.out is not None:
        write_json(files.out, accuracy.to_json())
        say_written(files.out, "accuracy without labels")
