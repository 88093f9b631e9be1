"""`trustpose measure`: joint angles, lengths and speeds in a results file, each with the error it can have."""

import time
from dataclasses import dataclass
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_notes, print_warnings, say_written
from trustpose.cli.progress import progress_bar
from trustpose.cli.records import CalibratorOption, SkeletonOption
from trustpose.files import InputError
from trustpose.geometry.scene_options import SceneOptions
from trustpose.io.output_files import skeleton_file
from trustpose.options import argument, option


@dataclass(frozen=True)
class MeasureFiles(SkeletonOption, CalibratorOption):
    """What is measured, and where it is written."""

    results: Path = argument(
        metavar="RESULTS",
        help="COCO keypoint results with trust: JSON, CSV, Parquet or a folder of its parts.",
    )
    out: Path = option(help="Write the table to this file: .csv or .parquet (-: CSV on standard output).")
    images: Path | None = option(
        None, help="The frames, for the column time: images.json or a COCO ground truth, with time."
    )


@dataclass(frozen=True)
class MeasureOptions:
    """The options of `tp.measure`."""

    measures: str | None = option(
        None,
        metavar="NAMES|FILE.json",
        help="What to measure: names of measures, with commas between them, or a JSON file of your own. "
        "Default: all built-in ones that the skeleton has the joints for.",
    )
    levels: str = option(
        "0.5,0.8,0.9,0.95", help="Shares of people whose value each interval is to hold, with commas between them."
    )
    intervals: bool = option(True, help="Give intervals; without, values alone, for results without trust.")


@command(
    "trustpose measure results.json --out angles.csv",
    "trustpose measure results.json --measures left_knee,trunk --out knee.csv",
    "trustpose measure clip.json --fps 60 --measures left_wrist_speed --out v.csv",
)
def measure(files: MeasureFiles, options: MeasureOptions, scene: SceneOptions) -> None:
    """Read joint angles, lengths and speeds off the poses of a results file, each with the error it can have.

    Angles are interior, in degrees: 180 is a straight limb. Inclinations (trunk, neck, thigh, …) are against the
    picture's vertical, positive to the right. Lengths are in pixels. The interval low_90 to high_90 holds the value
    that a labeller's joints would give for 90 % of people like those that the trust's errors were learnt from. That a
    picture shows only the projection of an angle is not part of it; reason says where the view makes an angle doubtful.

    With the times of frames (--fps, --images), tracks have measures over time: left_knee_velocity, left_wrist_speed,
    centre_of_mass_speed, jump_height, left_release_angle, … After `trustpose smooth` intervals are those of the
    smoothed joints.

    Rows with readable false say why in `reason`; their cells are empty where a joint is missing or probably absent.
    """
    calibrator = None if files.calibrator is None else Path(files.calibrator)
    measures = None if options.measures is None or not options.measures.endswith(".json") else Path(options.measures)
    inputs = {"RESULTS": files.results, "--images": files.images, "--skeleton": skeleton_file(files.skeleton)}
    check_outputs({"--out": files.out}, inputs | {"--calibrator": calibrator, "--measures": measures})
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.measures.measured_results import measure_results

    started = time.perf_counter()
    with progress_bar("people", description="measuring") as advance:
        measured = measure_results(
            files.results,
            files.out,
            measures=options.measures,
            calibrator=None if files.calibrator is None else Calibrator.load(files.calibrator),
            images=files.images,
            skeleton=files.skeleton,
            levels=_levels(options.levels),
            intervals=options.intervals,
            scene=scene,
            tell=lambda done, count: advance(0, completed=done, total=count),
        )
    print_notes(measured.notes)
    print_warnings(files.results, measured.warnings)
    typer.echo(
        f"{measured.people:,} people × {measured.measures} measures, {measured.readable:,} values readable, in "
        f"{time.perf_counter() - started:.2f} s"
    )
    say_written(files.out, "measurements")


def _levels(text: str) -> list[float]:
    try:
        return [float(level) for level in text.split(",")]
    except ValueError:
        raise InputError(f"--levels: expected numbers with commas between them, got {text!r}") from None
