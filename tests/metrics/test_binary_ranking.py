"""Average precision and AUROC against scikit-learn, whole and in draws of photos."""

import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score, roc_auc_score

from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.classification import binary_ranking, binary_ranking_replicates


@given(hnp.arrays(np.float64, st.integers(1, 60), elements=st.integers(-20, 20).map(lambda n: n / 4)), st.data())
def test_against_scikit_learn(score, data) -> None:
    positive = data.draw(hnp.arrays(np.bool_, len(score)))
    ranking = binary_ranking(score, positive)
    if not positive.any():
        assert np.isnan(ranking.average_precision) and np.isnan(ranking.auroc)
        return
    assert float(ranking.average_precision) == pytest.approx(average_precision_score(positive, score), abs=1e-12)
    if positive.all():
        assert np.isnan(ranking.auroc)
    else:
        assert float(ranking.auroc) == pytest.approx(roc_auc_score(positive, score), abs=1e-12)


def test_draws_repeat_and_leave_out_photos_as_scikit_learn_sees_them() -> None:
    random = np.random.default_rng(0)
    image = random.integers(0, 12, 300)
    score, positive = random.integers(0, 40, 300) / 40, random.random(300) < 0.15
    counts = resample_counts(12, 30)
    replicates = binary_ranking_replicates(counts, score, positive, image)
    for draw, count in enumerate(counts):
        weight = count[image].astype(float)
        expected = average_precision_score(positive, score, sample_weight=weight)
        assert replicates.average_precision[draw] == pytest.approx(expected, abs=1e-12)
        assert replicates.auroc[draw] == pytest.approx(roc_auc_score(positive, score, sample_weight=weight), abs=1e-12)


def test_a_draw_without_positives_is_nan_and_others_are_not() -> None:
    counts = np.array([[2, 0], [0, 2], [1, 1]], dtype=np.int8)
    replicates = binary_ranking_replicates(counts, np.array([0.9, 0.2]), np.array([True, False]), np.array([0, 1]))
    np.testing.assert_array_equal(replicates.average_precision, [1, np.nan, 1])
    np.testing.assert_array_equal(replicates.auroc, [np.nan, np.nan, 1])


def test_a_nan_score_is_refused() -> None:
    with pytest.raises(ValueError, match="score: expected numbers, got 1 NaN"):
        binary_ranking(np.array([0.1, np.nan]), np.array([True, False]))


def test_a_thousand_draws_of_ten_thousand_keypoints_take_a_second_at_most() -> None:
    random = np.random.default_rng(1)
    image = np.sort(random.integers(0, 365, 10_000))
    started = time.process_time()
    binary_ranking_replicates(resample_counts(365), random.random(10_000), random.random(10_000) < 0.12, image)
    assert time.process_time() - started < 1
