"""The newest frame of a camera: skipped frames counted, ends, errors, silence, and cameras that stop."""

import socket
import threading
import time
import warnings
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from tests.made_up_camera import MadeUpCamera, picture, seconds_since, served
from trustpose.files import InputError
from trustpose.io import live
from trustpose.io.live import Camera, NewestFrames, all_frames, camera_of, without_password


def reading_threads():
    return [thread for thread in threading.enumerate() if thread.name == "trustpose-camera"]


def test_a_slow_reader_gets_the_newest_frame():
    camera = MadeUpCamera(50, frames=40)
    numbers, skipped = [], []
    with NewestFrames(camera_of(camera)) as frames:
        for frame in frames:
            age = seconds_since(frame.pixels)
            assert age < 0.2 and age == pytest.approx(time.monotonic() - frame.clock, abs=0.1)
            assert abs(time.time() - frame.captured_at) < 0.3
            numbers.append(frame.number)
            skipped.append(frame.skipped)
            time.sleep(0.1)
    assert numbers[-1] == 39, "the last frame comes before the end"
    assert (np.diff(numbers) > 0).all() and sum(skipped) > 15
    np.testing.assert_array_equal(np.diff([-1, *numbers]) - 1, skipped)
    assert not reading_threads()


def test_a_fast_reader_gets_each_frame_once():
    with NewestFrames(camera_of(MadeUpCamera(20, frames=8))) as frames:
        assert [(frame.number, frame.skipped) for frame in frames] == [(number, 0) for number in range(8)]


def test_every_third_frame_and_none_that_is_old():
    with NewestFrames(camera_of(MadeUpCamera(30, frames=10)), every=3) as frames:
        assert [frame.number for frame in frames] == [0, 3, 6, 9]

    def with_a_pause():
        yield picture()
        yield picture()
        time.sleep(0.5)
        yield picture()

    with NewestFrames(camera_of(with_a_pause()), max_age=0.1) as frames:
        time.sleep(0.3)  # the second frame is old by now
        assert [(frame.number, frame.skipped) for frame in frames] == [(2, 2)]


def test_an_iterator_that_fills_one_array_again():
    array = np.zeros((4, 4, 3), np.uint8)

    def filled():
        for number in range(3):
            array[:] = number
            yield array

    with NewestFrames(camera_of(filled())) as frames:
        assert all((frame.pixels == frame.number).all() for frame in frames)
    assert [int(frame.pixels[0, 0, 0]) for frame in all_frames(camera_of(filled()))] == [0, 1, 2]


def test_what_the_camera_raises_is_raised_here():
    def broken():
        yield picture()
        raise OSError("the cable is out")

    with NewestFrames(camera_of(broken())) as frames, pytest.raises(OSError, match="the cable is out"):
        list(frames)
    assert not reading_threads()


def test_a_camera_that_never_answers():
    release = threading.Event()

    class Silent:
        def read(self):
            release.wait(20)
            return False, None

    with pytest.raises(InputError, match=r"^Silent: gave no frame within 0\.2 s$"):
        try:
            with NewestFrames(camera_of(Silent()), silence=0.2) as frames:
                next(iter(frames))
        finally:
            release.set()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (987, "webcam 987: not found, or in use"),
        ("/dev/video987", "/dev/video987: not found, or in use"),
        ("rtsp://me:secret@127.0.0.1:9/door", r"rtsp://…@127\.0\.0\.1:9/door: does not answer with a video stream"),
        (iter([]), "list_iterator: gives no frame"),
    ],
)
def test_a_camera_that_is_not_there(source, message):
    if isinstance(source, (int, str)):
        with pytest.raises(InputError, match=message):
            next(all_frames(camera_of(source)))
    with NewestFrames(camera_of(source)) as frames, pytest.raises(InputError, match=message):
        next(iter(frames))


def test_a_camera_that_stops_is_opened_again(monkeypatch):
    """It gives five frames, then does not open twice, then gives five more, of another size."""
    monkeypatch.setattr(live, "FIRST_PAUSE", 0.02)
    opened_at, is_released = [], []

    class Capture:
        def __init__(self, height):
            self.height, self.left = height, 5

        def read(self):
            time.sleep(0.02)
            self.left -= 1
            return (True, picture(height=self.height)) if self.left >= 0 else (False, None)

        def release(self):
            is_released.append(self.height)

    def opened():
        opened_at.append(time.monotonic())
        return None if len(opened_at) in (2, 3) else Capture(100 + 10 * len(opened_at))

    camera = Camera("door", opened, is_reopened=True, channels="BGR", is_callers=False)
    heights = {}
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        with NewestFrames(camera) as frames:
            for frame in frames:
                heights[frame.number] = frame.pixels.shape[0]
                if frame.number >= 9:
                    break
    assert list(heights) == list(range(10)) and list(heights.values()) == [110] * 5 + [140] * 5
    assert [str(line.message) for line in said][:1] == [
        "door: stopped after frame 4, and is opened again until it answers"
    ]
    pauses = np.diff(opened_at[:4]) - [0.12, 0, 0]  # the first includes the five frames
    assert pauses[1] >= 0.04 and pauses[2] >= 0.08 and len(said) <= 2
    assert is_released[:2] == [110, 140]


def test_a_server_that_ends_is_asked_again():
    """Motion JPEG over http: six pictures for each request."""
    server = served(frames=6, rate=20)
    with (
        pytest.warns(UserWarning, match=r"/stream: stopped after frame \d, and is opened again until it answers"),
        NewestFrames(camera_of(next(server))) as frames,
    ):
        for frame in frames:
            assert seconds_since(frame.pixels) < 0.3
            if frame.number > 8:
                break
    server.close()


def test_hls_comes_in_pace_and_ends(tmp_path):
    """Segments are read at once; their frames come when they are due."""
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "list.m3u8"), "w", format="hls", options={"hls_time": "1"}) as out:
        stream = out.add_stream("libx264", rate=20, options={"preset": "ultrafast", "g": "20"})
        stream.width, stream.height, stream.pix_fmt = 320, 240, "yuv420p"
        for number in range(40):
            out.mux(stream.encode(av.VideoFrame.from_ndarray(picture(number), "rgb24")))
        out.mux(stream.encode())
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with NewestFrames(camera_of(f"http://127.0.0.1:{server.server_port}/list.m3u8")) as frames:
            numbers, clocks = zip(*((frame.number, frame.clock) for frame in frames), strict=True)
        server.shutdown()
    assert numbers[-1] == 39 and len(numbers) > 30, "few were skipped, and the list is not played again"
    assert clocks[-1] - clocks[0] == pytest.approx(39 / 20, abs=0.3)


def test_a_server_that_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"rtsp://127.0.0.1:{silent.getsockname()[1]}/door"
        started = time.monotonic()
        with (
            pytest.raises(InputError, match=r"/door: gave no frame within 0\.3 s"),
            NewestFrames(camera_of(address), silence=0.3) as frames,
        ):
            next(iter(frames))
        assert time.monotonic() - started < 3


def test_names_in_messages():
    assert without_password("rtsp://me:p%40ss@host:554/a@b") == "rtsp://…@host:554/a@b"
    assert without_password("/dev/video0") == "/dev/video0"
    assert without_password("udp://@239.0.0.1:1234") == "udp://…@239.0.0.1:1234"
