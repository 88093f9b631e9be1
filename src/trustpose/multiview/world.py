"""The scale and the upright of a world whose cameras were placed by people: images show neither.

Source of the shares of a person's height: Drillis and Contini 1966, as in Winter, Biomechanics and Motor Control of
Human Movement, figure 4.1: hip at 0.530 of the height, knee at 0.285, ankle at 0.039.
"""

import numpy as np
from jaxtyping import Float

from trustpose.geometry.cameras import Cameras
from trustpose.multiview.extrinsics import PlacedCameras
from trustpose.skeletons import Skeleton

LEG = 0.530 - 0.039  # of the height: from hip to knee to ankle
_ANKLE = 0.039
_LEGS = (("left_hip", "left_knee", "left_ankle"), ("right_hip", "right_knee", "right_ankle"))
_LOW, _HIGH = ("left_ankle", "right_ankle"), ("left_shoulder", "right_shoulder")


def bone_length(xyz: Float[np.ndarray, "N K 3"], skeleton: Skeleton, start: str, end: str) -> float:
    """Return the median distance of two joints, in units of `xyz`. Raises ValueError if the skeleton lacks one, or no
    person shows both."""
    starts, ends = (_joint(xyz, skeleton, name) for name in (start, end))
    lengths = np.linalg.norm(starts - ends, axis=1)
    if not np.isfinite(lengths).any():
        raise ValueError(f"nobody shows both {start} and {end}")
    return float(np.nanmedian(lengths))


def body_height(xyz: Float[np.ndarray, "N K 3"], skeleton: Skeleton) -> float:
    """Return the people's height, in units of `xyz`: from the length of their legs, which no bent posture shortens.

    Raises ValueError if the skeleton has no hips, knees and ankles, or nobody shows a leg.
    """
    legs = []
    for hip, knee, ankle in _LEGS:
        thigh, shank = ((hip, knee), (knee, ankle))
        legs.append(sum(bone_length(xyz, skeleton, *bone) for bone in (thigh, shank)))
    return float(np.mean(legs)) / LEG


def camera_distance(cameras: Cameras, first: str, second: str) -> float:
    """Return the distance of two cameras. Raises KeyError for an unknown name."""
    return float(np.linalg.norm(cameras[first].centre - cameras[second].centre))


def make_upright(placed: PlacedCameras, skeleton: Skeleton) -> PlacedCameras:
    """Return the same world with z upwards, z = 0 the ground, and the middle of the people's paths as its origin.

    Up is the mean direction from ankles to shoulders, and the ground lies a twenty-fifth of the height below the lowest
    ankles: good for looking at, not a survey. Raises ValueError if the skeleton has no ankles and shoulders.
    """
    xyz = placed.xyz
    low, high = (np.mean([_joint(xyz, skeleton, name) for name in names], axis=0) for names in (_LOW, _HIGH))
    standing = high - low
    is_known = np.isfinite(standing).all(axis=1)
    if not is_known.any():
        raise ValueError("nobody shows ankles and shoulders, so up is unknown")
    lengths = np.linalg.norm(standing[is_known], axis=1, keepdims=True)
    up = np.median(standing[is_known] / lengths, axis=0)
    up /= np.linalg.norm(up)
    right = np.cross(placed.cameras[0].rotation[2], up)  # of the first camera
    if np.linalg.norm(right) < 1e-3:  # which looks straight down
        right = placed.cameras[0].rotation[0]
    forwards = np.cross(up, right)
    forwards /= np.linalg.norm(forwards)
    rotation = np.stack([np.cross(forwards, up), forwards, up])
    ankles = low[is_known] @ rotation.T
    ground = np.percentile(ankles[:, 2], 5) - _ANKLE * body_height(xyz, skeleton)
    return placed.moved(rotation, -np.array([*np.median(ankles[:, :2], axis=0), ground]))


def _joint(xyz: Float[np.ndarray, "N K 3"], skeleton: Skeleton, name: str) -> Float[np.ndarray, "N 3"]:
    if name not in skeleton.keypoints:
        raise ValueError(f"skeleton {skeleton.name!r} has no {name}; it has {', '.join(skeleton.keypoints)}")
    return xyz[:, skeleton.keypoints.index(name)]
