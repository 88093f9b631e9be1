"""Pairing keeps a bad pose with its person."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.geometry.boxes import paired_iou
from trustpose.metrics.pairing import pair_with_people
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
def test_by_box_it_is_one_by_one_greed(seed: int, minimum: float) -> None:
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
