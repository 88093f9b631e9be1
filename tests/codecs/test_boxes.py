"""Boxes to maps of centres and sides and back; suppression against a plain loop."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from trustpose.codecs.boxes import SIGMAS_A_BOX, decode_centres, encode_centres, suppress

STRIDE, WIDTH, HEIGHT = 8, 24, 18  # a map of 192 × 144 pixels


def told(sides: np.ndarray, stride: int = STRIDE) -> np.ndarray:
    """The output of a perfect network: distances (4, h, w) of the boxes' sides from each cell's middle."""
    rows, columns = np.indices(sides.shape[1:])
    x, y = (columns + 0.5) * stride, (rows + 0.5) * stride
    return np.stack([x - sides[0], y - sides[1], sides[2] - x, sides[3] - y])


@st.composite
def apart(draw):
    """Boxes whose centres lie in cells of a coarse grid, so that none's cell touches another's."""
    drawn = draw(st.lists(st.integers(0, 11), unique=True, max_size=8))
    boxes = []
    for position in drawn:
        row, column = divmod(position, 4)
        middle = np.array([column * 48, row * 48]) + draw(
            hnp.arrays(np.float64, 2, elements=st.floats(13, 35, allow_subnormal=False))
        )
        half = draw(hnp.arrays(np.float64, 2, elements=st.floats(3, 13, allow_subnormal=False)))
        boxes.append(np.concatenate([middle - half, middle + half]))
    return np.array(boxes).reshape(-1, 4)


@given(apart())
def test_boxes_there_and_back(box):
    bumps, sides, weight = encode_centres(box, WIDTH, HEIGHT, STRIDE)
    assert bumps.shape == weight.shape == (HEIGHT, WIDTH) and sides.shape == (4, HEIGHT, WIDTH)
    found, score = decode_centres(bumps, told(sides), STRIDE, min_score=0.999)
    np.testing.assert_array_equal(score, np.ones(len(box)))
    order, expected = (rows[np.lexsort(np.rint(rows).T)] for rows in (found, box))
    np.testing.assert_allclose(order, expected, atol=1e-4)


@given(apart())
def test_bumps_and_weights(box):
    """1 in the cells of centres and nowhere else; a bump is a Gaussian, boxes' weights are log2 of their areas."""
    bumps, _, weight = encode_centres(box, WIDTH, HEIGHT, STRIDE)
    cells = np.floor((box[:, :2] + box[:, 2:]) / 2 / STRIDE).astype(int)
    expected = np.zeros((HEIGHT, WIDTH), dtype=bool)
    expected[cells[:, 1], cells[:, 0]] = True
    np.testing.assert_array_equal(bumps == 1, expected)
    assert bumps.min() >= 0 and (bumps[weight > 0] > 0.05).all()
    if len(box) == 1:
        size = (box[0, 2:] - box[0, :2]) / STRIDE
        assert weight.sum() == pytest.approx(max(1, np.log2(size[0] * size[1])), rel=1e-5)
        sigma = np.maximum(0.3, SIGMAS_A_BOX * size)
        y, x = cells[0, 1] + 1, cells[0, 0]
        assert bumps[y, x] == pytest.approx(np.exp(-0.5 / sigma[1] ** 2), rel=1e-5)


@pytest.mark.parametrize("order", [[0, 1], [1, 0]])
def test_a_small_box_lies_on_a_large_one(order):
    box = np.array([[10.0, 10, 180, 140], [80, 60, 112, 92]])  # both about the same cell
    bumps, sides, weight = encode_centres(box[order], WIDTH, HEIGHT, STRIDE)
    cell = (76 // STRIDE, 96 // STRIDE)
    np.testing.assert_allclose(sides[:, *cell], box[1])
    assert bumps[cell] == 1
    alone = encode_centres(box[:1], WIDTH, HEIGHT, STRIDE)
    learns = (weight > 0) & (np.abs(sides - box[0][:, None, None]).max(axis=0) == 0)
    assert learns.any()  # around the small box the targets are those of the large one
    np.testing.assert_allclose(weight[learns], alone[2][learns])
    np.testing.assert_array_equal(bumps >= alone[0], True)


def test_centres_beyond_the_map_and_specks():
    box = np.array([[-50.0, -50, 10, 10], [180, 130, 400, 300], [96.0, 72, 96, 72]])
    bumps, _, weight = encode_centres(box, WIDTH, HEIGHT, STRIDE)
    assert bumps[0, 0] == bumps[-1, -1] == bumps[9, 12] == 1 and (bumps == 1).sum() == 3
    assert np.isfinite(weight).all() and weight[9, 12] == pytest.approx(1)


def test_no_boxes():
    bumps, sides, weight = encode_centres(np.zeros((0, 4)), WIDTH, HEIGHT, STRIDE)
    assert not bumps.any() and not weight.any() and not sides.any()
    box, score = decode_centres(bumps, sides, STRIDE, min_score=0.1)
    assert box.shape == (0, 4) and score.shape == (0,)
    assert suppress(np.zeros((0, 4)), 0.5).tolist() == []


def test_what_is_read():
    """Local maxima of at least the lowest score, the highest first, as many as asked for; overlapping ones once."""
    centre = np.zeros((12, 12), np.float32)
    centre[2, 2], centre[2, 3], centre[8, 8], centre[2, 9], centre[9, 2] = 0.9, 0.8, 0.95, 0.3, 0.1
    sides = np.full((4, 12, 12), 12.0, np.float32)
    box, score = decode_centres(centre, sides, 4, min_score=0.2)
    np.testing.assert_allclose(score, [0.95, 0.9, 0.3], rtol=1e-6)
    np.testing.assert_allclose(box[0], [34 - 12, 34 - 12, 34 + 12, 34 + 12])
    np.testing.assert_allclose(decode_centres(centre, sides, 4, min_score=0.2, max_boxes=2)[1], [0.95, 0.9], rtol=1e-6)
    wide = sides * 4  # of 96 pixels: the first two overlap by 72² / (2 · 96² − 72²), 0.391, the third more
    counts = [len(decode_centres(centre, wide, 4, min_score=0.2, overlap=value)[1]) for value in (0.38, 0.40, 0.57)]
    assert counts == [1, 2, 3]


@st.composite
def ranked(draw):
    """Boxes on a coarse grid, so that overlaps tie with thresholds."""
    count = draw(st.integers(0, 12))
    low = draw(hnp.arrays(np.int64, (count, 2), elements=st.integers(0, 6)))
    size = draw(hnp.arrays(np.int64, (count, 2), elements=st.integers(0, 6)))
    return np.concatenate([low, low + size], axis=1).astype(np.float64)


@given(ranked(), st.sampled_from([0.0, 0.25, 0.5, 1.0]))
def test_suppression_against_a_plain_loop(box, overlap):
    indexes: list[int] = []
    for index, (x0, y0, x1, y1) in enumerate(box.tolist()):
        stays = True
        for other in indexes:
            u0, v0, u1, v1 = box[other].tolist()
            both = max(0, min(x1, u1) - max(x0, u0)) * max(0, min(y1, v1) - max(y0, v0))
            union = (x1 - x0) * (y1 - y0) + (u1 - u0) * (v1 - v0) - both
            stays &= (both / union if union else 1.0) <= overlap  # boxes without extent all overlap each other
        if stays:
            indexes.append(index)
    assert suppress(box, overlap).tolist() == indexes
