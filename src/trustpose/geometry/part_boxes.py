"""Boxes of hands and faces from a body's joints, as OpenPose derives them: squares, xyxy in image pixels.

Source: OpenPose (Cao et al., TPAMI 2019; CMU-Perceptual-Computing-Lab/openpose, handDetector.cpp and faceDetector.cpp).
Joints are xy (N, 2) of N people, NaN where they were not found; a box is NaN where the joints that it needs were not.
"""

import numpy as np
from jaxtyping import Float

Points = Float[np.ndarray, "N 2"]
BEYOND_WRIST = 0.33  # of the forearm: from the wrist to the hand's centre
HAND_PER_FOREARM, FOREARM_PER_UPPER_ARM = 1.5, 0.9
FACE_PER_NECK, FACE_PER_EYES, FACE_PER_EARS = 2.0, 3.0, 2.0  # sides per distance neck to nose, between eyes, ears
PROFILE = 0.85  # side per distances nose to eye, nose to ear, neck to nose together
HEAD_PER_NECK = 1.33  # side per distance neck to head, for skeletons without eyes and ears


def hand_boxes(wrist: Points, elbow: Points, shoulder: Points) -> Float[np.ndarray, "N 4"]:
    """Return the boxes of one side's hands: a third of the forearm beyond the wrist, 1.5 forearms wide; the forearm is
    replaced by nine tenths of the upper arm if these are longer."""
    centre = wrist + BEYOND_WRIST * (wrist - elbow)
    forearm, upper = _distance(wrist, elbow), _distance(elbow, shoulder)
    return _squares(centre, HAND_PER_FOREARM * np.maximum(forearm, FOREARM_PER_UPPER_ARM * upper))


def face_boxes(
    neck: Points, nose: Points, eyes: Float[np.ndarray, "N 2 2"], ears: Float[np.ndarray, "N 2 2"]
) -> Float[np.ndarray, "N 4"]:
    """Return the boxes of faces: the mean of the estimates from neck and nose, both eyes, and both ears, where known.
    eyes, ears: left, right, x and y.

    Neck and nose: their middle, twice their distance; for a profile, with the eye and the ear of only one side, the
    mean of nose, eye and ear, and 0.85 × (nose to eye + nose to ear + neck to nose). Eyes: their middle, three times
    their distance. Ears: their middle, twice their distance.
    """
    has_eye, has_ear = (~np.isnan(pair).any(axis=2).reshape(-1, 2) for pair in (eyes, ears))  # (N, 2)
    both, neither = has_eye & has_ear, ~(has_eye | has_ear)  # of each side
    side, row = both.argmax(axis=1), np.arange(len(eyes))
    is_profile = both[row, side] & neither[row, 1 - side]
    eye, ear = eyes[row, side], ears[row, side]
    length = _distance(neck, nose)
    profile_side = PROFILE * (_distance(nose, eye) + _distance(nose, ear) + length)
    by_neck = np.where(is_profile[:, None], (nose + eye + ear) / 3, (neck + nose) / 2)
    by_neck = np.where(np.isfinite(length)[:, None], by_neck, np.nan)  # a profile needs the neck, too
    centres = np.stack([by_neck, eyes.mean(axis=1), ears.mean(axis=1)])  # (3, N, 2)
    sides = np.stack(
        [
            np.where(is_profile, profile_side, FACE_PER_NECK * length),
            FACE_PER_EYES * _distance(eyes[:, 0], eyes[:, 1]),
            FACE_PER_EARS * _distance(ears[:, 0], ears[:, 1]),
        ]
    )
    says = np.isfinite(sides)
    count = np.where(says.any(axis=0), says.sum(axis=0), np.nan)
    centre = np.where(says[..., None], centres, 0.0).sum(axis=0) / count[:, None]
    return _squares(centre, np.where(says, sides, 0.0).sum(axis=0) / count)


def head_boxes(neck: Points, head: Points) -> Float[np.ndarray, "N 4"]:
    """Return the boxes of faces for skeletons without eyes and ears: about the head, 1.33 × its distance to the neck
    wide."""
    return _squares(head, HEAD_PER_NECK * _distance(neck, head))


def _distance(first: Points, second: Points) -> Float[np.ndarray, " N"]:
    return np.linalg.norm(first - second, axis=1)


def _squares(centre: Points, side: Float[np.ndarray, " N"]) -> Float[np.ndarray, "N 4"]:
    """Return boxes xyxy; NaN as a whole where anything is."""
    box = np.concatenate([centre - side[:, None] / 2, centre + side[:, None] / 2], axis=1)
    return np.where(np.isfinite(box).all(axis=1, keepdims=True), box, np.nan)
