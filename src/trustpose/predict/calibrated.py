"""Calibrators and second opinions in a predictor: trust for every pose, from other models on the same boxes
where wanted.
"""

import hashlib
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import tee
from pathlib import Path

import numpy as np

from trustpose.calibration.calibrator import FEWEST, Calibrator
from trustpose.calibration.card import Card
from trustpose.calibration.opinions import Second, matching
from trustpose.calibration.shift import DistributionShiftWarning
from trustpose.calibration.shipped import calibrator_file
from trustpose.files import InputError
from trustpose.geometry.boxes import box_fault
from trustpose.geometry.crops import Boxes
from trustpose.images import Images
from trustpose.io.coco.labels import number_in_name, rows_by_name
from trustpose.io.coco.truth import TruthFile
from trustpose.io.columns import IdTexts
from trustpose.io.photos import read_image
from trustpose.poses import Poses
from trustpose.predict.adapters import ADAPTERS
from trustpose.predict.base_predictor import BasePredictor
from trustpose.predict.fingerprints import fingerprint_of, model_fingerprint, network_file
from trustpose.predict.photos import Image, ImageSource, Prediction, no_poses
from trustpose.predict.sources import find_photos
from trustpose.skeletons import difference

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


_MOST = 4_000  # people compared with the fitted ones, as in a call of the calibrator


@dataclass(eq=False)
class Calibrated:
    """Fills `quality`, `visibility` and `pose_quality` of a stream of predictions, photo by photo, with a calibrator.

    `path` is the calibrator's file. `seconds` are the models of the second opinions that it reads, with their names.
    Each runs on the photo and the boxes of its poses. At the end of a stream of at least ten people it warns, once, if
    people or scores are unlike those at fitting (`DistributionShiftWarning`).
    """

    calibrator: Calibrator
    seconds: tuple[tuple[str | None, BasePredictor], ...]
    fingerprint: str
    path: Path | None = None
    _is_warned: bool = field(default=False, init=False)

    def __call__(self, predictions: Iterator[Prediction]) -> Iterator[Prediction]:
        """Yield the same predictions with trust. Raises InputError for poses that the calibrator cannot read."""
        first, *copies = tee(predictions, len(self.seconds) + 1)
        opinions = [
            second_opinions(model, _photos(copy), name)
            for (name, model), copy in zip(self.seconds, copies, strict=True)
        ]
        seen = _Seen([], [])
        for prediction in first:
            poses = prediction.poses
            if prediction.error is not None or not len(poses):
                yield replace(prediction, poses=self.with_empty_fields(poses))
                continue
            second = [next(opinion) for opinion in opinions]
            seen.add(poses, second)
            yield replace(prediction, poses=self.calibrator.trusted(poses, second=second))
        if not self._is_warned and seen.people >= FEWEST:
            self._is_warned = True
            for sentence in self.calibrator.warnings(*seen.together()):
                warnings.warn(sentence, DistributionShiftWarning, stacklevel=2)

    def with_empty_fields(self, poses: Poses) -> Poses:
        """Return empty poses with the empty fields of trust."""
        keypoints = poses.keypoint_count
        label = None if self.calibrator.card.decision is None else np.zeros((0, keypoints), np.int8)
        empty = np.zeros((0, keypoints))
        visibility = np.zeros((0, keypoints, 3))
        trusted = replace(
            poses, quality=empty, visibility=visibility, visibility_label=label, pose_quality=np.zeros(len(poses))
        )
        return trusted if self.calibrator.card.presence is None else replace(trusted, presence=np.zeros(len(poses)))


@dataclass
class _Seen:
    """The first people of a stream, with the second opinions on them."""

    poses: list[Poses]
    opinions: list[list[Second]]

    @property
    def people(self) -> int:
        return sum(map(len, self.poses))

    def add(self, poses: Poses, opinions: list[Second]) -> None:
        if self.people < _MOST:
            self.poses.append(poses)
            self.opinions.append(opinions)

    def together(self) -> tuple[Poses, list[Second]]:
        people = [len(poses) for poses in self.poses]
        return Poses.concatenate(self.poses), [
            together(list(parts), people) for parts in zip(*self.opinions, strict=True)
        ]


def _photos(predictions: Iterator[Prediction]) -> Iterator[Photo]:
    """Yield the photos with people."""
    for prediction in predictions:
        if prediction.error is None and len(prediction.poses):
            source = prediction.photo.source if prediction.pixels is None else prediction.pixels
            yield source, prediction.photo.image_id, prediction.poses


def calibrated(
    predictor: BasePredictor,
    source: Calibrator | str | Path,
    seconds: Sequence[tuple[str | None, BasePredictor]],
    estimator: str | None,
) -> Calibrated:
    """Return a calibrator for a predictor's poses, with the models of its second opinions, by name. `estimator`: the
    predictor's name as at fitting, if the user gave it.

    Raises InputError if it was fitted on another estimator or skeleton, or with other second opinions.
    """
    is_file = not isinstance(source, Calibrator)
    calibrator = Calibrator.load(source) if is_file else source
    label = str(source) if is_file else "calibrator"
    if differ := difference(predictor.skeleton, calibrator.card.skeleton):
        raise InputError(f"{label}: {predictor.model} and the calibrator have different skeletons, {differ}")
    _check_estimator(predictor, calibrator.card, estimator, label)
    empty = [as_second(model, no_poses(model.skeleton), name) for name, model in seconds]
    try:
        read_ids = {id(opinion) for opinion in matching(calibrator.card.opinions, empty)}
    except InputError as error:
        raise InputError(f"{label}: {error}") from None
    seconds_read = tuple(pair for pair, opinion in zip(seconds, empty, strict=True) if id(opinion) in read_ids)
    content = calibrator_file(source).read_bytes() if is_file else repr(calibrator.card).encode()
    digest = hashlib.sha256(content)
    for opinion in empty:
        digest.update(str(opinion.model).encode())
    return Calibrated(calibrator, seconds_read, digest.hexdigest(), Path(source) if is_file else None)


def _check_estimator(predictor: BasePredictor, card: Card, name: str | None, label: str) -> None:
    """Raise InputError if the calibrator names its estimator, and this is another."""
    fitted_estimator = card.estimator
    if name is not None and fitted_estimator is not None and name != fitted_estimator:
        raise InputError(f"{label}: was fitted on the estimator {fitted_estimator!r}, not on {name!r}")
    prefix = predictor.model.partition(":")[0]
    if name is not None or prefix == fitted_estimator or not (card.networks or fitted_estimator in ADAPTERS):
        return
    file = network_file(predictor)
    if file is None or fingerprint_of(file) not in card.networks:
        raise InputError(
            f"{label}: is for {fitted_estimator}, but {predictor.model} is not the network that it was fitted on, by "
            f"its file's fingerprint; if it is the same network in another file, say so with "
            f"--estimator {fitted_estimator}"
        )
