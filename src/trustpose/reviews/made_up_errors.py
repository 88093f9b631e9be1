"""Made-up label errors of each kind, of sizes that people make, for fitting probabilities and measuring them."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool

from trustpose.names import expected_one_of
from trustpose.poses import Truth
from trustpose.reviews.evidence import Evidence
from trustpose.reviews.hypotheses import HYPOTHESES, PERSON_KINDS

JITTER = (0.5, 0.85)  # OPKS of jitter; below it is a miss (Ronchi and Perona 2017)
_LARGEST = 0.5  # distance of a miss at most, in units of √area


def spoil(
    evidence: Evidence, kind: str, share: float, seed: int, *, jitter: bool = False
) -> tuple[Truth, Bool[np.ndarray, "M K"] | Bool[np.ndarray, " M"]]:
    """Return the people with label errors of one kind, and which labels were spoilt: (M, K), or (M,) for a kind of
    whole people.

    position: shifted in any direction, by a distance that is uniform in its logarithm from an OPKS of .5 to half of
    √area (a miss); with `jitter` to an OPKS between .5 and .85. swapped: a left and a right label exchanged, v too.
    person_swapped: all of a person. other_person: moved to the same joint of a labelled person near. missing: a visible
    joint with v = 0. invented: an unlabelled joint labelled, in two of three cases as occluded, where another person of
    this file has it within the box. visibility: 1 and 2 exchanged.

    Args:
        evidence: the people, and the boxes and sizes of their poses.
        kind: one of `HYPOTHESES`.
        share: of the labels (people) that can have this error.
        seed: of the draws.
        jitter: for position, small shifts.

    Raises:
        ValueError: for another kind.

    Example:
        >>> spoilt, is_spoilt = spoil(evidence, "swapped", 0.05, 0)
    """
    if kind not in HYPOTHESES:
        raise ValueError(f"kind: {expected_one_of(HYPOTHESES, kind)}")
    rng = np.random.default_rng(seed)
    truth, flip = evidence.truth, evidence.skeleton.flip_index
    xy, v = truth.xy.astype(np.float64), truth.v.copy()
    if kind in PERSON_KINDS:
        pairs = (v > 0) & (v[:, flip] > 0) & (flip != np.arange(len(flip)))
        is_spoilt = (pairs.sum(axis=1) >= 4) & (rng.random(len(v)) < share)
        xy[is_spoilt], v[is_spoilt] = xy[is_spoilt][:, flip], v[is_spoilt][:, flip]
        return replace(truth, xy=xy, v=v, num_keypoints=None), is_spoilt
    is_spoilt = rng.random(v.shape) < share
    if kind == "position":
        is_spoilt &= evidence.labelled
        nearest = evidence.scale * np.sqrt(-2 * np.log(JITTER[0]))
        farthest = np.maximum(evidence.scale / (2 * evidence.skeleton.sigmas) * _LARGEST, 1.5 * nearest)
        if jitter:
            nearest, farthest = evidence.scale * np.sqrt(-2 * np.log(JITTER[1])), nearest
        distance = nearest * (farthest / nearest) ** rng.random(v.shape)
        angle = rng.uniform(0, 2 * np.pi, v.shape)
        shift = distance[..., None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        xy[is_spoilt] += shift[is_spoilt]
    elif kind == "swapped":
        is_spoilt &= evidence.labelled & evidence.labelled[:, flip] & (np.arange(len(flip)) < flip)
        is_spoilt |= is_spoilt[:, flip]
        xy, v = np.where(is_spoilt[..., None], xy[:, flip], xy), np.where(is_spoilt, v[:, flip], v)
    elif kind == "other_person":
        first, second = evidence.near
        order = rng.permutation(len(first))
        target = np.full(v.shape, -1)
        for joint in range(v.shape[1]):
            is_pair = evidence.labelled[first[order], joint] & evidence.labelled[second[order], joint]
            target[first[order][is_pair], joint] = second[order][is_pair]
        is_spoilt &= target >= 0
        person, joint = np.nonzero(is_spoilt)
        size = evidence.scale[person, joint, None] * 0.5
        xy[is_spoilt] = truth.xy[target[is_spoilt], joint] + rng.normal(size=(len(person), 2)) * size
    elif kind == "missing":
        is_spoilt &= v == 2
        is_spoilt &= (v > 0).sum(axis=1, keepdims=True) - is_spoilt.sum(axis=1, keepdims=True) >= 1
        xy[is_spoilt], v[is_spoilt] = 0, 0
    elif kind == "invented":
        is_spoilt &= v == 0
        person, joint = np.nonzero(is_spoilt)
        box = evidence.poses.person_box().astype(np.float64)
        relative = (truth.xy - box[:, None, :2]) / (box[:, None, 2:] - box[:, None, :2])
        for number in np.unique(joint):
            sources = np.flatnonzero(evidence.labelled[:, number])
            rows = person[joint == number]
            if not len(sources):
                is_spoilt[rows, number] = False
                continue
            offset = relative[rng.choice(sources, len(rows)), number]
            xy[rows, number] = box[rows, :2] + offset * (box[rows, 2:] - box[rows, :2])
            v[rows, number] = rng.choice([1, 1, 2], len(rows))
    else:
        is_spoilt &= v > 0
        v[is_spoilt] = 3 - v[is_spoilt]
    return replace(truth, xy=xy, v=v, num_keypoints=None), is_spoilt
