"""Missing keypoints: decided when files are read, and kept in our own files."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.files import InputError
from trustpose.io.coco.results import read_results
from trustpose.poses import Poses, find_missing, write_results


def test_the_rule() -> None:
    xy = np.array([[[0.0, 0], [0, 0], [0, 3], [5, 5], [np.nan, np.nan]]])
    score = np.array([[0.0, 0.3, 0.0, 0.0, 0.0]])
    assert find_missing(xy, score).tolist() == [[True, False, False, False, True]]
    assert find_missing(xy, score, dropped_below=0.5).tolist() == [[True, True, False, False, True]]
    assert find_missing(xy, score, dropped_below=0.3).tolist() == [[True, False, False, False, True]]
    assert find_missing(xy, score, anywhere=True).tolist() == [[True, False, True, True, True]]
    assert find_missing(xy, None).tolist() == [[True, True, False, False, True]]
    assert find_missing(xy[:, 1:4], score[:, 1:4]) is None
    assert find_missing(xy[:0], score[:0]) is None


@st.composite
def tables_with_zeros(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray | None]:
    """x, y, score (N, K, 3), and which are missing (N, K) or None."""
    count, k = draw(st.integers(1, 4)), draw(st.integers(1, 3))
    few = st.sampled_from([0.0, 0.25, 7.5])
    table = np.array(draw(st.lists(few, min_size=count * k * 3, max_size=count * k * 3))).reshape(count, k, 3)
    flags = st.lists(st.booleans(), min_size=count * k, max_size=count * k)
    return table, np.array(draw(flags)).reshape(count, k) if draw(st.booleans()) else None


@given(case=tables_with_zeros())
def test_any_mask_survives_the_way_there_and_back(tmp_path_factory: pytest.TempPathFactory, case) -> None:
    table, missing = case
    number = np.arange(len(table))
    poses = Poses(xy=table[..., :2], score=table[..., 2], pose_score=number / 2, image_id=number, missing=missing)
    path = tmp_path_factory.mktemp("results") / "results.json"
    write_results(path, poses)
    reread_poses = read_results(path).poses
    none = np.zeros(poses.xy.shape[:2], dtype=bool)
    expected, found = (none if mask is None else mask for mask in (poses.missing, reread_poses.missing))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_array_equal(reread_poses.xy, poses.xy)
    by_rule = find_missing(poses.xy, poses.score)
    for row, says, follows in zip(
        json.loads(path.read_text()), expected, none if by_rule is None else by_rule, strict=True
    ):
        assert ("keypoint_missing" in row) == bool((says != follows).any())  # only where what stands there says less


@pytest.mark.parametrize("value", [[0, 1, 2], [0, 1], [0, 0.5, 1], "none", [True, False, False]])
def test_an_invalid_field_is_refused(tmp_path: Path, value: object) -> None:
    row = {"image_id": 1, "category_id": 1, "keypoints": [1.0] * 9, "score": 1.0}
    path = tmp_path / "results.json"
    path.write_text(json.dumps([row, row | {"keypoint_missing": value}]))
    with pytest.raises(
        InputError, match=r"result 1: field 'keypoint_missing': expected .*of 3 keypoints|for each of 3"
    ):
        read_results(path)
