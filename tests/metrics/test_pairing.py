"""Pairing keeps a bad pose with its person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.geometry.boxes import paired_iou
from trustpose.metrics.matching import pair_with_people, unpaired_on_people
from trustpose.poses import Poses, Truth


def random_scene(seed: int) -> tuple[Poses, Truth]:
    random = np.random.default_rng(seed)
    people, poses = random.integers(0, 12), random.integers(1, 15)
    low = random.integers(0, 5, (people, 2)) * 10.0
    truth = Truth(
        xy=np.zeros((people, 2, 2)),
        v=np.ones((people, 2), dtype=int),
        box=np.c_[low, low + random.integers(5, 40, (people, 2))],
        iscrowd=random.random(people) < 0.2,
        image_id=random.integers(0, 3, people),
        annotation_id=np.arange(people),
    )
    low = random.integers(0, 5, (poses, 2)) * 10.0
    box = np.c_[low, low + random.integers(5, 40, (poses, 2))]
    return Poses(xy=box.reshape(-1, 2, 2), box=box, image_id=random.integers(0, 3, poses)), truth


def greedily_one_by_one(poses: Poses, truth: Truth, minimum: float) -> list[int]:
    pairs = [
        (-float(paired_iou(poses.box[i : i + 1], truth.box[j : j + 1])[0]), i, j)
        for i in range(len(poses))
        for j in range(len(truth))
        if poses.image_id[i] == truth.image_id[j] and not truth.iscrowd[j]
    ]
    person = [-1] * len(poses)
    for iou, i, j in sorted(pairs):
        if -iou >= minimum and person[i] < 0 and j not in person:
            person[i] = j
    return person


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.05, 0.1, 0.5]))
def test_matching_by_box_is_greedy_and_one_to_one(seed: int, minimum: float) -> None:
    poses, truth = random_scene(seed)
    expected = greedily_one_by_one(poses, truth, minimum)
    assert pair_with_people(poses, truth, minimum).tolist() == expected
    boxless = Poses(xy=poses.xy, image_id=poses.image_id)  # its keypoints' box is the same one here
    assert pair_with_people(boxless, truth, minimum).tolist() == expected


def test_an_annotation_id_outweighs_any_box() -> None:
    box = np.array([[0.0, 0, 10, 10], [100.0, 100, 110, 110]])
    truth = Truth(
        xy=np.zeros((2, 1, 2)),
        v=np.ones((2, 1), dtype=int),
        box=box,
        image_id=np.array([1, 1]),
        annotation_id=np.array([7, 8]),
    )
    poses = Poses(
        xy=np.zeros((3, 1, 2)),
        box=box[[0, 0, 1]],
        image_id=np.array([1, 1, 1]),
        annotation_id=np.array([8, -1, -1]),
    )
    assert pair_with_people(poses, truth).tolist() == [1, 0, -1]  # person 8 is taken, box or not
    with pytest.raises(ValueError, match=r"Truth\.box"):
        pair_with_people(poses, Truth(xy=truth.xy, v=truth.v, image_id=truth.image_id))


def test_dropped_joints_do_not_part_a_pose_from_its_person() -> None:
    """As OpenPose writes it: no box, and 0, 0 for a joint that it did not find."""
    person = np.array([[600.0, 400], [640, 480], [620, 440]])
    truth = Truth(
        xy=person[None],
        v=np.full((1, 3), 2),
        box=np.array([[600.0, 400, 640, 480]]),
        image_id=np.array([1]),
        annotation_id=np.array([5]),
    )
    xy, missing = person[None].copy(), np.array([[False, False, True]])
    xy[missing] = 0
    assert pair_with_people(Poses(xy=xy, image_id=np.array([1])), truth).tolist() == [-1]
    poses = Poses(xy=xy, missing=missing, image_id=np.array([1]))
    assert pair_with_people(poses, truth).tolist() == [0]
    nowhere = Poses(xy=xy * 0, missing=missing | True, image_id=np.array([1]))
    assert pair_with_people(nowhere, truth).tolist() == [-1]


def two_people() -> Truth:
    box = np.array([[100.0, 100, 200, 400], [180, 100, 280, 400]])
    return Truth(xy=np.ones((2, 4, 2)), v=np.ones((2, 4), dtype=int), box=box, image_id=np.array([1, 1]))


def test_a_face_belongs_to_the_person_whose_box_it_is_in() -> None:
    """Everything but the face was dropped: the face's box is no tenth of the person's."""
    xy = np.array([[[110.0, 110], [120, 110], [115, 120], [0, 0]], [[190, 110], [200, 110], [230, 120], [0, 0]]])
    missing = np.array([[False, False, False, True]] * 2)
    poses = Poses(xy=xy, missing=missing, image_id=np.array([1, 1]))
    assert pair_with_people(poses, two_people()).tolist() == [0, 1]  # the second face is by two thirds in the first box
    assert pair_with_people(poses[1:], two_people()).tolist() == [1]
    assert pair_with_people(poses[[0, 0, 0]], two_people()).tolist() == [0, -1, -1]
    whole = Poses(xy=np.delete(xy, 3, axis=1), image_id=np.array([1, 1]))  # small poses, nothing dropped
    truth = two_people()
    truth = Truth(xy=truth.xy[:, :3], v=truth.v[:, :3], box=truth.box, image_id=truth.image_id)
    assert pair_with_people(whole, truth).tolist() == [-1, -1]
    boxed = Poses(xy=xy, missing=missing, image_id=np.array([1, 1]), box=np.full((2, 4), 5.0))  # its own says otherwise
    assert pair_with_people(boxed, two_people()).tolist() == [-1, -1]


def test_a_pose_with_a_wrong_box_on_a_person_is_noticed() -> None:
    truth = two_people()
    xy = np.array([[[120.0, 110], [150, 210], [140, 390], [0, 0]]]).repeat(2, axis=0)
    poses = Poses(xy=xy, box=np.array([[0.0, 0, 1, 1]] * 2), image_id=np.array([1, 1]))
    person = pair_with_people(poses, truth)
    assert person.tolist() == [-1, -1] and unpaired_on_people(poses, truth, person).all()
    assert not unpaired_on_people(poses, truth, np.array([0, -1])).any()  # a second one on a person is no such case
    elsewhere = Poses(xy=xy + 500, box=poses.box, image_id=np.array([1, 2]))
    assert not unpaired_on_people(elsewhere, truth, person).any()
    unlabelled = Truth(xy=truth.xy, v=truth.v * 0, box=truth.box, image_id=truth.image_id)
    assert not unpaired_on_people(poses, unlabelled, person).any()
