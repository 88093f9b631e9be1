"""mAPK against a plain loop and the trends of the metamodel paper's tables."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools.cocoeval import Params

from trustpose.geometry.oks import opks as opks_kernel
from trustpose.metrics.localisation import THRESHOLDS, keypoint_average_precision
from trustpose.skeletons import COCO_17

TWENTIETHS = st.integers(0, 20).map(lambda i: i / 20)


@st.composite
def samples(draw):
    shape = (draw(st.integers(1, 25)), draw(st.integers(1, 3)))
    labelled, absent = (draw(hnp.arrays(np.bool_, shape)) for _ in range(2))
    opks = draw(hnp.arrays(np.float64, shape, elements=TWENTIETHS)) * labelled
    score = draw(hnp.arrays(np.float64, shape, elements=st.integers(-4, 8).map(lambda i: i / 4)))
    return opks, labelled, score, absent


def by_hand(opks, labelled, predicted):
    """AP and AR of one keypoint by counting true and false positives and negatives threshold by threshold."""
    precisions, recalls = [], []
    for threshold in np.linspace(0.5, 0.95, 10):
        tp = fp = fn = 0
        for similarity, is_labelled, is_predicted in zip(opks, labelled, predicted, strict=True):
            right = is_predicted and is_labelled and similarity >= threshold
            tp += right
            fp += is_predicted and not right
            fn += is_labelled and not right
        precisions.append(tp / (tp + fp) if tp + fp else np.nan)
        recalls.append(tp / (tp + fn) if tp + fn else np.nan)
    return np.mean(precisions), np.mean(recalls)


@given(samples(), st.sampled_from([None, 0.0, 0.75]))
def test_counted_against_a_plain_loop(sample, threshold):
    opks, labelled, score, absent = sample
    result = keypoint_average_precision(opks, labelled, score, absent, threshold)
    predicted = ~absent & (score >= (-np.inf if threshold is None else threshold))
    for k in range(opks.shape[1]):
        expected = by_hand(opks[:, k], labelled[:, k], predicted[:, k])
        np.testing.assert_allclose((result.AP[k], result.AR[k]), expected, atol=1e-12)
    np.testing.assert_array_equal(result.predicted, predicted.sum(axis=0))
    np.testing.assert_array_equal(result.labelled, labelled.sum(axis=0))


def test_a_small_case_in_full():
    opks = np.array([[1.0, 0.0], [0.72, 0.0], [0.0, 0.0]])
    labelled = np.array([[True, False], [True, False], [False, False]])
    plain = keypoint_average_precision(opks, labelled)
    # .72 reaches five of the ten thresholds; the third pose is a false positive at all
    np.testing.assert_allclose(plain.AP, [1.5 / 3, 0])
    np.testing.assert_allclose(plain.AR, [1.5 / 2, np.nan])
    absent = np.array([[False, True], [True, True], [True, True]])
    non_0 = keypoint_average_precision(opks, labelled, predicted_absent=absent)
    np.testing.assert_allclose(non_0.AP, [1, np.nan])
    np.testing.assert_allclose(non_0.AR, [0.5, np.nan])


def test_the_thresholds_are_those_of_coco():
    np.testing.assert_array_equal(THRESHOLDS, Params(iouType="keypoints").iouThrs)


def test_non_0_on_a_real_network_does_what_tables_3_and_4_show(data_dir):
    """Leaving out keypoints predicted unlabelled raises AP and lowers AR, for every group of keypoints."""
    people = {
        annotation["id"]: annotation
        for annotation in json.loads((data_dir / "coco/dev_gt.json").read_bytes())["annotations"]
    }
    results = json.loads((data_dir / "results/simplepose.dev.json").read_bytes())
    truth = np.array([people[result["annotation_id"]]["keypoints"] for result in results], dtype=float).reshape(
        -1, 17, 3
    )
    predicted = np.array([result["keypoints"] for result in results], dtype=float).reshape(-1, 17, 3)
    area = np.array([people[result["annotation_id"]]["area"] for result in results], dtype=float)
    opks = opks_kernel(predicted[..., :2], truth[..., :2], truth[..., 2], area, COCO_17.sigmas)
    labelled, score = truth[..., 2] > 0, predicted[..., 2]
    groups = [list(range(5)), *([index, index + 1] for index in range(5, 17, 2))]
    plain = keypoint_average_precision(opks, labelled, score, score_threshold=0.2)
    non_0 = keypoint_average_precision(opks, labelled, score, score < 0.4, score_threshold=0.2)
    for group in groups:
        assert non_0.AP[group].mean() > plain.AP[group].mean() and non_0.AR[group].mean() < plain.AR[group].mean()
    # with nothing dropped AP is AR times the labelled share: the reason why the paper must drop some
    every = keypoint_average_precision(opks, labelled)
    np.testing.assert_allclose(every.AP, every.AR * labelled.mean(axis=0))


def test_bad_arguments():
    opks, labelled = np.array([[0.5]]), np.array([[True]])
    with pytest.raises(ValueError, match="score: required by score_threshold, got None"):
        keypoint_average_precision(opks, labelled, score_threshold=0.1)
    with pytest.raises(ValueError, match="score: expected numbers, got 1 NaN"):
        keypoint_average_precision(opks, labelled, np.array([[np.nan]]), score_threshold=0.1)
    with pytest.raises(ValueError, match="opks: expected numbers in 0–1"):
        keypoint_average_precision(np.array([[np.nan]]), labelled)
