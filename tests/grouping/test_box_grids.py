"""Keypoints in a box as maps: Gaussians as scikit-image makes them, cells, and the margin."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from trustpose.grouping.box_grids import BoxGrid

GRID = BoxGrid()
# skimage.filters.gaussian(maps)[:3, 2:6] of scikit-image 0.26, the maps being 1 at (0, 3) and (2, 4) only, then the
# same with sigma=2, mode="constant"
INPUT = [
    [0.17216723, 0.29211399, 0.19079159, 0.05082958],
    [0.08578357, 0.17844397, 0.16925219, 0.07477604],
    [0.03570849, 0.11989379, 0.17332497, 0.09969448],
]
TARGET = [
    [0.04975264, 0.06108826, 0.05924861, 0.04543206],
    [0.05228671, 0.06610326, 0.06610326, 0.05228671],
    [0.04543206, 0.05924861, 0.06108826, 0.04975264],
]


def test_gaussians_are_those_of_scikit_image():
    cells, joint = [np.array([[3, 0], [4, 2], [3, 0]])], [np.array([5, 5, 5])]  # two keypoints in one cell count once
    for maps, expected in ((GRID.inputs(cells, joint), INPUT), (GRID.targets(cells, joint), TARGET)):
        assert maps.shape == (1, 56, 36, 17) and maps.dtype == np.float32
        assert np.abs(maps[0, :3, 2:6, 5] - expected).max() < 1e-7
        assert not maps[0, :, :, np.arange(17) != 5].any()


def test_boxes_without_keypoints_are_empty():
    nothing = np.zeros((0, 2), np.int64)
    assert not GRID.inputs([nothing, nothing], [nothing[:, 0], nothing[:, 0]]).any()
    assert GRID.targets([], []).shape == (0, 56, 36, 17)


def test_cells_and_margin():
    box = np.array([10.0, 20, 46, 132])  # one pixel across, two down a cell
    xy = np.array([[10.0, 20], [45.9, 131.9], [12.5, 25], [9, 19], [46, 132], [2.5, 20], [2.4, 20], [20, 155.4]])
    assert GRID.cells(xy, box).tolist() == [[0, 0], [35, 55], [2, 2], [0, 0], [35, 55], [0, 0], [0, 0], [10, 55]]
    assert GRID.near(xy, box).tolist() == [True] * 6 + [False, True]
    assert GRID.near(np.array([[20, 155.6]]), box).tolist() == [False]  # 0.21 of 112 pixels is 23.52


@given(st.integers(0, 10**6))
def test_a_keypoint_is_highest_in_its_cell(seed):
    random = np.random.default_rng(seed)
    low = random.uniform(0, 500, 2)
    box = np.concatenate([low, low + random.uniform(1, 500, 2)])
    xy = random.uniform(box[:2], box[2:], (17, 2))
    cells = GRID.cells(xy, box)
    maps = GRID.targets([cells], [np.arange(17)])[0]
    for k, (column, row) in enumerate(cells):
        assert np.unravel_index(maps[..., k].argmax(), (56, 36)) == (row, column)
        size = (box[2:] - box[:2]) / [36, 56]
        assert (np.abs(box[:2] + (cells[k] + 0.5) * size - xy[k]) <= size / 2 + 1e-6).all()
