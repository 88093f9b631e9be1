"""The options of reading a ground truth, which audits and calibrators share."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trustpose.options import option

if TYPE_CHECKING:
    import numpy as np
    from jaxtyping import Float

    from trustpose.skeletons import Skeleton

SEED = "Seed of all random draws."


def skeleton_names() -> Iterable[str]:
    """Return the names of the skeletons that are built in."""
    from trustpose.skeletons import SKELETONS

    return SKELETONS


@dataclass(frozen=True)
class GroundTruthOptions:
    """How labelled people are read and what OKS is relative to. In Python `sigmas` may be an array (K,), or of one
    number for all keypoints."""

    area: str = option(
        "auto",
        names=("auto", "segment", "box", "box*0.53", "file"),
        help="Area for OKS. segment: as in COCO evaluation; file: the area in the annotations, whatever its source; "
        "auto: segment, file if some areas have another source, box*0.53 if there are none.",
    )
    category: str | int | None = option(
        None,
        panel="People",
        help="Category, by name or id, if there are several; all: each of them, and their mean.",
    )
    skeleton: "Skeleton | str | Path | None" = option(
        None,
        panel="People",
        names=skeleton_names,
        help="Skeleton of the annotations, NAME or FILE.json; overrides the keypoint names in the file.",
    )
    sigmas: "Float[np.ndarray, ' L'] | str | None" = option(
        None, panel="People", help="Sigmas for OKS: one per keypoint, separated by commas, or one for all."
    )
