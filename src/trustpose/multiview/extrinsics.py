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
from trustpose.multiview.views import places_of, sizes_of, weights_of
from trustpose.poses import Poses

_MOST_MOMENTS = 200  # looked at: they fix the cameras to a fraction of a degree
_MOMENTS_AT_FIRST = 60
_TOLERANCE = 0.03  # of a person's size in the image: within it a keypoint agrees


@dataclass(frozen=True, eq=False)
class Placed:
    """Cameras placed by people. `xyz` (N, K, 3) are the people's joints in the same world, NaN where unseen, `moment`
    (N,) the moments that they stand for, and `errors` (V, N, K) the reprojection errors, pixels."""

    cameras: Cameras
    xyz: Float[np.ndarray, "N K 3"]
    moment: np.ndarray
    errors: Float[np.ndarray, "V N K"]

    def scaled(self, factor: float) -> "Placed":
        """Return the same with all lengths times `factor`."""
        cameras = Cameras(tuple(one.placed(one.rotation, one.translation * factor) for one in self.cameras))
        return replace(self, cameras=cameras, xyz=self.xyz * factor)

    def moved(self, rotation: Float[np.ndarray, "3 3"], shift: Float[np.ndarray, " 3"]) -> "Placed":
        """Return the same in a world in which a point x is `rotation` x + `shift`."""
        cameras = []
        for one in self.cameras:
            turned = one.rotation @ rotation.T
            cameras.append(one.placed(turned, one.translation - turned @ shift))
        return replace(self, cameras=Cameras(tuple(cameras)), xyz=self.xyz @ rotation.T + shift)


def place_by_people(views: Sequence[Poses], cameras: Cameras, moments: Moments, weight: str = "trust") -> Placed:
    """Return the cameras, placed by the people of their `views` (Poses, in the cameras' order), in the first camera's
    frame. The images do not show the scale: it is such that people are about 1.6 m tall, until `Placed.scaled`.

    moments: which rows are simultaneous, from `frames.match_frames`; weight: "trust", "scores" or "none", as for
    `people.triangulate`. Only the intrinsics of `cameras` are used. Raises ValueError if too few keypoints
    agree, naming the camera.
    """
    moments = _fewer(moments, _MOST_MOMENTS)
    places = [places_of(view) for view in views]
    weights = [weights_of(view, weight, at) for at, view in enumerate(views)]
    tolerance = [_TOLERANCE * sizes_of(view) for view in views]
    plane = [
        to_plane(camera, camera.undistort(one).reshape(-1, 2)).reshape(one.shape)
        for camera, one in zip(cameras, places, strict=True)
    ]
    angles = [one / camera.matrix[0, 0] for one, camera in zip(tolerance, cameras, strict=True)]
    standing = Start(cameras, _fewer(moments, _MOMENTS_AT_FIRST), plane, weights, angles).run()
    group, bundle = _together(views, standing, moments, places, weights)
    group, bundle = _together(views, bundle.cameras, moments, places, weights)  # better cameras associate better
    _check_seen(bundle, cameras)
    seen = np.isfinite(bundle.errors).sum(axis=0) >= 2
    xyz = np.where(seen[:, None], bundle.xyz, np.nan).reshape(len(group.moment), -1, 3)
    return Placed(bundle.cameras, xyz, group.moment, bundle.errors.reshape(len(views), *xyz.shape[:2]))


def _together(
    views: Sequence[Poses],
    cameras: Cameras,
    moments: Moments,
    places: Sequence[np.ndarray],
    weights: Sequence[np.ndarray],
) -> tuple[Group, Bundle]:
    """Return who is whom, by cameras that stand roughly right, and the cameras adjusted to it."""
    group = group_people(views, cameras, moments, weights)
    if not len(group.moment):
        raise ValueError("the cameras' people do not agree in any place; are the frames of the same moments?")
    xy, trust = (_gathered(parts, group.rows) for parts in (places, weights))
    precision = np.nan_to_num(trust).reshape(len(views), -1) ** 2  # σ is taken as inversely proportional to trust
    return group, adjust(xy.reshape(len(views), -1, 2), precision, cameras)


def _check_seen(bundle: Bundle, cameras: Cameras) -> None:
    for name, errors in zip(cameras.names, bundle.errors, strict=True):
        if np.isfinite(errors).sum() < MIN_KEYPOINTS:
            raise ValueError(
                f"camera {name!r}: shows fewer than {MIN_KEYPOINTS} keypoints that another camera shows too"
            )


def _fewer(moments: Moments, most: int) -> Moments:
    """Return moments spread over the clip."""
    count = len(moments)
    if count <= most:
        return moments
    kept = np.linspace(0, count - 1, most).round().astype(int)
    rows = tuple(tuple(view[at] for at in kept) for view in moments.rows)
    return Moments(moments.frame[kept], rows, moments.frames_of[:, kept])


def _gathered(parts: Sequence[np.ndarray], rows: np.ndarray) -> np.ndarray:
    """Return the rows (N, V) of each view's column as one array (V, N, …), NaN where there is none."""
    found = []
    for view, part in enumerate(parts):
        taken = part[rows[:, view]].astype(np.float64)
        taken[rows[:, view] < 0] = np.nan
        found.append(taken)
    return np.stack(found)
