"""`Poses3D`: a record of people in 3D."""

import jaxtyping
import numpy as np
import pytest

from trustpose.poses import Poses3D
from trustpose.skeletons import skeleton_of


def two_people() -> Poses3D:
    xyz = np.random.default_rng(0).normal(size=(6, 17, 3))
    covariance = np.broadcast_to(np.diag([0.01, 0.04, 0.09]), (6, 17, 3, 3))
    frame, track_id = np.arange(6) // 2, np.arange(6) % 2
    return Poses3D(xyz, covariance=covariance, frame=frame, track_id=track_id, skeleton=skeleton_of("coco17"))


def test_one_line_says_what_it_holds():
    assert repr(two_people()).startswith("Poses3D(6 poses, 17 keypoints (coco17), 2 people, 3 frames; filled: xyz, cov")


def test_a_slice_is_a_view_and_rows_stay_together():
    poses = two_people()
    assert np.shares_memory(poses[1:3].xyz, poses.xyz)
    one = poses[poses.track_id == 1]
    assert len(one) == 3 and one.frame is not None and one.frame.tolist() == [0, 1, 2]


def test_standard_deviations():
    std = two_people().std
    assert std is not None
    np.testing.assert_allclose(std[0, 0], [0.1, 0.2, 0.3])


@pytest.mark.parametrize(
    ("columns", "text"),
    [
        ({"xyz": np.zeros((2, 17, 2))}, "xyz: expected numbers"),
        ({"xyz": np.zeros((2, 17, 3)), "frame": np.array([0.5, 1])}, "frame: expected whole numbers"),
        ({"xyz": np.zeros((2, 17, 3)), "covariance": np.zeros((2, 17, 3))}, "covariance: expected numbers"),
        ({"xyz": np.zeros((2, 5, 3)), "skeleton": skeleton_of("coco17")}, ".coco17. has 17 keypoints"),
    ],
)
def test_wrong_shapes_are_named(columns, text, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users, who do not run its checks
    with pytest.raises(ValueError, match=text):
        Poses3D(**columns)
