"""Optical flow of known motions: a photo that is moved, and enlarged, under its points."""

import cv2
import numpy as np
import pytest

from trustpose.tracking import Flow, FlowOfFrames


def _texture(seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 255, (60, 80, 3), dtype=np.uint8)
    return cv2.resize(noise, (640, 480), interpolation=cv2.INTER_CUBIC)


@pytest.mark.parametrize(("scale", "shift"), [(1.0, (14.0, -9.0)), (1.04, (-12.0, -6.0)), (1.0, (0.0, 0.0))])
def test_points_move_as_the_picture_does(scale: float, shift: tuple[float, float]) -> None:
    affine = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    before = _texture()
    after = cv2.warpAffine(before, affine, (640, 480), borderMode=cv2.BORDER_REFLECT)
    motions = FlowOfFrames()
    assert motions(before) is None
    flow = motions(after)
    assert flow is not None
    xy = np.random.default_rng(1).uniform([80, 80], [560, 400], (40, 2))
    off = np.linalg.norm(flow(xy) - (xy * scale + shift), axis=1)
    assert np.median(off) < 0.7 and off.max() < 4


def test_points_outside_and_unknown_ones() -> None:
    flow = Flow(np.full((10, 20, 2), [1.0, 0.5], np.float32), 2.0)
    flow_vectors = flow(np.array([[-50.0, 500.0], [np.nan, 3.0], [38.9, 19.9]]))
    np.testing.assert_allclose(flow_vectors, [[-48, 501], [np.nan, 4], [40.9, 20.9]])
    assert len(flow(np.zeros((0, 2)))) == 0


def test_between_pixels_it_is_linear() -> None:
    field = np.zeros((3, 4, 2), np.float32)
    field[..., 0] = np.arange(4)  # in image pixels of 1: dx = x
    np.testing.assert_allclose(Flow(field, 1.0)(np.array([[1.25, 1.5], [2.5, 0.0]])), [[2.5, 1.5], [5.0, 0.0]])


def test_another_size_begins_anew() -> None:
    motions = FlowOfFrames()
    motions(_texture())
    assert motions(_texture()[:300]) is None
    assert motions(_texture()[:300]) is not None
    assert motions(np.zeros((8, 8, 3), np.uint8)) is None and motions(np.zeros((8, 8, 3), np.uint8)) is None


def test_the_flow_of_two_frames_may_be_any_function() -> None:
    seen = []

    def between(last: np.ndarray, now: np.ndarray) -> np.ndarray:
        seen.append((last.shape, now.shape, last.mean() < now.mean()))
        return np.full((*now.shape[:2], 2), [3.0, -1.0], np.float32)

    motions = FlowOfFrames(between)
    assert motions(np.zeros((480, 640, 3), np.uint8)) is None
    flow = motions(np.full((480, 640, 3), 9, np.uint8))
    assert flow is not None and seen == [((240, 320, 3), (240, 320, 3), True)]
    np.testing.assert_allclose(flow(np.array([[100.0, 50.0]])), [[106, 48]])  # the small frame's pixels are 2 wide
