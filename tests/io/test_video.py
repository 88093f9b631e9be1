"""Videos there and back: frames, sizes, rate; what cannot be read."""

import cv2
import numpy as np
import pytest

from trustpose.files import InputError
from trustpose.io.video import Video
from trustpose.report.video import VideoWriter


def _frame(number, height=60, width=80):
    """Left red, right grey that grows with the number."""
    frame = np.full((height, width, 3), 10 * number + 20, np.uint8)
    frame[:, : width // 2] = (200, 30, 30)
    return frame


def _write(path, count=12, height=60, width=80, rate=12.5):
    with VideoWriter(path, width, height, rate) as writer:
        for number in range(count):
            writer.write(_frame(number, height, width))
    return path


def test_there_and_back(tmp_path):
    with Video(_write(tmp_path / "v.mp4")) as video:
        assert (video.width, video.height, video.frame_rate, video.count) == (80, 60, 12.5, 12)
        frames = list(video.frames())
    assert [number for number, _ in frames] == list(range(12))
    for number, pixels in frames:
        assert np.abs(pixels.astype(int) - _frame(number))[5:-5, 5:35].mean() < 8
        assert np.abs(pixels.astype(int) - _frame(number))[5:-5, 45:-5].mean() < 8
    assert [path.name for path in tmp_path.iterdir()] == ["v.mp4"]


def test_another_reader_agrees(tmp_path):
    """Rate and size as OpenCV's own reader gives them for a video that OpenCV's own writer made."""
    path = str(tmp_path / "v.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 29.97, (64, 48))
    for number in range(5):
        writer.write(_frame(number, 48, 64)[..., ::-1])
    writer.release()
    with Video(path) as video:
        assert video.frame_rate == pytest.approx(29.97, abs=1e-2) and (video.width, video.height) == (64, 48)
        (_, first), *rest = video.frames()
    assert len(rest) == 4 and np.abs(first[:, 5:25].astype(int) - (200, 30, 30)).mean() < 8


def test_only_some_frames(tmp_path):
    with Video(str(_write(tmp_path / "v.mp4"))) as video:
        assert [number for number, _ in video.frames(limit=3)] == [0, 1, 2]


@pytest.mark.parametrize(("height", "width"), [(61, 81), (60, 81), (61, 80)])
def test_odd_sizes_lose_a_line(tmp_path, height, width):
    with Video(_write(tmp_path / "v.mp4", 2, height, width)) as video:
        assert (video.height, video.width) == (60, 80)
        assert len(list(video.frames())) == 2


def test_unreadable_videos(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "empty.mp4").touch()
    whole = _write(tmp_path / "v.mp4").read_bytes()
    (tmp_path / "half.mp4").write_bytes(whole[: len(whole) // 2])
    for name in ("text.mp4", "empty.mp4", "half.mp4"):
        with pytest.raises(InputError, match=rf"{name}: cannot be read as a video"):
            Video(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        Video(tmp_path / "none.mp4")
    with pytest.raises(InputError, match="is a directory"):
        Video(tmp_path)
    with pytest.raises(InputError, match="webcam 93: not found, or in use"):
        Video(93)


def test_a_writer_that_fails_leaves_nothing(tmp_path):
    with (
        pytest.raises(ValueError, match="expected a frame of 80 × 60, got 60 × 80"),
        VideoWriter(tmp_path / "v.mp4", 80, 60, 5.0) as writer,
    ):
        writer.write(_frame(0))
        writer.write(_frame(0, 80, 60))
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="too small"):
        VideoWriter(tmp_path / "v.mp4", 1, 60, 5.0)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        VideoWriter(tmp_path / "file" / "v.mp4", 80, 60, 5.0)
