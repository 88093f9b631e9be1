"""The content of one file of another tool, before image ids and a ground truth's keypoints are assigned."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError
from trustpose.formats.columns import LARGEST
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
            raise InputError(f"{path}: has another skeleton than {paths[0]}, {differ}; convert them separately")
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
