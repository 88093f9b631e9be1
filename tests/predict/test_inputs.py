"""A photo gives the same poses in every input form; videos, folders and webcams are read frame by frame."""

import gc
import threading
import time
import weakref
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image as Pillow

import trustpose as tp
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.io.video import Video
from trustpose.predict.photos import Image
from trustpose.report.video import VideoWriter


@pytest.fixture(scope="module")
def predictor(tmp_path_factory):
    """A network whose output depends on the pixels of the whole photo."""
    return tp.load(write_network(tmp_path_factory.mktemp("network")), detector="whole")


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photos" / "a.png"
    path.parent.mkdir()
    cv2.imwrite(str(path), photo_of_people(1, seed=3)[0][..., ::-1])
    return path


def write_video(path: Path, frames: int = 4) -> Path:
    pixels = photo_of_people(1)[0][:128, :160]
    with VideoWriter(path, 160, 128, 10.0) as writer:
        for number in range(frames):
            writer.write(np.roll(pixels, 5 * number, axis=1))
    return path


def assert_same(first, second):
    assert len(first) and first.xy.std() > 1, "poses that depend on the pixels"
    np.testing.assert_array_equal(first.xy, second.xy)
    np.testing.assert_array_equal(first.score, second.score)
    np.testing.assert_array_equal(first.image_id, second.image_id)


def test_every_form_of_one_photo(predictor, photo):
    torch = pytest.importorskip("torch")
    pixels = cv2.imread(str(photo))[..., ::-1]
    bgr, content = np.ascontiguousarray(pixels[..., ::-1]), photo.read_bytes()
    tensor = torch.from_numpy(pixels.copy()).permute(2, 0, 1)
    expected = predictor(photo)
    forms = (
        *(str(photo), pixels, content, bytearray(content), memoryview(content), Pillow.open(photo)),
        *(tensor, tensor / 255, (tensor / 255).double(), np.dstack([pixels, pixels[..., 0]])),
        *([photo], (one for one in [photo]), iter([pixels]), pixels[None], tensor[None], {photo}, Image(photo)),
        *(photo.parent, str(photo.parent / "*.png"), str(photo.parent.parent / "**" / "*.png")),
    )
    for form in forms:
        assert_same(predictor(form), expected)
    for form in (bgr, [bgr], tensor.flip(0), tensor.flip(0)[None], photo, content, Pillow.open(photo)):
        assert_same(predictor(form, channels="BGR"), expected)
    assert (predictor(bgr).score != expected.score).any()


def test_a_pillow_image_is_turned_and_converted_as_its_file(predictor, tmp_path):
    pixels = photo_of_people(1)[0]
    exif = Pillow.Exif()
    exif[0x112] = 6
    Pillow.fromarray(pixels).save(tmp_path / "turned.png", exif=exif)
    Pillow.fromarray(pixels).convert("P").save(tmp_path / "palette.png")
    cv2.imwrite(str(tmp_path / "deep.png"), pixels[..., 0].astype(np.uint16) * 257)
    for name in ("turned.png", "palette.png", "deep.png"):
        image = Pillow.open(tmp_path / name)
        poses = predictor(image)
        assert_same(poses, predictor(tmp_path / name))
        np.testing.assert_array_equal(poses.image(), predictor(tmp_path / name).image())


def test_a_photo_at_an_address(predictor, photo):
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(photo.parent))) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        poses = predictor(f"{address}/a.png?size=full")
        mixed = predictor([photo, f"{address}/a.png"])
        with pytest.raises(tp.InputError, match=r"none\.png: the server answers 404"):
            predictor(f"{address}/none.png")
        with pytest.raises(tp.InputError, match=f"{address}/: cannot be decoded as an image"):
            predictor(f"{address}/")
        with pytest.raises(tp.InputError, match=r"clip\.mp4: is a video's address"):
            predictor(f"{address}/clip.mp4")
        server.shutdown()
    assert_same(poses, predictor(photo))
    np.testing.assert_array_equal(mixed.xy[0], mixed.xy[1])
    assert poses.photo().name == f"{address}/a.png?size=full"
    np.testing.assert_array_equal(poses.image(), predictor(photo).image())  # the server is gone, the content is kept


def test_folders_with_videos(predictor, photo):
    folder = photo.parent
    write_video(folder / "b.mp4")
    (folder / "c" / ".hidden").mkdir(parents=True)
    for name in ("c/d.png", "c/.hidden/e.png", "c/.f.png"):
        (folder / name).write_bytes(photo.read_bytes())
    poses = predictor(folder)
    assert poses.image_id.tolist() == [0, 1, 2, 3, 4]
    names = [poses.photo(index).name for index in range(5)]
    assert names == [str(photo), *(f"{folder / 'b.mp4'}, frame {number}" for number in range(4))]
    with Video(folder / "b.mp4") as video:
        for number, pixels in video.frames():
            np.testing.assert_array_equal(poses.image(number + 1), pixels)
    assert predictor(folder, frames=2).image_id.tolist() == [0, 1, 2]
    deep = predictor(folder, recursive=True)
    assert deep.image_id.tolist() == [0, 1, 2, 3, 4, 5] and deep.photo(5).name == str(folder / "c" / "d.png")
    assert len(predictor([folder / "b.mp4", photo])) == 5
    with pytest.raises(tp.InputError, match=r"c: the folder holds no photos or videos"):
        (folder / "c" / "d.png").unlink()
        predictor(folder / "c")


def test_a_video_goes_frame_by_frame(predictor, tmp_path):
    path = write_video(tmp_path / "clip.mp4")
    predictions = list(predictor.stream(str(path)))
    assert [prediction.photo.image_id for prediction in predictions] == [0, 1, 2, 3]
    with Video(path) as video:
        for prediction, (_, pixels) in zip(predictions, video.frames(), strict=True):
            np.testing.assert_array_equal(prediction.pixels, pixels)
            np.testing.assert_array_equal(prediction.poses.xy, predictor(pixels).xy)
            assert prediction.poses.draw().shape == pixels.shape
    assert_same(predictor(path), tp.Poses.concatenate([prediction.poses for prediction in predictions]))


def test_a_stream_keeps_few_frames(predictor):
    """For an endless iterator, only so many arrays are alive at a time."""
    alive, most, made = set(), 0, 0

    def endless():
        nonlocal most, made
        while True:
            array = np.full((48, 64, 3), made % 200, np.uint8)
            number, made = made, made + 1
            alive.add(number)
            weakref.finalize(array, alive.discard, number)
            most = max(most, len(alive))
            yield array
            del array

    stream = predictor.stream(endless())
    for seen, prediction in enumerate(stream, start=1):
        assert prediction.photo.image_id == seen - 1
        del prediction
        if seen == 400:
            break
    stream.close()
    assert made < 400 + 150 and most < 150
    until = time.monotonic() + 5  # the readers throw the work away that was cancelled, each when it next runs
    while len(alive) >= 5 and time.monotonic() < until:
        gc.collect()
        time.sleep(0.01)
    assert len(alive) < 5


def test_a_webcam(predictor, monkeypatch):
    """The camera is made up here."""
    capture = SimpleNamespace(isOpened=lambda: True, set=lambda *_: True, release=lambda: None)
    pixels = photo_of_people(1)[0][:128, :160]

    def read():
        time.sleep(0.01)
        return True, pixels[..., ::-1].copy()

    capture.read = read
    monkeypatch.setattr(cv2, "VideoCapture", lambda source: capture if source == 0 else None)
    live = predictor(0, frames=3)
    assert len(live) == 3 and (np.diff(live.image_id) > 0).all()
    np.testing.assert_array_equal(live.xy[0], predictor(pixels).xy[0])  # BGR was taken for BGR
    assert len(predictor("0", frames=2)) == 2
    first = next(predictor.stream(0))
    with pytest.raises(tp.InputError, match=r"webcam 0, frame \d+: is not kept"):
        first.poses.draw()
    assert first.poses.draw(first.pixels).shape == (128, 160, 3)
    for endless in (0, "0"):
        with pytest.raises(ValueError, match="webcam 0 never ends; use frames=…, or stream"):
            predictor(endless)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (None, "got NoneType"),
        (3.5, "got float"),
        (True, "got bool"),
        (SimpleNamespace(), "got SimpleNamespace"),
        ([[1, 2], [3, 4]], "got a list that holds list"),
        ([0, 1], "got a list that holds int"),
        (np.zeros((4, 4, 3)), "image: expected"),
        (np.zeros((2, 4, 4, 5), np.uint8), "image: expected"),
        (b"", "bytes: cannot be decoded as an image"),
        (b"GIF89a", "bytes: cannot be decoded as an image"),
        ("none.jpg", "none.jpg: no such file"),
        ("x" * 5000, "cannot be read"),
        ("*.nothing", "no photo fits this pattern"),
        ("ftp://a/b.jpg", "expected an address with http or https, not ftp"),
        ("a\0b.jpg", "cannot be read"),
        (Pillow.new("F", (5, 5)), "mode RGB, L, P"),
    ],
)
def test_inputs_that_are_no_images(predictor, images, message):
    with pytest.raises(ValueError, match=message) as error:
        predictor(images)
    assert "\n" not in str(error.value)


def test_tensors_that_are_no_images(predictor):
    torch = pytest.importorskip("torch")
    for tensor, message in (
        (torch.zeros(8, 8, 3), r"expected a tensor \(C, H, W\)"),
        (torch.full((3, 8, 8), -1.0), "floating point tensor from 0 to 1, got -1 to -1"),
        (torch.full((3, 8, 8), 255.0), "got 255 to 255"),
        (torch.full((3, 8, 8), np.nan), "from 0 to 1"),
        (torch.zeros(3, 8, 8, dtype=torch.int64), "dtype uint8 or uint16"),
        (torch.zeros(3, 0, 8, dtype=torch.uint8), "image: expected"),
    ):
        with pytest.raises(ValueError, match=message):
            predictor(tensor)


def test_wrong_options(predictor, photo):
    for options, message in (
        ({"channels": "GBR"}, "channels: expected 'RGB' or 'BGR', got 'GBR'"),
        ({"box_format": "cxcywh"}, "box_format: expected 'xyxy' or 'xywh', got 'cxcywh'"),
        ({"frames": 0}, "frames: expected at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            predictor([photo], **options)


def test_a_broken_photo_among_others_is_reported_by_the_stream(predictor, photo):
    found = list(predictor.stream([photo, "none.jpg", b"broken", photo]))
    assert [prediction.error is None for prediction in found] == [True, False, False, True]
    assert [prediction.photo.image_id for prediction in found] == [0, 1, 2, 3]


def test_a_file_whose_name_is_a_number_or_a_pattern(predictor, photo, monkeypatch):
    monkeypatch.chdir(photo.parent)
    for name in ("7", "[a].png"):
        (photo.parent / name).write_bytes(photo.read_bytes())
        assert_same(predictor(name), predictor(photo))
