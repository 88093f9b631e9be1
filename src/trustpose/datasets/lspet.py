"""Leeds Sports Pose Extended: 10,000 people in sport with fourteen joints each, crowdsourced and noisy.

Johnson and Everingham, Learning Effective Human Pose Estimation from Inaccurate Annotation, CVPR 2011. The official
layout is `joints.mat` (14 × 3 × 10000: x, y, labelled) next to `images/im00001.jpg` …. The third row means labelled (1)
or not (0), without distinguishing visible and occluded; so v here is 2 or 0, and `PersonLabels.has_visibility` is
False.

The rule of `clean`. Lengths are in units of the person's size: the upper quartile of its limbs' lengths divided by
their usual proportions (foreshortening makes limbs short, not long). In this order:

1. long limb: a limb above 1.8 of its usual length. The joint with the most such limbs loses its label, in a tie the
   outer one.
2. crossed limbs: both knees (both ankles) are twice as far from their own hips (knees) as from the other side's. Both
   lose their labels. Not applied to arms: crossed forearms are common.
3. twisted trunk: the line of the shoulders and the line of the hips point apart (angle above 120°) while both are
   well visible. Left and right are swapped in one of them, it is unknown which: the person is removed.
4. too little: a person with fewer than six remaining labels is removed.

A removed label leaves an unknown joint (has_joint False), not an absent one.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from trustpose.datasets.label_files import BOX_SHARE, FARTHEST, boxes_of_joints, read_labels_of
from trustpose.datasets.people import People
from trustpose.datasets.photo_people import Cut, photo_people
from trustpose.files import InputError
from trustpose.io.arrays import read_matlab
from trustpose.poses import Truth
from trustpose.skeletons import LSP_14

_INDEX = {name: index for index, name in enumerate(LSP_14.keypoints)}
# inner joint, outer joint: median length relative to the upper arm's, measured on the 10,000
_PROPORTIONS = {
    ("shoulder", "elbow"): 1.0,
    ("elbow", "wrist"): 0.91,
    ("hip", "knee"): 1.37,
    ("knee", "ankle"): 1.385,
    ("shoulder", "hip"): 1.68,
}
_LIMBS = np.array(
    [[_INDEX[f"{side}_{a}"], _INDEX[f"{side}_{b}"]] for side in ("left", "right") for a, b in _PROPORTIONS]
    + [[_INDEX["neck"], _INDEX["head_top"]]]
)
_USUAL = np.array([*_PROPORTIONS.values(), *_PROPORTIONS.values(), 0.84])
_LONG, _CROSSED, _TWISTED = 1.8, 2.0, -0.5
_FEWEST_LIMBS, _FEWEST_LABELS = 4, 6


@dataclass(frozen=True, eq=False)
class Lspet:
    """The labels as read, or cleaned: `truth` in pixels of each photo, names, and which joints are known.

    has_joint (N, K): False for a removed label. dropped: how many people or labels each part of the rule removed.
    """

    truth: Truth
    file_name: dict[int, str]
    sha256: str
    has_joint: Bool[np.ndarray, "N 14"]
    dropped: dict[str, int]


def read_lspet(path: str | Path) -> Lspet:
    """Read `joints.mat` (or the folder that holds it). `image_id` is 1 … N in the order of the photos.

    The set has no boxes: `box` is the labelled joints' extent plus a tenth of its longer side on each side, `area` 0.53
    × that box. Raises InputError.
    """
    path = Path(path)
    path = path / "joints.mat" if path.is_dir() else path
    content = read_labels_of(path, "LSPET")
    joints = read_matlab(content, path).get("joints")
    if joints is None or joints.ndim != 3 or joints.shape[:2] != (14, 3) or joints.dtype.kind not in "iuf":
        got = "nothing" if joints is None else f"{joints.shape} of {joints.dtype}"
        raise InputError(f"{path}: variable 'joints': expected numbers 14 × 3 × N, got {got}")
    joints = joints.transpose(2, 0, 1).astype(np.float64)  # (N, 14, 3)
    if not (np.abs(joints) < FARTHEST).all() or not np.isin(joints[..., 2], (0, 1)).all():
        raise InputError(f"{path}: variable 'joints': expected x, y in pixels of a photo and 0 or 1 for labelled")
    has = joints[..., 2] > 0
    count = len(joints)
    xy = np.where(has[..., None], joints[..., :2], 0.0)
    box = boxes_of_joints(xy, has)
    truth = Truth(
        xy=xy,
        v=np.where(has, 2, 0),
        area=BOX_SHARE * (box[:, 2:] - box[:, :2]).prod(axis=1),
        area_source=np.full(count, "box*0.53", dtype=object),
        box=box,
        image_id=np.arange(1, count + 1),
        annotation_id=np.arange(1, count + 1),
        skeleton=LSP_14,
    )
    names = {number: f"im{number:05d}.jpg" for number in range(1, count + 1)}
    return Lspet(truth, names, hashlib.sha256(content).hexdigest(), np.ones_like(has), {})


def clean(lspet: Lspet) -> Lspet:
    """Return the people and labels that pass the module's rule; `dropped` counts what each part removed."""
    xy, has = lspet.truth.xy, lspet.truth.v > 0
    long = has & _long_limb_ends(xy, has)
    is_kept = has & ~long
    crossed = is_kept & _crossed_legs(xy, is_kept)
    is_kept &= ~crossed
    twisted = _twisted_trunk(xy, is_kept)
    few = ~twisted & (np.count_nonzero(is_kept, axis=1) < _FEWEST_LABELS)
    stays = ~(twisted | few)
    truth = replace(
        lspet.truth, v=np.where(is_kept, 2, 0), xy=np.where(is_kept[..., None], xy, 0.0), num_keypoints=None
    )
    return replace(
        lspet,
        truth=truth[stays],
        has_joint=(lspet.has_joint & (is_kept | ~has))[stays],
        dropped={
            "labels: long limb": int(np.count_nonzero(long)),
            "labels: crossed limbs": int(np.count_nonzero(crossed)),
            "people: twisted trunk": int(np.count_nonzero(twisted)),
            "people: too little": int(np.count_nonzero(few)),
        },
    )


def lspet_people(lspet: Lspet, folder: str | Path, *, cut: Cut | None = None) -> People:
    """Return the people with their photos for training; `datasets.dataset_ops.map_joints` maps them to another
    skeleton.

    Raises InputError if the folder of the photos is missing.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such directory, expected the folder with the photos")
    return photo_people(
        lspet.truth,
        LSP_14,
        folder,
        lspet.file_name,
        has_joint=lspet.has_joint,
        has_visibility=False,
        cut=cut,
        keep=0,  # one person per photo
    )


def _long_limb_ends(xy: Float[np.ndarray, "N 14 2"], has: Bool[np.ndarray, "N 14"]) -> Bool[np.ndarray, "N 14"]:
    """Return the joints (N, 14) responsible for limbs that are too long."""
    has_limb = has[:, _LIMBS].all(axis=2)  # (N, limbs)
    length = np.linalg.norm(xy[:, _LIMBS[:, 0]] - xy[:, _LIMBS[:, 1]], axis=2) / _USUAL
    size = _upper_quartile(np.where(has_limb, length, np.nan))
    enough = np.count_nonzero(has_limb, axis=1) >= _FEWEST_LIMBS
    is_long = has_limb & enough[:, None] & (length > _LONG * size[:, None])
    blame = np.zeros(has.shape)
    for limb, (inner, outer) in enumerate(_LIMBS):
        blame[:, inner] += is_long[:, limb]
        blame[:, outer] += is_long[:, limb] * 1.01  # breaks ties
    ends = np.zeros_like(has)
    for limb, (inner, outer) in enumerate(_LIMBS):
        is_outer = blame[:, outer] >= blame[:, inner]
        ends[:, outer] |= is_long[:, limb] & is_outer
        ends[:, inner] |= is_long[:, limb] & ~is_outer
    return ends


def _upper_quartile(values: Float[np.ndarray, "N M"]) -> Float[np.ndarray, " N"]:
    """Return the 75% quantile (N,) of each row, ignoring NaN (the next higher value); infinity without values."""
    count = np.count_nonzero(~np.isnan(values), axis=1)
    index = np.maximum(np.ceil(0.75 * count).astype(np.int64) - 1, 0)
    return np.sort(np.where(np.isnan(values), np.inf, values), axis=1)[np.arange(len(values)), index]


def _crossed_legs(xy: Float[np.ndarray, "N 14 2"], has: Bool[np.ndarray, "N 14"]) -> Bool[np.ndarray, "N 14"]:
    crossed = np.zeros_like(has)
    for inner, outer in (("hip", "knee"), ("knee", "ankle")):
        ends = [_INDEX[f"{side}_{joint}"] for joint in (inner, outer) for side in ("left", "right")]
        left_inner, right_inner, left_outer, right_outer = (xy[:, end] for end in ends)
        own_length = np.linalg.norm(left_inner - left_outer, axis=1) + np.linalg.norm(right_inner - right_outer, axis=1)
        crossed_length = np.linalg.norm(left_inner - right_outer, axis=1) + np.linalg.norm(
            right_inner - left_outer, axis=1
        )
        crossed[:, ends[2:]] |= (has[:, ends].all(axis=1) & (own_length > _CROSSED * crossed_length))[:, None]
    return crossed


def _twisted_trunk(xy: Float[np.ndarray, "N 14 2"], has: Bool[np.ndarray, "N 14"]) -> Bool[np.ndarray, " N"]:
    """Return whose shoulders and hips (N,) point apart, while neither line is seen from its end."""
    ends = [_INDEX[f"{side}_{joint}"] for joint in ("shoulder", "hip") for side in ("left", "right")]
    left_shoulder, right_shoulder, left_hip, right_hip = (xy[:, end] for end in ends)
    shoulders, hips = left_shoulder - right_shoulder, left_hip - right_hip
    trunk = np.linalg.norm(left_shoulder + right_shoulder - left_hip - right_hip, axis=1) / 2
    across, below = np.linalg.norm(shoulders, axis=1), np.linalg.norm(hips, axis=1)
    is_wide = has[:, ends].all(axis=1) & (across > 0.3 * trunk) & (below > 0.2 * trunk)
    return is_wide & ((shoulders * hips).sum(axis=1) < _TWISTED * across * below)
