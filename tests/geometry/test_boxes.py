"""Boxes there and back, and their overlap against pycocotools."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask

from trustpose.geometry.boxes import paired_iou, paired_overlap, xywh_to_xyxy, xyxy_to_xywh


@given(st.integers(0, 2**32 - 1))
def test_overlap_equals_pycocotools(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.uniform(0, 50, (5, 4)), random.uniform(0, 50, (7, 4))
    expected = mask.iou(a, b, [0] * 7)
    ours = paired_iou(xywh_to_xyxy(a)[:, None], xywh_to_xyxy(b)[None])
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


@given(st.integers(0, 2**32 - 1))
def test_share_inside_is_pycocotools_overlap_with_crowds(seed: int) -> None:
    random = np.random.default_rng(seed)
    a, b = random.uniform(0, 50, (5, 4)), random.uniform(0, 50, (7, 4))
    expected = mask.iou(a, b, [1] * 7)
    ours = paired_overlap(xywh_to_xyxy(a)[:, None], xywh_to_xyxy(b)[None])
    np.testing.assert_allclose(ours, expected, rtol=1e-9, atol=1e-12)


def test_empty_boxes_overlap_nothing() -> None:
    box = np.array([[1.0, 1.0, 1.0, 1.0]])
    assert paired_iou(box, box).tolist() == [0] == paired_overlap(box, box).tolist()


@given(st.lists(st.tuples(*[st.integers(-(10**7), 10**7)] * 2, *[st.integers(0, 10**6)] * 2), min_size=1))
def test_files_boxes_come_back_to_the_digit(boxes: list[tuple[int, ...]]) -> None:
    written = np.array(boxes) / 100
    np.testing.assert_array_equal(xyxy_to_xywh(xywh_to_xyxy(written)), written)
