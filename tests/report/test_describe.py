from dataclasses import replace

import numpy as np
import pytest

from trustpose.poses import Poses
from trustpose.report.describe import read_out
from trustpose.skeletons import SKELETONS

COCO = SKELETONS["coco17"]
K = len(COCO)


def poses(quality: np.ndarray, visibility: np.ndarray, pose_quality: list[float]) -> Poses:
    people = len(pose_quality)
    return Poses(
        xy=np.zeros((people, K, 2)),
        score=np.ones((people, K)),
        quality=quality,
        visibility=visibility,
        pose_quality=np.array(pose_quality),
    )


def one(**trust: tuple[float, tuple[float, float, float]]) -> Poses:
    """A person with all keypoints visible and trusted, except for those given with quality and visibility."""
    quality, visibility = np.full((1, K), 0.9), np.tile([0.02, 0.03, 0.95], (1, K, 1))
    for name, (value, chances) in trust.items():
        quality[0, COCO.keypoints.index(name)] = value
        visibility[0, COCO.keypoints.index(name)] = chances
    return poses(quality, visibility, [0.8])


def test_no_people_and_no_trust_are_mentioned() -> None:
    assert read_out(poses(np.zeros((0, K)), np.zeros((0, K, 3)), []), COCO) == "Nobody was found."
    raw = Poses(xy=np.zeros((2, K, 2)), score=np.ones((2, K)))
    assert read_out(raw, COCO) == "2 people were found; this network predicts no trust."


def test_all_trusted() -> None:
    text = read_out(one(), COCO)
    assert "expected OKS of 0.80, good enough for measurements (reliable: all keypoints)." in text
    assert "least reliable" not in text


def test_each_reason_is_the_likeliest() -> None:
    absent = one(left_ankle=(0.1, (0.45, 0.05, 0.5)))
    assert "unreliable: left ankle" in read_out(absent, COCO)
    assert (
        "The least reliable is the left ankle, with an expected OPKS of 0.10: it may not be visible at all (45%)"
        in read_out(absent, COCO)
    )
    hidden = read_out(one(left_wrist=(0.6, (0.1, 0.6, 0.3)), right_wrist=(0.6, (0.1, 0.6, 0.3))), COCO)
    assert "uncertain: both wrists; occluded, position estimated: both wrists" in hidden
    assert "it is probably occluded (60%)" in hidden
    blurred = read_out(one(nose=(0.4, (0.02, 0.03, 0.95))), COCO)
    assert (
        "The least reliable is the nose, with an expected OPKS of 0.40: it is visible, but its position is uncertain."
        in blurred
    )


def test_absent_keypoints_are_neither_reliable_nor_unreliable() -> None:
    text = read_out(one(left_knee=(0.05, (0.9, 0.05, 0.05))), COCO)
    assert "not visible: left knee" in text
    assert "unreliable" not in text
    assert "least reliable" not in text


def test_poses_without_a_visible_joint_are_counted_apart() -> None:
    quality, visibility = np.full((3, K), 0.9), np.tile([0.02, 0.03, 0.95], (3, K, 1))
    visibility[0] = (0.9, 0.05, 0.05)
    text = read_out(poses(quality, visibility, [0.1, 0.8, 0.7]), COCO)
    assert text.startswith("2 people were found. Person 1 has") and "Person 2 has" in text and "Person 0" not in text
    assert text.endswith("One more pose has no visible joint: there may be nobody.")
    visibility[:] = (0.9, 0.05, 0.05)
    absent = poses(quality, visibility, [0.1, 0.8, 0.7])
    assert read_out(absent, COCO) == "Nobody was found: 3 poses have no visible joint."
    assert read_out(absent[:1], COCO) == "Nobody was found: one pose has no visible joint."


def test_missing_keypoints_are_only_reported_as_not_found() -> None:
    person = one(left_wrist=(0.0, (0.1, 0.1, 0.8)), right_wrist=(0.0, (0.1, 0.8, 0.1)))
    missing = np.array([[name.endswith("wrist") for name in COCO.keypoints]])
    text = read_out(replace(person, missing=missing), COCO)
    assert "not found: both wrists" in text and text.count("wrist") == 1
    assert "unreliable: both wrists" in read_out(person, COCO)
    raw = Poses(xy=np.zeros((1, K, 2)), missing=missing)
    assert read_out(raw, COCO).startswith("One person was found, 2 of 17 keypoints were not; this network")


def test_most_trusted_people_first_and_the_rest_in_one_sentence() -> None:
    people = 5
    text = read_out(
        poses(np.full((people, K), 0.9), np.tile([0.0, 0.0, 1.0], (people, K, 1)), [0.2, 0.9, 0.4, 0.3, 0.6]), COCO
    )
    assert text.startswith("5 people were found. Person 1 has an expected OKS of 0.90, good enough for measurements")
    assert text.index("Person 4 has") < text.index("Person 2 has") and "Person 0" not in text
    assert text.index("0.60, good enough for the posture") < text.index("0.40, unreliable as a whole")
    assert text.endswith("The other 2 have an expected OKS of 0.20 to 0.30.")


def test_another_skeleton_is_refused() -> None:
    with pytest.raises(ValueError, match="skeleton: expected one of 17 keypoints, got 'mpii16'"):
        read_out(one(), SKELETONS["mpii16"])


def test_people_of_tracks_have_their_numbers() -> None:
    text = read_out(replace(one(), track_id=np.array([12])), COCO)
    assert "Person 12 has an expected OKS of 0.80" in text


def test_a_fourth_person_is_named() -> None:
    text = read_out(poses(np.full((4, K), 0.9), np.tile([0.0, 0.0, 1.0], (4, K, 1)), [0.9, 0.8, 0.1, 0.7]), COCO)
    assert text.endswith("Person 2 has an expected OKS of 0.10.")
