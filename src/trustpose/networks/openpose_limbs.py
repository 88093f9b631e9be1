"""The meaning of the maps of OpenPose's published bodies: keypoints, limbs, and the maps of each limb's field.

Source: the tables POSE_BODY_PART_PAIRS and POSE_MAP_INDEX of OpenPose (CMU-Perceptual-Computing-Lab/openpose,
poseParameters.cpp); Lightweight OpenPose's are those of COCO's 18.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class BodyMaps:
    """The keypoints, limbs and field maps of a published body network.

    skeleton: the skeleton's name. limbs: pairs of keypoints, in the order in which they are joined. maps: the index of
    each limb's pair of maps, x and y. redundant: limbs from ear to shoulder, which never start a person.
    """

    skeleton: str
    limbs: tuple[tuple[int, int], ...]
    maps: tuple[int, ...]
    redundant: tuple[int, ...] = ()


def _pairs(text: str) -> tuple[tuple[int, int], ...]:
    ends = [limb.split("-") for limb in text.split()]
    return tuple((int(start), int(end)) for start, end in ends)


COCO_18 = BodyMaps(
    "openpose_coco18",
    _pairs("1-2 1-5 2-3 3-4 5-6 6-7 1-8 8-9 9-10 1-11 11-12 12-13 1-0 0-14 14-16 0-15 15-17 2-16 5-17"),
    (6, 10, 7, 8, 11, 12, 0, 1, 2, 3, 4, 5, 14, 15, 17, 16, 18, 9, 13),
    redundant=(17, 18),
)
BODY_25 = BodyMaps(
    "openpose_body25",
    _pairs(
        "1-8 1-2 1-5 2-3 3-4 5-6 6-7 8-9 9-10 10-11 8-12 12-13 13-14 1-0 0-15 15-17 0-16 16-18 2-17 5-18 "
        "14-19 19-20 14-21 11-22 22-23 11-24"
    ),
    (0, 7, 11, 8, 9, 12, 13, 3, 1, 2, 4, 5, 6, 15, 16, 18, 17, 19, 10, 14, 20, 21, 22, 23, 24, 25),
    redundant=(18, 19),
)
MPI_15 = BodyMaps(
    "openpose_mpi15", _pairs("0-1 1-2 2-3 3-4 1-5 5-6 6-7 1-14 14-8 8-9 9-10 14-11 11-12 12-13"), tuple(range(14))
)
BODY_MAPS: dict[str, BodyMaps] = {  # by the zoo's name
    "openpose-2017-body15": MPI_15,
    "openpose-2017-body18": COCO_18,
    "openpose-2019-body25": BODY_25,
    "lightweight-openpose": COCO_18,
}
PART_SKELETONS = {"openpose-hand": "hand21", "openpose-face": "face70"}
