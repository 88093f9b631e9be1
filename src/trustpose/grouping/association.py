"""Methods that assign the joints of a photo to people, over all of its boxes, by name."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from jaxtyping import Bool

from trustpose.files import InputError
from trustpose.grouping.crowdpose import Association, JointCandidates
from trustpose.grouping.deepcut import DeepCut
from trustpose.names import expected_one_of
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton


class JointAssociation(Protocol):
    """A method that assigns joint candidates to people.

    min_score: candidates below are not used. max_per_joint: candidates of each joint in a box, at most.
    """

    @property
    def min_score(self) -> float: ...

    @property
    def max_per_joint(self) -> int: ...

    def apply(
        self,
        poses: Poses,
        candidates: JointCandidates,
        skeleton: Skeleton,
        takes_part: Bool[np.ndarray, " N"] | None = None,
    ) -> Poses:
        """Return the people of a photo.

        poses: of its N boxes. takes_part (N,): the boxes that may get joints; None: all.
        """
        ...


ASSOCIATIONS: Mapping[str, JointAssociation] = {
    "global": Association(),
    "crowdpose": Association(overlap=None, by_box=False, keep_unassigned=False),
    "deepcut": DeepCut(),
}
"""CrowdPose's with the additions that make it do no harm, as in the paper, and DeepCut:
https://trustpose.github.io/trustpose/benchmarks/crowds.html"""


def association_of(choice: JointAssociation | str | None) -> JointAssociation | None:
    """Return an association by its name, or unchanged; "none" gives None. Raises InputError for another name."""
    if not isinstance(choice, str) or choice == "none":
        return None if isinstance(choice, str) else choice
    if choice not in ASSOCIATIONS:
        raise InputError(f"association: {expected_one_of((*ASSOCIATIONS, 'none'), choice)}")
    return ASSOCIATIONS[choice]
