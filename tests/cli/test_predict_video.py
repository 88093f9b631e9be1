"""`trustpose predict` on a video or a webcam: its frames, what is refused, and an interruption."""

import json
import signal

import cv2
import numpy as np
import pytest

from tests.cli.predict_cases import case as case  # a fixture
from tests.cli.predict_cases import common, refused, run, stop_after
from tests.tiny_onnx import photo_of_people
from trustpose.cli.progress import Interrupted
from trustpose.io.coco.results import read_results
from trustpose.io.video import Video
from trustpose.report.video import VideoWriter


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
    code, output = run(*arguments, "--out", video / "whole")
    assert code == 0 and "8 people on 6 frames" in output and "a video" in output
    assert sorted(entry.name for entry in (video / "whole").iterdir()) == ["film.mp4", "results.json"]
    poses = read_results(video / "whole" / "results.json").poses
    assert poses.image_id.tolist() == [0, 0, 1, 1, 2, 2, 4, 4]
    with Video(video / "film.mp4") as before, Video(video / "whole" / "film.mp4") as after:
        assert (before.frame_rate, before.width, before.height) == (after.frame_rate, after.width, after.height)
        changed = [
            (np.abs(first.astype(int) - second).max(axis=2) > 60).mean()
            for (_, first), (_, second) in zip(before.frames(), after.frames(), strict=True)
        ]
    assert [change > 0.01 for change in changed] == [True, True, True, False, True, False]
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Interrupted, match="same command with --resume to continue"):
            run(*arguments, "--out", video / "out")
    assert [entry.name for entry in (video / "out").iterdir()] == ["results.json.journal"]
    run(*arguments, "--out", video / "out", "--resume")
    for name in ("results.json", "film.mp4"):
        assert (video / "whole" / name).read_bytes() == (video / "out" / name).read_bytes()
    code, output = run(*arguments, "--out", video / "some", "--frames", "2", "--no-draw")
    assert "4 people on 2 frames" in output and [entry.name for entry in (video / "some").iterdir()] == ["results.json"]


def test_people_keep_their_colours_in_a_video(video, monkeypatch):
    """Boxes in another order in every second frame, and a run that is resumed in the middle, change no colour."""
    rows = json.loads((video / "frames.json").read_text())
    turned = [row for index in range(0, len(rows), 2) for row in (rows[index : index + 2])[:: -1 if index % 4 else 1]]
    (video / "turned.json").write_text(json.dumps(turned))
    arguments = (video / "film.mp4", "--model", video / "colours.onnx", "--style", "people", "--boxes")
    run(*arguments, video / "frames.json", "--out", video / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 3)
        with pytest.raises(Interrupted):
            run(*arguments, video / "turned.json", "--out", video / "out")
    run(*arguments, video / "turned.json", "--out", video / "out", "--resume")
    with Video(video / "whole" / "film.mp4") as one, Video(video / "out" / "film.mp4") as other_video:
        differ = [
            np.abs(a.astype(int) - b).max() for (_, a), (_, b) in zip(one.frames(), other_video.frames(), strict=True)
        ]
    assert max(differ) < 40, "of the order in which two people that touch are drawn, not of colours"


def test_videos_that_cannot_be_predicted(video):
    people = ("--detector", "whole", *common(video))
    refused(r"none\.mp4: no such file", video / "none.mp4", *people)
    refused("webcam 93: not found", "93", *people)
    refused("a webcam needs a run and a folder", "0", video / "photos", *people)
    refused("--gt is for photos", video / "film.mp4", "--gt", video / "gt.json", *common(video))
    refused("film.mp4: would be overwritten", video / "film.mp4", *people[:-1], video)
    assert not (video / "out").exists()


def test_a_webcam_ends_with_an_interruption(video, monkeypatch):
    """The camera is replaced by a file; the frames predicted so far are written."""
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
    code, _ = run("0", "--detector", "whole", *common(video))
    poses = read_results(video / "out" / "results.json").poses
    assert code == 0 and poses.image_id.tolist() == [0, 1, 2, 3] and (video / "out" / "webcam-0.mp4").exists()


def test_a_video_that_browsers_do_not_play_is_announced(video, monkeypatch):
    arguments = (video / "film.mp4", "--boxes", video / "frames.json", "--frames", 2, "--overwrite", *common(video))
    code, output = run(*arguments)
    assert code == 0 and "MPEG-4" not in output
    monkeypatch.setattr("trustpose.report.drawn_run.has_h264", lambda: False)
    code, output = run(*arguments)
    message = (
        "film.mp4: is written as MPEG-4 Part 2, which browsers do not play, and without sound; for H.264 with sound: "
    )
    assert code == 0 and message + 'pip install "trustpose[video]"\n' in output
    assert "MPEG-4" not in run(*arguments, "--no-draw")[1]
