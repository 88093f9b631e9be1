"""Read the people of a data folder in a known layout, and divide them into training and validation."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from trustpose.datasets.dataset_ops import join, map_joints, subset
from trustpose.datasets.detected_boxes import detected_people
from trustpose.datasets.folds import fold_of
from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.datasets.layouts import LAYOUTS, find_layout
from trustpose.datasets.lsp import is_extended
from trustpose.datasets.lspet import clean, lspet_people, read_lspet
from trustpose.datasets.people import People
from trustpose.datasets.photo_people import coco_people
from trustpose.datasets.shards import INDEX, shard_people
from trustpose.files import InputError
from trustpose.formats.coco import read_truth
from trustpose.poses import SEGMENT, Area
from trustpose.predict.boxes import boxes_from_detections
from trustpose.training.recipe import DataOptions, Recipe

COCO_LAYOUTS = (  # labels, photos
    ("train_gt.json", "train"),
    ("annotations/person_keypoints_train2017.json", "train2017"),
    ("annotations/person_keypoints_train2017.json", "images/train2017"),
    ("json/crowdpose_train.json", "images"),
)
_LSPET = ("joints.mat", "images")
_SHARES = 997  # coprime to the number of folds, so a share of the images is a share of each fold


def open_people(folder: Path, options: DataOptions) -> People:
    """Return all people for training and validation, in the recipe's skeleton, with at least the required labels.

    The folder holds shards (`trustpose shard`), train_gt.json with train/, or a data set as it is published
    (`COCO_LAYOUTS`, `datasets.layouts`). Only training photos are opened. Raises InputError.
    """
    people = _open(folder, options.min_keypoints)
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
    file = read_truth(layout[0])
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
    photos = read_truth(Path(options.photos)).images.id
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


def _open(folder: Path, min_keypoints: int) -> People:
    if not folder.is_dir():
        raise InputError(f"{folder}: no such directory, expected the folder of a data set")
    if (folder / INDEX).is_file():
        return _enough(shard_people(folder), min_keypoints, folder)
    layout = coco_layout(folder)
    if layout is not None:
        return coco_people(read_truth(layout[0]), layout[1], min_keypoints=min_keypoints)
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
