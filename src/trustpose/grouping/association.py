"""Ways to share the joints of a photo out among people, over all of its boxes, by name."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from jaxtyping import Bool

from trustpose.files import InputError
from trustpose.grouping.crowdpose import Association, JointCandidates
from trustpose.grouping.deepcut_people import DeepCut
from trustpose.names import expected_one_of
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton


class JointAssociation(Protocol):
    """A way: candidates have at least `min_score`, and a box at most `most` of each joint."""

    @property
    def min_score(self) -> float: ...

    @property
    def most(self) -> int: ...

    def apply(
        self,
        poses: Poses,
        candidates: JointCandidates,
        skeleton: Skeleton,
        takes_part: Bool[np.ndarray, " N"] | None = None,
    ) -> Poses:
        """Return the people of a photo; poses: of its N boxes. takes_part (N,): which may; None: all."""
        ...


ASSOCIATIONS: Mapping[str, JointAssociation] = {
    "global": Association(),
    "crowdpose": Association(overlap=None, by_box=False, keeps_place=False),
    "deepcut": DeepCut(),
}
"""CrowdPose's with the additions that make it do no harm (docs/benchmarks/crowds.md), as in the paper, and DeepCut."""


def association_of(given: JointAssociation | str | None) -> JointAssociation | None:
    """Return an association by its name, or as given; "none" is None. Raises InputError for another name."""
    if not isinstance(given, str) or given == "none":
        return None if isinstance(given, str) else given
    if given not in ASSOCIATIONS:
        raise InputError(f"association: {expected_one_of((*ASSOCIATIONS, 'none'), given)}")
    return ASSOCIATIONS[given]
