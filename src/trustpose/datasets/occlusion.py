"""Occlusion and light: rectangles cut out, pieces of photos and people pasted in with matching labels, and
random colours.

The rule for labels (`cover_labels`, `outside_crop`):

1. A visible keypoint (v = 2) that is covered becomes occluded (1): its position is still known, as in an annotator's
   guess. An occluded one (1) stays occluded, an absent one (0) stays absent.
   `covered="absent"` makes covered keypoints absent (0) instead, `covered="keep"` leaves all v unchanged.
2. A keypoint outside the crop becomes absent (0), since a network that sees this crop cannot find it. Outside means
   more than half a pixel beyond the centres of the border pixels. `outside="keep"` leaves v unchanged.
3. An object that would cover more than `max_covered` of the labelled keypoints in view is not placed: the person would
   no longer be identifiable.

Cut-out: DeVries and Taylor, Improved Regularization of Convolutional Neural Networks with Cutout, 2017. Pasted
objects and people: Sárándi et al., Synthetic Occlusion Augmentation, 2018; Ke et al., Multi-Scale Structure-Aware
Network for Human Pose Estimation, ECCV 2018 (keypoint masking). Without masks of people, a pasted person is cut along
its skeleton.

Light, colour and sharpness change as by cameras, apps or networks. Brightness, contrast, saturation, hue
and grey are all affine in RGB, so they are combined into one matrix.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.datasets.people import PersonSample
from trustpose.skeletons import Skeleton

_CORNERS = 16  # drawn for a patch of background, of which the furthest from all keypoints is taken
_TRIES = 3  # positions tried per object, until it does not cover too much
_FACE = ("nose", "eye", "ear", "mouth", "head")
_FEWEST = 5  # minimum number of labelled keypoints of a pasted person
# half widths as fractions of the trunk's length (shoulders to hips), a little inside people's outlines
_LIMB, _HEAD, _TRUNK = 0.14, 0.3, 0.1
_TRUNK_OF_BOX = 0.3  # trunk's length as a fraction of the box's height, if shoulders or hips are missing


@dataclass(frozen=True)
class Occlusion:
    """Probabilities and sizes of occlusions; all off by default. Sizes are fractions of the crop's height.

    cutout: one to `max_cutouts` plain rectangles; objects: an ellipse or polygon filled with a piece of another photo;
    people: another person, `people_size` times as tall as this one's box; masking: keypoint masking, a patch of the
    crop's background over a keypoint or, as often, a keypoint's patch over background. For the others see the module's
    docstring.
    """

    cutout: float = 0.0
    max_cutouts: int = 2
    cutout_size: tuple[float, float] = (0.08, 0.25)
    objects: float = 0.0
    objects_size: tuple[float, float] = (0.1, 0.4)
    people: float = 0.0
    people_size: tuple[float, float] = (0.6, 1.2)
    masking: float = 0.0
    masking_size: tuple[float, float] = (0.08, 0.16)
    max_covered: float = 0.6
    covered: Literal["occluded", "absent", "keep"] = "occluded"
    outside: Literal["absent", "keep"] = "absent"


@dataclass(frozen=True, eq=False)
class Target:
    """The person in the crop to be occluded: keypoints (K, 2) in crop pixels, v (K,), box height."""

    xy: Float[np.ndarray, "K 2"]
    v: Int[np.ndarray, " K"]
    height: float


def occlude(
    pixels: UInt8[np.ndarray, "H W 3"],
    target: Target,
    occlusion: Occlusion,
    random: np.random.Generator,
    another: Callable[[], PersonSample],
    skeleton: Skeleton,
) -> tuple[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, " K"]]:
    """Return the occluded crop, and which keypoints (K,) are covered. `another` draws a person to paste from."""
    u = random.random(3)
    covered = np.zeros(len(target.v), dtype=np.bool_)
    layers: list[tuple[np.ndarray, np.ndarray]] = []
    if u[0] < occlusion.people:
        donor = another()
        layers += _first_fit(
            target, covered, occlusion, lambda: _person(pixels.shape, donor, target, occlusion, random, skeleton)
        )
    if u[1] < occlusion.objects:
        donor = another()
        layers += _first_fit(
            target, covered, occlusion, lambda: _object(pixels.shape, donor, target, occlusion, random)
        )
    if u[2] < occlusion.cutout:
        for _ in range(int(random.integers(1, occlusion.max_cutouts + 1))):
            layers += _first_fit(target, covered, occlusion, lambda: _cutout(pixels.shape, target, occlusion, random))
    if occlusion.masking and random.random() < occlusion.masking:
        layers += _first_fit(target, covered, occlusion, lambda: _masking(pixels, target, occlusion, random))
    for filling, mask in layers:
        weight = mask.astype(np.float32) / 255
        pixels = cv2.blendLinear(filling, pixels, weight, 1 - weight)
    return pixels, covered


def cover_labels(
    v: Int[np.ndarray, " K"], covered: Bool[np.ndarray, " K"], rule: Literal["occluded", "absent", "keep"]
) -> Int[np.ndarray, " K"]:
    """Return v (K,) after occlusion: part 1 of the rule."""
    if rule == "keep":
        return v
    return np.where(covered, np.minimum(v, 1) if rule == "occluded" else 0, v)


def outside_crop(xy: Float[np.ndarray, "K 2"], width: int, height: int) -> Bool[np.ndarray, " K"]:
    """Return which keypoints (K,), in crop pixels, are outside a crop of width × height: part 2 of the rule."""
    is_out = (xy < -0.5) | (xy >= np.array([width, height]) - 0.5)  # (K, 2)
    return is_out[:, 0] | is_out[:, 1]


def _first_fit(
    target: Target,
    covered: np.ndarray,
    occlusion: Occlusion,
    draw: Callable[[], tuple[np.ndarray, np.ndarray] | None],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the first drawn layer that leaves enough keypoints visible, recorded in `covered`; None if none does."""
    for _ in range(_TRIES):
        layer = draw()
        if layer is None:
            return []
        height, width = layer[1].shape
        inside = ~outside_crop(target.xy, width, height)
        pixel = np.rint(target.xy[inside]).astype(np.int64)
        hidden = covered.copy()
        hidden[inside] |= layer[1][pixel[:, 1], pixel[:, 0]] >= 128
        counted = inside & (target.v > 0)
        if np.count_nonzero(hidden & counted) <= occlusion.max_covered * np.count_nonzero(counted):
            covered[:] = hidden
            return [layer]
    return []


def _cutout(
    shape: tuple[int, ...], target: Target, occlusion: Occlusion, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Draw a rectangle of one colour or of noise."""
    height, width = shape[:2]
    low, high = _rectangle(shape, target, occlusion.cutout_size, random)
    mask = np.zeros((height, width), np.uint8)
    mask[low[1] : high[1], low[0] : high[0]] = 255
    if random.random() < 0.5:
        return np.full(shape, random.integers(0, 256, 3), np.uint8), mask
    filling = np.zeros(shape, np.uint8)
    filling[low[1] : high[1], low[0] : high[0]] = random.integers(0, 256, (*(high - low)[::-1], 3), np.uint8)
    return filling, mask


def _object(
    shape: tuple[int, ...], donor: PersonSample, target: Target, occlusion: Occlusion, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Cut a piece of the donor's photo with a smooth outline: an ellipse, or a polygon of three to eight corners."""
    height, width = shape[:2]
    low, high = _rectangle(shape, target, occlusion.objects_size, random)
    size = high - low
    have = np.array(donor.pixels.shape[1::-1])
    take = np.maximum((have * random.uniform(0.2, 0.6, 2)).astype(np.int64), 1)
    start = (random.random(2) * (have - take + 1)).astype(np.int64)
    piece = donor.pixels[start[1] : start[1] + take[1], start[0] : start[0] + take[0]]
    filling = np.zeros(shape, np.uint8)
    filling[low[1] : high[1], low[0] : high[0]] = cv2.resize(piece, size.tolist(), interpolation=cv2.INTER_LINEAR)
    corners = int(random.integers(3, 9))
    angles = np.sort(random.uniform(0, 2 * np.pi, corners if random.random() < 0.5 else 0))
    if len(angles) == 0:
        angles = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    outline = (low + high) / 2 + np.c_[np.cos(angles), np.sin(angles)] * size / 2
    mask = np.zeros((height, width), np.uint8)
    cv2.fillPoly(mask, [np.rint(outline * 16).astype(np.int32)], 255, lineType=cv2.LINE_AA, shift=4)
    return filling, _within(mask, low, high)


def _person(
    shape: tuple[int, ...],
    donor: PersonSample,
    target: Target,
    occlusion: Occlusion,
    random: np.random.Generator,
    skeleton: Skeleton,
) -> tuple[np.ndarray, np.ndarray] | None:
    """Cut another person along its skeleton, mirrored half of the time, at a position that reaches into the crop."""
    height, width = shape[:2]
    u = random.random(4)
    low, high = occlusion.people_size
    box = donor.box.reshape(2, 2)
    factor = (low + (high - low) * u[0]) * target.height / max(float(box[1, 1] - box[0, 1]), 1.0)
    linear = factor * np.diag([1.0 if u[1] < 0.5 else -1.0, 1.0])
    middle = np.array([width * (1.4 * u[2] - 0.2), height * (0.3 + 0.5 * u[3])])  # position of the donor's middle
    affine = np.c_[linear, middle - linear @ box.mean(axis=0)]  # donor's photo → crop
    xy = donor.xy @ linear.T + affine[:, 2]
    mask = body_mask(xy, donor.v, float(box[1, 1] - box[0, 1]) * factor, skeleton, width, height)
    if mask is None:
        return None
    scale = np.diagonal(donor.affine)
    from_pixels = np.c_[linear / scale, affine[:, 2] - linear @ (donor.affine[:, 2] / scale)]
    filling = cv2.warpAffine(donor.pixels, from_pixels, (width, height), flags=cv2.INTER_LINEAR)
    rim = np.array(donor.pixels.shape[1::-1]) - 1.0
    ends = np.sort(np.stack([from_pixels[:, 2], from_pixels[:, :2] @ rim + from_pixels[:, 2]]), axis=0)
    ends = np.clip(np.stack([np.ceil(ends[0]), np.floor(ends[1]) + 1]), 0, [width, height]).astype(np.int64)
    return filling, _within(mask, ends[0], ends[1])


def _masking(
    pixels: np.ndarray, target: Target, occlusion: Occlusion, random: np.random.Generator
) -> tuple[np.ndarray, np.ndarray] | None:
    """Copy a square between a keypoint in view and background, as far from every keypoint; None without either."""
    height, width = pixels.shape[:2]
    side = max(1, round(random.uniform(*occlusion.masking_size) * height))
    in_view = target.xy[(target.v > 0) & ~outside_crop(target.xy, width, height)]
    room = np.array([width, height]) - side
    if not len(in_view) or (room < 0).any():
        return None
    corners = random.integers(0, room + 1, (_CORNERS, 2))
    distance = np.abs(corners[:, None] + side / 2 - in_view[None]).max(axis=2).min(axis=1)
    if distance.max() < side:
        return None
    background = corners[distance.argmax()]
    keypoint = np.rint(in_view[int(random.integers(len(in_view)))] - side / 2).astype(np.int64).clip(0, room)
    start, end = (background, keypoint) if random.random() < 0.5 else (keypoint, background)
    filling, mask = np.zeros_like(pixels), np.zeros((height, width), np.uint8)
    patch = pixels[start[1] : start[1] + side, start[0] : start[0] + side]
    filling[end[1] : end[1] + side, end[0] : end[0] + side] = patch
    mask[end[1] : end[1] + side, end[0] : end[0] + side] = 255
    return filling, mask


def _within(mask: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the mask within a rectangle, 0 outside."""
    visible = np.zeros_like(mask)
    visible[low[1] : high[1], low[0] : high[0]] = mask[low[1] : high[1], low[0] : high[0]]
    return visible


def _rectangle(
    shape: tuple[int, ...], target: Target, size: tuple[float, float], random: np.random.Generator
) -> tuple[Int[np.ndarray, " 2"], Int[np.ndarray, " 2"]]:
    """Draw corners (2,), (2,) of a rectangle in the crop, near a labelled keypoint in view, if there is one."""
    height, width = shape[:2]
    sides = random.uniform(*size, 2) * height
    near = np.flatnonzero((target.v > 0) & ~outside_crop(target.xy, width, height))
    anywhere, jitter, pick = random.random(2) * (width, height), random.normal(0, 0.3, 2), random.random()
    middle = target.xy[near[int(pick * len(near))]] + jitter * sides if len(near) else anywhere
    low = np.clip(np.rint(middle - sides / 2), 0, [width - 1, height - 1]).astype(np.int64)
    return low, np.clip(np.rint(middle + sides / 2), low + 1, [width, height]).astype(np.int64)


@lru_cache
def _face(skeleton: Skeleton) -> tuple[bool, ...]:
    return tuple(any(part in name for part in _FACE) for name in skeleton.keypoints)


@lru_cache
def _trunk(skeleton: Skeleton) -> tuple[int, ...] | None:
    """Return left and right shoulder, right and left hip: the trunk's outline."""
    names = ("left_shoulder", "right_shoulder", "right_hip", "left_hip")
    if not set(names) <= set(skeleton.keypoints):
        return None
    return tuple(skeleton.keypoints.index(name) for name in names)


def body_mask(
    xy: Float[np.ndarray, "K 2"],
    v: Int[np.ndarray, " K"],
    box_height: float,
    skeleton: Skeleton,
    width: int,
    height: int,
) -> UInt8[np.ndarray, "height width"] | None:
    """Draw a soft mask (height, width), 0–255, of a body: limbs as thick lines, trunk filled, head as a disc.

    xy (K, 2) in pixels of the mask. None if too few keypoints are labelled to locate the body.
    """
    has: Bool[np.ndarray, " K"] = v > 0
    if np.count_nonzero(has) < _FEWEST or np.abs(xy[has]).max() > 16000:  # OpenCV draws with 16 bits; a margin
        return None
    trunk = _trunk(skeleton)
    length = _TRUNK_OF_BOX * box_height
    mask = np.zeros((height, width), np.uint8)
    if trunk is not None and has[list(trunk)].all():
        corners = xy[list(trunk)]
        length = max(float(np.linalg.norm(corners[:2].mean(axis=0) - corners[2:].mean(axis=0))), length / 2)
        hull = cv2.convexHull(np.rint(corners).astype(np.int32))
        cv2.fillPoly(mask, [hull], 255)
        cv2.polylines(mask, [hull], True, 255, max(round(2 * _TRUNK * length), 1))
    face = np.array(_face(skeleton))
    thickness = max(round(2 * _LIMB * length), 1)
    for a, b in skeleton.edges:
        if has[a] and has[b] and not (face[a] or face[b]):
            cv2.line(mask, _point(xy[a]), _point(xy[b]), 255, thickness)
    if (has & face).any():
        cv2.circle(mask, _point(xy[has & face].mean(axis=0)), max(round(_HEAD * length), 1), 255, -1)
    return cv2.blur(mask, (3, 3))


def _point(xy: np.ndarray) -> tuple[int, int]:
    return round(float(xy[0])), round(float(xy[1]))


_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_RGB_TO_YIQ = np.array([_LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


@dataclass(frozen=True)
class Photometric:
    """The range of each change; all off by default, as in the papers.

    brightness, contrast, saturation: factors are uniform in 1 ± this. hue: degrees, uniform in ± this. grey, blur and
    jpeg are probabilities; blur's Gaussian sigma is uniform in `blur_sigma`, in pixels of a crop of height 256, and
    JPEG's quality in `jpeg_quality`.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.3, 2.0)
    jpeg: float = 0.0
    jpeg_quality: tuple[int, int] = (30, 90)


def change_light(
    pixels: UInt8[np.ndarray, "H W 3"], photometric: Photometric, random: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """Return the crop (H, W, 3) with changed light. Uses the same numbers from `random` for all settings."""
    u = random.random(9)
    matrix = colour_matrix(pixels, photometric, 2 * u[:4] - 1, is_grey=bool(u[4] < photometric.grey))
    if matrix is not None:
        pixels = cv2.transform(pixels, matrix)
    if u[5] < photometric.blur:
        low, high = photometric.blur_sigma
        sigma = (low + (high - low) * u[6]) * pixels.shape[0] / 256
        pixels = cv2.GaussianBlur(pixels, (0, 0), sigma)
    if u[7] < photometric.jpeg:
        low, high = photometric.jpeg_quality
        quality = round(low + (high - low) * u[8])
        _, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR))  # BGR in, BGR out: the order stays
    return pixels


def colour_matrix(
    pixels: UInt8[np.ndarray, "H W 3"], photometric: Photometric, amount: Float[np.ndarray, " 4"], *, is_grey: bool
) -> Float[np.ndarray, "3 4"] | None:
    """Return a matrix RGB → RGB with an offset, (3, 4), float32; None if nothing changes.

    `amount` (−1 to 1): brightness, contrast, saturation, hue, as fractions of `photometric`'s ranges. Contrast moves
    colours away from or towards the crop's mean luma; hue rotates the chroma plane of YIQ, so greys stay grey.
    """
    p = photometric
    if not (is_grey or p.brightness or p.contrast or p.saturation or p.hue):
        return None
    brightness, contrast, saturation = 1 + amount[:3] * (p.brightness, p.contrast, p.saturation)
    angle = np.deg2rad(amount[3] * p.hue)
    chroma = 0.0 if is_grey else saturation
    c, s = chroma * np.cos(angle), chroma * np.sin(angle)
    linear = _YIQ_TO_RGB @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ _RGB_TO_YIQ
    mean = float(_LUMA @ cv2.mean(pixels)[:3])
    return np.c_[linear * brightness * contrast, np.full(3, (1 - contrast) * mean * brightness)].astype(np.float32)
