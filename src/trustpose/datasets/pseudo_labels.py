"""Add labels from another source, such as a teacher network, and remove labels."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float

from trustpose.datasets.people import People


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
