"""Boxes of hands and faces, against numbers of OpenPose's own functions, compiled and run outside this repository."""

import json
from pathlib import Path

import numpy as np
import pytest

from trustpose.geometry.boxes import face_boxes, hand_boxes, head_boxes
from trustpose.skeletons import OPENPOSE_COCO_18

RECORDED = json.loads((Path(__file__).parent / "openpose_part_boxes.json").read_text())
XY, SCORE = np.array(RECORDED["xy"]), np.array(RECORDED["score"])


def _joint(name: str, above: float) -> np.ndarray:
    index = OPENPOSE_COCO_18.index(name)
    return np.where(SCORE[:, index, None] > above, XY[:, index], np.nan)


def _check(box: np.ndarray, name: str) -> None:
    x, y, width, height = np.array(RECORDED[name]).T
    expected = np.stack([x, y, x + width, y + height], axis=1)
    is_none = width == 0
    assert 0 < is_none.sum() < len(box)
    np.testing.assert_array_equal(np.isnan(box), np.repeat(is_none[:, None], 4, axis=1))
    np.testing.assert_allclose(box[~is_none], expected[~is_none], atol=2e-3)  # float32 there


@pytest.mark.parametrize("side", ["left", "right"])
def test_hands(side):
    joints = [_joint(f"{side}_{name}", 0.03) for name in ("wrist", "elbow", "shoulder")]
    _check(hand_boxes(*joints), f"{side}_hand")


def test_faces():
    pairs = [[_joint(f"{side}_{name}", 0.25) for side in ("left", "right")] for name in ("eye", "ear")]
    eyes, ears = (np.stack(pair, axis=1) for pair in pairs)
    _check(face_boxes(_joint("neck", 0.25), _joint("nose", 0.25), eyes, ears), "face")
    _check(head_boxes(_joint("neck", 0.25), _joint("nose", 0.25)), "head")


def test_nobody():
    none = np.zeros((0, 2))
    assert hand_boxes(none, none, none).shape == head_boxes(none, none).shape == (0, 4)
    assert face_boxes(none, none, np.zeros((0, 2, 2)), np.zeros((0, 2, 2))).shape == (0, 4)
