"""Which of OpenPose's two orders of 25 keypoints a file has: on real files, and on real labels written in both."""

from dataclasses import replace

import numpy as np
import pytest

from tests.io import samples
from tests.io.reading import gather
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.openpose import which_body_25
from trustpose.io.pose_files import Photos
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17, OPENPOSE_BODY_25, OPENPOSE_BODY_25B

BODIES = (OPENPOSE_BODY_25, OPENPOSE_BODY_25B)
_FEET = ("left_big_toe", "left_small_toe", "left_heel", "right_big_toe", "right_small_toe", "right_heel")
_BETWEEN = {"neck": "shoulder", "upper_neck": "shoulder", "mid_hip": "hip"}


def labels(data_dir) -> Poses:
    """COCO's people with five labelled joints or more."""
    path = data_dir / "coco/val2017_gt.json"
    if not path.is_file():
        pytest.skip(f"no labels at {path}")
    truth = read_coco_truth(path).truth
    enough = (truth.v > 0).sum(axis=1) >= 5
    return Poses(truth.xy[enough], missing=truth.v[enough] == 0, skeleton=COCO_17)


def written_as(people: Poses, skeleton) -> Poses:
    """The same people in one of OpenPose's orders; toes and heels lie on the ankle, the neck between the shoulders."""
    assert people.missing is not None
    sources = []
    for name in skeleton.keypoints:
        side, part = name.split("_")[0], _BETWEEN.get(name)
        if name in COCO_17.keypoints:
            sources.append((name, name))
        elif name in _FEET:
            sources.append((f"{side}_ankle", f"{side}_ankle"))
        elif part is not None:
            sources.append((f"left_{part}", f"right_{part}"))
        else:
            sources.append(("nose", "nose"))
    first, second = np.array([[COCO_17.index(joint) for joint in pair] for pair in sources]).T
    xy = (people.xy[:, first] + people.xy[:, second]) / 2
    return Poses(xy, missing=people.missing[:, first] | people.missing[:, second])


@pytest.mark.parametrize(("skeleton", "people", "share"), [
    (BODIES[0], 1, 0.999), (BODIES[0], 5, 1), (BODIES[1], 1, 0.85), (BODIES[1], 5, 0.99), (BODIES[1], 10, 0.998),
])  # fmt: skip
def test_real_people_written_in_either_order(data_dir, skeleton, people, share):
    """The usual order is hardly ever mistaken; the other is seen from a few people, and hardly missed silently."""
    written = written_as(labels(data_dir), skeleton)
    told = [which_body_25(written[index : index + people]) for index in range(0, len(written) - people + 1, people)]
    assert np.mean([body is skeleton for body, _ in told]) >= share
    if people > 1:
        assert np.mean([body is not skeleton and note is None for body, note in told]) <= 0.001


def test_real_files_of_body_25b_are_read_as_such(data_dir, tmp_path):
    """Pose2Sim's demo, whose Config.toml says BODY_25B; one frame of each camera, and a person who is cut off."""
    for camera in range(1, 5):
        source = data_dir / f"multiview/pose2sim/two_people/pose/cam0{camera}_json/cam0{camera}.0040.json"
        if not source.is_file():
            pytest.skip(f"no file of OpenPose at {source}")
        done = gather(samples.write(tmp_path / f"{camera}_0040.json", source.read_text()), Photos())
        assert done.skeleton is OPENPOSE_BODY_25B
        assert done.skeleton_note is not None and done.skeleton_note in done.notes
        assert done.skeleton_note.startswith("25 keypoints read as openpose_body25b, not openpose_body25,")
        hip, nose = done.poses["left_hip"], done.poses["nose"]
        both = ~(hip.missing | nose.missing)
        assert both.any() and (hip.xy[both, 1] > nose.xy[both, 1]).all()  # nobody stands on the head


def test_a_named_skeleton_is_not_questioned(tmp_path):
    frame = samples.openpose_frame(samples.people(skeleton=OPENPOSE_BODY_25B))
    path = samples.write(tmp_path / "7_keypoints.json", frame)
    assert gather(path, Photos()).skeleton is OPENPOSE_BODY_25B
    done = gather(path, Photos(), skeleton=OPENPOSE_BODY_25)
    assert done.skeleton is OPENPOSE_BODY_25 and done.skeleton_note is None


def test_what_cannot_be_told_is_said():
    """Points without order, whose limbs are about as long in both, if anything shorter in that of BODY_25."""
    xy = np.random.default_rng(1).uniform(0, 100, (400, 25, 2))
    lengths = [
        np.linalg.norm(np.diff(xy[:, np.array(body.edges)], axis=2), axis=3).mean(axis=(1, 2)) for body in BODIES
    ]
    noise = Poses(xy[np.abs(lengths[0] / lengths[1] - 0.93) < 0.05])
    skeleton, note = which_body_25(noise)
    assert skeleton is OPENPOSE_BODY_25 and note is not None and "may be openpose_body25 or openpose_body25b" in note
    nothing = replace(noise, missing=np.ones((len(noise), 25), bool))
    assert which_body_25(nothing) == (OPENPOSE_BODY_25, None)
