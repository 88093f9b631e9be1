"""Each tool's format, read from small files after its documentation."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.io import samples
from tests.io.reading import PEOPLE, read
from trustpose.files import InputError
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17, HALPE_26, OPENPOSE_BODY_25, OPENPOSE_COCO_18, OPENPOSE_MPI_15


def assert_same(poses: Poses, expected: Poses, *columns: str) -> None:
    for name in ("xy", "score", *columns):
        np.testing.assert_allclose(getattr(poses, name), getattr(expected, name), rtol=0, atol=1e-9, err_msg=name)


def test_mmpose_photo_video_and_demo(tmp_path: Path) -> None:
    instances = samples.mmpose_instances(PEOPLE)
    tool_poses = read(samples.write(tmp_path / "000000000785.json", instances))
    assert_same(tool_poses.poses, PEOPLE, "box")
    np.testing.assert_array_equal(tool_poses.poses.box_score, PEOPLE.pose_score)
    assert tool_poses.poses.pose_score is None
    assert tool_poses.photo == ("000000000785",) * 2

    frames = [{"frame_id": 4, "instances": instances[:1]}, {"frame_id": 5, "instances": []},
              {"frame_id": 6, "instances": instances[1:]}]  # fmt: skip
    video = read(samples.write(tmp_path / "clip.json", frames))
    assert_same(video.poses, PEOPLE)
    assert video.photo is None
    assert video.poses.image_id is not None
    assert video.poses.image_id.tolist() == [4, 6]

    meta = {"keypoint_id2name": {str(i): name for i, name in enumerate(COCO_17.keypoints)}}
    demo = {"meta_info": meta, "instance_info": instances}
    assert read(samples.write(tmp_path / "results_a.json", demo)).skeleton is COCO_17
    unwrapped = [instance | {"bbox": instance["bbox"][0]} for instance in instances]
    assert_same(read(samples.write(tmp_path / "b.json", unwrapped)).poses, PEOPLE, "box")


def test_ultralytics_json(tmp_path: Path) -> None:
    tool_poses = read(samples.write(tmp_path / "bus.json", samples.ultralytics_detections(PEOPLE)))
    assert_same(tool_poses.poses, PEOPLE, "box", "pose_score")
    assert tool_poses.photo == ("bus", "bus")
    assert not tool_poses.is_relative
    assert tool_poses.category is not None
    assert tool_poses.category.tolist() == [0, 0]


@pytest.mark.parametrize(
    ("with_confidence", "tracks"),
    [(True, None), (False, None), (True, ["7", "12"]), (True, ["3", ""]), (False, ["7", "12"]), (False, ["1", "2"])],
)
def test_ultralytics_labels(tmp_path: Path, with_confidence: bool, tracks: list[str] | None) -> None:
    text = samples.ultralytics_labels(PEOPLE, 640, 425, with_confidence=with_confidence)
    if tracks is not None:
        text = "\n".join(f"{line} {track}" for line, track in zip(text.splitlines(), tracks, strict=True))
    tool_poses = read(samples.write(tmp_path / "clip_12.txt", text))
    assert tool_poses.is_relative
    assert tool_poses.photo == ("clip_12",) * 2
    size = np.array([640, 425])
    assert PEOPLE.box is not None
    np.testing.assert_allclose(tool_poses.poses.xy * size, PEOPLE.xy, atol=2e-3)
    np.testing.assert_allclose(tool_poses.poses.box * np.tile(size, 2), PEOPLE.box, atol=2e-3)
    np.testing.assert_allclose(tool_poses.poses.score, PEOPLE.score, atol=1e-6)
    assert (tool_poses.poses.pose_score is not None) == with_confidence
    ids = None if tool_poses.poses.track_id is None else tool_poses.poses.track_id.tolist()
    assert ids == (None if tracks is None else [int(track or -1) for track in tracks])


@pytest.mark.parametrize("skeleton", [OPENPOSE_BODY_25, OPENPOSE_COCO_18, OPENPOSE_MPI_15], ids=lambda one: one.name)
def test_openpose(tmp_path: Path, skeleton) -> None:
    poses = samples.people(skeleton=skeleton)
    frame = samples.openpose_frame(poses)
    frame["people"][0]["pose_keypoints_2d"][3:6] = [0, 0, 0]  # not found
    frame["people"].append({"pose_keypoints_2d": [], "hand_left_keypoints_2d": [1, 2, 0.5]})
    tool_poses = read(samples.write(tmp_path / "video_000000000012_keypoints.json", frame))
    assert tool_poses.skeleton is skeleton
    assert tool_poses.photo == ("video_000000000012",) * 2
    np.testing.assert_array_equal(tool_poses.poses.xy[0, 1], 0)
    np.testing.assert_array_equal(tool_poses.poses.xy[:, 2:], poses.xy[:, 2:])
    np.testing.assert_array_equal(tool_poses.poses.score[:, 2:], poses.score[:, 2:])
    assert tool_poses.poses.track_id is None
    assert tool_poses.without_body == 1
    old = samples.openpose_frame(poses, "pose_keypoints")
    old["people"][1]["person_id"] = [3]
    tracked = read(samples.write(tmp_path / "old_keypoints.json", old)).poses
    assert tracked.track_id is not None
    assert tracked.track_id.tolist() == [-1, 3]


def test_alphapose(tmp_path: Path) -> None:
    results = samples.alphapose_results(PEOPLE, "photos/000000000785.jpg") + samples.alphapose_results(PEOPLE, "9.jpg")
    tool_poses = read(samples.write(tmp_path / "alphapose-results.json", results))
    assert_same(tool_poses.poses[:2], PEOPLE, "box")
    assert tool_poses.photo == ("000000000785.jpg",) * 2 + ("9.jpg",) * 2
    assert tool_poses.skeleton is COCO_17
    np.testing.assert_array_equal(tool_poses.poses.pose_score[:2], [row["score"] for row in results[:2]])
    assert tool_poses.poses.track_id is not None
    assert tool_poses.poses.track_id.tolist() == [1, 2, 1, 2]
    results[0]["idx"], results[1]["idx"] = [[4.0], [7.0]], [[[2.0], [3.0]], [1.0]]  # merged by its pose NMS
    merged = read(samples.write(tmp_path / "merged.json", results))
    assert merged.poses.track_id is not None
    assert merged.poses.track_id.tolist() == [4, 2, 1, 2]
    assert merged.notes == ("poses that AlphaPose merged from several: 2; `track_id` is that of the first",)
    untracked = [row | {"idx": [[0.0], [0.0]] if i else [0.0]} for i, row in enumerate(results)]
    tool_poses = read(samples.write(tmp_path / "untracked.json", untracked))
    assert tool_poses.poses.track_id is None
    assert tool_poses.notes == ()
    halpe = samples.people(skeleton=HALPE_26)
    plain = [{name: row[name] for name in ("image_id", "category_id", "keypoints", "score")}
             for row in samples.alphapose_results(halpe, "a.jpg")]  # fmt: skip
    assert read(samples.write(tmp_path / "halpe.json", plain)).skeleton is HALPE_26


@pytest.mark.parametrize("of_many", [True, False])
@pytest.mark.parametrize("format_", ["cmu", "open"])
def test_alphapose_in_other_tools_formats(tmp_path: Path, of_many: bool, format_: str) -> None:
    poses = samples.people(skeleton=OPENPOSE_COCO_18)
    people = [{"joints" if format_ == "cmu" else "pose_keypoints_2d": flat} for flat in samples.triplets(poses)]
    photo = {"version": "AlphaPose v0.3", "bodies" if format_ == "cmu" else "people": people}
    path = tmp_path / "000000000785.json"
    tool_poses = read(
        samples.write(path, {"000000000785.jpg": photo, "12.jpg": photo} if of_many else photo), "alphapose"
    )
    assert_same(tool_poses.poses[:2], poses)
    assert tool_poses.skeleton is OPENPOSE_COCO_18
    assert tool_poses.photo == (("000000000785.jpg",) * 2 + ("12.jpg",) * 2 if of_many else ("000000000785",) * 2)


def test_deeplabcut_multi(tmp_path: Path) -> None:
    tool_poses = read(samples.write(tmp_path / "videoDLC_resnet50.csv", samples.DEEPLABCUT_MULTI))
    poses = tool_poses.poses
    assert tool_poses.skeleton is not None
    assert tool_poses.skeleton.keypoints == ("snout", "tail")
    assert poses.image_id is not None and poses.track_id is not None
    assert poses.image_id.tolist() == [0, 0, 1, 2, 2]
    assert poses.track_id.tolist() == [1, 2, 1, 1, 2]
    np.testing.assert_array_equal(poses.xy[1], [[60.45, 72.49], [92.64, 80.95]])
    np.testing.assert_array_equal(poses.score[2], [0.75, 0.125])
    assert np.isnan(poses.xy[3, 1]).all()
    assert np.isnan(poses.score[3, 1])
    assert tool_poses.notes == ("unique body parts left out: corner",)


@pytest.mark.parametrize("folders", ["labeled-formats/video/", "labeled-data,video,"])
def test_deeplabcut_single_with_frames_or_photos(tmp_path: Path, folders: str) -> None:
    tool_poses = read(samples.write(tmp_path / "a.csv", samples.DEEPLABCUT_SINGLE))
    assert tool_poses.poses.image_id is not None
    assert tool_poses.poses.image_id.tolist() == [0, 1]
    assert tool_poses.poses.track_id is None
    pad = "," * folders.count(",")
    lines = samples.DEEPLABCUT_SINGLE.splitlines()
    named = [line.replace(",", f",{pad}", 1) for line in lines[:3]]
    named += [f"{folders}img{line[0]}.png{line[1:]}" for line in lines[3:]]
    photos = read(samples.write(tmp_path / "b.csv", "\n".join(named)))
    assert photos.photo == ("img0.png", "img1.png")
    np.testing.assert_array_equal(photos.poses.xy, tool_poses.poses.xy)
    np.testing.assert_array_equal(tool_poses.poses.xy[1], [[24.46, 86.9], [33.94, 15.73]])


def test_coco_results_with_ids_and_names(tmp_path: Path) -> None:
    rows = [{"image_id": 785, "category_id": 1, "keypoints": flat, "score": 0.1 * i, "bbox": [0, 0, 9, 9]}
            for i, flat in enumerate(samples.triplets(PEOPLE))]  # fmt: skip
    tool_poses = read(samples.write(tmp_path / "coco_instances_results.json", rows), "detectron2")
    assert_same(tool_poses.poses, PEOPLE)
    assert tool_poses.poses.image_id is not None
    assert tool_poses.poses.image_id.tolist() == [785, 785]
    np.testing.assert_allclose(tool_poses.ranking, [0, 0.1])
    named = [row | {"image_id": "bus"} for row in rows]
    assert read(samples.write(tmp_path / "predictions.json", named), "ultralytics").photo == ("bus", "bus")


def test_openpifpafs_photo_is_called_as_its_file(tmp_path: Path) -> None:
    rows = [{"keypoints": [*flat[:-6], 0, 0, 0, 0, -3, 0], "bbox": [0, 0, 9, 9], "score": 0.7, "category_id": 1}
            for flat in samples.triplets(PEOPLE)]  # fmt: skip
    tool_poses = read(samples.write(tmp_path / "000000081988.jpg.predictions.json", rows))
    np.testing.assert_array_equal(tool_poses.poses.xy[:, :-2], PEOPLE.xy[:, :-2])
    assert tool_poses.poses.missing is not None
    assert (
        tool_poses.poses.missing.tolist() == [[False] * 15 + [True] * 2] * 2
    )  # not found, wherever its scaling took (0, 0)
    assert tool_poses.photo == ("000000081988.jpg",) * 2
    assert tool_poses.poses.image_id is None
    np.testing.assert_array_equal(tool_poses.ranking, [0.7, 0.7])
    some = [rows[0], rows[1] | {"image_id": 3}]
    with pytest.raises(InputError, match="result 0: field 'image_id': expected a whole number, got nothing"):
        read(samples.write(tmp_path / "a.json", some))


@pytest.mark.parametrize("value", [[], {"people": []}, {"instance_info": []}, [{"frame_id": 0, "instances": []}]])
def test_photos_without_people(tmp_path: Path, value: Any) -> None:
    assert len(read(samples.write(tmp_path / "a.json", value))) == 0
