"""`trustpose predict` from the command line: what it writes, what it refuses, what it survives."""

import json
import re

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.tiny_onnx import photo_of_people, write_network
from trustpose.cli.predict import predict
from trustpose.data.coco import read_results
from trustpose.files import InputError
from trustpose.skeletons import COCO_17

app = typer.Typer()
app.command()(predict)

IDS = {"one.png": 11, "two.jpg": 12, "none.png": 13}


def _run(*arguments):
    """Exit code and what was printed; InputError, which the real program turns into exit code 2, is raised."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


@pytest.fixture
def case(tmp_path):
    """A folder of three photos with 1, 2 and no labelled people, and one more with only a box; a network; the truth."""
    folder = tmp_path / "photos"
    folder.mkdir()
    images, annotations, detections, xy = [], [], [], {}
    for (name, image_id), count in zip(IDS.items(), (1, 3, 0), strict=True):
        photo, places, boxes = photo_of_people(count, seed=image_id)
        cv2.imwrite(str(folder / name), photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 98])
        images.append({"id": image_id, "file_name": name, "width": photo.shape[1], "height": photo.shape[0]})
        for at, (x0, y0, x1, y1) in enumerate(boxes.tolist()):
            number = image_id * 10 + at
            labels = [float(n) for point in places[at] for n in (*point, 2)] if at < 2 else [0.0] * 51
            box = [x0, y0, x1 - x0, y1 - y0]
            common = {"image_id": image_id, "category_id": 1, "bbox": box}
            annotations.append({"id": number, "iscrowd": 0, "area": 1e4, "keypoints": labels, **common})
            detections.append({**common, "score": 0.5 + at / 10})
            xy[number] = places[at]
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    truth = {"images": images, "annotations": annotations, "categories": [category]}
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "boxes.json").write_text(json.dumps(detections))
    write_network(tmp_path)
    return tmp_path, xy


def _common(path):
    return ("--model", path / "colours.onnx", "--out", path / "out")


def test_results_and_pictures(case):
    path, xy = case
    code, output = _run(path / "photos", "--gt", path / "gt.json", *_common(path))
    assert code == 0 and "3 people on 3 photos" in output and "3 pictures" in output
    poses = read_results(path / "out" / "results.json").poses
    assert sorted(poses.annotation_id) == [110, 120, 121]
    for number, places in zip(poses.annotation_id.tolist(), poses.xy, strict=True):
        assert np.abs(places - xy[number]).max() < 5
    names = sorted(entry.name for entry in (path / "out").iterdir())
    assert names == ["none.jpg", "one.jpg", "results.json", "two.jpg"]
    photo, drawn = cv2.imread(str(path / "photos" / "one.png")), cv2.imread(str(path / "out" / "one.jpg"))
    assert photo.shape == drawn.shape and (np.abs(photo.astype(int) - drawn).max(axis=2) > 60).mean() > 0.02


def test_people_with_only_a_box_on_request(case):
    path, _ = case
    _run(path / "photos", "--gt", path / "gt.json", "--all-people", "--no-draw", "--flip", *_common(path))
    assert sorted(read_results(path / "out" / "results.json").poses.annotation_id) == [110, 120, 121, 122]
    assert [entry.name for entry in (path / "out").iterdir()] == ["results.json"]


def test_detections_with_ids_from_the_ground_truth_or_the_names(case):
    path, _ = case
    options = ("--boxes", path / "boxes.json", "--min-box-score", "0.55", "--no-draw", *_common(path))
    _run(path / "photos", "--gt", path / "gt.json", *options)
    poses = read_results(path / "out" / "results.json").poses
    assert poses.annotation_id is None and poses.image_id.tolist() == [12, 12]
    np.testing.assert_allclose(poses.box_score, [0.6, 0.7])
    np.testing.assert_allclose(poses.pose_score, poses.score.mean(axis=1))
    rows = json.loads((path / "out" / "results.json").read_text())
    np.testing.assert_allclose([row["score"] for row in rows], poses.pose_score * poses.box_score)
    with pytest.raises(InputError, match=r"its name ends in no number"):
        _run(path / "photos", *options)
    for name, image_id in IDS.items():
        entry = path / "photos" / name
        entry.rename(entry.with_name(f"COCO_x_{image_id:012d}{entry.suffix}"))
    _run(path / "photos", *options)
    np.testing.assert_array_equal(read_results(path / "out" / "results.json").poses.xy, poses.xy)


def test_some_photos_by_name_or_pattern(case):
    path, _ = case
    _run(path / "photos" / "two.jpg", path / "photos" / "t*.jpg", "--gt", path / "gt.json", *_common(path))
    assert set(read_results(path / "out" / "results.json").poses.image_id) == {12}


def test_nobody_on_the_photos(case):
    path, _ = case
    code, output = _run(path / "photos" / "none.png", "--gt", path / "gt.json", *_common(path))
    assert code == 0 and "0 people on 1 photos" in output
    assert json.loads((path / "out" / "results.json").read_text()) == []


def test_a_broken_photo_is_reported_and_the_rest_done(case):
    path, _ = case
    photo = path / "photos" / "one.png"
    photo.write_bytes(photo.read_bytes()[:2000])
    code, output = _run(path / "photos", "--gt", path / "gt.json", *_common(path))
    assert code == 1 and re.search(r"skipped: .*one\.png: cannot be decoded", output) and "skipped 1 of 3" in output
    assert sorted(read_results(path / "out" / "results.json").poses.annotation_id) == [120, 121]
    assert not (path / "out" / "one.jpg").exists() and (path / "out" / "two.jpg").exists()


def test_a_photo_of_another_size_is_reported(case):
    path, _ = case
    cv2.imwrite(str(path / "photos" / "one.png"), np.zeros((10, 10, 3), np.uint8))
    code, output = _run(path / "photos", "--gt", path / "gt.json", *_common(path))
    assert code == 1 and "one.png: is 10 × 10 pixels" in output


def _refused(match, *arguments):
    with pytest.raises(InputError, match=match) as error:
        _run(*arguments)
    assert "\n" not in str(error.value)


def test_wrong_input_is_one_line(case):
    path, _ = case
    photos, gt = path / "photos", ("--gt", path / "gt.json")
    _refused("no photos given", *gt, *_common(path))
    _refused("where the people are", photos, *_common(path))
    _refused("no such file or folder", path / "none", *gt, *_common(path))
    _refused(r"none\.json: no such file", photos, "--gt", path / "none.json", *_common(path))
    _refused(r"none\.onnx: no such file", photos, *gt, "--model", path / "none.onnx", "--out", path / "out")
    _refused("is a file, expected a folder", photos, *gt, "--model", path / "colours.onnx", "--out", path / "gt.json")
    cv2.imwrite(str(photos / "stranger.png"), np.zeros((10, 10, 3), np.uint8))
    _refused(r"stranger\.png: this photo is not among the images of .*gt\.json", photos, *gt, *_common(path))
    (photos / "stranger.png").unlink()
    rows = json.loads((path / "boxes.json").read_text())
    (path / "boxes.json").write_text(json.dumps([row | {"image_id": 99} for row in rows]))
    _refused("no box is in any of the 3 photos", photos, *gt, "--boxes", path / "boxes.json", *_common(path))
    assert not (path / "out").exists()


def test_what_was_given_is_never_overwritten(case):
    path, _ = case
    before = (path / "photos" / "two.jpg").read_bytes()
    options = ("--gt", path / "gt.json", "--model", path / "colours.onnx")
    _refused(r"two\.jpg: would be overwritten", path / "photos", *options, "--out", path / "photos")
    (path / "gt.json").rename(path / "results.json")
    options = ("--gt", path / "results.json", "--model", path / "colours.onnx")
    _refused(r"results\.json: would be overwritten", path / "photos", *options, "--out", path)
    assert (path / "photos" / "two.jpg").read_bytes() == before


def test_the_same_photo_twice_and_names_that_differ_in_suffix_only(case):
    path, _ = case
    (path / "other").mkdir()
    (path / "other" / "one.png").write_bytes((path / "photos" / "one.png").read_bytes())
    gt = ("--gt", path / "gt.json")
    _refused("give each photo once", path / "photos", path / "other", *gt, *_common(path))
    text = (path / "gt.json").read_text().replace("two.jpg", "one.jpg")
    (path / "gt.json").write_text(text)
    (path / "photos" / "two.jpg").rename(path / "photos" / "one.jpg")
    _run(path / "photos", *gt, *_common(path))
    names = sorted(entry.name for entry in (path / "out").iterdir())
    assert names == ["none.jpg", "one.jpg.jpg", "one.png.jpg", "results.json"]


def test_hidden_keypoints_stay_in_the_results(case):
    path, _ = case
    arguments = (path / "photos", "--gt", path / "gt.json", *_common(path), "--draw-min-score", "2")
    code, _ = _run(*arguments)
    poses = read_results(path / "out" / "results.json").poses
    assert code == 0 and (poses.score > 0.5).all()
    photo, drawn = cv2.imread(str(path / "photos" / "one.png")), cv2.imread(str(path / "out" / "one.jpg"))
    assert (np.abs(photo.astype(int) - drawn).max(axis=2)[:200] > 60).mean() < 0.001
