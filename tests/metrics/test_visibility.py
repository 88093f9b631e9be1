"""Visibility scores against scikit-learn, the poster's and the metamodel paper's own tables."""

import json
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import (
    accuracy_score,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    precision_recall_fscore_support,
)

from trustpose.metrics.classification import (
    LabelledThreshold,
    ThresholdSearch,
    confusion,
    confusion_by_group,
    labelled_scores,
    ternary_scores,
)

# F1 absent, occluded, visible, total: Table 1 (S1, S2, S3) and Table 7 (EfficientNet B0, B6, MSPN), on COCO val2017
COCO_TABLES = np.array(
    [
        [0.72, 0.21, 0.76, 0.71],
        [0.75, 0.34, 0.79, 0.74],
        [0.77, 0.37, 0.80, 0.76],
        [0.74, 0.32, 0.77, 0.73],
        [0.75, 0.34, 0.80, 0.76],
        [0.69, 0.34, 0.69, 0.67],
    ]
)


def best_labelled_threshold(score: np.ndarray, labelled: np.ndarray) -> LabelledThreshold:
    """The search over all keypoints, in two blocks."""
    order = np.argsort(score, axis=None)[::-1]
    search = ThresholdSearch(int(labelled.sum()))
    for rows in np.array_split(order, 2):
        search.add(score.ravel()[rows], labelled.ravel()[rows])
    return search.best()


@st.composite
def true_and_predicted(draw):
    n = draw(st.integers(1, 50))
    return tuple(draw(hnp.arrays(np.int64, n, elements=st.integers(0, 2))) for _ in range(2))


@given(true_and_predicted())
def test_ternary_against_scikit_learn(pair):
    v, predicted = pair
    counts = confusion(v, predicted)
    np.testing.assert_array_equal(counts, confusion_matrix(v, predicted, labels=[0, 1, 2]))
    scores = ternary_scores(counts)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, _, support = precision_recall_fscore_support(
            v, predicted, labels=[0, 1, 2], zero_division=np.nan
        )
        f1 = f1_score(v, predicted, labels=[0, 1, 2], average=None, zero_division=np.nan)
        total = f1_score(v, predicted, average="weighted", labels=np.unique(v), zero_division=np.nan)
    np.testing.assert_allclose(scores.precision, precision, atol=1e-12)
    np.testing.assert_allclose(scores.recall, recall, atol=1e-12)
    np.testing.assert_allclose(scores.f1, f1, atol=1e-12)
    np.testing.assert_array_equal(scores.support, support)
    assert float(scores.total_f1) == pytest.approx(total, abs=1e-12)
    assert float(scores.accuracy) == pytest.approx(accuracy_score(v, predicted), abs=1e-12)


@given(true_and_predicted())
def test_labelled_against_scikit_learn(pair):
    v, predicted = pair
    scores = labelled_scores(confusion(v, predicted))
    truth, guess = v > 0, predicted > 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        precision, recall, _, _ = precision_recall_fscore_support(truth, guess, average="binary", zero_division=np.nan)
        f1 = f1_score(truth, guess, zero_division=np.nan)
    np.testing.assert_allclose(
        [scores.precision, scores.recall, scores.f1, scores.accuracy],
        [precision, recall, f1, accuracy_score(truth, guess)],
        atol=1e-12,
    )


def test_two_classes_and_three_agree():
    v, predicted = np.random.default_rng(0).integers(0, 3, size=(2, 20, 17))
    three = labelled_scores(confusion(v, predicted))
    two = labelled_scores(confusion((v > 0).astype(int), (predicted > 0).astype(int), classes=2))
    assert three.f1 == two.f1 and three.accuracy == two.accuracy


def test_the_posters_f1_follows_from_its_precision_and_recall():
    """87.6, 97.0, 92.1 and accuracy 89.4 fit each other where 63.4 % are labelled (63.2 % of val2017 are)."""
    hit, missed, false_alarm = 6146, 190, 870
    scores = labelled_scores(np.array([[10000 - hit - missed - false_alarm, false_alarm], [missed, hit]]))
    got = [float(x) for x in (scores.precision, scores.recall, scores.f1, scores.accuracy)]
    assert np.round(100 * np.array(got), 1).tolist() == [87.6, 97.0, 92.1, 89.4]


def test_the_papers_total_is_the_weighted_mean(data_dir):
    """The claim of the module's docstring on Tables 1 and 7: the weighted mean fits, the plain mean does not."""
    annotations = json.loads((data_dir / "coco/val2017_gt.json").read_bytes())["annotations"]
    v = np.array([annotation["keypoints"][2::3] for annotation in annotations if annotation["num_keypoints"]])
    share = np.bincount(v.ravel(), minlength=3) / v.size
    miss = np.abs(COCO_TABLES[:, :3] @ share - COCO_TABLES[:, 3])
    assert np.sort(miss)[:5].max() < 0.0075 and miss.max() < 0.0145
    assert (COCO_TABLES[:, 3] - COCO_TABLES[:, :3].mean(axis=1)).min() > 0.095


def test_nothing_is_nan_and_not_0():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nothing = ternary_scores(np.zeros((3, 3), dtype=int))
        assert np.isnan(nothing.f1).all() and np.isnan(nothing.total_f1) and np.isnan(nothing.accuracy)
        none_labelled = labelled_scores(np.array([[5, 0], [0, 0]]))
    assert np.isnan([none_labelled.precision, none_labelled.recall, none_labelled.f1]).all()
    assert none_labelled.accuracy == 1
    only_wrong = labelled_scores(np.array([[5, 2], [0, 0]]))
    assert only_wrong.precision == 0 and only_wrong.f1 == 0 and np.isnan(only_wrong.recall)


def test_groups_add_up_and_keep_apart():
    generator = np.random.default_rng(1)
    v, predicted = generator.integers(0, 3, size=(2, 30, 17))
    group = np.repeat(generator.integers(0, 5, size=30), 17).reshape(30, 17)
    counts = confusion_by_group(v, predicted, group, 6)
    np.testing.assert_array_equal(counts.sum(axis=0), confusion(v, predicted))
    for g in range(6):
        np.testing.assert_array_equal(counts[g], confusion(v[group == g], predicted[group == g]))
    assert ternary_scores(counts).f1.shape == (6, 3) and labelled_scores(counts).f1.shape == (6,)


@pytest.mark.parametrize("bad", [-1, 3])
def test_other_classes_are_refused(bad):
    with pytest.raises(ValueError, match="v_pred: expected classes 0 to 2, got"):
        confusion(np.array([0, 1]), np.array([0, bad]))


@given(
    hnp.arrays(np.float64, st.integers(1, 60), elements=st.integers(-20, 20).map(lambda n: n / 4)),
    st.data(),
)
def test_the_best_threshold_against_scikit_learn(score, data):
    labelled = data.draw(hnp.arrays(np.bool_, len(score)))
    best = best_labelled_threshold(score, labelled)
    if not labelled.any():
        assert np.isnan(best.threshold) and np.isnan(best.f1)
        return
    precision, recall, thresholds = precision_recall_curve(labelled, score)
    with np.errstate(invalid="ignore"):
        f1 = np.nan_to_num(2 * precision * recall / (precision + recall))[:-1]
    assert best.f1 == pytest.approx(f1.max(), abs=1e-12)
    assert best.threshold in thresholds
    counts = confusion(labelled.astype(int), (score >= best.threshold).astype(int), classes=2)
    assert best.f1 == pytest.approx(float(labelled_scores(counts).f1), abs=1e-12)


def test_equally_good_thresholds_give_the_highest():
    # from the highest down, F1 is 2/3, 1/2, 4/5; and then 2/3, 1/2, 2/5, 2/3
    assert best_labelled_threshold(np.array([0.9, 0.5, 0.1]), np.array([True, False, True])).threshold == 0.1
    assert best_labelled_threshold(np.array([3.0, 2, 1, 0]), np.array([True, False, False, True])).threshold == 3.0


def test_a_real_network(data_dir):
    """A single threshold on SimplePose's raw scores reaches F1 0.84 at best, as noted beside the data."""
    people = {
        annotation["id"]: annotation
        for annotation in json.loads((data_dir / "coco/dev_gt.json").read_bytes())["annotations"]
    }
    results = json.loads((data_dir / "results/simplepose.dev.json").read_bytes())
    labelled = np.array([people[result["annotation_id"]]["keypoints"][2::3] for result in results]) > 0
    score = np.array([result["keypoints"][2::3] for result in results])
    assert best_labelled_threshold(score, labelled).f1 == pytest.approx(0.84, abs=0.005)
