"""Live sources: the newest frame is predicted, and its age is bounded; files keep each frame."""

import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

import trustpose as tp
from tests.made_up_camera import MadeUpCamera, picture, seconds_since, served
from tests.predict.test_inputs import write_video
from tests.predict.tiny_people import write_people
from tests.tiny_onnx import write_network
from trustpose.predict.boxes import whole_photo

PREDICTION = 0.1  # seconds, of the slow stand-in's networks


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    """A network of crops behind a slow detector."""
    predictor = tp.load(write_network(tmp_path_factory.mktemp("network")), detector="whole", threads=2)

    def slow(pixels):
        time.sleep(PREDICTION)
        return whole_photo(pixels)

    predictor.detector = slow
    return predictor


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A slow network of whole photos."""
    predictor = tp.load(write_people(tmp_path_factory.mktemp("people")), threads=2)
    network = predictor.network

    class Slow:
        spec = network.spec

        def __call__(self, pixels):
            time.sleep(PREDICTION)
            return network(pixels)

    predictor.network = Slow()
    return predictor


def camera_threads():
    return [thread for thread in threading.enumerate() if thread.name == "trustpose-camera"]


def check_predictions(predictions, ages, period):
    """The frames increase, all skipped ones are counted, and each is about as old as one prediction and one period."""
    numbers = [prediction.photo.image_id for prediction in predictions]
    assert (np.diff(numbers) > 0).all()
    skipped = [prediction.skipped for prediction in predictions]
    np.testing.assert_array_equal(np.diff([-1, *numbers]) - 1, skipped)
    assert sum(skipped) >= len(predictions), "the camera is more than twice as fast as the network"
    said = [prediction.age for prediction in predictions]
    np.testing.assert_allclose(said, ages, atol=0.05)
    assert np.median(said) < PREDICTION + period + 0.05
    assert max(said) < PREDICTION + period + 0.25  # read ahead by four frames it would be above .5


@pytest.mark.parametrize("name", ["crops", "photos"])
@pytest.mark.parametrize("kind", ["camera", "iterator", "motion jpeg"])
def test_the_newest_frame_is_predicted(name, kind, request):
    predictor, camera = request.getfixturevalue(name), None
    if kind == "motion jpeg":
        server = served()
        stream = predictor.stream(next(server), frames=12)  # automatic by its content type
    else:
        camera = MadeUpCamera(30)
        source = camera if kind == "camera" else (camera.read()[1] for _ in iter(int, 1))
        stream = predictor.stream(source, live=None if kind == "camera" else True, frames=12)
    predictions, ages = [], []
    for prediction in stream:
        ages.append(seconds_since(prediction.pixels))
        predictions.append(prediction)
        photo = prediction.poses.photo(prediction.photo.image_id)
        assert photo.captured_at == prediction.captured_at <= time.time()
    assert len(predictions) == 12
    check_predictions(predictions, ages, 1 / 30)
    assert not camera_threads()
    if camera is not None:
        camera.stop()
    else:
        server.close()


def test_a_stream_that_is_left_ends_its_thread(crops):
    camera = MadeUpCamera(60)
    stream = crops.stream(camera)
    next(stream)
    assert camera_threads()
    stream.close()
    assert not camera_threads()
    camera.stop()


def test_each_frame_of_files_and_of_cameras_that_are_not_live(crops, tmp_path):
    path = write_video(tmp_path / "clip.mp4", 6)
    numbers = list(range(6))
    for source in (path, str(path), cv2.VideoCapture(str(path))):
        predictions = list(crops.stream(source))
        assert [prediction.photo.image_id for prediction in predictions] == numbers
        assert all(prediction.age is None and not prediction.skipped for prediction in predictions)
    assert [prediction.photo.image_id for prediction in crops.stream(path, every=2)] == [0, 2, 4]
    iterator = (picture(number) for number in range(6))
    assert [prediction.photo.image_id for prediction in crops.stream(iterator)] == numbers
    camera = MadeUpCamera(10, frames=6)
    assert [prediction.photo.image_id for prediction in crops.stream(camera, live=False)] == numbers


def test_every_and_max_age(crops):
    camera = MadeUpCamera(40, frames=40)
    numbers = [prediction.photo.image_id for prediction in crops.stream(camera, every=4)]
    assert len(numbers) > 2 and not any(number % 4 for number in numbers)
    camera = MadeUpCamera(10, frames=8)
    ages = [prediction.age - PREDICTION for prediction in crops.stream(camera, max_age=0.05)]
    assert ages and max(ages) < 0.2


def test_colours(crops):
    """Objects with read() give BGR, iterators RGB or as `channels` says."""
    blue = np.zeros((64, 64, 3), np.uint8)
    blue[..., 2] = 200

    class Camera:
        def __init__(self):
            self.left = 1

        def read(self):
            self.left -= 1
            return self.left >= 0, blue[..., ::-1].copy()

    streams = (
        crops.stream(Camera()),
        crops.stream(iter([blue]), live=True),
        crops.stream(iter([blue[..., ::-1].copy()]), live=True, channels="BGR"),
    )
    for stream in streams:
        (prediction,) = stream
        np.testing.assert_array_equal(prediction.pixels, blue)


def test_options_that_do_not_fit(crops, tmp_path):
    path = write_video(tmp_path / "clip.mp4")
    with pytest.raises(tp.InputError, match=r"clip\.mp4: cannot be read live; expected a camera"):
        crops.stream(path, live=True)
    with pytest.raises(tp.InputError, match="list: cannot be read live"):
        crops.stream([picture()], live=True)
    with pytest.raises(ValueError, match="every: expected at least 1, got 0"):
        crops.stream(0, every=0)
    with pytest.raises(ValueError, match="max_age: expected seconds above 0, got 0"):
        crops.stream(0, max_age=0)
    with pytest.raises(ValueError, match="max_age: skips frames of live sources"):
        crops.stream(0, live=False, max_age=1)
    with pytest.raises(ValueError, match="boxes: are for photos, not for a live source"):
        crops.stream(0, [[0, 0, 5, 5]])
    with pytest.raises(ValueError, match=r"rtsp://…@door never ends; use frames=…"):
        crops("rtsp://me:secret@door")


def test_an_address_whose_name_does_not_tell(crops, tmp_path):
    """A camera is told by its content type, and a photo stays a photo."""
    server = served()
    address = next(server)
    with pytest.raises(ValueError, match=r"^images: http://127\.0\.0\.1:\d+/stream never ends; use frames=…"):
        crops(address)
    assert len(crops(address, frames=2)) == 2
    server.close()
    with pytest.raises(tp.InputError, match="cannot be reached"):
        crops.stream("http://127.0.0.1:9/stream")
    cv2.imwrite(str(tmp_path / "photo.png"), picture())
    (tmp_path / "photo.png").rename(tmp_path / "photo")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=str(tmp_path))) as photos:
        threading.Thread(target=photos.serve_forever, daemon=True).start()
        (prediction,) = crops.stream(f"http://127.0.0.1:{photos.server_port}/photo")
        photos.shutdown()
    assert prediction.error is None and prediction.captured_at is None


def test_boxes_are_refused_for_each_frame_of_a_camera_too(crops):
    """As for the newest frame, and as for frames of videos."""

    class Capture:
        def read(self):
            return True, np.zeros((32, 32, 3), np.uint8)

    with pytest.raises(ValueError, match="boxes: are for photos, not for Capture, frame 0"):
        crops.stream(Capture(), [[[0, 0, 32, 32]]], live=False, frames=1)
