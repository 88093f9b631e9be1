"""Cameras: from points in the world, metres, to image pixels and back to rays.

Frames. The world is right-handed, in metres. In the camera's frame x points to the right, y down and z forwards, as in
OpenCV: `xyz_camera = rotation @ xyz_world + translation`. In the image (0, 0) is the centre of the first pixel, x to
the right, y down, as everywhere here. *Ideal* pixels are those of the same camera without distortion; straight lines
are straight in them, and `projection` maps to them.

Source of the distortion models: OpenCV's `projectPoints` (Brown 1966, with the rational, thin-prism and tilted terms)
and `fisheye` (Kannala and Brandt 2006), which do the computing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, Literal, overload

import cv2
import numpy as np
from jaxtyping import Float

from trustpose.files import InputError
from trustpose.names import expected_one_of
from trustpose.notebook import html_line, html_table

Lens = Literal["pinhole", "fisheye"]
_COEFFICIENTS = {"pinhole": (0, 4, 5, 8, 12, 14), "fisheye": (4,)}  # as many as OpenCV's models have
_STEPS = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 40, 1e-10)  # of undoing the distortion
_MOST_NAMED = 8  # cameras in a line
_NEAREST = 1e-6  # metres in front of the camera; nothing nearer has a place in the image


def _undistort_points(points: np.ndarray, matrix: np.ndarray, distortion: np.ndarray, criteria: Any) -> np.ndarray:
    """Return `cv2.undistortPoints` with a criterion for its steps, which OpenCV 4 has under another name."""
    if hasattr(cv2, "undistortPointsIter"):
        return cv2.undistortPointsIter(points, matrix, distortion, None, None, criteria)
    return cv2.undistortPoints(points, matrix, distortion, criteria=criteria)


@dataclass(frozen=True, eq=False, repr=False)
class Camera:
    """One camera: its lens, and where it stands in the world.

    A point X of the world, in metres, is at `rotation` @ X + `translation` in the camera's frame: x to the right, y
    down, z forwards.

    Args:
        name: names it within its scene.
        matrix: (3, 3), focal lengths and principal point, pixels.
        distortion: coefficients as in OpenCV; pinhole: 0, 4, 5, 8, 12 or 14 of k1, k2, p1, p2, k3, k4 …; fisheye: k1 to
            k4.
        rotation: (3, 3), from the world to the camera.
        translation: (3,), from the world to the camera, metres.
        size: the image's width and height, pixels; None: unknown.
        lens: "pinhole" or "fisheye".

    Raises:
        ValueError: naming the camera and the field, if a shape is wrong, a number is not finite, a focal length is not
            above 0, or `rotation` is not a rotation.

    Example:
        >>> camera = tp.read_cameras("cameras.json")[0]
        >>> camera.matrix.shape, camera.rotation.shape, camera.translation.shape
        ((3, 3), (3, 3), (3,))
    """

    name: str
    matrix: Float[np.ndarray, "3 3"]
    distortion: Float[np.ndarray, " D"]
    rotation: Float[np.ndarray, "3 3"]
    translation: Float[np.ndarray, " 3"]
    size: tuple[int, int] | None = None
    lens: Lens = "pinhole"

    def __post_init__(self) -> None:
        shapes = {"matrix": (3, 3), "rotation": (3, 3), "translation": (3,), "distortion": None}
        for field, shape in shapes.items():
            array = np.array(getattr(self, field), dtype=np.float64)
            if (array.ndim != 1 if shape is None else array.shape != shape) or not np.isfinite(array).all():
                expected = "a list of" if shape is None else " × ".join(map(str, shape))
                raise self._error(field, f"expected {expected} finite numbers, got {array.tolist()}")
            array.flags.writeable = False
            object.__setattr__(self, field, array)
        counts = _COEFFICIENTS.get(self.lens)
        if counts is None:
            raise self._error("lens", expected_one_of(_COEFFICIENTS, self.lens))
        if len(self.distortion) not in counts:
            of = ", ".join(map(str, counts))
            raise self._error("distortion", f"expected {of} coefficients ({self.lens}), got {len(self.distortion)}")
        if not (self.matrix[0, 0] > 0 and self.matrix[1, 1] > 0 and (self.matrix[2] == (0, 0, 1)).all()):
            got = self.matrix.tolist()
            raise self._error("matrix", f"expected focal lengths above 0 and a last row 0, 0, 1, got {got}")
        is_rotation = np.abs(self.rotation).max() < 2  # whose squares are numbers
        is_rotation = is_rotation and np.allclose(self.rotation @ self.rotation.T, np.eye(3), atol=1e-3)
        if not (is_rotation and np.linalg.det(self.rotation) > 0):
            raise self._error("rotation", "expected a rotation matrix (orthonormal, determinant 1)")

    def __repr__(self) -> str:
        """One line: the name, the lens and the image's size."""
        size = "size unknown" if self.size is None else f"{self.size[0]} × {self.size[1]} pixels"
        return f"Camera({self.name}: {self.lens}, {size})"

    def _error(self, field: str, text: str) -> ValueError:
        return ValueError(f"camera {self.name!r}: {field}: {text}")

    @property
    def centre(self) -> Float[np.ndarray, " 3"]:
        """The camera's position in the world (3,), metres."""
        return -self.rotation.T @ self.translation

    @property
    def projection(self) -> Float[np.ndarray, "3 4"]:
        """The matrix (3, 4) from homogeneous world points to homogeneous ideal pixels."""
        return self.matrix @ np.concatenate([self.rotation, self.translation[:, None]], axis=1)

    def to_camera(self, xyz: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 3"]:
        """Return world points (…, 3) in the camera's frame, metres; the last coordinate is the depth."""
        return xyz @ self.rotation.T + self.translation

    def project(self, xyz: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 2"]:
        """Return the image pixels (…, 2) of world points (…, 3), metres, distortion included; NaN for a point that is
        not in front of the camera or is NaN.

        A point may lie outside the image. Far outside the field of view a distortion polynomial is not monotonic:
        compare with `size` before use.
        """
        return self.distort(self.project_ideal(xyz))

    def project_ideal(self, xyz: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "*N 2"]:
        """Return the ideal pixels (…, 2) of world points (…, 3), metres; NaN as in `project`."""
        xyz_camera = self.to_camera(xyz)
        depth = xyz_camera[..., 2:]
        with np.errstate(invalid="ignore"):
            plane = xyz_camera[..., :2] / np.where(depth > _NEAREST, depth, np.nan)
        return self._to_pixels(plane)

    def distort(self, ideal: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """Return the image pixels of ideal pixels (…, 2). The inverse of `undistort`."""
        if not len(self.distortion) or not ideal.size:
            return ideal.astype(np.float64)
        plane = self._to_plane(ideal).reshape(-1, 1, 2)
        is_finite = np.isfinite(plane).all(axis=(1, 2))
        if is_finite.any():  # with an identity for the matrix, since OpenCV leaves out its skew
            if self.lens == "fisheye":
                plane[is_finite] = cv2.fisheye.distortPoints(plane[is_finite], np.eye(3), self.distortion)
            else:
                points = np.concatenate([plane[is_finite], np.ones((is_finite.sum(), 1, 1))], axis=2)
                plane[is_finite] = cv2.projectPoints(points, np.zeros(3), np.zeros(3), np.eye(3), self.distortion)[0]
        plane[~is_finite] = np.nan
        return self._to_pixels(plane).reshape(ideal.shape)

    def undistort(self, xy: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """Return the ideal pixels of image pixels (…, 2); NaN stays NaN."""
        if not len(self.distortion) or not xy.size:
            return xy.astype(np.float64)
        plane = self._to_plane(xy).reshape(-1, 1, 2)
        is_finite = np.isfinite(plane).all(axis=(1, 2))
        if is_finite.any():
            undo = cv2.fisheye.undistortPoints if self.lens == "fisheye" else _undistort_points
            plane[is_finite] = undo(plane[is_finite], np.eye(3), self.distortion, criteria=_STEPS)
        plane[~is_finite] = np.nan
        return self._to_pixels(plane).reshape(xy.shape)

    def at_depth(self, xy: Float[np.ndarray, "*N 2"], depth: Float[np.ndarray, "*N"]) -> Float[np.ndarray, "*N 3"]:
        """Return the points in the camera's frame, metres, of image pixels (…, 2) at depths (…), metres along the
        optical axis. The inverse of `project`, for a point's depth."""
        plane = self._to_plane(self.undistort(xy))
        return np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1) * depth[..., None]

    def directions(self, xy: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 3"]:
        """Return unit vectors (…, 3) in the world from `centre` towards image pixels (…, 2)."""
        plane = self._to_plane(self.undistort(xy))
        towards = np.concatenate([plane, np.ones_like(plane[..., :1])], axis=-1) @ self.rotation
        return towards / np.linalg.norm(towards, axis=-1, keepdims=True)

    def placed(self, rotation: Float[np.ndarray, "3 3"], translation: Float[np.ndarray, " 3"]) -> "Camera":
        """Return the same camera with another rotation and translation from the world to the camera."""
        return replace(self, rotation=rotation, translation=translation)

    def resized(self, width: int, height: int) -> "Camera":
        """Return the camera of the same images resized to width × height pixels. Raises ValueError without `size`."""
        if self.size is None:
            raise self._error("size", "unknown, so the camera cannot be resized")
        scale = np.array([width / self.size[0], height / self.size[1]])
        matrix = self.matrix.copy()
        matrix[:2, :2] *= scale[:, None]
        matrix[:2, 2] = (matrix[:2, 2] + 0.5) * scale - 0.5  # the image's corner, (-0.5, -0.5), stays
        return replace(self, matrix=matrix, size=(width, height))

    def _to_pixels(self, plane: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        return plane @ self.matrix[:2, :2].T + self.matrix[:2, 2]

    def _to_plane(self, pixels: Float[np.ndarray, "*N 2"]) -> Float[np.ndarray, "*N 2"]:
        """Return points in the plane one metre in front of the camera, metres."""
        return (pixels - self.matrix[:2, 2]) @ np.linalg.inv(self.matrix[:2, :2]).T


@dataclass(frozen=True, eq=False, repr=False)
class Cameras(Sequence[Camera]):
    """The V cameras of one scene, in one world. `cameras["left"]` is the one with that name.

    Raises ValueError if two have the same name.
    """

    cameras: tuple[Camera, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "cameras", tuple(self.cameras))
        names = self.names
        twice = [name for name in names if names.count(name) > 1]
        if twice:
            raise ValueError(f"cameras: {twice[0]!r} occurs twice")

    @property
    def names(self) -> tuple[str, ...]:
        """The cameras' names, in order."""
        return tuple(camera.name for camera in self.cameras)

    def __len__(self) -> int:
        return len(self.cameras)

    def __repr__(self) -> str:
        """One line: how many, and the first names."""
        names = ", ".join(self.names[:_MOST_NAMED]) + ("" if len(self) <= _MOST_NAMED else ", …")
        return f"Cameras({len(self)}: {names})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of the cameras."""
        rows = []
        for camera in self.cameras:
            size = "" if camera.size is None else f"{camera.size[0]} × {camera.size[1]}"
            centre = ", ".join(f"{metres:.2f}" for metres in camera.centre.tolist())
            rows.append((camera.name, camera.lens, size, f"{camera.matrix[0, 0]:.0f}", centre))
        return html_line(repr(self)) + html_table(("camera", "lens", "size", "focal length, px", "place, m"), rows)

    def __iter__(self) -> Iterator[Camera]:
        return iter(self.cameras)

    @overload
    def __getitem__(self, index: int | str) -> Camera: ...
    @overload
    def __getitem__(self, index: slice | list[int] | list[str]) -> "Cameras": ...
    def __getitem__(self, index: int | str | slice | list[int] | list[str]) -> "Camera | Cameras":
        """Return one camera by name or number, or several as `Cameras`. Raises KeyError for an unknown name."""
        if isinstance(index, str):
            if index not in self.names:
                raise KeyError(f"no camera {index!r}; there are {', '.join(self.names)}")
            return self.cameras[self.names.index(index)]
        if isinstance(index, list):
            return Cameras(tuple(self[item] for item in index))
        return Cameras(self.cameras[index]) if isinstance(index, slice) else self.cameras[index]

    def matching(self, patterns: str) -> "Cameras":
        """Return the cameras whose name fits one of several patterns, separated by commas, in which * stands for any
        text. Raises InputError for a pattern that fits none."""
        chosen = [pattern.strip() for pattern in patterns.split(",")]
        for pattern in chosen:
            if not any(fnmatchcase(name, pattern) for name in self.names):
                listed = ", ".join(self.names[:10]) + (", …" if len(self) > 10 else "")
                raise InputError(f"--only: no camera {pattern!r}; there are {listed}")
        return self[[name for name in self.names if any(fnmatchcase(name, pattern) for pattern in chosen)]]

    def project(self, xyz: Float[np.ndarray, "*N 3"]) -> Float[np.ndarray, "V *N 2"]:
        """Return the image pixels (V, …, 2) of world points (…, 3) in each camera, as `Camera.project`."""
        return np.stack([camera.project(xyz) for camera in self.cameras])

    def undistort(self, xy: Float[np.ndarray, "V *N 2"]) -> Float[np.ndarray, "V *N 2"]:
        """Return the ideal pixels (V, …, 2) of image pixels (V, …, 2), each in its own camera."""
        return np.stack([camera.undistort(pixels) for camera, pixels in zip(self.cameras, xy, strict=True)])

    def projections(self) -> Float[np.ndarray, "V 3 4"]:
        """Return the matrices (V, 3, 4) from homogeneous world points to homogeneous ideal pixels."""
        return np.stack([camera.projection for camera in self.cameras])
