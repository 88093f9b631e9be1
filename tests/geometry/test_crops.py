"""Crops against cv2's own affine and against brute force; inverses by hypothesis."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.geometry import crops
from trustpose.geometry.crops import affine_to_crop, grow_box, invert_affine, transform, warp

coordinates = st.floats(-5000, 20000)
sides = st.floats(0, 20000)
boxes = st.tuples(coordinates, coordinates, sides, sides).map(
    lambda b: np.array([b[0], b[1], b[0] + b[2], b[1] + b[3]])
)
paddings = st.floats(0.5, 3)


@given(boxes, paddings, st.sampled_from([(192, 256), (288, 384), (256, 256)]), st.integers(0, 2**31))
def test_crop_then_inverse_is_the_identity(box, padding, size, seed):
    affine = affine_to_crop(grow_box(box, padding, size[0] / size[1]), *size)
    xy_img = np.random.default_rng(seed).uniform(box[:2] - 100, box[2:] + 100, (17, 2))
    back = transform(invert_affine(affine), transform(affine, xy_img))
    assert np.abs(back - xy_img).max() < 1e-3


@given(boxes, paddings, st.floats(0.2, 5))
def test_grown_box_has_the_aspect_and_holds_the_box(box, padding, aspect):
    grown = grow_box(box, padding, aspect)
    width, height = grown[2:] - grown[:2]
    assert width / height == pytest.approx(aspect, rel=1e-6)
    inner = grow_box(box, 1.0, aspect)
    assert (inner[:2] <= box[:2] + 1e-6).all() and (inner[2:] >= box[2:] - 1e-6).all()
    np.testing.assert_allclose(grown[2:] - grown[:2], (inner[2:] - inner[:2]) * padding, rtol=1e-6)


@pytest.mark.parametrize(("box", "size"), [([10, 20, 110, 80], (109, 109 / 0.75)), ([0, 0, 30, 90], (76.6125, 102.15))])
def test_mspn_grows_wide_boxes_less_than_tall_ones(box, size):
    """Li et al.'s code: a box gets 9 % wider and 13.5 % higher, and then the crop's proportions."""
    grown = grow_box(np.array(box, float), (1.09, 1.135), 0.75)
    np.testing.assert_allclose(grown[2:] - grown[:2], size, rtol=1e-12)
    np.testing.assert_allclose(grown[:2] + grown[2:], np.add(box[:2], box[2:]), rtol=1e-12)


@given(boxes)
def test_affine_is_what_cv2_makes_of_three_corners(box):
    grown = grow_box(box, 1.25, 0.75)
    x0, y0, x1, y1 = grown
    expected = cv2.getAffineTransform(
        np.array([[x0, y0], [x1, y0], [x0, y1]], np.float32), np.array([[0, 0], [192, 0], [0, 256]], np.float32)
    )
    points = np.array([[x0, y0], [x1, y1], [(x0 + x1) / 2, y0]])
    # cv2 takes float32 corners: their rounding, in crop pixels
    tolerance = 1e-2 + 192 / (x1 - x0) * np.abs(grown).max() * 1e-6
    assert np.abs(transform(affine_to_crop(grown, 192, 256), points) - transform(expected, points)).max() < tolerance


def test_batched_affines_are_the_single_ones():
    box = np.random.default_rng(0).uniform(0, 500, (7, 4))
    box[:, 2:] += box[:, :2]
    together = affine_to_crop(grow_box(box, 1.25, 0.75), 192, 256)
    for one, affine in zip(box, together, strict=True):
        np.testing.assert_array_equal(affine_to_crop(grow_box(one, 1.25, 0.75), 192, 256), affine)


def test_pixels_stand_where_the_affine_says():
    """A single bright pixel is found at the crop coordinate the affine gives; a pixel's centre is a whole number."""
    image = np.zeros((300, 400, 3), np.uint8)
    image[120, 210] = 255
    affine = affine_to_crop(np.array([150.0, 40, 282, 216]), 1056, 1408)  # 8 crop pixels for one image pixel
    y, x = np.unravel_index(warp(image, affine, 1056, 1408)[..., 0].argmax(), (1408, 1056))
    np.testing.assert_allclose(transform(invert_affine(affine), np.array([[x, y]], float)), [[210, 120]], atol=1e-9)


def test_outside_the_image_is_black():
    affine = affine_to_crop(np.array([-500.0, -500, -400, -400]), 32, 32)
    assert not warp(np.full((50, 50, 3), 200, np.uint8), affine, 32, 32).any()


@pytest.mark.parametrize("limit", [150, 60])
def test_window_of_a_huge_image(monkeypatch, limit):
    """Images too large for cv2.warpAffine: the part that is shown, thinned out where it is still too large."""
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (6, 12, 3), dtype=np.uint8), (400, 200), interpolation=cv2.INTER_CUBIC)
    affine = affine_to_crop(np.array([100.0, 30, 196, 158]), 24, 32)
    expected = warp(image, affine, 24, 32)
    monkeypatch.setattr(crops, "_LARGEST_WARP", limit)
    difference = np.abs(warp(image, affine, 24, 32).astype(int) - expected)
    assert difference.max() <= (1 if limit == 150 else 12)


def test_an_image_beyond_16_bits():
    image = np.zeros((40, 40000, 3), np.uint8)
    image[:, 39000:] = 90
    affine = affine_to_crop(np.array([39500.0, 0, 39530, 40]), 192, 256)
    assert (warp(image, affine, 192, 256)[10:230] == 90).all()


@pytest.mark.parametrize(
    ("box", "padding", "aspect", "name"),
    [
        ([0, 0, np.nan, 1], 1.0, 1.0, "box"),
        ([0, 0, 1, 1], 0.0, 1.0, "padding"),
        ([0, 0, 1, 1], (1.0, -1.0), 1.0, "padding"),
        ([0, 0, 1, 1], 1.0, np.inf, "aspect"),
    ],
)
def test_bad_numbers_are_named(box, padding, aspect, name):
    with pytest.raises(ValueError, match=name):
        grow_box(np.array(box, float), padding, aspect)
