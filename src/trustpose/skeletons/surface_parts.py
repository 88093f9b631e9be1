"""The parts of the human surface in DensePose: 24 charts of the points, 14 parts of the masks, and their mirror images.

Source: Güler, Neverova, Kokkinos, DensePose, CVPR 2018, section 2; numbers and names as in the data format of the COCO
DensePose task. A body part of two charts has its name with 1 and 2.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

BACKGROUND = "background"
MASK_PARTS: tuple[str, ...] = (
    "torso",
    "right_hand",
    "left_hand",
    "left_foot",
    "right_foot",
    "right_upper_leg",
    "left_upper_leg",
    "right_lower_leg",
    "left_lower_leg",
    "left_upper_arm",
    "right_upper_arm",
    "left_lower_arm",
    "right_lower_arm",
    "head",
)
"""The 14 parts of annotated masks, from number 1 on; 0 is the background."""
SURFACE_PARTS: tuple[str, ...] = (
    *("torso_1", "torso_2", "right_hand", "left_hand", "left_foot", "right_foot"),
    *("right_upper_leg_1", "left_upper_leg_1", "right_upper_leg_2", "left_upper_leg_2"),
    *("right_lower_leg_1", "left_lower_leg_1", "right_lower_leg_2", "left_lower_leg_2"),
    *("left_upper_arm_1", "right_upper_arm_1", "left_upper_arm_2", "right_upper_arm_2"),
    *("left_lower_arm_1", "right_lower_arm_1", "left_lower_arm_2", "right_lower_arm_2"),
    *("right_head", "left_head"),
)
"""The 24 charts that annotated points lie on, from number 1 on; 0 is the background."""


def _mirrors(names: Sequence[str]) -> Int[np.ndarray, " N"]:
    """Return the number of each part's mirror image, the background's first."""
    swapped = [name.replace("left_", "LEFT_").replace("right_", "left_").replace("LEFT_", "right_") for name in names]
    return np.array([0, *(1 + names.index(name) for name in swapped)])


MIRRORED_PARTS: Int[np.ndarray, " 25"] = _mirrors(SURFACE_PARTS)
"""The chart that each chart becomes in a mirrored photo; applied twice it is the identity."""
MIRRORED_MASKS: Int[np.ndarray, " 15"] = _mirrors(MASK_PARTS)
"""The same of the masks' parts."""
MASK_OF_PART: Int[np.ndarray, " 25"] = np.array(
    [0]
    + [
        1 + MASK_PARTS.index("head" if "head" in name else name.removesuffix("_1").removesuffix("_2"))
        for name in SURFACE_PARTS
    ]
)
"""The part of the masks that each chart belongs to."""
