"""Faults of COCO files, each named with its file and row; and boxes a little outside the photo, which are none."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trustpose.files import InputError
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth

TRUTH = {
    "images": [{"id": 1, "file_name": "a.jpg", "width": 9, "height": 9}, {"id": 2}],
    "annotations": [
        {"id": 5, "image_id": 1, "category_id": 1, "keypoints": [1, 2, 2, 3, 4, 1], "num_keypoints": 2,
         "area": 20.0, "bbox": [1, 2, 3, 4], "iscrowd": 0},
        {"id": 6, "image_id": 2, "category_id": 1, "keypoints": [0, 0, 0, 3, 4, 1], "num_keypoints": 1,
         "area": 20.0, "bbox": [1, 2, 3, 4], "iscrowd": 0},
    ],
    "categories": [{"id": 1, "name": "person", "keypoints": ["a", "b"]}],
}  # fmt: skip
RESULTS = [
    {"image_id": 1, "category_id": 1, "keypoints": [1, 2, 0.5, 3, 4, 0.6], "score": 0.5, "annotation_id": 5},
    {"image_id": 2, "category_id": 1, "keypoints": [1, 2, 0.5, 3, 4, 0.6], "score": 0.5, "annotation_id": 6},
]


def _changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    value = copy.deepcopy(value)
    inner = value
    for step in path[:-1]:
        inner = inner[step]
    if new is KeyError:
        del inner[path[-1]]
    else:
        inner[path[-1]] = new
    return value


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        (("images",), KeyError, "field 'images' is missing"),
        (("images",), [], "field 'images': expected at least one image"),
        (("images", 1, "id"), "2", "image 1: field 'id': expected a whole number, got the text '2'"),
        (("images", 0, "id"), "1", "image 1: field 'id': expected a text, as other rows have, got 2"),
        (("images", 1, "id"), 1, "image 1: field 'id': 1 occurs twice"),
        (("images", 0, "file_name"), 7, "image 0: field 'file_name': expected a text, got 7"),
        (("annotations", 1, "id"), 5, "annotation 1: field 'id': 5 occurs twice (also in annotation 0)"),
        (("annotations", 1, "image_id"), 9, "field 'image_id': 9 not in field 'images'"),
        (("annotations", 1, "category_id"), 9, "field 'category_id': 9 not in field 'categories'"),
        (("annotations", 0, "keypoints"), [1, 2], "annotation 0: field 'keypoints': expected 6 finite numbers"),
        (("annotations", 0, "keypoints", 2), 3, "field 'keypoints': expected v in 0, 1, 2, got 3.0"),
        (("annotations", 0, "keypoints", 0), True, "expected 6 finite numbers (x, y, v of 2 keypoints), got true"),
        (("annotations", 0, "area"), -1, "annotation 0: field 'area': expected a number of at least 0, got -1.0"),
        (
            ("annotations", 0, "area"),
            KeyError,
            "annotation 0: field 'area': expected a number of at least 0, got nothing",
        ),
        (("annotations", 0, "bbox"), [1, 2, -3, 4], "annotation 0: field 'bbox'"),
        (("annotations", 0), [], "annotation 0: expected an object, got a list of 0"),
        (("annotations",), {}, "expected a list of annotations, got an object"),
        (("categories",), [], "expected at least one category"),
        (("categories", 0, "keypoints"), "a", "category 0: field 'keypoints': expected a list of names"),
        (("annotations", 0, "id"), 2**64 - 1, "expected a whole number of at most 64 bits"),
    ],
)
def test_faults_of_a_ground_truth_are_named(tmp_path: Path, path, new, message: str) -> None:
    file = tmp_path / "gt.json"
    file.write_text(json.dumps(_changed(TRUTH, path, new)))
    with pytest.raises(InputError) as caught:
        read_coco_truth(file)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        ((0, "image_id"), 9, "field 'image_id': 9 not in the images of"),
        ((0, "image_id"), KeyError, "result 0: field 'image_id': expected a whole number, got nothing"),
        ((0, "image_id"), 1.5, "result 0: field 'image_id': expected a whole number, got 1.5"),
        ((1, "keypoints"), [1, 2, 3], "result 1: field 'keypoints': expected 6 finite numbers (x, y, score of 2"),
        ((1, "keypoints", 3), "x", "result 1: field 'keypoints': expected 6 finite numbers"),
        ((1, "keypoints", 3), None, "result 1: field 'keypoints': expected 6 finite numbers"),
        ((1, "score"), KeyError, "result 1: field 'score': expected a finite number, got nothing"),
        ((1, "score"), [1], "result 1: field 'score': expected a finite number, got a list of 1"),
        ((1, "annotation_id"), 5, "result 1: field 'annotation_id': 5 occurs twice"),
        ((1, "annotation_id"), 99, "field 'annotation_id': 99 not in the annotations of"),
        ((1, "image_id"), 1, "result 1: field 'annotation_id': expected a person of image 1, got 6"),
        ((1, "category_id"), 4, "field 'category_id': 4 not in the categories of"),
        ((1, "bbox"), [1, 2, 3], "result 1: field 'bbox': expected 4 finite numbers (x, y, width, height)"),
        (
            (1, "keypoint_quality"),
            [0.5, 1.5],
            "result 1: field 'keypoint_quality': expected numbers from 0 to 1, got 1.5",
        ),
        ((1, "pose_quality"), -0.5, "result 1: field 'pose_quality': expected numbers from 0 to 1, got -0.5"),
        ((1, "visibility"), [[1, 0, 0]], "result 1: field 'visibility': expected 2 lists of three probabilities"),
        ((1, "visibility"), [[0.5, 0, 0], [1, 0, 0]], "result 1: field 'visibility'"),
        ((1,), 3, "result 1: expected an object, got 3"),
    ],
)
def test_faults_of_results_are_named(tmp_path: Path, path, new, message: str) -> None:
    (tmp_path / "gt.json").write_text(json.dumps(TRUTH))
    file = tmp_path / "results.json"
    file.write_text(json.dumps(_changed(RESULTS, path, new)))
    with pytest.raises(InputError) as caught:
        read_results(file, truth=read_coco_truth(tmp_path / "gt.json"))
    assert message in str(caught.value)
    assert str(file) in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty (0 bytes)"),
        (b"[]", "holds no results"),
        (b"{}", "expected a list of results, got an object; `trustpose convert` reads other tools' files"),
        (b'[{"image_id": 1', "is not valid JSON"),
        (b'[{"score": NaN}]', "contains NaN, expected finite numbers"),
        (b'[{"score": -Infinity}]', "contains -Infinity, expected finite numbers"),
        (b'[{"image_id": 1, "category_id": 1, "score": 1e999, "keypoints": [1, 2, 3, 4, 5, 6]}]', "JSON"),
        (b"\xff\xfe[\x00]\x00", "is not valid JSON"),
        ("[{\"na\xefve".encode("latin-1"), "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON"),
    ],
)  # fmt: skip
def test_files_that_are_no_results_are_reported(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "gt.json").write_text(json.dumps(TRUTH))
    file = tmp_path / "results.json"
    file.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_results(file, truth=read_coco_truth(tmp_path / "gt.json"))
    assert message in str(caught.value)


def test_missing_files_and_folders_are_reported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such file"):
        read_coco_truth(tmp_path / "none.json")
    with pytest.raises(InputError, match="is a directory"):
        read_coco_truth(tmp_path)


def test_the_first_three_unknown_images_are_named(tmp_path: Path) -> None:
    (tmp_path / "gt.json").write_text(json.dumps(TRUTH))
    rows = [{**RESULTS[0], "image_id": i, "annotation_id": None} for i in (1, 11, 12, 12, 13, 14, 15)]
    (tmp_path / "results.json").write_text(json.dumps(rows))
    with pytest.raises(InputError, match=r"11, 12, 13 and 2 more not in the images of"):
        read_results(tmp_path / "results.json", truth=read_coco_truth(tmp_path / "gt.json"))


def test_categories_are_chosen_by_name_and_others_left_out(tmp_path: Path) -> None:
    truth = copy.deepcopy(TRUTH)
    truth["categories"].append({"id": 2, "name": "horse", "keypoints": ["a", "b", "c"]})
    truth["annotations"].append({"id": 7, "image_id": 2, "category_id": 2, "keypoints": [1, 1, 2] * 3})
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    with pytest.raises(InputError, match=r"several categories \(person, horse\)"):
        read_coco_truth(tmp_path / "gt.json")
    people, horses = (read_coco_truth(tmp_path / "gt.json", name) for name in ("person", "2"))
    assert (len(people.truth), people.truth.keypoint_count) == (2, 2)
    assert (len(horses.truth), horses.truth.keypoint_count) == (1, 3)
    assert horses.truth.area is None
    with pytest.raises(InputError, match="no category 'cow'"):
        read_coco_truth(tmp_path / "gt.json", "cow")


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        ([[1, 2, 3, 4], [5, 2, -3, 4]], "1: field 'bbox': expected a width and height of at least 0, got -3"),
        ([[0.1, 0.2, 0.3, 0.4], [0, 0, 1, 1]], "0: field 'bbox': all boxes lie within 0 to 1: expected pixels"),
        ([[1, 2, 30, 40], [900, 2, 30, 40]], "1: field 'bbox': (900, 2, 930, 42) lies outside the 64 x 48 photo"),
        (
            [[20, 10, 60, 40], [1, 2, 30, 40]],
            "0: field 'bbox': ends at 80, 50, beyond the 64 x 48 photo: expected x, y",
        ),
    ],
)
def test_boxes_that_are_none_are_named(tmp_path: Path, boxes, message: str) -> None:
    truth, results = copy.deepcopy(TRUTH), copy.deepcopy(RESULTS)
    for image in truth["images"]:
        image |= {"width": 64, "height": 48}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    for result, box in zip(results, boxes, strict=True):
        result["bbox"] = box
    (tmp_path / "results.json").write_text(json.dumps(results))
    with pytest.raises(InputError) as caught:
        read_results(tmp_path / "results.json", truth=read_coco_truth(tmp_path / "gt.json"))
    assert f"results.json: result {message}" in str(caught.value)
    for annotation, box in zip(truth["annotations"], boxes, strict=True):
        annotation["bbox"] = box
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    with pytest.raises(InputError) as caught:
        read_coco_truth(tmp_path / "gt.json")
    assert f"gt.json: annotation {message}" in str(caught.value)


def test_boxes_that_stick_out_a_little_or_lie_just_beside_the_photo_are_read(tmp_path: Path) -> None:
    truth = copy.deepcopy(TRUTH)
    for image in truth["images"]:
        image |= {"width": 64, "height": 48}
    truth["annotations"][0]["bbox"] = [-3, 2, 70, 48]
    truth["annotations"][1]["bbox"] = [65, 2, 30, 30]  # of somebody who has left the photo
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    np.testing.assert_array_equal(read_coco_truth(tmp_path / "gt.json").truth.box, [[-3, 2, 67, 50], [65, 2, 95, 32]])
