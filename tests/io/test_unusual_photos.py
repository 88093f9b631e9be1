"""TIFF of floats, and animated pictures, which Pillow writes."""

import io
import warnings

import cv2
import numpy as np
import pytest
from PIL import Image

from tests.cli.cases import run
from trustpose.files import InputError
from trustpose.io.photos import decode_photo, read_image

FRAMES = [Image.new("RGB", (32, 24), colour) for colour in ("red", "lime", "blue")]


@pytest.mark.parametrize("white", [1, 255, 65535])
@pytest.mark.parametrize(("kind", "channels"), [("f4", 3), ("f8", 3), ("f4", 1)])
def test_tiffs_of_floats_are_the_pixels_that_they_mean(tmp_path, white: int, kind: str, channels: int) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 30, channels), dtype=np.uint8)
    pixels[0, 0] = 255
    assert cv2.imwrite(str(tmp_path / "a.tif"), (pixels[..., ::-1] * (white / 255)).astype(kind))
    np.testing.assert_array_equal(read_image(tmp_path / "a.tif"), np.broadcast_to(pixels, (40, 30, 3)))


@pytest.mark.parametrize("value", [-1.0, 1e6, np.nan])
def test_tiffs_of_other_floats_are_refused(tmp_path, value: float) -> None:
    assert cv2.imwrite(str(tmp_path / "a.tif"), np.full((4, 4, 3), value, np.float32))
    with pytest.raises(InputError, match="cannot be decoded as an image"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("kind", ["GIF", "PNG", "WEBP", "AVIF"])
def test_of_an_animation_a_warning_says_that_one_frame_is_read(kind: str) -> None:
    several, alone = io.BytesIO(), io.BytesIO()
    FRAMES[0].save(several, kind, save_all=True, append_images=FRAMES[1:], duration=100)
    FRAMES[0].save(alone, kind)
    with pytest.warns(UserWarning, match="a: is animated, and only its first frame is read"):
        pixels = decode_photo(several.getvalue(), "a")
    assert (pixels.reshape(-1, 3).argmax(axis=1) == 0).all()  # red
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        decode_photo(alone.getvalue(), "a")


def test_predict_says_it_once(tmp_path, capsys) -> None:
    FRAMES[0].save(tmp_path / "1.gif", save_all=True, append_images=FRAMES[1:], duration=100)
    assert run("predict", tmp_path / "1.gif", "--detector", "whole", "--out", tmp_path / "out") == 0
    assert capsys.readouterr().err.count("1.gif: is animated, and only its first frame is read") == 1
