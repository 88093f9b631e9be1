"""Points in polygons: OpenCV's answers, edges and corners, concave ones."""

import cv2
import numpy as np
import pytest

from trustpose.geometry.polygons import in_polygon


@pytest.mark.parametrize("seed", range(6))
def test_as_opencv_says(seed: int) -> None:
    random = np.random.default_rng(seed)
    angle = np.sort(random.uniform(0, 2 * np.pi, 9))
    polygon = (50 + random.uniform(5, 45, (9, 1)) * np.c_[np.cos(angle), np.sin(angle)]).round()
    xy = np.r_[random.integers(0, 100, (500, 2)), polygon].astype(float)
    expected = [cv2.pointPolygonTest(polygon.astype(np.float32), point, False) > 0 for point in xy.tolist()]
    np.testing.assert_array_equal(in_polygon(xy, polygon), expected)
    assert not in_polygon(polygon, polygon).any()


def test_what_is_nowhere_is_outside() -> None:
    square = np.array([[0.0, 0], [4, 0], [4, 4], [0, 4]])
    xy = np.array([[2.0, 2], [np.nan, 2], [4, 2], [5, 2], [2, 0]])
    assert in_polygon(xy, square).tolist() == [True, False, False, False, False]
    assert not in_polygon(xy, square[:0]).any()
