"""People prepared for drawing: what of them is shown, where, how large and in which colours."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.geometry.expected_error import expected_error
from trustpose.poses import Poses, Visibility
from trustpose.report.palettes import (
    LEFT,
    PEOPLE,
    limb_sides,
    part_colours,
    people_colours,
    sides,
    track_colours,
    trust_colours,
)
from trustpose.report.strokes import MAX_COORDINATE, SHIFT
from trustpose.skeletons import Skeleton

_MIN_DISC = 1.8  # radius of an error's disc over the joint's, from which it can be seen around the joint
_MAX_DISC = 4  # radius of a disc over the longer side of the picture, above which nothing of it is seen but colour


@dataclass(frozen=True)
class Scene:
    """N people of K joints and L limbs in a picture.

    joints (N, K, 2) and limbs (N, L, 2, 2), their ends, are in 1/16 pixel; all sizes in pixels. A limb ends at the ring
    of an occluded joint. radius is of a joint, or of the middle of its ring; error the radius of the disc that holds
    it half of the time, 0 where none is drawn. has_white_edge is of joints (K,) and limbs (L,).
    """

    joints: Int[np.ndarray, "N K 2"]
    shown: Bool[np.ndarray, "N K"]
    hollow: Bool[np.ndarray, "N K"]
    radius: Float[np.ndarray, "N K"]
    error: Float[np.ndarray, "N K"]
    colours: UInt8[np.ndarray, "N K 3"]
    limbs: Int[np.ndarray, "N L 2 2"]
    limb_shown: Bool[np.ndarray, "N L"]
    limb_width: Int[np.ndarray, "N L"]
    limb_colours: UInt8[np.ndarray, "N L 3"]
    width: Int[np.ndarray, " N"]
    outline: Int[np.ndarray, " N"]
    ring: Int[np.ndarray, " N"]
    joint_has_white_edge: Bool[np.ndarray, " K"]
    limb_has_white_edge: Bool[np.ndarray, " L"]


def prepare(
    poses: Poses,
    skeleton: Skeleton,
    style: str,
    min_score: float | None,
    shape: tuple[int, ...],
    colour_indices: Int[np.ndarray, " N"] | None = None,
) -> Scene:
    """Prepare poses for a picture of `shape` (H, W, …) in one of `palettes.STYLES`, without joints of a raw score below
    `min_score`. colour_indices: each person's colour in `palettes.PEOPLE`; by default, colours follow tracks, and
    people without a track get a colour that their neighbours do not have."""
    shown, hollow = _shown(poses, min_score)
    near = _drawable_xy(poses, shown)
    photo = max(shape[:2])
    width = np.rint(_sizes(_boxes(poses, near, shown)) / 60).clip(
        max(1, round(photo / 700)), max(2, round(photo / 110))
    )
    outline = np.maximum(1, np.rint(0.5 + 0.3 * width))
    ring = np.maximum(1, np.rint(0.6 * width))
    radius = _radii(near, shown, width)
    error = expected_error(poses, skeleton)
    seen = np.zeros(shown.shape)
    if error is not None:
        median = error.median
        seen = np.where(shown & (median > _MIN_DISC * radius) & (median < _MAX_DISC * photo), median, 0.0)
    ends = np.array(skeleton.edges, dtype=np.int64).reshape(-1, 2)
    around = np.where(hollow, radius + (ring / 2 + outline)[:, None], radius)
    reach = np.where(hollow, around + ring[:, None] / 2, 0.0)
    colours, limb_colours = _colours(poses, skeleton, style, colour_indices, near, shown)
    is_by_part = style == "parts" or (style == "trust" and poses.quality is None)
    return Scene(
        joints=_fixed_point(near),
        shown=shown,
        hollow=hollow,
        radius=around,
        error=seen,
        colours=colours,
        limbs=_fixed_point(_shortened(near[:, ends], reach[:, ends])),
        limb_shown=shown[:, ends[:, 0]] & shown[:, ends[:, 1]],
        limb_width=np.rint(radius[:, ends].min(axis=2) / 0.65).clip(1, width[:, None]).astype(np.int64),
        limb_colours=limb_colours,
        width=width.astype(np.int64),
        outline=outline.astype(np.int64),
        ring=ring.astype(np.int64),
        joint_has_white_edge=(sides(skeleton) == LEFT) & (not is_by_part),
        limb_has_white_edge=(limb_sides(skeleton) == LEFT) & (not is_by_part),
    )


def _shown(poses: Poses, min_score: float | None) -> tuple[Bool[np.ndarray, "N K"], Bool[np.ndarray, "N K"]]:
    """Return which joints are shown, and which of them as rings."""
    shown = np.isfinite(poses.xy[..., 0]) & np.isfinite(poses.xy[..., 1])
    if poses.missing is not None:
        shown &= ~poses.missing
    if min_score is not None and poses.score is not None:
        shown &= poses.score >= min_score
    decided = poses.decided_visibility
    if decided is None:
        return shown, np.zeros_like(shown)
    shown &= decided != Visibility.ABSENT
    return shown, shown & (decided == Visibility.OCCLUDED)


def person_boxes(poses: Poses) -> Float[np.ndarray, "N 4"]:
    """Return the box of each person, or the box around the joints where there is none, xyxy, image pixels."""
    shown, _ = _shown(poses, None)
    return _boxes(poses, _drawable_xy(poses, shown), shown)


def _drawable_xy(poses: Poses, shown: np.ndarray) -> Float[np.ndarray, "N K 2"]:
    return np.clip(np.where(shown[..., None], poses.xy.astype(np.float64), 0), -MAX_COORDINATE, MAX_COORDINATE)


def _boxes(poses: Poses, near: np.ndarray, shown: np.ndarray) -> Float[np.ndarray, "N 4"]:
    low = np.where(shown[..., None], near, np.inf).min(axis=1, initial=np.inf)
    high = np.where(shown[..., None], near, -np.inf).max(axis=1, initial=-np.inf)
    box = np.nan_to_num(np.concatenate([low, high], axis=1), posinf=0, neginf=0)
    if poses.box is None:
        return box
    is_known = np.isfinite(poses.box).all(axis=1, keepdims=True)
    return np.where(is_known, poses.box.clip(-MAX_COORDINATE, MAX_COORDINATE), box)


def _sizes(boxes: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """Return the size of each person in pixels, √area of its box."""
    return np.sqrt(np.prod(np.maximum(boxes[:, 2:] - boxes[:, :2], 1), axis=1))


def _radii(near: np.ndarray, shown: np.ndarray, width: np.ndarray) -> Float[np.ndarray, "N K"]:
    """Return the radius of each joint: a little more than the line, less where its neighbour is close, as in a face."""
    usual = 1.3 * width[:, None] + 0.5
    away = np.hypot(*np.moveaxis(near[:, :, None] - near[:, None], -1, 0))  # (N, K, K)
    away = np.where(shown[:, :, None] & shown[:, None] & ~np.eye(near.shape[1], dtype=bool), away, np.inf)
    return np.clip(0.45 * away.min(axis=2, initial=np.inf), 0.55 * usual, usual)


def _shortened(ends: Float[np.ndarray, "N L 2 2"], reach: Float[np.ndarray, "N L 2"]) -> Float[np.ndarray, "N L 2 2"]:
    """Return limbs shortened at either end, by half of their length at most."""
    if not reach.any():
        return ends
    along = ends[:, :, 1] - ends[:, :, 0]
    length = np.hypot(along[..., 0], along[..., 1])[..., None]
    step = along / np.maximum(length, 1e-9)
    reach = np.minimum(reach, length / 2)[..., None]
    return np.stack([ends[:, :, 0] + step * reach[:, :, 0], ends[:, :, 1] - step * reach[:, :, 1]], axis=2)


def _fixed_point(xy: Float[np.ndarray, "*N 2"]) -> Int[np.ndarray, "*N 2"]:
    return np.rint(xy * (1 << SHIFT)).astype(np.int64)


def _colours(
    poses: Poses,
    skeleton: Skeleton,
    style: str,
    colour_indices: Int[np.ndarray, " N"] | None,
    near: np.ndarray,
    shown: np.ndarray,
) -> tuple[UInt8[np.ndarray, "N K 3"], UInt8[np.ndarray, "N L 3"]]:
    """Return the colours of each person's joints and limbs."""
    count, ends = len(poses), np.array(skeleton.edges, dtype=np.int64).reshape(-1, 2)
    if style == "trust" and poses.quality is not None:
        quality = poses.quality.astype(np.float64)
        return trust_colours(quality), trust_colours(quality[:, ends].min(axis=2))
    if style == "people":
        if colour_indices is None:
            middle = near.sum(axis=1) / np.maximum(shown.sum(axis=1), 1)[:, None]
            colour_indices = people_colours(middle, track_colours(poses.track_id, count))
        person_colours = PEOPLE[colour_indices][:, None]
        return np.repeat(person_colours, near.shape[1], axis=1), np.repeat(person_colours, len(ends), axis=1)
    joints, limbs = part_colours(skeleton)
    return np.repeat(joints[None], count, axis=0), np.repeat(limbs[None], count, axis=0)
