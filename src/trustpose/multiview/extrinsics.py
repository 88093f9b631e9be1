"""Where cameras stand, from the people that they see: a first placing (`placing`), then bundle adjustment.

Once all cameras stand, people are associated by them, and everything is adjusted again, twice: better cameras associate
better.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from trustpose.geometry.cameras import Cameras
from trustpose.multiview.bundle import Bundle, adjust
from trustpose.multiview.frames import Moments
from trustpose.multiview.linear import to_plane
from trustpose.multiview.people import Group, group_people
from trustpose.multiview.placing import MIN_KEYPOINTS, Start
from trustpose.multiview.views import positions_of, sizes_of, weights_of
from trustpose.poses import Poses

_MAX_MOMENTS = 200  # looked at: they fix the cameras to a fraction of a degree
_MOMENTS_AT_FIRST = 60
_TOLERANCE = 0.03  # of a person's size in the image: within it a keypoint agrees


@dataclass(frozen=True, eq=False)
class PlacedCameras:
    """Cameras placed by people. `xyz` (N, K, 3) are the people's joints in the same world, NaN where unseen, `moment`
    (N,) the moments that they stand for, and `errors` (V, N, K) the reprojection errors, pixels."""

    cameras: Cameras
    xyz: Float[np.ndarray, "N K 3"]
    moment: np.ndarray
    errors: Float[np.ndarray, "V N K"]

    def scaled(self, factor: float) -> "PlacedCameras":
        """Return the same with all lengths times `factor`."""
        cameras = Cameras(tuple(camera.placed(camera.rotation, camera.translation * factor) for camera in self.cameras))
        return replace(self, cameras=cameras, xyz=self.xyz * factor)

    def moved(self, rotation: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, " 3"]) -> "PlacedCameras":
        """Return the same in a world in which a point x is `rotation` x + `shift`."""
        cameras = []
        for camera in self.cameras:
            turned = camera.rotation @ rotation.T
            cameras.append(camera.placed(turned, camera.translation - turned @ shift))
        return replace(self, cameras=Cameras(tuple(cameras)), xyz=self.xyz @ rotation.T + shift)


def place_by_people(views: Sequence[Poses], cameras: Cameras, moments: Moments, weight: str = "trust") -> PlacedCameras:
    """Return the cameras, placed by the people of their `views` (Poses, in the cameras' order), in the first camera's
    frame. The images do not show the scale: it is such that people are about 1.6 m tall, until `PlacedCameras.scaled`.

    moments: which rows are simultaneous, from `frames.match_frames`; weight: "trust", "scores" or "none", as for
    `people.triangulate`. Only the intrinsics of `cameras` are used. Raises ValueError if too few keypoints
    agree, naming the camera.
    """
    moments = _subsample(moments, _MAX_MOMENTS)
    positions = [positions_of(view) for view in views]
    weights = [weights_of(view, weight, index) for index, view in enumerate(views)]
    tolerance = [_TOLERANCE * sizes_of(view) for view in views]
    plane = [
        to_plane(camera, camera.undistort(pixels).reshape(-1, 2)).reshape(pixels.shape)
        for camera, pixels in zip(cameras, positions, strict=True)
    ]
    angles = [pixels / camera.matrix[0, 0] for pixels, camera in zip(tolerance, cameras, strict=True)]
    standing = Start(cameras, _subsample(moments, _MOMENTS_AT_FIRST), plane, weights, angles).run()
    group, bundle = _associate_and_adjust(views, standing, moments, positions, weights)
    # better cameras associate better
    group, bundle = _associate_and_adjust(views, bundle.cameras, moments, positions, weights)
    _check_seen(bundle, cameras)
    seen = np.isfinite(bundle.errors).sum(axis=0) >= 2
    xyz = np.where(seen[:, None], bundle.xyz, np.nan).reshape(len(group.moment), -1, 3)
    return PlacedCameras(bundle.cameras, xyz, group.moment, bundle.errors.reshape(len(views), *xyz.shape[:2]))


def _associate_and_adjust(
    views: Sequence[Poses],
    cameras: Cameras,
    moments: Moments,
    positions: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
) -> tuple[Group, Bundle]:
    """Return who is whom, by cameras that stand roughly right, and the cameras adjusted to it."""
    group = group_people(views, cameras, moments, weights)
    if not len(group.moment):
        raise ValueError("the cameras' people do not agree in any place; are the frames of the same moments?")
    xy, trust = (_gathered(parts, group.rows) for parts in (positions, weights))
    precision = np.nan_to_num(trust).reshape(len(views), -1) ** 2  # σ is taken as inversely proportional to trust
    return group, adjust(xy.reshape(len(views), -1, 2), precision, cameras)


def _check_seen(bundle: Bundle, cameras: Cameras) -> None:
    for name, errors in zip(cameras.names, bundle.errors, strict=True):
        if np.isfinite(errors).sum() < MIN_KEYPOINTS:
            raise ValueError(
                f"camera {name!r}: shows fewer than {MIN_KEYPOINTS} keypoints that another camera shows too"
            )


def _subsample(moments: Moments, count_limit: int) -> Moments:
    """Return moments spread over the clip."""
    count = len(moments)
    if count <= count_limit:
        return moments
    indices = np.linspace(0, count - 1, count_limit).round().astype(int)
    rows = tuple(tuple(view[index] for index in indices) for view in moments.rows)
    return Moments(moments.frame[indices], rows, moments.frames_of[:, indices])


def _gathered(parts: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return the rows (N, V) of each view's column as one array (V, N, …), NaN where there is none."""
    gathered = []
    for view, part in enumerate(parts):
        column = part[rows[:, view]].astype(np.float64)
        column[rows[:, view] < 0] = np.nan
        gathered.append(column)
    return np.stack(gathered)
