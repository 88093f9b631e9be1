"""Broken pose files: each gives one line with the position; folders give their files, and pickles are not opened."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.io import samples
from tests.io.reading import PEOPLE, read
from trustpose.files import InputError
from trustpose.io.pose_files import find_files, read_pose_files
from trustpose.skeletons import OPENPOSE_BODY_25


def change(value: Any, *path: Any) -> Any:
    """A deep copy with the last of `path` put in the place that the rest of it names."""
    copy = json.loads(json.dumps(value))
    *steps, last, new = path
    inner = copy
    for step in steps:
        inner = inner[step]
    inner[last] = new
    return copy


MM, UL = samples.mmpose_instances(PEOPLE), samples.ultralytics_detections(PEOPLE)
OP, AP = samples.openpose_frame(samples.people(skeleton=OPENPOSE_BODY_25)), samples.alphapose_results(PEOPLE, "1.jpg")
BROKEN: list[tuple[str, Any, str, str]] = [
    ("mmpose", change(MM, 1, "keypoints", [[1.0, 2.0]] * 16), "instance 1: field 'keypoints'", "34 finite numbers"),
    ("mmpose", change(MM, 0, "keypoints", 3, [1, 2, 3]), "instance 0: field 'keypoints'", "a list of [x, y]"),
    ("mmpose", change(MM, 0, "keypoints", [[1, 2, 3]] * 17), "instance 0: field 'keypoints'", "three dimensions"),
    ("mmpose", change(MM, 1, "keypoint_scores", None), "instance 1: field 'keypoint_scores'", "got nothing"),
    ("mmpose", change(MM, 0, "bbox", [[1, 2, 3]]), "instance 0: field 'bbox'", "4 finite numbers"),
    ("mmpose", {"instance_info": 3}, "list of instances", "got 3"),
    ("mmpose", [{"frame_id": 0, "instances": 3}], "frame 0: field 'instances'", "a list of objects"),
    ("mmpose", [{"frame_id": 0, "instances": []}] * 2, "frame 1: field 'frame_id'", "occurs twice"),
    ("ultralytics", change(UL, 0, "box", {"x1": 1}), "detection 0: field 'box'", "x1, y1, x2, y2"),
    ("ultralytics", change(UL, 1, "keypoints", "x", [1.0]), "detection 1: field 'keypoints.x'", "17 finite numbers"),
    ("ultralytics", change(UL, 0, "keypoints", {"x": [1], "y": [1]}), "keypoints.visible", "kpt_shape [K, 2]"),
    ("ultralytics", change(UL, 0, "keypoints", None), "detection 0: field 'keypoints' is missing", "a pose model"),
    ("ultralytics", change(UL, 1, "confidence", "high"), "detection 1: field 'confidence'", "the text 'high'"),
    ("openpose", change(OP, "people", 1, "pose_keypoints_2d", [1.0] * 74), "person 1", "75 finite numbers"),
    ("openpose", change(OP, "people", 0, "pose_keypoints_2d", 7), "person 0: field 'pose_keypoints_2d'", "x, y, c"),
    ("openpose", change(OP, "people", 1, "person_id", [1.5]), "person 1: field 'person_id'", "a whole number"),
    ("openpose", change(OP, "people", [{"pose_keypoints_2d": [0.5] * 75}]), "within 1", "--keypoint_scale 0"),
    ("openpose", change(OP, "people", 3), "field 'people'", "a list of people"),
    ("alphapose", change(AP, 1, "image_id", 3), "result 1: field 'image_id'", "a file's name"),
    ("alphapose", change(AP, 1, "keypoints", [1.0] * 50), "result 1: field 'keypoints'", "51 finite numbers"),
    ("alphapose", change(AP, 1, "idx", [1.5]), "result 1: field 'idx'", "tracked person"),
    ("alphapose", change(AP, 1, "idx", [["one"], [2.0]]), "result 1: field 'idx'", "tracked person"),
    ("alphapose", change(AP, 0, "box", [1, 2]), "result 0: field 'box'", "x, y, width, height"),
    ("alphapose", {"a.jpg": {"bodies": [{"joints": [1, 2]}]}}, "image 'a.jpg', body 0: field 'joints'", "x, y, c"),
    ("detectron2", [{"image_id": 1, "bbox": [0, 0, 1, 1], "score": 1}], "field 'keypoints'", "a keypoint model's"),
    ("coco", [{"image_id": 1, "keypoints": [1, 2]}], "result 0: field 'keypoints'", "x, y, score"),
    ("auto", {"what": 3}, "not a known pose file", "--format"),
    ("auto", samples.ground_truth(), "holds annotations, so it is a ground truth", "a tool's results"),
    ("openpose", MM, "looks like a file of mmpose", "openpose"),
]  # fmt: skip


@pytest.mark.parametrize(("tool", "value", "location", "expected"), BROKEN)
def test_broken_json_is_one_line(tmp_path: Path, tool: str, value: Any, location: str, expected: str) -> None:
    path = samples.write(tmp_path / "sample.json", value)
    with pytest.raises(InputError) as error:
        read(path, tool)
    message = str(error.value)
    assert "\n" not in message
    assert message.startswith(str(path))
    assert location in message
    assert expected in message


LABELS = samples.ultralytics_labels(PEOPLE, 640, 425)
FIRST = LABELS.splitlines()[0]
BROKEN_LABELS = [
    (LABELS.replace("0 ", "person ", 1), "line 1: expected numbers, got the text 'person"),
    (f"{FIRST}\n0 0.5 0.5 0.1\n", "line 2: expected 56 to 58 numbers, got 4"),
    ("0 0.5 0.5 0.1 0.1\n", "x, y, confidence of 17 keypoints (then confidence and track), got 5"),
    ("0" + " 0.5" * 38, "line 1: keypoints have x, y and no confidence, as models of kpt_shape [K, 2]"),
    (LABELS.replace("0 0.", "0 100.", 1), "line 1: expected a class and a box in fractions of the photo"),
    (LABELS.replace(" 0.", " nan ", 1), "line 1: expected finite numbers"),
    (f"{FIRST} -3", "a confidence of 0 to 1 and a track's number"),
    (LABELS.replace("0 0.", "1e300 0.", 1), "line 1: expected a class and a box in fractions of the photo"),
    (f"{FIRST} 1.5", "a confidence of 0 to 1 and a track's number"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN_LABELS)
def test_broken_labels_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = samples.write(tmp_path / "1.txt", text)
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


MULTI, SINGLE = samples.DEEPLABCUT_MULTI, samples.DEEPLABCUT_SINGLE
BROKEN_CSV = [
    (SINGLE.replace("88.25", "n/a"), "frame row 0: 'snout' 'x': expected a number, got the text 'n/a'"),
    (SINGLE.replace("15.73", ""), "frame row 1: 'tail': expected x, y and likelihood, or none"),
    (SINGLE.replace("15.73", "inf"), "frame row 1: 'tail': expected finite numbers"),
    (SINGLE.replace("likelihood", "z"), "column 'snout' 'z': expected x, y, likelihood of each body part once"),
    ("\n".join(",".join(line.split(",")[:3]) for line in SINGLE.splitlines()), "no column 'likelihood': labels"),
    (SINGLE.replace("coords", "places"), "expected DeepLabCut's header rows"),
    (SINGLE.replace("1,24.46,", "1,"), "line 5: expected 7 cells, got 6"),
    (SINGLE.replace("\n1,", "\n0,"), "a frame's number or name occurs twice"),
    (SINGLE.replace("\n1,", "\n,"), "frame row 1: expected the frame's number or its photo's name, got nothing"),
    (MULTI.replace("mouse2,mouse2,mouse2,single", "mouse3,mouse3,mouse3,single"), "different body parts"),
    (SINGLE.replace("tail", "snout"), "column 'snout' 'x': expected x, y, likelihood of each body part once"),
    ("name,class,confidence\nperson,0,0.9\n", "expected a CSV file of DeepLabCut (its first row begins with 'scorer')"),
]


@pytest.mark.parametrize(("text", "message"), BROKEN_CSV)
def test_broken_csv_is_one_line(tmp_path: Path, text: str, message: str) -> None:
    path = samples.write(tmp_path / "video.csv", text)
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value).startswith(str(path))
    assert message in str(error.value)


def test_pickles_are_never_opened(tmp_path: Path) -> None:
    (tmp_path / "instances_predictions.pth").write_bytes(b"never read")
    for source in (tmp_path / "instances_predictions.pth", tmp_path):
        with pytest.raises(InputError, match=r"coco_instances_results\.json"):
            find_files([source])
    (tmp_path / "instances_predictions.pth").unlink()
    with pytest.raises(InputError, match="holds no pose files"):
        find_files([tmp_path])


def test_folders_give_their_files_and_tools_do_not_mix(tmp_path: Path) -> None:
    samples.write(tmp_path / "b.json", MM)
    samples.write(tmp_path / "a.json", [])
    samples.write(tmp_path / "notes.md", "not read")
    assert [path.name for path in find_files([tmp_path, tmp_path / "b.json"])] == ["a.json", "b.json"]
    tool, found = read_pose_files(find_files([tmp_path]))
    assert tool == "mmpose"
    assert [len(one) for one in found] == [0, 2]
    samples.write(tmp_path / "c.json", OP)
    with pytest.raises(InputError, match=r"c\.json: is a file of openpose, but .*b\.json of mmpose"):
        read_pose_files(find_files([tmp_path]))
