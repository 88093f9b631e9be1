"""Operations on `People`: select rows, join sources, map to another skeleton, add labels of a teacher, remove
labels.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.datasets.people import People, PersonLabels
from trustpose.skeletons import Skeleton


def subset(people: People, rows: Int[np.ndarray, " L"]) -> People:
    """Return the people at `rows` (L,), in that order: for a fold, a subset, repetitions."""
    return replace(people, labels=people.labels[rows], source=people.source[rows], row=people.row[rows])


def join(parts: Sequence[People]) -> People:
    """Concatenate the people of several sources. Raises ValueError if their skeletons differ."""
    names = {part.skeleton.keypoints for part in parts}
    if len(names) != 1:
        raise ValueError(f"parts: expected people with one skeleton, got {len(names)}; map them to one (map_joints)")
    first = np.cumsum([0, *(len(part.sources) for part in parts)])
    return People(
        parts[0].skeleton,
        PersonLabels.concatenate([part.labels for part in parts]),
        tuple(source for part in parts for source in part.sources),
        np.concatenate([part.source + start for part, start in zip(parts, first[:-1], strict=True)]),
        np.concatenate([part.row for part in parts]),
    )


def map_joints(people: People, skeleton: Skeleton) -> People:
    """Map people to another skeleton by joint names; a joint that the source lacks has has_joint False and v = 0.

    Raises ValueError if the skeletons have no joint in common.
    """
    index = people.skeleton.index_in(skeleton, missing="mark")  # (K,) each joint's index in the source's skeleton
    lacks, labels = index < 0, people.labels
    mapped = replace(
        labels,
        xy=np.where(lacks[:, None], 0.0, labels.xy[:, index]),
        v=np.where(lacks, 0, labels.v[:, index]),
        has_joint=labels.has_joint[:, index] & ~lacks,
        has_visibility=labels.has_visibility[:, index] & ~lacks,
    )
    return replace(people, skeleton=skeleton, labels=mapped)


def with_pseudo_labels(
    people: People,
    xy: Float[np.ndarray, "N K 2"],
    is_filled: Bool[np.ndarray, "N K"],
    is_removed: Bool[np.ndarray, "N K"],
) -> People:
    """Add positions (N, K, 2), in photo pixels, for joints that the data set does not label; remove labels.

    is_filled (N, K): the joint is at `xy`, with v = 2; is_removed (N, K): its label is removed, v = 0. has_joint
    becomes False for both: in `PersonLabels`, v > 0 without has_joint marks a pseudo-label. Raises ValueError if a
    joint is both, or shapes do not match the people.
    """
    expected = (len(people), len(people.skeleton))
    if is_filled.shape != expected:
        raise ValueError(f"is_filled: expected {expected} for these people, got {is_filled.shape}")
    if (is_filled & is_removed).any():
        raise ValueError("is_removed: expected no joint that is also filled")
    labels, is_changed = people.labels, is_filled | is_removed
    placed = np.where(is_filled[..., None], xy, labels.xy).astype(np.float64)
    return replace(
        people,
        labels=replace(
            labels,
            xy=np.where(is_removed[..., None], 0.0, placed),
            v=np.where(is_filled, 2, np.where(is_removed, 0, labels.v)),
            has_joint=labels.has_joint & ~is_changed,
            has_visibility=labels.has_visibility & ~is_changed,
        ),
    )
