"""Read the people of a data folder in a known layout, and divide them into training and validation."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import cv2
import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import nn

from trustpose.datasets.dataset_ops import join, map_joints, subset
from trustpose.datasets.detected_boxes import detected_people
from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.datasets.label_files import published
from trustpose.datasets.layouts import LAYOUTS, find_layout
from trustpose.datasets.lsp import is_extended
from trustpose.datasets.lspet import clean, lspet_people, read_lspet
from trustpose.datasets.people import People
from trustpose.datasets.photo_boxes import BoxedPhotos, boxed_photos
from trustpose.datasets.photo_people import coco_people
from trustpose.datasets.shards import INDEX, shard_people
from trustpose.files import InputError, read_json
from trustpose.geometry.boxes import paired_iou
from trustpose.images import fold_of
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.models.spec import BoxListOutput, BoxOutput, ModelSpec
from trustpose.networks.picodet import ListedBoxes
from trustpose.poses import SEGMENT, Area
from trustpose.predict.boxes import boxes_from_detections
from trustpose.training.crops import normalise
from trustpose.training.recipe import DataOptions, Recipe

COCO_LAYOUTS = (  # labels, photos
    ("train_gt.json", "train"),
    ("annotations/person_keypoints_train2017.json", "train2017"),
    ("annotations/person_keypoints_train2017.json", "images/train2017"),
    ("json/crowdpose_train.json", "images"),
)
_LSPET = ("joints.mat", "images")
_SINGLE_PERSON = ("flic", "human3.6m", "mpii")  # whose rows measure joints that other data sets do not label
_SHARES = 997  # coprime to the number of folds, so a share of the images is a share of each fold


def open_people(folder: Path, options: DataOptions) -> People:
    """Return all people for training and validation, in the recipe's skeleton, with at least the required labels.

    The folder holds shards (`trustpose shard`), train_gt.json with train/, or a data set as it is published
    (`COCO_LAYOUTS`, `datasets.layouts`). Only training photos are opened. Raises InputError.
    """
    people = _open(folder, options.min_keypoints, options.dataset)
    skeleton = options.joints
    if people.skeleton.keypoints != skeleton.keypoints:
        try:
            people = map_joints(people, skeleton)
        except ValueError as error:
            raise InputError(f"{folder}: its people cannot be mapped to {options.skeleton} ({error})") from None
    return people


@dataclass(frozen=True, eq=False)
class TrainingPeople:
    """The people for training and for validation, from one data set or several.

    first_count: the number of people of the first data set, who come first in `training`. held_out: the first data
    set's fold, None without folds.
    """

    training: People
    held_out: People | None
    first_count: int


def detector_people(people: People, folder: Path, options: DataOptions) -> tuple[People, int]:
    """Return `people` of a data folder, then one person per box of `data.detections` (`detected_people`), and the
    number of the former; on photos of `data.photos` only, if that is given. Raises InputError."""
    people, photos = _on_photos(people, folder, options)
    if options.detections is None:
        return people, len(people)
    layout = coco_layout(folder)
    if layout is None:
        raise InputError(f"data.detections: expected a data set in one of COCO's layouts, {folder} is in none")
    file = read_coco_truth(layout[0])
    boxes = boxes_from_detections(Path(options.detections), file.category_id, truth=file)
    if photos is not None:
        boxes = boxes[np.flatnonzero(np.isin(boxes.image_id, photos))]
    detected = detected_people(file, layout[1], boxes)
    if detected.skeleton.keypoints != people.skeleton.keypoints:
        detected = map_joints(detected, people.skeleton)
    return join([people, detected]), len(people)


def _on_photos(people: People, folder: Path, options: DataOptions) -> tuple[People, Int[np.ndarray, " I"] | None]:
    """Return the people on photos of `data.photos`, and these photos' ids; all people and None if it is not given."""
    if options.photos is None:
        return people, None
    photos = read_coco_truth(Path(options.photos)).images.id
    rows = np.flatnonzero(np.isin(people.image_id, photos))
    if not len(rows):
        raise InputError(f"data.photos: {options.photos}: none of its photos has people in {folder}")
    return subset(people, rows), photos


def coco_layout(folder: Path) -> tuple[Path, Path] | None:
    """Return the labels and the photos of a folder in one of COCO's layouts; None if it is in none."""
    for labels, photos in COCO_LAYOUTS:
        if (folder / labels).is_file() and (folder / photos).is_dir():
            return folder / labels, folder / photos
    return None


def open_training(folders: Sequence[Path], options: DataOptions) -> TrainingPeople:
    """Divide the people of the first folder, on photos of `data.photos`, into folds; add all people of the other
    folders to training.

    Ids are compared within the first folder only, so equal ids elsewhere have no effect. Raises InputError.
    """
    resolved = [folder.resolve() for folder in folders]
    for folder, path in zip(folders, resolved, strict=True):
        if resolved.count(path) > 1:  # held-out people of the first would be trained on in the second
            raise InputError(f"{folder}: was given twice as --data")
    first, _ = _on_photos(open_people(folders[0], options), folders[0], options)
    _check_joints(first, folders[0], options)
    training, held_out = split_by_fold(first, options)
    extra = [open_people(folder, options) for folder in folders[1:]]
    return TrainingPeople(join([training, *extra]) if extra else training, held_out, len(training))


def split_by_fold(people: People, options: DataOptions) -> tuple[People, People | None]:
    """Return people for training, and those of the fold's images for validation; None if the recipe has no folds."""
    training, held_out = rows_by_fold(people.image_id, options)
    if not options.folds:
        return (people if len(training) == len(people) else subset(people, training)), None
    return subset(people, training), subset(people, held_out)


def rows_by_fold(
    image_id: Int[np.ndarray, " N"], options: DataOptions
) -> tuple[Int[np.ndarray, " T"], Int[np.ndarray, " V"]]:
    """Return rows for training, of `data.share` of the images, and rows of the fold's images, empty without folds.

    The images of a smaller share are a subset of a larger one's. Raises InputError if nothing remains.
    """
    is_shared = fold_of(image_id, _SHARES) < options.share * _SHARES
    if not options.folds:
        return np.flatnonzero(is_shared), np.arange(0)
    is_held_out = fold_of(image_id, options.folds) == options.fold
    if is_held_out.all() or not is_held_out.any():
        raise InputError(f"data.folds: {len(np.unique(image_id))} images are too few to divide into {options.folds}")
    if not (is_shared & ~is_held_out).any():
        raise InputError(f"data.share: {options.share} of {len(np.unique(image_id))} images are none")
    return np.flatnonzero(is_shared & ~is_held_out), np.flatnonzero(is_held_out)


def _check_joints(people: People, folder: Path, options: DataOptions) -> None:
    """Raise InputError if a row of FLIC, MPII or Human3.6M is to be trained on people without one of its joints."""
    is_labelled = (people.labels.v > 0).any(axis=0)  # (K,)
    if options.dataset in _SINGLE_PERSON and not is_labelled.all():
        joint = people.skeleton.keypoints[int(np.argmin(is_labelled))]
        raise InputError(
            f"{folder}: nobody has a labelled {joint}, as in the recipe's data set{published(options.dataset)} "
            "(--data.dataset=NAME trains on others)"
        )


def _open(folder: Path, min_keypoints: int, dataset: str) -> People:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such directory, expected the folder of a data set")
    if (folder / INDEX).is_file():
        return _enough(shard_people(folder), min_keypoints, folder)
    layout = coco_layout(folder)
    if layout is not None:
        return coco_people(read_coco_truth(layout[0]), layout[1], min_keypoints=min_keypoints)
    layout_found = find_layout(folder)
    if layout_found is not None and layout_found.dataset == "LSP" and is_extended(folder / layout_found.labels):
        return _enough(lspet_people(clean(read_lspet(folder / _LSPET[0])), folder / _LSPET[1]), min_keypoints, folder)
    if layout_found is not None:
        file = read_ground_truth(folder / layout_found.labels, skeleton=layout_found.skeleton)
        return coco_people(file, folder / layout_found.photos, min_keypoints=min_keypoints)
    layouts = ", ".join(f"{labels} with {photos}/" for labels, photos in (*COCO_LAYOUTS, _LSPET))
    dataset_names = ", ".join(dict.fromkeys(layout.dataset for layout in LAYOUTS))
    raise InputError(
        f"{folder}: holds no known data set, expected {layouts}, or {INDEX} of shards, or {dataset_names} as published"
        + published(dataset)
    )


def _enough(people: People, min_keypoints: int, folder: Path) -> People:
    if min_keypoints <= 1:
        return people
    rows = np.flatnonzero((people.labels.v > 0).sum(axis=1) >= min_keypoints)
    if not len(rows):
        raise InputError(f"{folder}: no person has {min_keypoints} labelled keypoints or more")
    return subset(people, rows)


def require_sigmas(recipe: Recipe, people: People, purpose: str) -> None:
    """Raise InputError, naming the purpose, if the people's skeleton has no published sigmas."""
    if not people.skeleton.has_sigmas:
        raise InputError(
            f"data.skeleton: {recipe.data.skeleton} has no published sigmas, which {purpose} needs for OKS"
        )


def area_of(people: People, area: Area) -> Area:
    """Return the convention for OKS in the targets: "segment" if all people's own areas are from segments."""
    sources = people.labels.area_source
    return "segment" if area == "file" and sources is not None and (sources == SEGMENT).all() else area


_SAME = 0.4  # IoU of a detected and a labelled box above which they are one person
_PERSON, _PERHAPS = 0.4, 0.1  # minimum score of a pseudo-label, and of a box to ignore

Found = tuple[Float[np.ndarray, "N 4"], Float[np.ndarray, " N"]]


def open_photos(folder: Path) -> tuple[BoxedPhotos, np.ndarray]:
    """Return the training photos in one of COCO's layouts, and which have boxes of all people (I,). Raises
    InputError."""
    layout = coco_layout(folder)
    if layout is None:
        expected = f"{COCO_LAYOUTS[0][0]} with {COCO_LAYOUTS[0][1]}/"
        raise InputError(f"{folder}: holds no photos with boxes, expected {expected}{published('COCO')}")
    file = read_coco_truth(layout[0])
    return boxed_photos(file, layout[1]), are_complete(file)


def are_complete(file: TruthFile) -> Bool[np.ndarray, " I"]:
    """Return which photos of a COCO ground truth have boxes of all people, in the file's order: all but those with
    `all_people_boxed` false. Raises InputError."""
    content = cast(Any, read_json(file.path))
    return np.array([bool(image.get("all_people_boxed", True)) for image in content["images"]])


def find_boxes(model: nn.Module, photos: BoxedPhotos, index: int, spec: ModelSpec, min_score: float) -> Found:
    """Detect boxes xyxy (N, 4) in a photo with a torch detector, in pixels of the photo, with their scores (N,)."""
    pixels, scale = photos.photo(index)
    ready, affine = spec.input.fit(pixels)
    blob = torch.from_numpy(ready[None]).to(next(model.parameters()).device)
    with torch.no_grad():
        answer = model(normalise(blob))
    if isinstance(answer, ListedBoxes):
        arrays = [answer.scores.float().cpu().numpy(), answer.boxes[0].float().cpu().numpy()]
    else:
        arrays = [answer[0].float().cpu().numpy()]
        arrays[0][0] = 1 / (1 + np.exp(-arrays[0][0]))
    output = replace(spec.expect(BoxOutput, BoxListOutput), min_score=min_score)
    box, score = output.codec(spec.input).decode(*arrays)
    return box / np.tile(np.diagonal(affine) * scale, 2), score


def with_pseudo_labels(photos: BoxedPhotos, rows: np.ndarray, model: nn.Module, spec: ModelSpec) -> BoxedPhotos:
    """Add pseudo-labels to the photos at `rows`, whose people do not all have boxes.

    Detections that match no labelled box count as people if their score is high, and are ignored if it is medium; the
    rest is background.
    """
    box, crowd = list(photos.box), list(photos.crowd)
    for row in rows:
        detected, score = find_boxes(model, photos, int(row), spec, _PERHAPS)
        labelled = np.concatenate([box[row], crowd[row]])
        iou = paired_iou(detected[:, None], labelled[None]).max(axis=1, initial=0)  # (N,)
        is_new = iou < _SAME
        box[row] = np.concatenate([box[row], detected[is_new & (score >= _PERSON)]])
        crowd[row] = np.concatenate([crowd[row], detected[is_new & (score < _PERSON)]])
    return replace(photos, box=box, crowd=crowd)


T = TypeVar("T")
_NAME = f"{InputError.__module__}.{InputError.__name__}: "


def load_batches(loader: Iterable[T]) -> Iterator[T]:
    """Yield the loader's batches. Raises InputError with the original message, without torch's traceback."""
    try:
        yield from loader
    except InputError as error:
        (message,) = error.args  # with torch's traceback, whole
        raise InputError(message.rpartition(_NAME)[2].strip()) from None


@contextmanager
def single_opencv_thread(workers: int) -> Iterator[None]:
    """Inside the block OpenCV uses one thread in worker processes, as torch does; 0 workers changes nothing.

    The number is set before the fork: a forked process that changes it hangs.
    """
    before = cv2.getNumThreads()
    if workers:
        cv2.setNumThreads(1)
    try:
        yield
    finally:
        if workers:
            cv2.setNumThreads(before)
