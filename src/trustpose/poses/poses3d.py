"""`Poses3D`: people in 3D, as triangulated from several cameras."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.notebook import html_line, html_table
from trustpose.poses.rows import MISSING_ID
from trustpose.skeletons.skeleton import Skeleton

_FREEDOM = 8.0  # of Student's t
_MOST_ROWS = 10  # poses listed in a notebook
_SHAPES: Mapping[str, tuple[str, tuple[int, ...]]] = {  # of a keypoint: kind of number, and what follows (N, K)
    "quality": ("f", ()),
    "covariance": ("f", (3, 3)),
    "error": ("f", ()),
    "camera_count": ("i", ()),
}


@dataclass(frozen=True, eq=False, repr=False)
class Poses3D:
    """N poses of K keypoints in the world, one row per person and frame.

    `xyz` is in metres; NaN for a keypoint that was not triangulated. `covariance` is that of its position, square
    metres (`ellipsoid_radius`). `quality` (0–1) is the mean expected OPKS of the views that it was triangulated from,
    `camera_count` how many they are and `error` their reprojection error, root mean square, image pixels. `frame` is
    the frame's number, the same in every camera, `time` its time in seconds since the clip's start, and `track_id` the
    person (-1: none). A field that nothing filled is None. Raises ValueError naming the field if a shape or dtype is
    wrong.
    """

    xyz: Float[np.ndarray, "N K 3"]
    quality: Float[np.ndarray, "N K"] | None = None
    covariance: Float[np.ndarray, "N K 3 3"] | None = None
    error: Float[np.ndarray, "N K"] | None = None
    camera_count: Int[np.ndarray, "N K"] | None = None
    frame: Int[np.ndarray, " N"] | None = None
    time: Float[np.ndarray, " N"] | None = None
    track_id: Int[np.ndarray, " N"] | None = None
    skeleton: Skeleton | None = None

    def __post_init__(self) -> None:
        xyz = np.asarray(self.xyz)
        if xyz.ndim != 3 or xyz.shape[2] != 3 or xyz.dtype.kind not in "fiu":
            raise ValueError(f"Poses3D.xyz: expected numbers (N, K, 3), got {xyz.shape} of {xyz.dtype}")
        object.__setattr__(self, "xyz", xyz if xyz.dtype.kind == "f" else xyz.astype(np.float64))
        n, k = xyz.shape[:2]
        if self.skeleton is not None and len(self.skeleton.keypoints) != k:
            joints = len(self.skeleton.keypoints)
            raise ValueError(f"Poses3D.skeleton: {self.skeleton.name!r} has {joints} keypoints, Poses3D.xyz has {k}")
        expected = {name: (kind, (n, k, *tail)) for name, (kind, tail) in _SHAPES.items()}
        expected |= {"frame": ("i", (n,)), "time": ("f", (n,)), "track_id": ("i", (n,))}
        for name, (kind, shape) in expected.items():
            value = getattr(self, name)
            if value is None:
                continue
            array = np.asarray(value)
            if array.shape != shape or array.dtype.kind not in {"i": "iu", "f": "fiu"}[kind]:
                kinds = {"i": "whole numbers", "f": "numbers"}[kind]
                raise ValueError(f"Poses3D.{name}: expected {kinds} {shape}, got {array.shape} of {array.dtype}")
            object.__setattr__(self, name, array.astype(np.int64 if kind == "i" else np.float64, copy=False))

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def keypoint_count(self) -> int:
        """The number of keypoints of each pose, K."""
        return self.xyz.shape[1]

    def columns(self) -> dict[str, np.ndarray | None]:
        """Return the arrays by field name, one row per person and frame; None for fields that are not filled."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name != "skeleton"}

    def __getitem__(self, rows: slice | np.ndarray | list[int]) -> "Poses3D":
        """Return some rows: a slice (a view), indices or a mask."""
        picked: dict[str, Any] = {n: None if column is None else column[rows] for n, column in self.columns().items()}
        return replace(self, **picked)

    @classmethod
    def concatenate(cls, parts: Sequence["Poses3D"]) -> "Poses3D":
        """Concatenate the rows of all parts, which have one skeleton, and the same fields filled."""
        columns = [part.columns() for part in parts]
        joined: dict[str, Any] = {name: [column[name] for column in columns] for name in columns[0]}
        filled = {name: np.concatenate(values) for name, values in joined.items() if values[0] is not None}
        return cls(**filled, skeleton=parts[0].skeleton)

    def __repr__(self) -> str:
        """One line: rows, people, frames, keypoints, and which fields are filled."""
        named = "no skeleton" if self.skeleton is None else self.skeleton.name
        parts = [f"{len(self)} poses", f"{self.keypoint_count} keypoints ({named})"]
        for column, unit in ((self.track_id, "people"), (self.frame, "frames")):
            if column is not None:
                parts.append(f"{len(np.unique(column[column != MISSING_ID]))} {unit}")
        filled = [name for name, column in self.columns().items() if column is not None]
        return f"Poses3D({', '.join(parts)}; filled: {', '.join(filled)})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of the first poses."""
        names = [name for name in ("frame", "time", "track_id") if getattr(self, name) is not None]
        rows = [
            (
                row,
                *(f"{getattr(self, name)[row]:.15g}" for name in names),
                int(np.isfinite(self.xyz[row]).all(axis=1).sum()),
            )
            for row in range(min(len(self), _MOST_ROWS))
        ]
        return html_line(repr(self)) + html_table(("pose", *names, "keypoints with a position"), rows)

    @staticmethod
    def ellipsoid_radius(level: float) -> float:
        """Return the radius, in units of `covariance`, of the ellipsoids that hold a share of the true places.

        A place x is inside if (x − xyz)ᵀ covariance⁻¹ (x − xyz) is at most its square. Errors have heavier tails than
        Gaussian ones: Student's t in three dimensions with eight degrees of freedom, chosen on people made of `train`'s
        errors (https://trustpose.github.io/trustpose/benchmarks/triangulation.html).
        """
        from scipy.stats import f

        if not 0 < level < 1:
            raise ValueError(f"level: expected a share between 0 and 1, got {level}")
        return float(np.sqrt(3 * (_FREEDOM - 2) / _FREEDOM * f(3, _FREEDOM).ppf(level)))

    @property
    def std(self) -> Float[np.ndarray, "N K 3"] | None:
        """The standard deviation (N, K, 3) of each coordinate, metres; None without `covariance`."""
        if self.covariance is None:
            return None
        return np.sqrt(np.diagonal(self.covariance, axis1=2, axis2=3))
