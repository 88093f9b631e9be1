"""`trustpose predict` from the command line: its files, and which people are in them."""

import json

import cv2
import numpy as np
import pytest

from tests.cli.predict_cases import IDS, common, refused, run
from tests.cli.predict_cases import case as case  # a fixture
from tests.predict.tiny_people import write_people
from trustpose.files import InputError
from trustpose.io.coco.results import read_results


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_results_as_a_table(case, format_):
    path, _ = case
    arguments = (path / "photos", "--gt", path / "gt.json", "--no-draw", *common(path))
    assert run(*arguments)[0] == 0
    code, output = run(*arguments, "--format", format_, "--overwrite")
    table = path / "out" / f"results.{format_}"
    assert code == 0 and str(table) in output
    expected, results_file = read_results(path / "out" / "results.json"), read_results(table)
    np.testing.assert_array_equal(results_file.poses.xy, expected.poses.xy)
    np.testing.assert_array_equal(results_file.score, expected.score)
    assert run(*arguments, "--tidy", "--overwrite")[0] == 0
    rows = json.loads((path / "out" / "results.json").read_text())
    assert len(rows) == 3 * 17 and rows[0]["name"] == "nose" and rows[0]["file_name"] in IDS
    with pytest.raises(InputError, match="--format: expected one of json, csv, parquet"):
        run(*arguments, "--format", "xlsx", "--overwrite")


def test_results_and_pictures(case):
    path, xy = case
    code, output = run(path / "photos", "--gt", path / "gt.json", *common(path))
    assert code == 0 and "3 people on 3 photos" in output and "3 pictures" in output
    poses = read_results(path / "out" / "results.json").poses
    assert sorted(poses.annotation_id) == [110, 120, 121]
    for number, positions in zip(poses.annotation_id.tolist(), poses.xy, strict=True):
        assert np.abs(positions - xy[number]).max() < 5
    names = sorted(entry.name for entry in (path / "out").iterdir())
    assert names == ["none.jpg", "one.jpg", "results.json", "two.jpg"]
    photo, drawn = cv2.imread(str(path / "photos" / "one.png")), cv2.imread(str(path / "out" / "one.jpg"))
    assert photo.shape == drawn.shape and (np.abs(photo.astype(int) - drawn).max(axis=2) > 60).mean() > 0.02


def test_styles_of_pictures(case):
    path, _ = case
    arguments = (path / "photos" / "two.jpg", "--gt", path / "gt.json", *common(path))
    found = {}
    for style in ("trust", "parts", "people"):
        assert run(*arguments, "--style", style, "--overwrite")[0] == 0
        found[style] = (path / "out" / "two.jpg").read_bytes()
    assert found["people"] != found["parts"] != found["trust"]
    with pytest.raises(InputError, match="style: expected trust, parts or people, got 'rainbow'"):
        run(*arguments, "--style", "rainbow", "--overwrite")


@pytest.mark.parametrize("name", ["drawn.jpg", "results.json", "clip.mp4"])
def test_a_files_name_for_the_folder_is_refused(case, name):
    path, _ = case
    with pytest.raises(InputError, match=rf"{name}: --out: expected a folder, for results and pictures"):
        run(path / "photos", "--gt", path / "gt.json", "--model", path / "colours.onnx", "--out", path / name)
    assert not (path / name).exists()


def test_people_with_only_a_box_on_request(case):
    path, _ = case
    run(path / "photos", "--gt", path / "gt.json", "--all-people", "--no-draw", "--flip", *common(path))
    assert sorted(read_results(path / "out" / "results.json").poses.annotation_id) == [110, 120, 121, 122]
    assert [entry.name for entry in (path / "out").iterdir()] == ["results.json"]


def test_detections_with_ids_from_the_ground_truth_or_the_names(case):
    path, _ = case
    options = ("--boxes", path / "boxes.json", "--min-box-score", "0.55", "--no-draw", *common(path))
    run(path / "photos", "--gt", path / "gt.json", *options)
    poses = read_results(path / "out" / "results.json").poses
    assert poses.annotation_id is None and poses.image_id.tolist() == [12, 12]
    np.testing.assert_allclose(poses.box_score, [0.6, 0.7])
    np.testing.assert_allclose(poses.pose_score, poses.score.mean(axis=1))
    rows = json.loads((path / "out" / "results.json").read_text())
    np.testing.assert_allclose([row["score"] for row in rows], poses.pose_score * poses.box_score)
    with pytest.raises(InputError, match=r"its name does not end in a number"):
        run(path / "photos", *options, "--overwrite")
    for name, image_id in IDS.items():
        entry = path / "photos" / name
        entry.rename(entry.with_name(f"COCO_x_{image_id:012d}{entry.suffix}"))
    run(path / "photos", *options, "--overwrite")
    np.testing.assert_array_equal(read_results(path / "out" / "results.json").poses.xy, poses.xy)


def test_some_photos_by_name_or_pattern(case):
    path, _ = case
    run(path / "photos" / "two.jpg", path / "photos" / "t*.jpg", "--gt", path / "gt.json", *common(path))
    assert set(read_results(path / "out" / "results.json").poses.image_id) == {12}


def test_photos_without_people(case):
    path, _ = case
    code, output = run(path / "photos" / "none.png", "--gt", path / "gt.json", *common(path))
    assert code == 0 and "0 people on 1 photo in" in output
    assert json.loads((path / "out" / "results.json").read_text()) == []


def test_the_same_photo_twice_and_names_that_differ_in_suffix_only(case):
    path, _ = case
    (path / "other").mkdir()
    (path / "other" / "one.png").write_bytes((path / "photos" / "one.png").read_bytes())
    gt = ("--gt", path / "gt.json")
    refused("give each photo once", path / "photos", path / "other", *gt, *common(path))
    text = (path / "gt.json").read_text().replace("two.jpg", "one.jpg")
    (path / "gt.json").write_text(text)
    (path / "photos" / "two.jpg").rename(path / "photos" / "one.jpg")
    run(path / "photos", *gt, *common(path))
    names = sorted(entry.name for entry in (path / "out").iterdir())
    assert names == ["none.jpg", "one.jpg.jpg", "one.png.jpg", "results.json"]


def test_hidden_keypoints_stay_in_the_results(case):
    path, _ = case
    arguments = (path / "photos", "--gt", path / "gt.json", *common(path), "--draw-min-score", "2")
    code, _ = run(*arguments)
    poses = read_results(path / "out" / "results.json").poses
    assert code == 0 and (poses.score > 0.5).all()
    photo, drawn = cv2.imread(str(path / "photos" / "one.png")), cv2.imread(str(path / "out" / "one.jpg"))
    assert (np.abs(photo.astype(int) - drawn).max(axis=2)[:200] > 60).mean() < 0.001


def test_people_that_are_found(case):
    """By a detector, and by a single-stage network; ids are counted if names have no numbers."""
    path, _ = case
    finder = write_people(path / "finder")
    photos = ("one.png", "two.jpg")
    sources = [path / "photos" / name for name in photos]
    code, output = run(*sources, "--detector", finder, *common(path))
    poses = read_results(path / "out" / "results.json").poses
    assert code == 0 and "4 people on 2 photos" in output and poses.image_id.tolist() == [1, 1, 2, 2]
    images = json.loads((path / "out" / "images.json").read_text())
    assert images == [{"id": index, "file_name": str(source)} for index, source in enumerate(sources, 1)]
    np.testing.assert_allclose(poses.box_score, [0.9, 0.4] * 2, atol=1e-6)
    rows = json.loads((path / "out" / "results.json").read_text())
    np.testing.assert_allclose([row["score"] for row in rows], poses.pose_score * poses.box_score)
    code, output = run(*sources, "--model", finder, "--min-box-score", "0", "--out", path / "found")
    rows = json.loads((path / "found" / "results.json").read_text())
    assert len(rows) == 6 and sorted(entry.name for entry in (path / "found").iterdir())[1:] == [
        "one.jpg",
        "results.json",
        "two.jpg",
    ]
    np.testing.assert_allclose([row["score"] for row in rows], [0.9, 0.4, 0.05] * 2, atol=1e-6)
    assert run(*sources, "--model", finder, "--gt", path / "gt.json", "--out", path / "ids")[0] == 0
    assert read_results(path / "ids" / "results.json").poses.image_id.tolist() == [11, 11, 12, 12]
    assert not (path / "ids" / "images.json").exists()
    run(*sources, "--detector", "whole", "--gt", path / "gt.json", "--overwrite", *common(path))
    boxes = read_results(path / "out" / "results.json").poses.box
    assert (boxes[:, :2] == 0).all() and boxes[0, 2:].tolist() == list(cv2.imread(str(sources[0])).shape[1::-1])


def test_an_earlier_run_is_not_overwritten_in_silence(case):
    path, _ = case
    arguments = (path / "photos", "--gt", path / "gt.json", "--no-draw", *common(path))
    assert run(*arguments)[0] == 0
    before = {entry.name: entry.read_bytes() for entry in (path / "out").iterdir()}
    assert "results.json" in before
    message = r"out: holds results.json of an earlier run; --resume continues it, --overwrite replaces it, or choose"
    with pytest.raises(InputError, match=message):
        run(*arguments, "--codec", "dark")
    assert {entry.name: entry.read_bytes() for entry in (path / "out").iterdir()} == before
    assert run(*arguments, "--resume")[0] == 0
    assert (path / "out" / "results.json").read_bytes() == before["results.json"]
    assert run(*arguments, "--codec", "dark", "--overwrite")[0] == 0
    assert (path / "out" / "results.json").read_bytes() != before["results.json"]


def test_what_an_overwriting_run_leaves_is_named(case):
    """Files of others stay, and so do drawings of photos that are no longer there; stale ids do not."""
    path, _ = case
    out = path / "out"
    run(path / "photos", "--detector", "whole", *common(path))
    (out / "film").mkdir()
    (out / "film" / "results.json").write_text("[]")
    (out / "notes.txt").write_text("mine")
    arguments = (path / "photos" / "one.png", "--gt", path / "gt.json", *common(path))
    code, output = run(*arguments, "--overwrite")
    message = (
        f"trustpose: 3 files not of this run left as before: {out / 'film'}, {out / 'none.jpg'}, {out / 'two.jpg'}"
    )
    assert code == 0 and message in output.splitlines()
    names = {entry.name for entry in out.iterdir()}
    assert names == {"film", "none.jpg", "notes.txt", "one.jpg", "results.json", "two.jpg"}
    assert "images.json" not in names, "its ids would be wrong for these results"
    for name in ("none.jpg", "two.jpg"):
        (out / name).unlink()
    (out / "film" / "results.json").unlink()
    assert "left as before" not in run(*arguments, "--overwrite")[1]
    for number in range(5):
        (out / f"{number}.jpg").write_bytes(b"")
    output = run(*arguments, "--overwrite", "--no-draw")[1]
    assert f"6 files not of this run left as before: {out / '0.jpg'}, {out / '1.jpg'}, {out / '2.jpg'}, …" in output
    beside = run(path / "photos", "--detector", "whole", "--model", path / "colours.onnx", "--out", path / "photos",
                 "--no-draw", "--overwrite")[1]  # fmt: skip
    assert "left as before" not in beside, "photos that it reads"


def test_another_codec(case):
    path, xy = case
    run(path / "photos", "--gt", path / "gt.json", "--codec", "dark", "--no-draw", *common(path))
    dark = read_results(path / "out" / "results.json").poses
    run(path / "photos", "--gt", path / "gt.json", "--no-draw", "--overwrite", *common(path))
    plain = read_results(path / "out" / "results.json").poses
    assert np.abs(dark.xy - plain.xy).max() > 1e-3
    for number, positions in zip(dark.annotation_id.tolist(), dark.xy, strict=True):
        assert np.abs(positions - xy[number]).max() < 5
