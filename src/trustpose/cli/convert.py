"""`trustpose convert`: poses in another tool's files become COCO results."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from trustpose.cli.outputs import check_outputs, skeleton_file
from trustpose.files import InputError

IMAGES = "images.json"


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="Files, or folders with one file a photo.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Write the COCO results here, JSON (-: standard output).")],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="Whose files: auto, mmpose, ultralytics, openpose, alphapose, deeplabcut, detectron2 or coco.",
        ),
    ] = "auto",
    gt: Annotated[
        Path | None, typer.Option(help="COCO ground truth: its image ids, photo sizes and order of keypoints.")
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Category of the ground truth, by name or id, where several apply.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photos, for their sizes, where coordinates are relative.")
    ] = None,
    skeleton: Annotated[
        str | None,
        typer.Option(
            help="Which keypoints the files hold, where neither they nor the tool say it: a name, or FILE.json."
        ),
    ] = None,
    class_: Annotated[
        int | None, typer.Option("--class", help="The class that is people, where files hold several.")
    ] = None,
    fill_missing: Annotated[
        bool, typer.Option("--fill-missing", help="Write 0, 0, 0 for keypoints of the ground truth that files lack.")
    ] = False,
) -> None:
    """Turn the poses in another tool's files into COCO results, scores untouched.

    `trustpose audit` and `trustpose calibrate` read what it writes. An image's id is that of the ground truth, else the
    number that ends the photo's name. Where a name ends in none, or two in the same, photos are counted from 1 in the
    order of their names, and images.json beside the results says which is which.
    """
    from rich.console import Console

    from trustpose.formats.coco import read_truth, write_results
    from trustpose.formats.pose_files import Photos, assemble, find_files, read_pose_files
    from trustpose.skeletons import skeleton_of

    console = Console(stderr=True)
    named = None if skeleton is None else skeleton_of(skeleton)
    files = find_files(sources)
    check_outputs(
        {"--out": out},
        {"a file to convert": files, "--gt": gt, "--images": images, "--skeleton": skeleton_file(skeleton)},
    )
    truth = None if gt is None else read_truth(gt, category)
    photos = Photos(truth, images)
    counts = [len(named)] if named is not None else [17, *([] if truth is None else [len(truth.keypoint_names)])]
    tool, found = read_pose_files(files, format_, keypoint_counts=counts, track=_with_bar)
    done = assemble(found, photos, tool=tool, skeleton=named, category=class_, fill_missing=fill_missing)
    category_id = 1 if truth is None else truth.category_id
    images_file = _write_images(out, done.counted)
    write_results(out, done.poses, score=done.score, category_id=category_id)
    unlisted = [f"photos were counted, and --out is no file to list them beside in {IMAGES}"]
    for note in [*done.notes, *(unlisted if done.counted and images_file is None else [])]:
        console.print(f"note: {note}", style="dim", markup=False, highlight=False, soft_wrap=True)
    counted = f"{_counted(len(done.poses), 'pose')} in {_counted(done.photo_count, 'photo')}"
    typer.echo(f"{out}: {counted}, {len(done.skeleton)} keypoints ({done.skeleton.name}), from {tool}")
    if images_file is not None:
        photos_counted = _counted(len(done.counted), "photo")
        typer.echo(f"{images_file}: {photos_counted}, counted from 1 in the order of their names")


def _write_images(out: Path, counted: dict[str, int]) -> Path | None:
    """Beside the results, which photo has which id, as a ground truth's `images`; None where no photos were counted, or
    the results go to standard output or a device.

    Raises InputError where a file of that name says something else.
    """
    from trustpose.files import is_stdout, read_json, write_json

    if not counted or is_stdout(out) or (out.exists() and not out.is_file()):
        return None
    path, images = out.parent / IMAGES, [{"id": number, "file_name": name} for name, number in counted.items()]
    if out.name == IMAGES:
        raise InputError(f"{out}: is where the photos' ids go, --out expects another name")
    if path.exists() and read_json(path) != images:
        raise InputError(f"{path}: is there and says something else of the photos; choose another folder for --out")
    write_json(path, images)
    return path


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _with_bar(files: Sequence[Path]) -> Iterable[Path]:
    """The files, with a bar on a terminal where there are many."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if len(files) < 20 or not console.is_terminal:
        return files
    return track(files, description="reading", console=console, transient=True)
