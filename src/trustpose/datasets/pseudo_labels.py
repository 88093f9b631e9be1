"""People some of whose joints were labelled by somebody else than their data set, or had their labels taken away."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float

from trustpose.datasets.people import People, PersonSample


@dataclass(eq=False)
class FilledPeople(People):
    """People with places (N, K, 2), photo pixels, for joints that their data set does not speak of.

    is_filled (N, K): the joint is at `xy`, with v = 2; is_removed (N, K): its label is forgotten, v = 0. has_joint is
    False for both, and stays so for the first: v > 0 without has_joint is how a `PersonSample` says that a place is not
    its data set's. Raises ValueError where a joint is both, or shapes are not the people's.
    """

    people: People
    xy: Float[np.ndarray, "N K 2"]
    is_filled: Bool[np.ndarray, "N K"]
    is_removed: Bool[np.ndarray, "N K"]

    def __post_init__(self) -> None:
        self.skeleton = self.people.skeleton
        self.image_id, self.annotation_id = self.people.image_id, self.people.annotation_id
        expected = (len(self.people), len(self.skeleton))
        if self.is_filled.shape != expected:
            raise ValueError(f"is_filled: expected {expected} for these people, got {self.is_filled.shape}")
        if (self.is_filled & self.is_removed).any():
            raise ValueError("is_removed: expected no joint that is filled too")

    def __getitem__(self, index: int) -> PersonSample:
        at = self._check(index)
        sample, filled, removed = self.people[at], self.is_filled[at], self.is_removed[at]
        changed = filled | removed
        xy = np.where(filled[:, None], self.xy[at], sample.xy).astype(np.float64)
        xy[removed] = 0
        return replace(
            sample,
            xy=xy,
            v=np.where(filled, 2, np.where(removed, 0, sample.v)),
            has_joint=sample.has_joint & ~changed,
            has_visibility=sample.has_visibility & ~changed,
        )
