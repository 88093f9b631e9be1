"""`trustpose predict`: photos and boxes in, COCO results and drawn pictures out."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trustpose.files import InputError

if TYPE_CHECKING:
    from rich.progress import Progress

    from trustpose.inference.predictor import Photo, Prediction, Predictor
    from trustpose.poses import Poses

RESULTS = "results.json"
_AHEAD = 6  # photos that are drawn while others are predicted


def predict(
    photos: Annotated[
        list[Path] | None, typer.Argument(metavar="[PHOTO]...", help="Photos, folders of photos, or globs.")
    ] = None,
    *,
    model: Annotated[Path, typer.Option(help="The network, NETWORK.onnx, with NETWORK.json beside it.")],
    out: Annotated[Path, typer.Option(help=f"The folder for {RESULTS} and the drawn pictures.")],
    gt: Annotated[
        Path | None, typer.Option(help="COCO ground truth: whose boxes to take, and the photos' ids.")
    ] = None,
    boxes: Annotated[
        Path | None,
        typer.Option(help="COCO detections. Photos get their ids from --gt, else from the number in their name."),
    ] = None,
    min_box_score: Annotated[float | None, typer.Option(help="With --boxes: leave out boxes with less.")] = None,
    all_people: Annotated[
        bool, typer.Option("--all-people", help="With --gt: also people with a box but no labelled keypoint.")
    ] = False,
    flip: Annotated[bool, typer.Option("--flip", help="Average with the mirror image: slower, better.")] = False,
    batch_size: Annotated[int, typer.Option(min=1, help="People that go through the network together.")] = 16,
    draw: Annotated[bool, typer.Option("--draw/--no-draw", help="Draw the poses on the photos.")] = True,
    draw_min_score: Annotated[
        float | None, typer.Option(help="Leave keypoints with a lower score out of the drawings (only there).")
    ] = None,
) -> None:
    """Find the keypoints of the people in photos.

    Writes DIR/results.json (COCO results, every keypoint with its raw score) and one drawn picture a photo. A pose's
    score is the mean of its keypoints' scores, times its box's score where a detector gave one. With --gt,
    crowd regions and people without any labelled keypoint are left out, the usual protocol for ground-truth boxes.
    Photos that cannot be read are reported and skipped, and the exit code is then 1.
    """
    if not photos:
        raise InputError("no photos given: name photos or their folder, as in trustpose predict photos/ --gt …")
    if gt is None and boxes is None:
        raise InputError("nothing says where the people are: give --gt GROUND_TRUTH.json or --boxes DETECTIONS.json")
    from trustpose.inference.images import find_photos
    from trustpose.inference.predictor import Predictor

    files = find_photos(photos)
    pictures = _picture_names(files, out) if draw else {}
    _check_out(out, [*files, *(path for path in (gt, boxes, model) if path is not None)], list(pictures.values()))
    items, category_id = _with_people(files, gt, boxes, min_box_score, all_people)
    predictor = Predictor.load(model, batch_size=batch_size, flip=flip)
    started = time.perf_counter()
    with _progress(len(items)) as progress:
        parts, skipped = _run(predictor, items, pictures, draw_min_score, progress)
    _write(out, parts, category_id)
    _report(parts, time.perf_counter() - started, out, is_drawn=draw)
    if skipped:
        typer.echo(f"trustpose: skipped {skipped} of {len(items)} photos, see above", err=True)
        raise typer.Exit(1)


def _report(parts: list["Poses"], seconds: float, out: Path, *, is_drawn: bool) -> None:
    people = sum(map(len, parts))
    done = f"{people} people on {len(parts)} photos in {seconds:.1f} s ({people / seconds:.0f} people/s)"
    typer.echo(f"{done}: {out / RESULTS}" + (f" and {len(parts)} pictures" if is_drawn else ""))


def _run(
    predictor: "Predictor",
    items: list["Photo"],
    pictures: dict[Path, Path],
    min_score: float | None,
    progress: "Progress | None",
) -> tuple[list["Poses"], int]:
    """Poses of each photo that could be read, in order, and how many could not."""
    from concurrent.futures import ThreadPoolExecutor

    import cv2

    from trustpose.inference.pipeline import ahead

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # a broken photo gets our own one line

    def finish(prediction: "Prediction") -> "Poses | InputError":
        if prediction.error is not None:
            return prediction.error
        if pictures:
            _draw(prediction, predictor, pictures, min_score)
        return prediction.poses

    parts: list[Poses] = []
    skipped = people = 0
    started = time.perf_counter()
    with ThreadPoolExecutor(predictor.threads, "trustpose-draw") as drawers:
        for result in ahead(drawers, finish, predictor.stream(items), _AHEAD):
            if isinstance(result, InputError):
                skipped += 1
                typer.echo(f"trustpose: skipped: {' '.join(str(result).split())}", err=True)
            else:
                parts.append(result)
                people += len(result)
            if progress is not None:
                rate = people / (time.perf_counter() - started)
                progress.update(progress.task_ids[0], advance=1, speed=f"{rate:.0f} people/s")
    return parts, skipped


def _draw(
    prediction: "Prediction", predictor: "Predictor", pictures: dict[Path, Path], min_score: float | None
) -> None:
    import cv2

    from trustpose.files import atomic_write
    from trustpose.report.draw import draw_poses

    assert prediction.pixels is not None and isinstance(prediction.photo.source, Path)
    drawn = draw_poses(prediction.pixels, prediction.poses, predictor.spec.skeleton, min_score=min_score)
    path = pictures[prediction.photo.source]
    done, content = cv2.imencode(".jpg", cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    if not done:
        raise InputError(f"{path}: the drawn picture, {drawn.shape[1]} × {drawn.shape[0]}, does not go into a JPEG")
    with atomic_write(path) as file:
        file.write(content.tobytes())


def _with_people(
    files: list[Path], gt: Path | None, boxes: Path | None, min_box_score: float | None, all_people: bool
) -> tuple[list["Photo"], int]:
    """Each photo with its id and its people's boxes, and the category that the results are of."""
    import numpy as np

    from trustpose.data.coco import read_truth
    from trustpose.inference.boxes import boxes_from_detections, boxes_from_truth
    from trustpose.inference.predictor import Photo

    truth = None if gt is None else read_truth(gt)
    category_id = 1 if truth is None else truth.category_id
    sizes: list[tuple[int, int] | None] = [None] * len(files)
    if truth is None:
        ids = [_id_from_name(path) for path in files]
    else:
        known = {Path(name).name: at for at, name in enumerate(truth.images.file_name) if name}
        unknown = next((path for path in files if path.name not in known), None)
        if unknown is not None:
            raise InputError(f"{unknown}: this photo is not among the images of {gt} (by file_name)")
        places = [known[path.name] for path in files]
        ids = [int(truth.images.id[at]) for at in places]
        pairs = [(int(truth.images.width[at]), int(truth.images.height[at])) for at in places]
        sizes = [pair if min(pair) > 0 else None for pair in pairs]
    first: dict[int, Path] = {}
    for path, one in zip(files, ids, strict=True):
        if first.setdefault(one, path) != path:
            raise InputError(f"{path}: is image {one}, and so is {first[one]}; give each photo once")
    if boxes is not None:
        found = boxes_from_detections(boxes, category_id, min_box_score)
        if not np.isin(found.image_id, ids).any():
            raise InputError(f"{boxes}: field 'image_id': no box is in any of the {len(files)} photos given")
    else:
        assert truth is not None
        found = boxes_from_truth(truth.truth, "boxed" if all_people else "labelled")
    people = found.of_images(np.array(ids))
    return [Photo(*photo) for photo in zip(files, people, ids, sizes, strict=True)], category_id


def _id_from_name(path: Path) -> int:
    """COCO's rule: 000000000042.jpg and COCO_val2014_000000000042.jpg are image 42."""
    number = re.search(r"(?:^|_)(\d{1,18})$", path.stem)
    if number is None:
        raise InputError(f"{path}: its name ends in no number to take the image id from; --gt names the photos")
    return int(number[1])


def _picture_names(files: list[Path], out: Path) -> dict[Path, Path]:
    """Where each photo's drawing goes: its name with .jpg for its suffix, or added to it where only that tells two
    photos apart."""
    count = Counter(path.stem for path in files)
    return {path: out / (f"{path.stem}.jpg" if count[path.stem] == 1 else f"{path.name}.jpg") for path in files}


def _check_out(out: Path, inputs: list[Path], pictures: list[Path]) -> None:
    """Refuse, before any work, a folder that cannot be one, and pictures or results in the place of what was given."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out}: is a file, expected a folder for the results (--out)")
    given = {path.resolve() for path in inputs}
    for path in [out / RESULTS, *pictures]:
        if path.resolve() in given:
            raise InputError(f"{path}: would be overwritten; choose another folder for the results (--out)")


def _write(out: Path, parts: list["Poses"], category_id: int) -> None:
    from trustpose.data.coco import write_results
    from trustpose.files import write_json
    from trustpose.poses import Poses

    some = [part for part in parts if len(part)]
    if some:
        poses = Poses.concatenate(some)
        # With a detector's boxes the usual top-down ranking (SimpleBaseline, HRNet): many boxes hold nobody, and the
        # keypoints' own scores do not say so. The file keeps both factors, as pose_score and bbox_score.
        score = None
        if poses.box_score is not None and poses.pose_score is not None:
            score = poses.pose_score * poses.box_score
        write_results(out / RESULTS, poses, score=score, category_id=category_id)
    else:
        write_json(out / RESULTS, [])


@contextmanager
def _progress(total: int) -> "Iterator[Progress | None]":
    """A progress bar with people/s where someone watches, else None."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield None
        return
    columns = (BarColumn(), MofNCompleteColumn(), TextColumn("photos, {task.fields[speed]}"), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        progress.add_task("", total=total, speed="")
        yield progress
