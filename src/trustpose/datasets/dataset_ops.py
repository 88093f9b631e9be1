"""People out of people: some of them, several sources one after another, or mapped to another skeleton."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Int

from trustpose.datasets.people import People, PersonSample
from trustpose.skeletons import Skeleton


@dataclass(eq=False)
class SomePeople(People):
    """The people at `rows` (L,) of another source, in that order: a fold, a subset, a repetition."""

    people: People
    rows: Int[np.ndarray, " L"]

    def __post_init__(self) -> None:
        self.skeleton = self.people.skeleton
        self.image_id = self.people.image_id[self.rows]
        self.annotation_id = self.people.annotation_id[self.rows]

    def __getitem__(self, index: int) -> PersonSample:
        return self.people[int(self.rows[self._check(index)])]


@dataclass(eq=False)
class JoinedPeople(People):
    """All people of several sources, one source after another. Raises ValueError where their skeletons differ."""

    parts: Sequence[People]

    def __post_init__(self) -> None:
        names = {part.skeleton.keypoints for part in self.parts}
        if len(names) != 1:
            raise ValueError(
                f"parts: expected people of one skeleton, got {len(names)}; map them to one (MappedPeople)"
            )
        self.skeleton = self.parts[0].skeleton
        self.image_id = np.concatenate([part.image_id for part in self.parts])
        self.annotation_id = np.concatenate([part.annotation_id for part in self.parts])
        self._starts = np.cumsum([0, *map(len, self.parts)])

    def __getitem__(self, index: int) -> PersonSample:
        at = self._check(index)
        part = int(np.searchsorted(self._starts, at, side="right")) - 1
        return self.parts[part][at - int(self._starts[part])]


@dataclass(eq=False)
class MappedPeople(People):
    """People mapped to another skeleton, joints matched by name; one the source lacks has has_joint False and v = 0.

    index (K,): each joint's place in the source's skeleton; lacks (K,): whether there is none.
    """

    people: People
    skeleton: Skeleton

    def __post_init__(self) -> None:
        self.image_id, self.annotation_id = self.people.image_id, self.people.annotation_id
        self.index = self.people.skeleton.index_in(self.skeleton, missing="mark")
        self.lacks = self.index < 0

    def __getitem__(self, index: int) -> PersonSample:
        sample = self.people[self._check(index)]
        xy, v, has_joint, has_visibility = (
            column[self.index] for column in (sample.xy, sample.v, sample.has_joint, sample.has_visibility)
        )
        for column in (xy, v, has_joint, has_visibility):
            column[self.lacks] = 0
        return replace(sample, xy=xy, v=v, has_joint=has_joint, has_visibility=has_visibility)
