"""A second opinion: another model's poses of the same people in the same photos."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from trustpose.calibration.second import Second
from trustpose.files import InputError
from trustpose.formats.coco import TruthFile
from trustpose.formats.coco.ids import IdTexts
from trustpose.formats.coco.names import number_in_name, rows_by_name
from trustpose.formats.photos import read_image
from trustpose.geometry.box_checks import box_fault
from trustpose.geometry.crops import Boxes
from trustpose.images import Images
from trustpose.poses import Poses
from trustpose.predict.base import BasePredictor
from trustpose.predict.fingerprints import model_fingerprint
from trustpose.predict.images import find_photos
from trustpose.predict.photos import Image, ImageSource

Photo = tuple[ImageSource, int, Poses]
"""A photo, its id, and the first model's poses in it."""


def named(argument: str) -> tuple[str | None, str]:
    """Split NAME=MODEL into the name of a second opinion and its model; None without a name, "default" for that model.

    A name ends at the first "=" and holds no "/", so paths with a "=" in a folder's name are left whole.
    """
    name, equals, model = argument.partition("=")
    if not equals or "/" in name or Path(argument).exists():
        return ("default" if argument == "default" else None), argument
    if not name or not model:
        raise InputError(f"--second: expected a model or results, or NAME= before them, got {argument!r}")
    return name, model


def as_second(predictor: BasePredictor, poses: Poses, name: str | None, row: np.ndarray | None = None) -> Second:
    """Return a predictor's poses as a second opinion, with its name and fingerprint."""
    return Second(poses, name, predictor.model, "", model_fingerprint(predictor.model), row)


def second_opinions(predictor: BasePredictor, photos: Iterable[Photo], name: str | None = None) -> Iterator[Second]:
    """Yield a second opinion for each photo: the predictor's poses in the boxes of the first model's poses, or around
    their keypoints if they have none; a model that finds people by itself does.

    A box that is outside the photo, or not finite, has no second pose. Raises InputError for a photo that cannot be
    read.
    """
    people: list[int] = []

    def images() -> Iterator[Image]:
        for source, image_id, poses in photos:
            people.append(len(poses))
            pixels = source if isinstance(source, np.ndarray) else read_image(source, predictor.max_pixels)
            boxes = None if predictor.people == "photo" else _boxes(poses, image_id, pixels.shape[1], pixels.shape[0])
            yield Image(pixels, boxes, image_id)

    for index, prediction in enumerate(predictor.stream(images())):
        if prediction.error is not None:
            raise prediction.error
        poses, row = prediction.poses, None
        if predictor.people != "photo":
            row = np.full(people[index], -1)
            if poses.annotation_id is not None:
                row[poses.annotation_id] = np.arange(len(poses))
        yield as_second(predictor, replace(poses, annotation_id=None), name, row)


def _boxes(poses: Poses, image_id: int, width: int, height: int) -> Boxes:
    """Return the usable boxes, with the rows of their people as annotation ids."""
    box, size = poses.person_box().astype(np.float64), np.array([[width, height]])
    usable = [row for row in range(len(box)) if box_fault(box[row : row + 1], size) is None]
    rows = np.array(usable, dtype=np.int64)
    return Boxes(box[rows], np.full(len(rows), image_id), annotation_id=rows)


def together(parts: list[Second], people: list[int]) -> Second:
    """Concatenate the second opinions on consecutive people, `people` of them for each part."""
    count = np.cumsum([0, *(len(part.poses) for part in parts)])
    rows = [np.full(number, -1) if part.row is None else part.row for part, number in zip(parts, people, strict=True)]
    row = np.concatenate(
        [np.where(part_rows < 0, -1, part_rows + first) for part_rows, first in zip(rows, count[:-1], strict=True)]
    )
    nonempty = [part.poses for part in parts if len(part.poses)] or [parts[0].poses]
    poses = Poses.concatenate(nonempty)
    return replace(parts[0], poses=poses, row=None if any(part.row is None for part in parts) else row)


def opinion_on(
    predictor: BasePredictor,
    poses: Poses,
    folder: Path,
    *,
    name: str | None,
    truth: TruthFile | None = None,
    texts: IdTexts | None = None,
) -> Second:
    """Return a second opinion on the poses of a results file; their photos are in `folder`.

    Photos are found by the ground truth's file names; without it by the number in their name, or by their name where
    ids are `texts`. Raises InputError if there is none for an image id.
    """
    files = photos_by_id(folder, truth, texts)
    assert poses.image_id is not None
    ids = np.unique(poses.image_id)
    lacking = [image_id for image_id in ids.tolist() if image_id not in files]
    if lacking:
        shown = (texts.text_of if texts is not None else {}).get(lacking[0], lacking[0])
        raise InputError(f"{folder}: has no photo of image {shown}, nor of {len(lacking) - 1} others of {len(ids)}")
    rows = [np.flatnonzero(poses.image_id == image_id) for image_id in ids]
    photos = (
        (files[image_id], image_id, poses[photo_rows]) for image_id, photo_rows in zip(ids.tolist(), rows, strict=True)
    )
    parts = list(second_opinions(predictor, photos, name))
    opinion = together(parts, [len(photo_rows) for photo_rows in rows])
    if opinion.row is None:
        return opinion
    row = np.empty(len(poses), dtype=np.int64)
    row[np.concatenate(rows)] = opinion.row
    return replace(opinion, row=row)


def photos_by_id(folder: Path, truth: TruthFile | None, texts: IdTexts | None) -> dict[int, Path]:
    """Return the photos of a folder by image id."""
    files = find_photos([folder])
    if truth is not None and truth.images.file_name is not None:
        images: Images = truth.images
        row_by_name = rows_by_name(images)
        return {int(images.id[row_by_name[file.name]]): file for file in files if file.name in row_by_name}
    files_by_id = {}
    for file in files:
        number = number_in_name(file)
        if texts is not None and not texts.are_numbers:
            number = next((texts.number_of[name] for name in (file.name, file.stem) if name in texts.number_of), None)
        if number is not None:
            files_by_id.setdefault(number, file)
    return files_by_id
