"""What the samples of TensorFlow (MoveNet) and MediaPipe write: CSV and JSON."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.io import samples
from tests.io.reading import read
from trustpose.files import InputError
from trustpose.skeletons import BLAZEPOSE_33, COCO_17

PEOPLE = samples.people()
LANDMARKS = samples.people(skeleton=BLAZEPOSE_33)


def movenet_csv(**changes: str) -> str:
    """As the tutorial on pose classification writes its training data."""
    names = [f"{name.upper()}_{part}" for name in COCO_17.keypoints for part in ("x", "y", "score")]
    header = ",".join(["file_name", *names, "class_no", "class_name"])
    rows = [
        f"chair/{7 + row}.jpg,{','.join(map(str, flat))},0,chair" for row, flat in enumerate(samples.triplets(PEOPLE))
    ]
    text = "\n".join([header, *rows]) + "\n"
    for old, new in changes.values():
        text = text.replace(old, new, 1)
    return text


def tfjs_poses(poses: Any = PEOPLE, names: tuple[str, ...] = COCO_17.keypoints) -> list[dict[str, Any]]:
    """As `detector.estimatePoses` returns them."""
    columns = zip(poses.xy.tolist(), poses.score.tolist(), poses.pose_score.tolist(), strict=True)
    return [
        {"score": score, "keypoints": [{"x": x, "y": y, "score": s, "name": name}
                                       for (x, y), s, name in zip(xy, scores, names, strict=True)]}
        for xy, scores, score in columns
    ]  # fmt: skip


def landmarks(person: int) -> list[dict[str, float]]:
    """As MediaPipe's Pose Landmarker has them, in shares of a photo of 500 × 400."""
    assert LANDMARKS.score is not None
    return [
        {"x": x / 500, "y": y / 400, "z": -0.1, "visibility": visibility}
        for (x, y), visibility in zip(LANDMARKS.xy[person].tolist(), LANDMARKS.score[person].tolist(), strict=True)
    ]


def mediapipe_csv(of_classes: bool) -> str:
    """As the notebook on pose classification writes it: x, y, z in pixels, no header."""
    rows = [
        [f"{row + 3}.jpg", *(["pushups_up"] if of_classes else []), *np.c_[xy, np.full(33, -7.5)].ravel().tolist()]
        for row, xy in enumerate(LANDMARKS.xy)
    ]
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def test_movenets_csv(tmp_path: Path) -> None:
    tool_poses = read(samples.write(tmp_path / "train_data.csv", movenet_csv()))
    np.testing.assert_array_equal(tool_poses.poses.xy, PEOPLE.xy)
    np.testing.assert_array_equal(tool_poses.poses.score, PEOPLE.score)
    assert tool_poses.skeleton is COCO_17 and tool_poses.photo == ("7.jpg", "8.jpg")


@pytest.mark.parametrize("names", [COCO_17.keypoints, BLAZEPOSE_33.keypoints])
def test_tensorflow_js(tmp_path: Path, names: tuple[str, ...]) -> None:
    poses = PEOPLE if len(names) == 17 else LANDMARKS
    tool_poses = read(samples.write(tmp_path / "7.json", tfjs_poses(poses, names)))
    np.testing.assert_array_equal(tool_poses.poses.xy, poses.xy)
    np.testing.assert_array_equal(tool_poses.poses.score, poses.score)
    np.testing.assert_allclose(tool_poses.poses.pose_score, poses.pose_score)
    assert tool_poses.skeleton is not None and tool_poses.skeleton.keypoints == names and tool_poses.photo == ("7", "7")


@pytest.mark.parametrize("of_classes", [False, True])
def test_mediapipes_csv(tmp_path: Path, of_classes: bool) -> None:
    tool_poses = read(samples.write(tmp_path / "pushups_up.csv", mediapipe_csv(of_classes)))
    np.testing.assert_allclose(tool_poses.poses.xy, LANDMARKS.xy)
    assert tool_poses.skeleton is BLAZEPOSE_33 and tool_poses.photo == ("3.jpg", "4.jpg")
    assert "no scores" in tool_poses.notes[0]


@pytest.mark.parametrize("field", ["landmarks", "poseLandmarks", "landmark", "pose_landmarks"])
def test_mediapipes_json(tmp_path: Path, field: str) -> None:
    of_many = field in ("landmarks", "pose_landmarks")
    value = {field: [landmarks(0), landmarks(1)] if of_many else landmarks(0), "worldLandmarks": []}
    tool_poses = read(samples.write(tmp_path / "7.json", value))
    count = 2 if of_many else 1
    np.testing.assert_allclose(tool_poses.poses.xy * (500, 400), LANDMARKS.xy[:count])
    np.testing.assert_array_equal(tool_poses.poses.score, (LANDMARKS.score if of_many else LANDMARKS.score[:1]))
    assert tool_poses.is_relative and tool_poses.photo == ("7",) * count
    assert len(read(samples.write(tmp_path / "none.json", {field: []}))) == 0


def json_with(value: Any, *path: Any) -> Any:
    copy = json.loads(json.dumps(value))
    *steps, last, new = path
    inner = copy
    for step in steps:
        inner = inner[step]
    inner[last] = new
    return copy


MP = {"landmarks": [landmarks(0), landmarks(1)]}
POINT = {"x": 3, "y": 4, "score": 0.5}
BROKEN: list[tuple[str, Any, str]] = [
    ("a.csv", movenet_csv(a=("NOSE_y", "NOSE_z")), "header: expected 'NOSE_y', got 'NOSE_z'"),
    ("a.csv", movenet_csv(a=("chair/8.jpg,", "chair/8.jpg,x")), "line 3: expected a number, got the text 'x"),
    ("a.csv", movenet_csv(a=("chair/8.jpg,", "chair/8.jpg,,")), "line 3: expected 54 cells, got 55"),
    ("a.csv", movenet_csv(a=("chair/8.jpg,", ",")), "line 3: 'file_name': expected the photo's name"),
    ("a.csv", mediapipe_csv(True).replace("-7.5", "inf", 40), "line 1: expected finite numbers"),
    ("a.csv", mediapipe_csv(False) + "5.jpg,1,2\n", "line 3: expected 100 cells, got 3"),
    ("a.json", json_with(tfjs_poses(), 1, "keypoints", []), "pose 1: field 'keypoints': expected a list of objects"),
    ("a.json", json_with(tfjs_poses(), 1, "keypoints", [POINT]), "pose 1: field 'keypoints': expected 17 keypoints"),
    ("a.json", json_with(tfjs_poses(), 1, "keypoints", 3, {}), "pose 1: field 'keypoints.3.x' is missing"),
    (
        "a.json",
        json_with(tfjs_poses(), 0, "keypoints", 3, "score", None),
        "'keypoints.3.score': expected a number",
    ),
    ("a.json", json_with(tfjs_poses(), 1, "keypoints", 3, "name", "nose"), "the same names in the same order"),
    (
        "a.json",
        json_with(tfjs_poses(), 0, "id", -5),
        "pose 0: field 'id': expected a whole number of at least 0, got -5",
    ),
    ("a.json", json_with(MP, "landmarks", 1, landmarks(0)[:5]), "person 1: expected 33 landmarks, got 5"),
    (
        "a.json",
        json_with(MP, "landmarks", 1, 4, "x", "left"),
        "person 1: landmark 4: field 'x': expected a number from -1e+06 to 1e+06, got 'left'",
    ),
    (
        "a.json",
        json_with(MP, "landmarks", 1, 4, "visibility", -1),
        "landmark 4: field 'visibility': expected a number from 0 to 1e+06, got -1",
    ),
]


@pytest.mark.parametrize(("name", "content", "message"), BROKEN)
def test_broken_files_are_one_line(tmp_path: Path, name: str, content: Any, message: str) -> None:
    path = samples.write(tmp_path / name, content)
    with pytest.raises(InputError) as error:
        read(path)
    assert message in str(error.value) and str(error.value).startswith(str(path)) and "\n" not in str(error.value)
