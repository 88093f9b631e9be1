"""Light and colour against Pillow's own."""

import cv2
import numpy as np
import pytest
from PIL import Image, ImageEnhance

from trustpose.datasets.occlusion import Photometric, change_light, colour_matrix

ALL = Photometric(brightness=1.0, contrast=1.0, saturation=1.0, hue=180.0)


@pytest.fixture
def pixels():
    small = np.random.default_rng(0).integers(30, 200, (8, 6, 3), np.uint8)
    return cv2.resize(small, (96, 128), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(
    ("at", "enhancer"), [(0, ImageEnhance.Brightness), (1, ImageEnhance.Contrast), (2, ImageEnhance.Color)]
)
@pytest.mark.parametrize("factor", [0.4, 0.8, 1.25])
def test_as_pillow(pixels, at, enhancer, factor):
    amount = np.zeros(4)
    amount[at] = factor - 1
    ours = cv2.transform(pixels, colour_matrix(pixels, ALL, amount, is_grey=False))
    theirs = np.asarray(enhancer(Image.fromarray(pixels)).enhance(factor))
    assert np.abs(ours.astype(int) - theirs).max() <= 2


def test_grey_is_pillows(pixels):
    ours = cv2.transform(pixels, colour_matrix(pixels, ALL, np.zeros(4), is_grey=True))
    theirs = np.asarray(Image.fromarray(pixels).convert("L"))
    assert np.abs(ours.astype(int) - theirs[..., None]).max() <= 1


def test_hue_keeps_greys_and_luma_and_turns_colours(pixels):
    turn = colour_matrix(pixels, ALL, np.array([0, 0, 0, 1 / 3]), is_grey=False).astype(np.float64)
    assert np.allclose(turn[:, :3] @ np.ones(3), 1, atol=1e-6) and np.allclose(turn[:, 3], 0)
    luma = [0.299, 0.587, 0.114]
    assert np.allclose(luma @ turn[:, :3], luma, atol=1e-6)
    whole = turn[:, :3] @ turn[:, :3] @ turn[:, :3] @ turn[:, :3] @ turn[:, :3] @ turn[:, :3]
    assert np.allclose(whole, np.eye(3), atol=1e-5)  # six times sixty degrees


def test_nothing_is_the_default(pixels):
    assert change_light(pixels, Photometric(), np.random.default_rng(0)) is pixels


def test_blur_and_jpeg(pixels):
    sharp = np.abs(np.diff(pixels.astype(int), axis=1)).mean()
    blurred = change_light(pixels, Photometric(blur=1.0, blur_sigma=(3.0, 3.0)), np.random.default_rng(0))
    assert np.abs(np.diff(blurred.astype(int), axis=1)).mean() < 0.97 * sharp
    squeezed = change_light(pixels, Photometric(jpeg=1.0, jpeg_quality=(20, 20)), np.random.default_rng(0))
    error = np.abs(squeezed.astype(int) - pixels)
    assert 0.3 < error.mean() < 15
    assert error.mean() < np.abs(squeezed.astype(int) - pixels[..., ::-1]).mean() / 3  # red is still red
