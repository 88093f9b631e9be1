"""AP gained by another score: against audits, and draw by draw against evaluating drawn images."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.cli.cases import small_files
from trustpose.evaluation.audit import audit
from trustpose.evaluation.precision import rescoring
from trustpose.images import Images
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.metrics.bootstrap import resample_counts


@pytest.fixture(scope="module")
def truth(data_dir: Path) -> TruthFile:
    return read_coco_truth(data_dir / "coco/dev_gt.json")


@pytest.fixture(scope="module")
def results(data_dir: Path, truth: TruthFile) -> ResultsFile:
    return read_results(data_dir / "results/simplepose.dev.json", truth=truth)


def other_score(results: ResultsFile) -> np.ndarray:
    assert results.poses.score is not None
    return np.median(results.poses.score, axis=1)


def test_ap_is_the_audits(truth: TruthFile, results: ResultsFile) -> None:
    better = other_score(results)
    rescored = rescoring(truth, results.poses, results.score, better, draws=0)
    record = audit(truth, results, draws=0)
    assert (rescored.own, rescored.oracle) == (record.ap.AP, record.oracle_ap.AP)
    assert rescored.better == audit(truth, replace(results, score=better), draws=0).ap.AP
    assert rescored.gain == rescored.better - rescored.own
    assert rescored.closed == pytest.approx((rescored.better - rescored.own) / (rescored.oracle - rescored.own))
    assert rescored.intervals == {}


def test_the_same_score_gains_nothing_in_any_draw(truth: TruthFile, results: ResultsFile) -> None:
    rescored = rescoring(truth, results.poses, results.score, results.score, draws=20)
    assert rescored.gain == rescored.closed == 0
    assert rescored.intervals == {"gain": (0, 0), "closed": (0, 0)}


def test_scores_are_drawn_in_pairs(truth: TruthFile, results: ResultsFile) -> None:
    """Each draw of both scores by hand: the images repeated under new ids, evaluated anew."""
    assert truth.truth.image_id is not None and results.poses.image_id is not None
    images = np.sort(truth.images.id)
    few = images[:60]
    people = truth.truth[np.flatnonzero(np.isin(truth.truth.image_id, few))]
    rows = np.flatnonzero(np.isin(results.poses.image_id, few))
    poses, own, better = results.poses[rows], results.score[rows], other_score(results)[rows]
    part = replace(truth, truth=people, images=numbered(few))
    rescored = rescoring(part, poses, own, better, draws=12, seed=3)
    gains = []
    for counts in resample_counts(len(few), 12, 3):
        ids = np.repeat(few, counts)
        labelled = [np.flatnonzero(people.image_id == image_id) for image_id in ids]
        rows = [np.flatnonzero(poses.image_id == image_id) for image_id in ids]
        drawn = replace(
            people[np.concatenate(labelled)],
            image_id=np.repeat(np.arange(len(ids)), [len(some) for some in labelled]),
            annotation_id=np.arange(1, sum(map(len, labelled)) + 1),
        )
        again = replace(
            poses[np.concatenate(rows)],
            image_id=np.repeat(np.arange(len(ids)), [len(row) for row in rows]),
            annotation_id=None,
        )
        whole = replace(part, truth=drawn, images=numbered(np.arange(len(ids))))
        index = np.concatenate(rows)
        gains.append(rescoring(whole, again, own[index], better[index], draws=0).gain)
    np.testing.assert_allclose(rescored.intervals["gain"], np.quantile(gains, [0.025, 0.975]), atol=1e-12)


def numbered(ids: np.ndarray) -> Images:
    return Images(ids)


def test_a_perfect_score_leaves_no_headroom(truth: TruthFile, results: ResultsFile) -> None:
    perfect = audit(truth, results, draws=0).details.oks
    assert not np.isnan(perfect).any()
    rescored = rescoring(truth, results.poses, perfect, results.score, draws=5)
    assert rescored.own == rescored.oracle and rescored.gain < 0
    assert rescored.closed is None
    assert np.isnan(rescored.intervals["closed"]).all()


def test_of_several_categories_it_is_the_mean_of_each(tmp_path: Path) -> None:
    results, truth = small_files(tmp_path)
    for rows in (results, truth["annotations"]):
        for i, row in enumerate(rows):
            row["category_id"] = 1 + i % 2
    truth["categories"].append(truth["categories"][0] | {"id": 2, "name": "dog"})
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps([row | {"annotation_id": None} for row in results]))
    truth_file = read_coco_truth(tmp_path / "gt.json", "all")
    results_file = read_results(tmp_path / "results.json", truth=truth_file)
    better, sigmas = results_file.score[::-1].copy(), np.array([0.2])
    worth = rescoring(
        truth_file,
        results_file.poses,
        results_file.score,
        better,
        category_id=results_file.category_id,
        sigmas=sigmas,
        draws=0,
    )
    first_record, second_record = (
        audit(truth_file, replace(results_file, score=score), sigmas=sigmas, draws=0)
        for score in (results_file.score, better)
    )
    assert (worth.own, worth.better, worth.oracle) == (
        first_record.ap.AP,
        second_record.ap.AP,
        first_record.oracle_ap.AP,
    )
    with pytest.raises(ValueError, match="category_id"):
        rescoring(truth_file, results_file.poses, results_file.score, better, draws=0)
