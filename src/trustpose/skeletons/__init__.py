"""Skeletons: the joints of a data set or estimator, their connections, mirror pairs and sigmas for OKS.

`skeleton.py` has the record `Skeleton` and reads custom ones from JSON, `registry.py` has the skeletons by name
(`SKELETONS`). Read `skeleton.py` first.
"""

from trustpose.skeletons.animals import AP10K_17
from trustpose.skeletons.bodies import (
    AIC_14,
    BLAZEPOSE_33,
    COCO_17,
    COCO_17_REDUNDANT,
    CROWDPOSE_14,
    FLIC_11,
    HALPE_26,
    HUMAN36M_17,
    HUMANART_21,
    JHMDB_15,
    LSP_14,
    MPII_16,
    OCHUMAN_19,
    OPENPOSE_BODY_25,
    OPENPOSE_BODY_25B,
    OPENPOSE_COCO_18,
    OPENPOSE_MPI_15,
    POSETRACK18_17,
)
from trustpose.skeletons.registry import SKELETONS, find_skeleton, name_or_object, registered_skeleton, skeleton_of
from trustpose.skeletons.skeleton import (
    Skeleton,
    difference,
    parse_sigmas,
    read_skeleton,
    sigmas_of,
    skeleton_of_object,
    skeleton_value,
)
from trustpose.skeletons.whole_body import COCO_WHOLEBODY_133, FACE_68, FACE_70, FACE_98, HALPE_136, HAND_21

__all__ = [
    "AIC_14",
    "AP10K_17",
    "BLAZEPOSE_33",
    "COCO_17",
    "COCO_17_REDUNDANT",
    "COCO_WHOLEBODY_133",
    "CROWDPOSE_14",
    "FACE_68",
    "FACE_70",
    "FACE_98",
    "FLIC_11",
    "HALPE_26",
    "HALPE_136",
    "HAND_21",
    "HUMAN36M_17",
    "HUMANART_21",
    "JHMDB_15",
    "LSP_14",
    "MPII_16",
    "OCHUMAN_19",
    "OPENPOSE_BODY_25",
    "OPENPOSE_BODY_25B",
    "OPENPOSE_COCO_18",
    "OPENPOSE_MPI_15",
    "POSETRACK18_17",
    "SKELETONS",
    "Skeleton",
    "difference",
    "find_skeleton",
    "name_or_object",
    "parse_sigmas",
    "read_skeleton",
    "registered_skeleton",
    "sigmas_of",
    "skeleton_of",
    "skeleton_of_object",
    "skeleton_value",
]
