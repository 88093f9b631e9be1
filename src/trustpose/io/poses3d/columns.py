"""`Poses3D` as tidy columns, one row per keypoint, for CSV and Parquet, and back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.poses import MISSING_ID, Poses3D
from trustpose.skeletons import SKELETONS, Skeleton

UPPER = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))
_COVARIANCE = tuple(f"cov_{'xyz'[a]}{'xyz'[b]}" for a, b in UPPER)
_PLACES = ("x", "y", "z")
_OF_ROWS = ("frame", "time", "track_id")
_WHOLE = ("pose", "frame", "track_id", "keypoint", "camera_count")


def columns_of(poses: Poses3D) -> dict[str, np.ndarray]:
    """Return one column per field, N × K long; NaN where a number is unknown. `pose` counts the rows of `poses`."""
    n, k = poses.xyz.shape[:2]
    columns: dict[str, np.ndarray] = {"pose": np.repeat(np.arange(n), k)}
    for name in _OF_ROWS:
        value = getattr(poses, name)
        if value is not None:
            columns[name] = np.repeat(value, k)
    columns["keypoint"] = np.tile(np.arange(k), n)
    columns["name"] = np.tile(np.array(names_of(poses), dtype=object), n)
    columns |= {axis: poses.xyz[..., index].reshape(-1) for index, axis in enumerate(_PLACES)}
    for name in ("quality", "error", "camera_count"):
        value = getattr(poses, name)
        if value is not None:
            columns[name] = value.reshape(-1)
    if poses.covariance is not None:
        columns |= {
            name: poses.covariance[:, :, a, b].reshape(-1) for name, (a, b) in zip(_COVARIANCE, UPPER, strict=True)
        }
    return columns


def names_of(poses: Poses3D) -> tuple[str, ...]:
    """Return the names of the joints; keypoint_0 … without a skeleton."""
    if poses.skeleton is not None:
        return poses.skeleton.keypoints
    return tuple(f"keypoint_{index}" for index in range(poses.keypoint_count))


def skeleton_named(names: Sequence[str]) -> Skeleton | None:
    """Return the known skeleton with these joints, one without limbs for others; None for keypoint_0 ….

    Raises ValueError if a name occurs twice.
    """
    if list(names) == [f"keypoint_{index}" for index in range(len(names))]:
        return None
    matching = (skeleton for skeleton in SKELETONS.values() if skeleton.keypoints == tuple(names))
    return next(matching, None) or Skeleton("unnamed", tuple(names), ())


def poses_of(columns: Mapping[str, Sequence[Any]], path: str) -> Poses3D:
    """Return poses from tidy columns. Raises InputError naming the column."""
    for name in ("pose", "keypoint", "name", *_PLACES):
        if name not in columns:
            raise InputError(f"{path}: column {name!r} is missing, expected 3D poses, one row per keypoint")
    values_of = {name: _numbers(columns[name], name, path) for name in columns if name != "name"}
    keypoint = values_of["keypoint"]
    k = int(keypoint.max()) + 1 if len(keypoint) else 0
    n = len(keypoint) // k if k else 0
    if not k or n * k != len(keypoint) or not (keypoint.reshape(n, k) == np.arange(k)).all():
        raise InputError(f"{path}: column 'keypoint': expected 0 to K − 1 for every pose in order")
    names = [str(name) for name in columns["name"][:k]]

    def table(name: str) -> np.ndarray | None:
        return values_of[name].reshape(n, k) if name in values_of else None

    covariance = None
    if all(name in values_of for name in _COVARIANCE):
        covariance = np.empty((n, k, 3, 3))
        for name, (a, b) in zip(_COVARIANCE, UPPER, strict=True):
            covariance[:, :, a, b] = covariance[:, :, b, a] = values_of[name].reshape(n, k)
    try:
        return Poses3D(
            xyz=np.stack([values_of[axis].reshape(n, k) for axis in _PLACES], axis=2),
            quality=table("quality"),
            covariance=covariance,
            error=table("error"),
            camera_count=table("camera_count"),
            skeleton=skeleton_named(names),
            **{name: values_of[name].reshape(n, k)[:, 0] if name in values_of else None for name in _OF_ROWS},
        )
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _numbers(values: Sequence[Any], name: str, path: str) -> np.ndarray:
    try:
        array = np.array([np.nan if value is None or value == "" else float(value) for value in values])
    except (TypeError, ValueError):
        raise InputError(f"{path}: column {name!r}: expected numbers") from None
    return whole_numbers(array, f"column {name!r}", path) if name in _WHOLE else array


def whole_numbers(array: np.ndarray, label: str, path: str | Path) -> np.ndarray:
    """Return the numbers as integers, `MISSING_ID` for NaN. Raises InputError naming `label` for others than whole."""
    array = np.nan_to_num(array, nan=MISSING_ID)
    if (np.abs(array) > 2**53).any() or (array % 1 != 0).any():
        raise InputError(f"{path}: {label}: expected whole numbers")
    return array.astype(np.int64)
