"""Files become one record: keypoints in a ground truth's order, one class, and lost keypoints are reported."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.io import samples
from tests.io.reading import FIRST, PEOPLE, gather, image_ids, truth
from trustpose.files import InputError
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.pose_files import Photos
from trustpose.poses import Poses, write_results
from trustpose.skeletons import COCO_17, LSP_14, OPENPOSE_BODY_25, OPENPOSE_COCO_18, OPENPOSE_MPI_15, Skeleton


@pytest.mark.parametrize("skeleton", [OPENPOSE_BODY_25, OPENPOSE_COCO_18], ids=lambda one: one.name)
def test_keypoints_are_put_in_the_ground_truths_order(tmp_path: Path, skeleton: Skeleton) -> None:
    poses = samples.people(skeleton=skeleton)
    path = samples.write(tmp_path / f"{Path(FIRST).stem}_keypoints.json", samples.openpose_frame(poses))
    done = gather(path, Photos(truth(tmp_path)))
    assert done.skeleton is COCO_17
    for k, name in enumerate(COCO_17.keypoints):
        np.testing.assert_array_equal(done.poses.xy[:, k], poses.xy[:, skeleton.keypoints.index(name)])
    left_out = [note for note in done.notes if note.startswith("keypoints that the ground truth lacks, left out: neck")]
    assert len(left_out) == 1
    assembled = gather(path, Photos())
    assert assembled.skeleton is skeleton
    np.testing.assert_array_equal(assembled.poses.xy, poses.xy)


def test_keypoints_that_a_tool_lacks_are_an_error_or_zeros(tmp_path: Path) -> None:
    poses = samples.people(skeleton=OPENPOSE_MPI_15)
    path = samples.write(tmp_path / f"{Path(FIRST).stem}_keypoints.json", samples.openpose_frame(poses))
    photos = Photos(truth(tmp_path))
    with pytest.raises(InputError, match=r"lack nose, left_eye, right_eye, left_ear, right_ear of .* --fill-missing"):
        gather(path, photos)
    done = gather(path, photos, fill_missing=True)
    assert done.poses.score is not None
    np.testing.assert_array_equal(done.poses.xy[:, :5], 0)
    np.testing.assert_array_equal(done.poses.score[:, :5], 0)
    np.testing.assert_array_equal(done.poses.xy[:, 5], poses.xy[:, OPENPOSE_MPI_15.keypoints.index("left_shoulder")])
    assert any("written as 0, 0, 0: nose" in note for note in done.notes)
    assert done.poses.missing is not None
    np.testing.assert_array_equal(done.poses.missing, np.arange(17)[None].repeat(len(done.poses), 0) < 5)


def test_unnamed_keypoints_are_named_by_the_truth_or_the_user(tmp_path: Path) -> None:
    poses = samples.people(skeleton=LSP_14)
    path = samples.write(tmp_path / f"{Path(FIRST).stem}.json", samples.mmpose_instances(poses))
    assert gather(path, Photos()).skeleton.name == "unnamed14"
    assert gather(path, Photos(truth(tmp_path, LSP_14.keypoints))).skeleton is LSP_14
    photos = Photos(truth(tmp_path))
    with pytest.raises(InputError, match=r"\(keypoint_0, .* and 8 more\) has a name .*\(nose, .*\); name the"):
        gather(path, photos)
    done = gather(path, photos, skeleton=LSP_14, fill_missing=True)
    np.testing.assert_array_equal(done.poses.xy[:, 16], poses.xy[:, 0])  # the right ankle
    with pytest.raises(InputError, match="has 14 keypoints, but --skeleton coco17 has 17"):
        gather(path, photos, skeleton=COCO_17)


@pytest.mark.parametrize(("count", "name"), [(133, "coco_wholebody133"), (136, "halpe136")])
def test_bodies_among_faces_and_hands(tmp_path: Path, count: int, name: str) -> None:
    random = np.random.default_rng(0)
    poses = Poses(xy=random.uniform(2, 400, (1, count, 2)), score=random.random((1, count)), pose_score=np.ones(1))
    poses = replace(poses, box=poses.keypoint_box())
    path = samples.write(tmp_path / f"{Path(FIRST).stem}.json", samples.mmpose_instances(poses))
    assert gather(path, Photos()).skeleton.name == name
    done = gather(path, Photos(truth(tmp_path)))
    np.testing.assert_array_equal(done.poses.xy, poses.xy[:, :17])  # both lists begin with COCO's keypoints


def test_lost_points_are_counted(tmp_path: Path) -> None:
    xy = PEOPLE.xy.copy()
    xy[0, 3], xy[1, :4] = 0, 0
    score = np.where(np.arange(17) < 3, 0.4, 0.6)[None].repeat(2, axis=0)
    dropped = replace(PEOPLE, xy=xy, score=score)
    path = samples.write(tmp_path / "7.json", samples.ultralytics_detections(dropped))
    done = gather(path, Photos())
    np.testing.assert_array_equal(done.poses.xy, xy)
    np.testing.assert_array_equal(done.poses.score, score)  # as it was printed
    assert done.notes[0].startswith("3 of 34 keypoints are at 0, 0: they count as missing; some releases move those")
    assert done.notes[1] == "2 of 34 keypoints are at 0, 0 with a score: they count as found"
    expected = (xy == 0).all(axis=2) & (score < 0.5)
    labels = samples.ultralytics_labels(dropped, 640, 425)
    labelled = gather(samples.write(tmp_path / "labels" / f"{Path(FIRST).stem}.txt", labels), Photos(truth(tmp_path)))
    for found in (done.poses, labelled.poses):
        np.testing.assert_array_equal(found.missing, expected)
    write_results(tmp_path / "results.json", done.poses, score=done.score)
    poses = read_results(tmp_path / "results.json").poses  # 0, 0, 0.4 does not say it: a field does
    np.testing.assert_array_equal(poses.missing, expected)
    done = gather(samples.write(tmp_path / "clip.csv", samples.DEEPLABCUT_MULTI), Photos())
    assert "1 of 10 keypoints are blank in the files: they count as missing and become 0, 0 with score 0" in done.notes
    assert done.poses.missing is not None
    assert np.argwhere(done.poses.missing).tolist() == [[3, 1]]
    assert done.poses.score is not None
    np.testing.assert_array_equal(done.poses.xy[3, 1], 0)
    assert done.poses.score[3, 1] == 0
    assert done.score.tolist() == [(0.97 + 0.5) / 2, (0.25 + 1) / 2, (0.75 + 0.125) / 2, 0.25, 0.625]


def test_people_of_hands_only_are_counted(tmp_path: Path) -> None:
    frame = samples.openpose_frame(samples.people(skeleton=OPENPOSE_BODY_25))
    hands = {"pose_keypoints_2d": [], "hand_left_keypoints_2d": [1, 2, 0.5]}
    samples.write(tmp_path / "1_keypoints.json", frame | {"people": [*frame["people"], hands]})
    samples.write(tmp_path / "2_keypoints.json", {"people": [hands, hands]})
    done = gather(tmp_path, Photos())
    assert "people without body keypoints, left out: 3" in done.notes
    assert len(done.poses) == 2
    assert done.photo_count == 1


def test_one_class_is_selected(tmp_path: Path) -> None:
    detections = samples.ultralytics_detections(PEOPLE)
    detections[1]["class"] = 16
    path = samples.write(tmp_path / "7.json", detections)
    with pytest.raises(InputError, match=r"7\.json: the files hold several classes \(0, 16\); --class selects"):
        gather(path, Photos())
    np.testing.assert_array_equal(gather(path, Photos(), category=16).poses.xy, PEOPLE.xy[1:])
    with pytest.raises(InputError, match="--class: 3 is not in the files, which hold 0, 16"):
        gather(path, Photos(), category=3)


def test_files_with_different_columns_join(tmp_path: Path) -> None:
    samples.write(tmp_path / "1.txt", samples.ultralytics_labels(PEOPLE, 640, 425))
    samples.write(tmp_path / "2.txt", samples.ultralytics_labels(PEOPLE, 640, 425, with_confidence=False))
    samples.write(tmp_path / "3.txt", "")
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 425} for i in (1, 2, 3)]
    done = gather(tmp_path, Photos(truth(tmp_path, images=images)))
    assert PEOPLE.score is not None and PEOPLE.pose_score is not None and done.poses.pose_score is not None
    np.testing.assert_allclose(done.score, [*PEOPLE.pose_score, *PEOPLE.score.mean(axis=1)], atol=1e-6)
    assert np.isnan(done.poses.pose_score).tolist() == [False, False, True, True]
    samples.write(tmp_path / "other" / "1.json", samples.mmpose_instances(PEOPLE))
    samples.write(tmp_path / "other" / "2.json", samples.mmpose_instances(samples.people(skeleton=LSP_14)))
    with pytest.raises(InputError, match=r"2\.json: has poses of 14 keypoints, but .*1\.json of 17; convert"):
        gather(tmp_path / "other", Photos())


COORDS = ("x", "y", "likelihood")
PIXELS = st.floats(-50, 2000).map(lambda number: round(number, 3))


@st.composite
def coco_people(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray]:
    """xy (N, 17, 2) and scores (N, 17)."""
    count = draw(st.integers(1, 3))
    xy = draw(st.lists(PIXELS, min_size=count * 34, max_size=count * 34))
    score = draw(st.lists(st.floats(0, 1), min_size=count * 17, max_size=count * 17))
    xy[0] = 3.0  # all within 1 would be taken for shares
    return np.reshape(xy, (count, 17, 2)), np.reshape(score, (count, 17))


def deeplabcut_csv(poses: Poses) -> str:
    """The people as individuals of frame 7, floats in full."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [(f"person{i}", name, coord) for i in range(len(poses)) for name in COCO_17.keypoints for coord in COORDS]
    writer.writerow(["scorer", *["DLC"] * len(columns)])
    for index, title in enumerate(("individuals", "bodyparts", "coords")):
        writer.writerow([title, *[column[index] for column in columns]])
    writer.writerow([7, *np.ravel(samples.triplets(poses)).tolist()])
    return text.getvalue()


@settings(max_examples=30)
@given(coco_people())
def test_every_format_gives_back_what_was_written(tmp_path_factory: pytest.TempPathFactory, people) -> None:
    poses = Poses(*people)
    folder = tmp_path_factory.mktemp("formats")
    body_25 = COCO_17.index_in(OPENPOSE_BODY_25, missing="mark")
    as_body_25 = poses.take_keypoints(body_25)
    assert as_body_25.score is not None
    as_body_25 = replace(as_body_25, xy=np.nan_to_num(as_body_25.xy), score=np.nan_to_num(as_body_25.score))
    corners = np.concatenate([poses.xy.min(axis=1), poses.xy.max(axis=1) + 5], axis=1)
    boxed = replace(poses, box=corners, pose_score=np.full(len(poses), 0.5))
    files = {
        "mm/7.json": samples.mmpose_instances(boxed),
        "ul/7.json": samples.ultralytics_detections(boxed),
        "op/7_keypoints.json": samples.openpose_frame(as_body_25),
        "ap/alphapose-results.json": samples.alphapose_results(boxed, "7.jpg"),
        "dlc/video.csv": deeplabcut_csv(poses),
    }
    images = [{"id": 7, "file_name": "7.jpg"}]
    photos = Photos(read_coco_truth(samples.write(folder / "gt.json", samples.ground_truth() | {"images": images})))
    for name, value in files.items():
        skeleton = OPENPOSE_BODY_25 if name.startswith("op/") else None  # these points have no limbs to go by
        done = gather(samples.write(folder / name, value), photos, skeleton=skeleton)
        np.testing.assert_array_equal(done.poses.xy, poses.xy, err_msg=name)
        np.testing.assert_array_equal(done.poses.score, poses.score, err_msg=name)
        assert image_ids(done) == [7] * len(poses)


def test_openposes_dropped_joints_are_in_no_box_and_stay_dropped(tmp_path: Path, data_dir: Path) -> None:
    """A real file of OpenPose: camera 1 of Pose2Sim's demo, two people."""
    source = data_dir / "multiview/pose2sim/two_people/pose/cam01_json/cam01.0000.json"
    if not source.is_file():
        pytest.skip(f"no file of OpenPose at {source}")
    done = gather(samples.write(tmp_path / "cam01_0000.json", json.loads(source.read_text())), Photos())
    poses = done.poses
    assert poses.missing is not None
    np.testing.assert_array_equal(poses.missing, (poses.xy == 0).all(axis=2) & (poses.score == 0))
    assert poses.missing.any(axis=1).all()
    assert (poses.keypoint_box()[:, 1] > 250).all()
    assert (replace(poses, missing=None).keypoint_box()[:, 1] == 0).all()
    write_results(tmp_path / "results.json", poses, score=done.score)
    assert b"keypoint_missing" not in (tmp_path / "results.json").read_bytes()  # 0, 0, 0 says it
    np.testing.assert_array_equal(read_results(tmp_path / "results.json").poses.missing, poses.missing)
