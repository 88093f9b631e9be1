"""`trustpose convert`: convert poses in another tool's files to COCO results."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trustpose.cli.audit import parse_sigmas
from trustpose.cli.choices import completed, formats, skeletons
from trustpose.cli.convert_labels import convert_labels
from trustpose.cli.in_batches import convert_in_batches, convert_truth, is_parquet, is_truth
from trustpose.cli.outputs import check_outputs, skeleton_file, table_format

if TYPE_CHECKING:
    from trustpose.formats.coco import TruthFile
    from trustpose.skeletons import Skeleton


def convert(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="SOURCE...",
            help="Files, or folders with one file per photo; Parquet results, one file or a folder of its parts; a "
            "COCO ground truth, to be Parquet; or labels of CVAT, Label Studio or VIA, to be a ground truth.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="Write the COCO results to this file: JSON (-: standard output), .parquet or .csv; from Parquet "
            "also to the parts of a new folder."
        ),
    ],
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            help="Format of the files: auto, mmpose, ultralytics, openpose, alphapose, deeplabcut, sleap, mediapipe, "
            "movenet, videopose3d, detectron2 or coco.",
            **completed(formats),
        ),
    ] = "auto",
    gt: Annotated[
        Path | None, typer.Option(help="Ground truth, for image ids, photo sizes and the order of keypoints or people.")
    ] = None,
    category: Annotated[
        str | None, typer.Option(help="Category of the ground truth, by name or id, if there are several.")
    ] = None,
    images: Annotated[
        Path | None, typer.Option(help="Folder of the photos, for their sizes, if coordinates are relative.")
    ] = None,
    skeleton: Annotated[
        str | None,
        typer.Option(
            **completed(skeletons),
            help="Skeleton of the files, if neither they nor the tool name it: NAME or FILE.json.",
        ),
    ] = None,
    sigmas: Annotated[
        str | None,
        typer.Option(help="Sigmas to write to skeleton.json: one per keypoint, comma-separated, or one for all."),
    ] = None,
    class_: Annotated[int | None, typer.Option("--class", help="The class of people, if files hold several.")] = None,
    fill_missing: Annotated[
        bool,
        typer.Option("--fill-missing", help="Write 0, 0, 0 for the ground truth's keypoints that the files lack."),
    ] = False,
) -> None:
    """Convert the poses in another tool's files to COCO results, with unchanged scores.

    The output is for `trustpose audit` and `trustpose calibrate`. An image's id is that of the ground truth, else the
    number at the end of the photo's name. If a name has none, or two have the same, photos are counted from 1 in the
    order of their names, and images.json next to the results lists them. With --skeleton or --sigmas, skeleton.json
    next to the results describes their keypoints, for `trustpose audit --skeleton`. An array `preds` in HDF5 or MATLAB,
    as predictions on MPII are published, has the people of --gt in its order, and no scores.
    """
    from rich.console import Console

    from trustpose.cli.beside import with_sigmas, write_beside
    from trustpose.datasets.ground_truth import read_ground_truth
    from trustpose.formats.pose_files import Photos, assemble, find_files, read_pose_files
    from trustpose.formats.tables import write_table
    from trustpose.skeletons import skeleton_of

    console = Console(stderr=True)
    options = {"--gt": gt, "--category": category, "--images": images, "--skeleton": skeleton, "--sigmas": sigmas}
    options |= {"--class": class_, "--fill-missing": fill_missing or None}
    changed = [name for name, value in options.items() if value is not None]
    if is_parquet(sources):
        check_outputs({"--out": out}, {"a file to convert": [one for one in sources if not one.is_dir()]})
        convert_in_batches(sources, out, changed)
        return
    named, own_sigmas = None if skeleton is None else skeleton_of(skeleton), parse_sigmas(sigmas)
    if is_truth(sources, out):
        check_outputs({"--out": out}, {"a file to convert": list(sources), "--skeleton": skeleton_file(skeleton)})
        others = [name for name in changed if name not in ("--category", "--skeleton")]
        convert_truth(sources[0], out, category, named, others)
        return
    if convert_labels(sources, out, changed):
        return
    files = find_files(sources)
    check_outputs(
        {"--out": out},
        {"a file to convert": files, "--gt": gt, "--images": images, "--skeleton": skeleton_file(skeleton)},
    )
    truth = None if gt is None else read_ground_truth(gt, category, _of_whole_body(gt, named))
    if format_ == "auto" and len(files) == 1 and _is_array(files[0]):
        _convert_array(files[0], truth, out)
        return
    photos = Photos(truth, images)
    counts = [len(named)] if named is not None else [17, *([] if truth is None else [len(truth.keypoint_names)])]
    tool, found = read_pose_files(files, format_, keypoint_counts=counts, track=_with_bar)
    done = assemble(found, photos, tool=tool, skeleton=named, category=class_, fill_missing=fill_missing)
    category_id = 1 if truth is None else truth.category_id
    is_described = skeleton is not None or sigmas is not None
    beside = write_beside(out, done.counted, with_sigmas(done.skeleton, own_sigmas) if is_described else None)
    texts = None if truth is None else {"image_id": truth.image_texts.text_of}
    write_table(out, done.poses, format=table_format(out), score=done.score, category_id=category_id, texts=texts)
    for note in [*done.notes, *beside.notes]:
        console.print(f"note: {note}", style="dim", markup=False, highlight=False, soft_wrap=True)
    counted = f"{_counted(len(done.poses), 'pose')} in {_counted(done.photo_count, 'photo')}"
    typer.echo(f"{out}: {counted}, {len(done.skeleton)} keypoints ({done.skeleton.name}), from {tool}")
    for line in beside.lines:
        typer.echo(line)


def _of_whole_body(gt: Path, skeleton: "Skeleton | None") -> "Skeleton | None":
    """Return COCO-WholeBody's skeleton if it is asked for and a ground truth has all its keypoints, which are not in
    the field that is read otherwise."""
    from trustpose.files import read_bytes
    from trustpose.skeletons import COCO_WHOLEBODY_133

    is_whole = skeleton is not None and skeleton.keypoints == COCO_WHOLEBODY_133.keypoints
    return skeleton if is_whole and b'"foot_kpts"' in read_bytes(gt) else None


def _is_array(path: Path) -> bool:
    """Return whether a file holds an array of positions; other tools' HDF5 and all other files do not."""
    from trustpose.files import read_bytes
    from trustpose.formats.position_arrays import fits

    return path.suffix.lower() in (".h5", ".hdf5", ".mat") and fits(read_bytes(path, "predictions"), path)


def _convert_array(path: Path, truth: "TruthFile | None", out: Path) -> None:
    """Write the poses of an array of positions, in the order of the ground truth's people."""
    from trustpose.files import read_bytes
    from trustpose.formats.position_arrays import read
    from trustpose.formats.tables import write_table

    poses = read(read_bytes(path, "predictions"), path, truth)
    assert truth is not None and poses.pose_score is not None  # `read` refuses to do without
    write_table(
        out,
        poses,
        format=table_format(out),
        score=poses.pose_score,
        category_id=truth.category_id,
        texts={"image_id": truth.image_texts.text_of, "annotation_id": truth.annotation_texts.text_of},
    )
    typer.echo("note: the file has no scores: `score` and keypoint scores are written as 1", err=True)
    typer.echo(f"{out}: {_counted(len(poses), 'pose')} of the people of {truth.path}, in its order")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _with_bar(files: Sequence[Path]) -> Iterable[Path]:
    """Yield the files, with a progress bar on a terminal if there are many."""
    from rich.console import Console
    from rich.progress import track

    console = Console(stderr=True)
    if len(files) < 20 or not console.is_terminal:
        return files
    return track(files, description="reading", console=console, transient=True)
