"""Known skeletons by name, and look-up by name, file or list of keypoint names."""

import re
from functools import cache
from pathlib import Path
from typing import Any

from trustpose.files import InputError
from trustpose.names import did_you_mean
from trustpose.skeletons import animals, bodies, whole_body
from trustpose.skeletons.skeleton import Skeleton, read_skeleton, skeleton_of_object, skeleton_value

SKELETONS: dict[str, Skeleton] = {
    skeleton.name: skeleton
    for skeleton in (
        *(bodies.COCO_17, bodies.LSP_14, bodies.MPII_16, bodies.FLIC_11, bodies.CROWDPOSE_14),
        *(bodies.OPENPOSE_BODY_25, bodies.OPENPOSE_COCO_18, bodies.OPENPOSE_MPI_15, bodies.HALPE_26),
        bodies.OPENPOSE_BODY_25B,
        *(bodies.BLAZEPOSE_33, bodies.AIC_14, bodies.HUMANART_21, bodies.JHMDB_15, bodies.POSETRACK18_17),
        *(bodies.OCHUMAN_19, bodies.HUMAN36M_17),
        *(
            whole_body.HAND_21,
            whole_body.FACE_68,
            whole_body.FACE_70,
            whole_body.FACE_98,
            whole_body.COCO_WHOLEBODY_133,
            whole_body.HALPE_136,
        ),
        animals.AP10K_17,
    )
}
"""COCO's 17 first, then the others; `find_skeleton` searches them in this order."""


def find_skeleton(keypoints: tuple[str, ...] | list[str]) -> Skeleton | None:
    """Return the skeleton with these keypoint names, in this order, or None; "Left Hip" and "left-hip" match
    left_hip."""
    return _by_plain_names().get(tuple(map(_plain, keypoints)))


@cache
def _by_plain_names() -> dict[tuple[str, ...], Skeleton]:
    """Return the first skeleton for each tuple of names, normalised as in `find_skeleton`."""
    return {tuple(map(_plain, skeleton.keypoints)): skeleton for skeleton in reversed(SKELETONS.values())}


def skeleton_of(skeleton: str | Path | Skeleton, option: str = "--skeleton") -> Skeleton:
    """Return the skeleton of that name, or in the file of that name (JSON, see `read_skeleton`), or a `Skeleton`
    itself.

    `option` names the option or argument in the `InputError` that is raised otherwise.
    """
    if isinstance(skeleton, Skeleton):
        return skeleton
    if str(skeleton) in SKELETONS:
        return SKELETONS[str(skeleton)]
    if Path(skeleton).suffix.lower() != ".json":
        hint = did_you_mean(skeleton, SKELETONS)
        raise InputError(f"{option}: expected one of {', '.join(SKELETONS)}, or FILE.json, got {str(skeleton)!r}{hint}")
    return read_skeleton(skeleton)


def registered_skeleton(value: Any, path: str | Path, field: str) -> Skeleton:
    """Return the known skeleton with the name and the keypoints of a JSON object, else the one that it describes.

    The file `path`, and its `field` that holds the object, are for error messages. Raises InputError.
    """
    skeleton = skeleton_of_object(value, path, field)
    registered = SKELETONS.get(skeleton.name)
    return registered if registered is not None and registered.keypoints == skeleton.keypoints else skeleton


def name_or_object(skeleton: Skeleton) -> str | dict[str, Any]:
    """Return a skeleton's JSON value: the name of a known one, else its complete description."""
    return skeleton.name if SKELETONS.get(skeleton.name) == skeleton else skeleton_value(skeleton)


def _plain(name: str) -> str:
    return re.sub(r"[\s\-.]+", "_", name.strip()).lower()
