"""`trustpose convert`: convert poses in another tool's files to COCO results."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.outputs import check_outputs, print_notes
from trustpose.cli.progress import progress_bar
from trustpose.cli.records import skeleton_names
from trustpose.io.output_files import skeleton_file
from trustpose.options import argument, option


def _formats() -> Iterable[str]:
    from trustpose.io.recognise import FORMATS

    return ("auto", *FORMATS)


@dataclass(frozen=True)
class ConvertFiles:
    """What is converted, and where it is written."""

    sources: Sequence[Path] = argument(
        metavar="SOURCE...",
        help="Files, or folders with one file per photo. Also Parquet results (a file or a folder of parts), a COCO "
        "ground truth to convert to Parquet, or labels of CVAT, Label Studio or VIA to convert to a ground truth.",
    )
    out: Path = option(
        help="Write the COCO results to this file: JSON (-: standard output), .parquet or .csv; from Parquet also a "
        "new folder of parts."
    )


@dataclass(frozen=True)
class ConvertOptions:
    """The options of `datasets.conversion.convert_poses`."""

    format: str = option(
        "auto",
        names=_formats,
        help="Format of the files: auto, mmpose, ultralytics, openpose, alphapose, deeplabcut, sleap, mediapipe, "
        "movenet, videopose3d, detectron2 or coco.",
    )
    gt: Path | None = option(
        None, help="Ground truth, for image ids, photo sizes and the order of keypoints or people."
    )
    category: str | None = option(None, help="Category of the ground truth, by name or id, if there are several.")
    images: Path | None = option(None, help="Folder of the photos, for their sizes, if coordinates are relative.")
    skeleton: str | None = option(
        None,
        names=skeleton_names,
        help="Skeleton of the files, if neither they nor the tool name it: NAME or FILE.json.",
    )
    sigmas: str | None = option(
        None, help="Sigmas to write to skeleton.json: one per keypoint, separated by commas, or one for all."
    )
    class_: int | None = option(None, help="Class of people, if the files hold several classes.")
    fill_missing: bool = option(False, help="Write 0, 0, 0 for the ground truth's keypoints that the files lack.")


@command(
    "trustpose convert openpose/ --out results.json",
    "trustpose convert labels/ --format ultralytics --gt gt.json --out r.json",
    "trustpose convert tracks.h5 --skeleton mouse.json --sigmas 0.05 --out r.json",
)
def convert(files: ConvertFiles, options: ConvertOptions) -> None:
    """Convert the poses in another tool's files to COCO results, with unchanged scores.

    The output is for `trustpose audit` and `trustpose calibrate`. An image's id is that of the ground truth, else the
    number at the end of the photo's name. If a name has none, or two have the same, photos are counted from 1 in the
    order of their names, and images.json next to the results lists them.

    With --skeleton or --sigmas, skeleton.json next to the results describes their keypoints, for `trustpose audit
    --skeleton`. An array `preds` in HDF5 or MATLAB, as predictions on MPII are published, has the people of --gt in its
    order, and no scores.
    """
    from trustpose.datasets.conversion import convert_poses, converted_files

    inputs = {"a file to convert": converted_files(files.sources), "--gt": options.gt, "--images": options.images}
    check_outputs({"--out": files.out}, inputs | {"--skeleton": skeleton_file(options.skeleton)})
    with progress_bar(description="reading") as advance:
        done = convert_poses(files.sources, files.out, **asdict(options), progress=advance)
    print_notes(done.notes)
    for line in done.lines:
        typer.echo(line)
