"""`trustpose convert`: poses in another tool's files become COCO results."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.skeletons import Skeleton


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(metavar="SOURCE...", help="Files, or folders with one file a photo.", show_default=False),
    ],
    out: Annotated[Path, typer.Option(help="Write the COCO results here, JSON.")],
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
        str | None, typer.Option(help="Which keypoints the files hold, where neither they nor the tool say it.")
    ] = None,
    class_: Annotated[
        int | None, typer.Option("--class", help="The class that is people, where files hold several.")
    ] = None,
    fill_missing: Annotated[
        bool, typer.Option("--fill-missing", help="Write 0, 0, 0 for keypoints of the ground truth that files lack.")
    ] = False,
) -> None:
    """Turn the poses in another tool's files into COCO results, scores untouched.

    `trustpose audit` and `trustpose calibrate` read what it writes.
    """
    if out.is_dir():
        raise InputError(f"{out}: is a directory, --out expects a file to write")
    from rich.console import Console

    from trustpose.data.coco import read_truth, write_results
    from trustpose.data.pose_files import Photos, assemble, find_files, read_pose_files

    console = Console(stderr=True)
    named = None if skeleton is None else _skeleton(skeleton)
    truth = None if gt is None else read_truth(gt, category)
    photos = Photos(truth, images)
    files = find_files(sources)
    if out.resolve() in {file.resolve() for file in files}:
        raise InputError(f"{out}: is one of the files to convert, --out expects another")
    counts = [len(named)] if named is not None else [17, *([] if truth is None else [len(truth.keypoint_names)])]
    tool, found = read_pose_files(files, format_, keypoint_counts=counts, track=_with_bar)
    done = assemble(found, photos, tool=tool, skeleton=named, category=class_, fill_missing=fill_missing)
    category_id = 1 if truth is None else truth.category_id
    write_results(out, done.poses, score=done.score, category_id=category_id)
    for note in done.notes:
        console.print(f"note: {note}", style="dim", markup=False, highlight=False, soft_wrap=True)
    counted = f"{_counted(len(done.poses), 'pose')} in {_counted(done.photo_count, 'photo')}"
    typer.echo(f"{out}: {counted}, {len(done.skeleton)} keypoints ({done.skeleton.name}), from {tool}")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _skeleton(name: str) -> "Skeleton":
    from trustpose.skeletons import SKELETONS

    if name not in SKELETONS:
        raise InputError(f"--skeleton: expected one of {', '.join(SKELETONS)}, got {name!r}")
    return SKELETONS[name]


def _with_bar(files: Sequence[Path]) -> Iterable[Path]:
    """The files, with a bar on a terminal where there are many."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if len(files) < 20 or not console.is_terminal:
        return files
    return track(files, description="reading", console=console, transient=True)
