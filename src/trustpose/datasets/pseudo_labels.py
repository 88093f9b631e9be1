"""Labels that somebody else than the data set gives, or takes away: a teacher's, say."""

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
    """People with places (N, K, 2), photo pixels, for joints that their data set does not label.

    is_filled (N, K): the joint is at `xy`, with v = 2; is_removed (N, K): its label is forgotten, v = 0. has_joint is
    False for both, and stays so for the first: v > 0 without has_joint is how `PersonLabels` say that a place is not
    its data set's. Raises ValueError where a joint is both, or shapes are not the people's.
    """
    expected = (len(people), len(people.skeleton))
    if is_filled.shape != expected:
        raise ValueError(f"is_filled: expected {expected} for these people, got {is_filled.shape}")
    if (is_filled & is_removed).any():
        raise ValueError("is_removed: expected no joint that is filled too")
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
