"""The content of one file of another tool, before image ids and a ground truth's keypoints are assigned."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError, shown
from trustpose.io.coco.labels import number_in_name, rows_by_name
from trustpose.io.coco.truth import TruthFile
from trustpose.io.columns import LARGEST
from trustpose.io.photos import SUFFIXES, read_image
from trustpose.poses import MISSING_ID, Poses, find_missing
from trustpose.skeletons import Skeleton, difference


@dataclass(frozen=True, eq=False)
class ToolPoses:
    """The N poses of one file as written by its tool, with unchanged scores.

    `photo` names the photo of each row, with or without a suffix; `poses.image_id` is the number in the file; a file
    has one of them or both. An empty keypoint is NaN. `ranking` is the number by which the file ranks poses, if it is
    not `poses.pose_score`; `category` the class of each row, if the file has it. With `is_relative`, coordinates and
    boxes are fractions of the photo's width and height. `skeleton` is None if neither file nor tool names the
    keypoints. `poses.missing`, unless set by the reader, follows from coordinates and scores; `dropped_below` is the
    tool's own rule (`find_missing`). `empty` names photos without detected people, `without_body` counts people left
    out because they have no body keypoints, `notes` are sentences on other findings.
    """

    path: str
    poses: Poses
    photo: tuple[str, ...] | None = None
    skeleton: Skeleton | None = None
    ranking: Float[np.ndarray, " N"] | None = None
    category: Int[np.ndarray, " N"] | None = None
    is_relative: bool = False
    dropped_below: float = 0.0
    empty: tuple[str, ...] = ()
    without_body: int = 0
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.photo is None and self.poses.image_id is None:
            raise ValueError("ToolPoses: expected photo or poses.image_id, got neither")
        if self.photo is not None and len(self.photo) != len(self.poses):
            raise ValueError(f"ToolPoses.photo: expected {len(self.poses)} names, got {len(self.photo)}")
        for column in (self.poses.xy, self.poses.score, self.poses.pose_score, self.poses.box, self.ranking):
            if column is not None and (np.abs(column) > LARGEST).any():
                raise InputError(
                    f"{self.path}: holds {column[np.abs(column) > LARGEST][0]:g}, expected at most {LARGEST:g}"
                )
        if self.skeleton is not None and len(self.skeleton) == self.poses.keypoint_count:
            object.__setattr__(self, "poses", replace(self.poses, skeleton=self.skeleton))
        if self.poses.missing is None:
            missing = find_missing(self.poses.xy, self.poses.score, dropped_below=self.dropped_below)
            object.__setattr__(self, "poses", replace(self.poses, missing=missing))

    def __len__(self) -> int:
        return len(self.poses)

    def of_category(self, category: int) -> "ToolPoses":
        """Return the rows of one class; all of them if the file has no classes."""
        if self.category is None:
            return self
        rows = np.flatnonzero(self.category == category)
        return replace(
            self,
            poses=self.poses[rows],
            photo=None if self.photo is None else tuple(self.photo[row] for row in rows),
            ranking=None if self.ranking is None else self.ranking[rows],
            category=self.category[rows],
        )


def no_people(path: str, photo: str | None = None, *, without_body: int = 0) -> ToolPoses:
    """Return a file without detected people; `photo` is its name if the file holds one photo."""
    empty = () if photo is None else (photo,)
    return ToolPoses(path, Poses(xy=np.zeros((0, 0, 2))), photo=(), empty=empty, without_body=without_body)


def default_scores(xy: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return scores (N, K) of 1 for keypoints (N, K, 2) without any, NaN where these are, and the note that says so."""
    note = "the files have no scores: keypoint scores are written as 1, and say nothing"
    return np.where(np.isnan(xy).any(axis=2), np.nan, 1.0), (note,)


def files_in(folder: Path) -> list[Path]:
    """Return the files of a folder by name, without hidden ones. Raises InputError if it cannot be read."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError as error:
        raise InputError(f"{folder}: cannot be read ({error.strerror or error})") from None


def join(parts: list[Poses], paths: list[str]) -> Poses:
    """Concatenate all parts; a column that only some of them have is NaN, or -1, in the others.

    Raises InputError if files have different numbers of keypoints, or only some have keypoint scores.
    """
    first = parts[0]
    for part, path in zip(parts, paths, strict=True):
        if part.keypoint_count != first.keypoint_count:
            raise InputError(
                f"{path}: has poses of {part.keypoint_count} keypoints, but {paths[0]} of {first.keypoint_count}; "
                "convert them separately"
            )
        if differ := difference(first.skeleton, part.skeleton):
            raise InputError(f"{path}: has a different skeleton from {paths[0]}, {differ}; convert them separately")
    filled = {name for part in parts for name, column in part.columns().items() if column is not None} - {"missing"}
    return Poses.concatenate([replace(part, **blank_columns(part, filled)) for part in parts])


def blank_columns(part: Poses, filled: set[str]) -> dict[str, Any]:
    """Return empty columns for those of `filled` that this part lacks."""
    n, k = part.xy.shape[:2]
    shapes = {"score": (n, k), "quality": (n, k), "visibility": (n, k, 3), "box": (n, 4), "visibility_label": (n, k)}
    ids = {"track_id": np.int64, "image_id": np.int64, "annotation_id": np.int64, "visibility_label": np.int8}
    return {
        name: np.full(shapes.get(name, (n,)), MISSING_ID if name in ids else np.nan, dtype=ids.get(name, np.float64))
        for name in filled
        if getattr(part, name) is None
    }


class Photos:
    """Ids and sizes of photos, from a ground truth and a folder; each is optional."""

    def __init__(self, truth: TruthFile | None = None, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder}: no such directory, --images expects the folder with the photos")
        self.truth = truth
        self.folder = folder
        self._size: dict[str, tuple[int, int]] = {}

    def counted(self, parts: Sequence[ToolPoses]) -> dict[str, int]:
        """Return ids for photos if their names give none: if one does not end in a number, or two end in the same, all
        photos of `parts` are numbered from 1 in the order of their names (by code point), including those without
        people.

        Empty if the names have suitable numbers, and if a ground truth or the files themselves have ids.
        """
        named = [part for part in parts if part.poses.image_id is None]
        if self.truth is not None or not any(part.photo for part in named):
            return {}
        names = sorted({name for part in named for name in (*(part.photo or ()), *part.empty)})
        numbers = [number_in_name(name) for name in names]
        if None not in numbers and len(set(numbers)) == len(names):
            return {}
        return {name: number for number, name in enumerate(names, 1)}

    def ids(self, file_poses: ToolPoses, counted: Mapping[str, int]) -> np.ndarray:
        """Return the image id (N,) of each pose of a file, int64.

        With a ground truth, it is that of the image with the photo's name, ignoring folders and, if need be, suffixes.
        Otherwise, or if photos have no names, it is the file's own number; else the photo's number in `counted`, if not
        empty, or the number at the end of its name. Raises InputError if a ground truth does not have the photo.
        """
        ids = file_poses.poses.image_id
        if file_poses.photo is None or (self.truth is None and ids is not None):
            assert ids is not None
            if self.truth is not None and not self.truth.image_texts.are_numbers:
                raise InputError(f"{file_poses.path}: image ids are numbers, but those of {self.truth.path} are texts")
            if self.truth is not None and not np.isin(ids, self.truth.images.id).all():
                unknown = ids[~np.isin(ids, self.truth.images.id)][0]
                raise InputError(
                    f"{file_poses.path}: image {unknown} is not among the images of {self.truth.path} (by id)"
                )
            return ids
        of_name = {name: self._id(name, file_poses.path, counted) for name in dict.fromkeys(file_poses.photo)}
        return np.array([of_name[name] for name in file_poses.photo], dtype=np.int64)

    def sizes(self, file_poses: ToolPoses, ids: np.ndarray) -> np.ndarray:
        """Return width and height (N, 2) of the photo of each pose, from the file in the folder or the ground truth.

        Raises InputError if neither has it.
        """
        names = file_poses.photo or tuple(map(str, ids))
        return np.array(
            [self._size_of(name, int(image_id), file_poses.path) for name, image_id in zip(names, ids, strict=True)]
        ).reshape(len(ids), 2)

    def _id(self, name: str, path: str, counted: Mapping[str, int]) -> int:
        if self.truth is None:
            number = counted[name] if counted else number_in_name(name)
            assert number is not None  # `counted` has all photos where a name has no number
            return number
        rows = self._row_of_name.get(name) or self._rows_of_stem.get(name) or self._rows_of_stem.get(Path(name).stem)
        number = self.truth.image_texts.number_of.get(name)
        if rows is None and number is not None:
            return number
        if rows is None:
            raise InputError(f"{path}: photo {name!r} is not among the images of {self.truth.path} (by file_name)")
        if len(rows) > 1:
            raise InputError(f"{path}: photo {name!r} may be any of {len(rows)} images of {self.truth.path}")
        return int(self.truth.images.id[rows[0]])

    @cached_property
    def _row_of_name(self) -> dict[str, list[int]]:
        return {} if self.truth is None else {name: [row] for name, row in rows_by_name(self.truth.images).items()}

    @cached_property
    def _rows_of_stem(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for name, (row,) in self._row_of_name.items():
            rows.setdefault(Path(name).stem, []).append(row)
        return rows

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Return the folder's files by name, and by name without suffix: photos before files of poses beside them."""
        assert self.folder is not None
        files = sorted(files_in(self.folder), key=lambda path: path.suffix.lower() in SUFFIXES)
        return {shown(path.stem): path for path in files} | {shown(path.name): path for path in files}

    def _size_of(self, name: str, image_id: int, path: str) -> tuple[int, int]:
        if name not in self._size:
            self._size[name] = self._find_size(name, image_id, path)
        return self._size[name]

    def _find_size(self, name: str, image_id: int, path: str) -> tuple[int, int]:
        if self.folder is not None:
            name = shown(name)
            file = self._files.get(name) or self._files.get(Path(name).stem)
            if file is None:
                raise InputError(f"{path}: photo {name!r} is not in {self.folder}")
            height, width = read_image(file).shape[:2]
            return width, height
        if self.truth is not None:
            images = self.truth.images
            width, height = images.sizes(np.array([image_id]))[0].tolist()
            if width > 0 and height > 0:
                return width, height
        raise InputError(
            f"{path}: coordinates are fractions of the photo, whose size is needed: give --images, the folder with the "
            "photos, or --gt, a ground truth with width and height"
        )
