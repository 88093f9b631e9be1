"""`trustpose predict` from the command line: what it writes, what it refuses, what it survives."""

import json
import re
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

from tests.predict.tiny_people import write_people
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.cli.endings import Interrupted
from trustpose.cli.predict import predict
from trustpose.files import InputError
from trustpose.formats.coco import read_results
from trustpose.formats.video import Video
from trustpose.predict.journal import Journal
from trustpose.report.video import VideoWriter
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


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_results_as_a_table(case, format_):
    path, _ = case
    given = (path / "photos", "--gt", path / "gt.json", "--no-draw", *_common(path))
    assert _run(*given)[0] == 0
    code, output = _run(*given, "--format", format_)
    table = path / "out" / f"results.{format_}"
    assert code == 0 and str(table) in output
    expected, found = read_results(path / "out" / "results.json"), read_results(table)
    np.testing.assert_array_equal(found.poses.xy, expected.poses.xy)
    np.testing.assert_array_equal(found.score, expected.score)
    assert _run(*given, "--tidy")[0] == 0
    rows = json.loads((path / "out" / "results.json").read_text())
    assert len(rows) == 3 * 17 and rows[0]["name"] == "nose" and rows[0]["file_name"] in IDS
    with pytest.raises(InputError, match="--format: expected one of json, csv, parquet"):
        _run(*given, "--format", "xlsx")


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


def test_boxes_of_a_file_that_are_none_are_refused_by_name(case):
    path, _ = case
    rows = json.loads((path / "boxes.json").read_text())
    options = ("--gt", path / "gt.json", "--boxes", path / "boxes.json", "--no-draw", *_common(path))
    for box, expected in (
        ([0.1, 0.2, 0.3, 0.4], "detection 0: field 'bbox': all boxes lie within 0 to 0.6: expected pixels"),
        ([10, 20, -30, 40], "detection 0: field 'bbox': expected a width and height of at least 0, got -30"),
    ):
        (path / "boxes.json").write_text(json.dumps([row | {"bbox": box} for row in rows]))
        _refused(expected, path / "photos", *options)
    (path / "boxes.json").write_text(json.dumps([*rows, rows[-1] | {"bbox": [9000, 20, 30, 40]}]))
    code, output = _run(path / "photos", *options)
    assert code == 1 and re.search(r"skipped: .*boxes\.json: .*two\.jpg: boxes\[\d\]: .* lies outside the", output)


def test_some_photos_by_name_or_pattern(case):
    path, _ = case
    _run(path / "photos" / "two.jpg", path / "photos" / "t*.jpg", "--gt", path / "gt.json", *_common(path))
    assert set(read_results(path / "out" / "results.json").poses.image_id) == {12}


def test_nobody_on_the_photos(case):
    path, _ = case
    code, output = _run(path / "photos" / "none.png", "--gt", path / "gt.json", *_common(path))
    assert code == 0 and "0 people on 1 photo in" in output
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


def test_photos_of_too_many_pixels_are_skipped(case):
    path, _ = case
    cv2.imwrite(str(path / "photos" / "none.png"), np.zeros((900, 900, 3), np.uint8))
    code, output = _run(path / "photos", "--detector", "whole", "--max-pixels", 800_000, *_common(path))
    assert code == 1 and "none.png: has 900 × 900 pixels, more than the limit of 800000" in output
    assert len(read_results(path / "out" / "results.json").poses) == 2


def _refused(match, *arguments):
    with pytest.raises(InputError, match=match) as error:
        _run(*arguments)
    assert "\n" not in str(error.value)


def test_wrong_input_is_one_line(case):
    path, _ = case
    photos, gt = path / "photos", ("--gt", path / "gt.json")
    _refused("no photos given", *gt, *_common(path))
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


def _stop_after(monkeypatch, count):
    """A run that is stopped as it notes its photo number `count` + 1."""
    add, calls = Journal.add, []

    def stopping(self, image_id, poses):
        if len(calls) == count:
            raise KeyboardInterrupt
        calls.append(image_id)
        add(self, image_id, poses)

    monkeypatch.setattr(Journal, "add", stopping)
    return calls


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_stopped_run_goes_on(case, monkeypatch, stop):
    path, _ = case
    arguments = (path / "photos", "--gt", path / "gt.json", "--model", path / "colours.onnx", "--flip")
    _run(*arguments, "--out", path / "whole")
    with monkeypatch.context() as patch:
        done = _stop_after(patch, stop)
        with pytest.raises(Interrupted, match="same command with --resume goes on"):
            _run(*arguments, "--out", path / "out", "--resume")
        assert len(done) == stop
    assert not (path / "out" / "results.json").exists() and (path / "out" / "results.json.journal").exists()
    with pytest.raises(InputError, match="cannot go on with other settings: flip was True, now False"):
        _run(*arguments[:-1], "--out", path / "out", "--resume")
    with pytest.raises(InputError, match="sources was"):
        _run(path / "photos" / "two.jpg", *arguments[1:], "--out", path / "out", "--resume")
    with monkeypatch.context() as patch:
        done = _stop_after(patch, 99)
        assert _run(*arguments, "--out", path / "out", "--resume")[0] == 0
        assert len(done) == 3 - stop
    names = sorted(entry.name for entry in (path / "out").iterdir())
    assert names == sorted(entry.name for entry in (path / "whole").iterdir())
    for name in names:
        assert (path / "out" / name).read_bytes() == (path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_a_killed_run_goes_on(data_dir, tmp_path):
    """SimplePose on 60 real photos, killed without warning in the middle: the same file in the end."""
    photos = sorted((data_dir / "coco" / "dev").iterdir())[:60]
    arguments = [*photos, "--gt", data_dir / "coco" / "dev_gt.json", "--no-draw"]
    arguments += ["--model", data_dir / "networks" / "simplepose.onnx"]
    assert _run(*arguments, "--out", tmp_path / "whole")[0] == 0
    command = [sys.executable, "-m", "trustpose", "predict", *map(str, arguments), "--out", str(tmp_path / "out")]
    journal = tmp_path / "out" / "results.json.journal"
    with subprocess.Popen(command) as process:
        while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 10):
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL and journal.exists()
    assert _run(*arguments, "--out", tmp_path / "out", "--resume")[0] == 0
    results = [(tmp_path / folder / "results.json").read_bytes() for folder in ("whole", "out")]
    assert results[0] == results[1] and not journal.exists()


def test_people_that_are_found(case):
    """By a detector, and by a network that finds people by itself; ids are counted where names have no numbers."""
    path, _ = case
    finder = write_people(path / "finder")
    photos = ("one.png", "two.jpg")
    sources = [path / "photos" / name for name in photos]
    code, output = _run(*sources, "--detector", finder, *_common(path))
    poses = read_results(path / "out" / "results.json").poses
    assert code == 0 and "4 people on 2 photos" in output and poses.image_id.tolist() == [1, 1, 2, 2]
    images = json.loads((path / "out" / "images.json").read_text())
    assert images == [{"id": at, "file_name": str(source)} for at, source in enumerate(sources, 1)]
    np.testing.assert_allclose(poses.box_score, [0.9, 0.4] * 2, atol=1e-6)
    rows = json.loads((path / "out" / "results.json").read_text())
    np.testing.assert_allclose([row["score"] for row in rows], poses.pose_score * poses.box_score)
    code, output = _run(*sources, "--model", finder, "--min-box-score", "0", "--out", path / "found")
    rows = json.loads((path / "found" / "results.json").read_text())
    assert len(rows) == 6 and sorted(entry.name for entry in (path / "found").iterdir())[1:] == [
        "one.jpg",
        "results.json",
        "two.jpg",
    ]
    np.testing.assert_allclose([row["score"] for row in rows], [0.9, 0.4, 0.05] * 2, atol=1e-6)
    assert _run(*sources, "--model", finder, "--gt", path / "gt.json", "--out", path / "ids")[0] == 0
    assert read_results(path / "ids" / "results.json").poses.image_id.tolist() == [11, 11, 12, 12]
    assert not (path / "ids" / "images.json").exists()
    _run(*sources, "--detector", "whole", "--gt", path / "gt.json", *_common(path))
    boxes = read_results(path / "out" / "results.json").poses.box
    assert (boxes[:, :2] == 0).all() and boxes[0, 2:].tolist() == list(cv2.imread(str(sources[0])).shape[1::-1])


def test_people_are_looked_for_in_one_way(case):
    path, _ = case
    finder, photos = write_people(path / "finder"), path / "photos"
    out = ("--out", path / "out")
    for option in (("--boxes", path / "boxes.json"), ("--detector", "whole")):
        _refused(f"by itself; leave out {option[0]}", photos, "--model", finder, *option, *out)
    both = ("--boxes", path / "boxes.json", "--detector", "whole")
    _refused("both say where the people are", photos, *both, *_common(path))
    _refused(
        "--detector-weights: are for", photos, "--gt", path / "gt.json", "--detector-weights", finder, *_common(path)
    )
    _refused("one person at a time", photos, "--model", finder, "--flip", *out)
    _refused("decoding: expected one of", photos, "--gt", path / "gt.json", "--codec", "darker", *_common(path))
    assert not (path / "out").exists()


def test_another_codec(case):
    path, xy = case
    _run(path / "photos", "--gt", path / "gt.json", "--codec", "dark", "--no-draw", *_common(path))
    dark = read_results(path / "out" / "results.json").poses
    _run(path / "photos", "--gt", path / "gt.json", "--no-draw", *_common(path))
    plain = read_results(path / "out" / "results.json").poses
    assert np.abs(dark.xy - plain.xy).max() > 1e-3
    for number, places in zip(dark.annotation_id.tolist(), dark.xy, strict=True):
        assert np.abs(places - xy[number]).max() < 5


@pytest.fixture
def video(case):
    """Six frames of two people, the photo darker from frame to frame; the frames' boxes."""
    path, _ = case
    photo, _, boxes = photo_of_people(2)
    photo = photo[:330, :496]
    with VideoWriter(path / "film.mp4", 496, 330, 10.0) as writer:
        for number in range(6):
            writer.write((photo * (1 - number / 20)).astype(np.uint8))
    rows = [
        {"image_id": number, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": 0.5}
        for number in (0, 1, 2, 4)
        for x0, y0, x1, y1 in boxes.tolist()
    ]
    (path / "frames.json").write_text(json.dumps(rows))
    return path


def test_a_video(video, monkeypatch):
    arguments = (video / "film.mp4", "--boxes", video / "frames.json", "--model", video / "colours.onnx")
    code, output = _run(*arguments, "--out", video / "whole")
    assert code == 0 and "8 people on 6 frames" in output and "a video" in output
    assert sorted(entry.name for entry in (video / "whole").iterdir()) == ["film.mp4", "results.json"]
    poses = read_results(video / "whole" / "results.json").poses
    assert poses.image_id.tolist() == [0, 0, 1, 1, 2, 2, 4, 4]
    with Video(video / "film.mp4") as before, Video(video / "whole" / "film.mp4") as after:
        assert (before.frame_rate, before.width, before.height) == (after.frame_rate, after.width, after.height)
        changed = [
            (np.abs(one.astype(int) - other).max(axis=2) > 60).mean()
            for (_, one), (_, other) in zip(before.frames(), after.frames(), strict=True)
        ]
    assert [change > 0.01 for change in changed] == [True, True, True, False, True, False]
    with monkeypatch.context() as patch:
        _stop_after(patch, 3)
        with pytest.raises(Interrupted, match="same command with --resume goes on"):
            _run(*arguments, "--out", video / "out")
    assert [entry.name for entry in (video / "out").iterdir()] == ["results.json.journal"]
    _run(*arguments, "--out", video / "out", "--resume")
    for name in ("results.json", "film.mp4"):
        assert (video / "whole" / name).read_bytes() == (video / "out" / name).read_bytes()
    code, output = _run(*arguments, "--out", video / "some", "--frames", "2", "--no-draw")
    assert "4 people on 2 frames" in output and [entry.name for entry in (video / "some").iterdir()] == ["results.json"]


def test_videos_that_cannot_be_predicted(video):
    people = ("--detector", "whole", *_common(video))
    _refused(r"none\.mp4: no such file", video / "none.mp4", *people)
    _refused("webcam 93: there is none", "93", *people)
    _refused("a run and a folder", video / "film.mp4", video / "photos", *people)
    _refused("--gt is for photos", video / "film.mp4", "--gt", video / "gt.json", *_common(video))
    _refused("film.mp4: would be overwritten", video / "film.mp4", *people[:-1], video)
    assert not (video / "out").exists()


def test_a_webcam_ends_with_an_interruption(video, monkeypatch):
    """The camera is a file here; what was predicted by then is written."""
    frames = Video.frames

    def interrupted(self, limit=None):
        for number, pixels in frames(self, limit):
            if number == 4:
                signal.raise_signal(signal.SIGINT)
            yield number, pixels

    capture = cv2.VideoCapture
    monkeypatch.setattr(
        cv2, "VideoCapture", lambda source, *_: capture(str(video / "film.mp4") if source == 0 else source)
    )
    monkeypatch.setattr(Video, "frames", interrupted)
    code, _ = _run("0", "--detector", "whole", *_common(video))
    poses = read_results(video / "out" / "results.json").poses
    assert code == 0 and poses.image_id.tolist() == [0, 1, 2, 3] and (video / "out" / "webcam-0.mp4").exists()
