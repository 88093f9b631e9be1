"""PoseTrack's MOTA and AP: poseval's numbers on made-up sequences of real labels, and by hand."""

from pathlib import Path

import numpy as np
import pytest

from tests.metrics.posetrack_cases import write_sequences
from trustpose.evaluation.audit import audit
from trustpose.metrics.tracking import PoseTrackFrame, joint_precision, joint_tracks, mean_of_joints

JOINTS = (
    "right_ankle right_knee right_hip left_hip left_knee left_ankle right_wrist right_elbow right_shoulder "
    "left_shoulder left_elbow left_wrist head_bottom nose head_top"
).split()
# of poseval (leonid-pishchulin/poseval, its newest, with motmetrics 1.4.0) on FOLDER/gt/ and FOLDER/pr/ of
# `python -m tests.metrics.posetrack_cases DATA FOLDER`, in percent: each joint, and their mean. MOTP with only the
# distances of matches and switches: motmetrics also lists all pairs that could match, and poseval adds those
POSEVAL = {
    "MOTA": (15.384615385, 5.263157895, 4.046242775, 3.592814371, 11.486486486, -2.255639098, 7.36196319, 8.938547486,
             17.5, 14.634146341, 11.029411765, 11.612903226, 1.492537313, -0.540540541, 13.658536585, 8.213678879),
    "MOTP": (71.200972061, 70.585529987, 71.448969102, 71.122865896, 69.804490223, 72.036322782, 71.877148931,
             71.298556621, 70.771567777, 69.498334405, 69.755005842, 70.036869195, 71.281683113, 71.874461303,
             70.26530292, 70.857205344),
    "precision": (62.121212121, 55.421686747, 55.625, 54.761904762, 57.432432432, 52.713178295, 55.757575758,
                  56.701030928, 60.9375, 60.309278351, 57.692307692, 57.516339869, 52.709359606, 52.432432432,
                  59.487179487, 56.774561232),
    "recall": (57.342657343, 60.526315789, 51.445086705, 55.089820359, 57.432432432, 51.127819549, 56.441717791,
               61.452513966, 58.5, 57.073170732, 55.147058824, 56.774193548, 53.233830846, 52.432432432, 56.585365854,
               56.040294411),
    "AP": (38.120321085, 35.382466131, 30.872664285, 33.452245149, 36.25663977, 26.892625682, 35.0105728, 40.057790146,
           39.341396556, 37.672231771, 35.371983652, 33.979812834, 32.959256679, 32.300886153, 32.660735711,
           34.688775227),
}  # fmt: skip


def test_numbers_are_posevals(data_dir: Path, tmp_path: Path) -> None:
    """Through the files: ignored regions, frames without labels or poses, joints that are not there."""
    write_sequences(data_dir, tmp_path)
    tracking = audit(tmp_path / "gt.json", tmp_path / "results.json", draws=0).tracking
    assert tracking is not None and tracking.posetrack is not None
    assert (tracking.clips, tracking.frames, tracking.people) == (3, 42, 267)
    for name, expected in POSEVAL.items():
        joints = [getattr(tracking.posetrack.joints[joint], name) for joint in JOINTS]
        np.testing.assert_allclose(100 * np.array([*joints, getattr(tracking.posetrack, name)]), expected, atol=6e-10)


def _frame(at: float, track: int, score: float = 0.5, person: int = 1) -> PoseTrackFrame:
    """One person with a joint at 0 and a head of 10 pixels, one pose with that joint at `at`."""
    here = np.ones((1, 1), bool)
    xy = np.array([[[at, 0.0]]])
    return PoseTrackFrame(
        np.zeros((1, 1, 2)),
        here,
        np.array([10.0]),
        np.array([person]),
        xy,
        here,
        np.array([[score]]),
        np.array([track]),
    )


def test_a_clip_by_hand() -> None:
    """Half a head counts; the track changes once; the last frame does not count for MOTA, but for AP."""
    clip = [_frame(5.0, 1, 0.9), _frame(1.0, 1, 0.8), _frame(0.0, 2, 0.7), _frame(5.1, 2, 0.6), _frame(0.0, 3, 0.1)]
    tracks = joint_tracks([clip])
    assert tracks.switches.tolist() == [1]
    np.testing.assert_allclose(tracks.mota, 1 - (1 + 1 + 1) / 4)
    np.testing.assert_allclose(tracks.motp, 1 - (0.5 + 0.1 + 0.0) / 3)
    np.testing.assert_allclose([*tracks.precision, *tracks.recall], 3 / 4)
    np.testing.assert_allclose(joint_precision([clip]).ap, 3 / 5 * 1 + 1 / 5 * 4 / 5)


def test_nothing_to_count() -> None:
    assert len(joint_tracks([]).mota) == 0 and np.isnan(mean_of_joints(np.array([np.nan])))
    frame = _frame(0.0, 1)
    bare = PoseTrackFrame(
        frame.truth_xy,
        np.zeros((1, 1), bool),
        frame.head,
        frame.truth_id,
        frame.xy,
        frame.placed,
        frame.score,
        frame.track_id,
    )
    tracks = joint_tracks([[bare, bare]])
    assert np.isnan(tracks.mota).all() and tracks.precision.tolist() == [0.0]
    assert np.isnan(joint_precision([[bare]]).ap).all()


@pytest.mark.parametrize("seed", range(5))
def test_names_of_tracks_and_the_order_of_poses_do_not_matter(seed: int) -> None:
    random = np.random.default_rng(seed)
    clip, turned = [], []
    for _ in range(12):
        labelled, placed = random.random((4, 3)) < 0.9, random.random((5, 3)) < 0.9
        truth, xy = random.uniform(0, 40, (4, 3, 2)), random.uniform(0, 40, (5, 3, 2))
        xy[:4] = np.where(random.random((4, 1, 1)) < 0.8, truth + random.normal(0, 3, truth.shape), xy[:4])
        head, score, tracks = np.full(4, 10.0), random.random((5, 3)), random.permutation(5)
        person, order = np.arange(4), random.permutation(5)
        clip.append(PoseTrackFrame(truth, labelled, head, person, xy, placed, score, tracks))
        poses = xy[order], placed[order], score[order], 3 * tracks[order]
        turned.append(PoseTrackFrame(truth, labelled, head, 7 - person, *poses))
    found, same = vars(joint_tracks([clip])), vars(joint_tracks([turned]))
    assert found["switches"].sum() > 3
    for name, value in found.items():
        np.testing.assert_allclose(same[name], value, rtol=1e-12)
