"""Photos that `trustpose predict` skips and reports, and input that it refuses in one line."""

import json
import re

import cv2
import numpy as np

from tests.cli.predict_cases import case as case  # a fixture
from tests.cli.predict_cases import common, refused, run
from tests.predict.tiny_people import write_people
from trustpose.io.coco.results import read_results


def test_boxes_of_a_file_that_are_none_are_refused_by_name(case):
    path, _ = case
    rows = json.loads((path / "boxes.json").read_text())
    options = ("--gt", path / "gt.json", "--boxes", path / "boxes.json", "--no-draw", *common(path))
    for box, expected in (
        ([0.1, 0.2, 0.3, 0.4], "detection 0: field 'bbox': all boxes lie within 0 to 0.6: expected pixels"),
        ([10, 20, -30, 40], "detection 0: field 'bbox': expected a width and height of at least 0, got -30"),
    ):
        (path / "boxes.json").write_text(json.dumps([row | {"bbox": box} for row in rows]))
        refused(expected, path / "photos", *options)
    (path / "boxes.json").write_text(json.dumps([*rows, rows[-1] | {"bbox": [9000, 20, 30, 40]}]))
    code, output = run(path / "photos", *options)
    assert code == 1 and re.search(r"skipped: .*boxes\.json: .*two\.jpg: boxes\[\d\]: .* lies outside the", output)


def test_a_broken_photo_is_reported_and_the_rest_done(case):
    path, _ = case
    photo = path / "photos" / "one.png"
    photo.write_bytes(photo.read_bytes()[:2000])
    code, output = run(path / "photos", "--gt", path / "gt.json", *common(path))
    assert code == 1 and re.search(r"skipped: .*one\.png: cannot be decoded", output) and "skipped 1 of 3" in output
    assert sorted(read_results(path / "out" / "results.json").poses.annotation_id) == [120, 121]
    assert not (path / "out" / "one.jpg").exists() and (path / "out" / "two.jpg").exists()


def test_a_photo_of_another_size_is_reported(case):
    path, _ = case
    cv2.imwrite(str(path / "photos" / "one.png"), np.zeros((10, 10, 3), np.uint8))
    code, output = run(path / "photos", "--gt", path / "gt.json", *common(path))
    assert code == 1 and "one.png: is 10 × 10 pixels" in output


def test_photos_of_too_many_pixels_are_skipped(case):
    path, _ = case
    cv2.imwrite(str(path / "photos" / "none.png"), np.zeros((900, 900, 3), np.uint8))
    code, output = run(path / "photos", "--detector", "whole", "--max-pixels", 800_000, *common(path))
    assert code == 1 and "none.png: has 900 × 900 pixels, more than the limit of 800000" in output
    assert len(read_results(path / "out" / "results.json").poses) == 2


def test_wrong_input_is_one_line(case):
    path, _ = case
    photos, gt = path / "photos", ("--gt", path / "gt.json")
    refused("no photos given", *gt, *common(path))
    refused("no such file or folder", path / "none", *gt, *common(path))
    refused(r"none\.json: no such file", photos, "--gt", path / "none.json", *common(path))
    refused(r"none\.onnx: no such file", photos, *gt, "--model", path / "none.onnx", "--out", path / "out")
    refused("is a file, expected a folder", photos, *gt, "--model", path / "colours.onnx", "--out", path / "gt.json")
    cv2.imwrite(str(photos / "stranger.png"), np.zeros((10, 10, 3), np.uint8))
    refused(r"stranger\.png: this photo is not among the images of .*gt\.json", photos, *gt, *common(path))
    (photos / "stranger.png").unlink()
    rows = json.loads((path / "boxes.json").read_text())
    (path / "boxes.json").write_text(json.dumps([row | {"image_id": 99} for row in rows]))
    refused("no box is in any of the 3 photos", photos, *gt, "--boxes", path / "boxes.json", *common(path))
    assert not (path / "out").exists()


def test_inputs_are_never_overwritten(case):
    path, _ = case
    before = (path / "photos" / "two.jpg").read_bytes()
    options = ("--gt", path / "gt.json", "--model", path / "colours.onnx")
    refused(r"two\.jpg: would be overwritten", path / "photos", *options, "--out", path / "photos")
    (path / "gt.json").rename(path / "results.json")
    options = ("--gt", path / "results.json", "--model", path / "colours.onnx")
    refused(r"results\.json: would be overwritten", path / "photos", *options, "--out", path)
    assert (path / "photos" / "two.jpg").read_bytes() == before


def test_only_one_source_of_boxes(case):
    path, _ = case
    finder, photos = write_people(path / "finder"), path / "photos"
    out = ("--out", path / "out")
    for option in (("--boxes", path / "boxes.json"), ("--detector", "whole")):
        refused(f"by itself; leave out {option[0]}", photos, "--model", finder, *option, *out)
    both = ("--boxes", path / "boxes.json", "--detector", "whole")
    refused("both give the people's boxes", photos, *both, *common(path))
    refused(
        "--detector-weights: apply only to",
        photos,
        "--gt",
        path / "gt.json",
        "--detector-weights",
        finder,
        *common(path),
    )
    refused("maps that flip could average", photos, "--model", finder, "--flip", *out)
    refused("one person at a time", photos, "--model", finder, "--codec", "dark", *out)
    refused("--codec: expected one of", photos, "--gt", path / "gt.json", "--codec", "darker", *common(path))
    assert not (path / "out").exists()
