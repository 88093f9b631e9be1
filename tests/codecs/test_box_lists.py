"""Lists of boxes: the boxes left after the score threshold and non-maximum suppression."""

import numpy as np

from trustpose.codecs.boxes import MAX_BOXES, BoxListCodec

BOX = np.array([[0, 0, 10, 10], [0, 0, 10, 8], [20, 20, 30, 40], [0, 0, 10, 5], [50, 50, 60, 60]], np.float32)
SCORE = np.array([[0.1, 0.1, 0.1, 0.1, 0.9], [0.5, 0.7, 0.2, 0.4, 0.04]], np.float32)


def test_the_highest_of_those_that_overlap_stays():
    box, score = BoxListCodec(0.05, 0.6, person=1).decode(SCORE, BOX)
    np.testing.assert_array_equal(box, BOX[[1, 2]])  # 0 and 3 overlap 1 by 0.8 and 0.625
    np.testing.assert_array_equal(score, SCORE[1, [1, 2]].astype(np.float64))
    assert len(BoxListCodec(0.05, 0.7, person=1).decode(SCORE, BOX)[0]) == 3  # 3 too
    assert len(BoxListCodec(0.05, 1.0, person=1).decode(SCORE, BOX)[0]) == 4


def test_the_lowest_score_and_the_class():
    assert BoxListCodec(0.3, 0.6).decode(SCORE, BOX)[0].tolist() == [[50, 50, 60, 60]]
    box, score = BoxListCodec(0.95, 0.6).decode(SCORE, BOX)
    assert box.shape == (0, 4) and score.shape == (0,)


def test_at_most_so_many():
    corner = np.arange(300, dtype=np.float32)[:, None] * 4
    box, score = BoxListCodec(0.1, 0.6).decode(
        np.linspace(0.2, 0.9, 300, dtype=np.float32)[None], np.concatenate([corner, corner, corner + 3, corner + 3], 1)
    )
    assert len(box) == MAX_BOXES and (np.diff(score) < 0).all() and score[0] == np.float32(0.9)
