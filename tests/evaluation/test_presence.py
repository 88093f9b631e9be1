"""The audit of presence against scikit-learn, and which field is compared with OKS."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.metrics import brier_score_loss, roc_auc_score

from tests.calibration.cases import made_up
from trustpose.evaluation.audit import audit
from trustpose.evaluation.batch import Batch
from trustpose.evaluation.draws import Findings, Resampling
from trustpose.evaluation.trust import Presence
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile


@pytest.fixture(scope="module")
def files() -> tuple[TruthFile, ResultsFile]:
    """60 people, a result for each with presence .5 to 1, and 20 results on nobody with .1 to .6."""
    truth, results = made_up(60, spurious=20)
    complete = replace(truth.images, all_people_boxed=np.ones(len(truth.images), np.bool_))
    random = np.random.default_rng(0)
    presence = np.concatenate([random.uniform(0.5, 1, 60), random.uniform(0.1, 0.6, 20)])
    return replace(truth, images=complete), replace(results, poses=replace(results.poses, presence=presence))


def test_numbers_are_scikit_learns(files: tuple[TruthFile, ResultsFile]) -> None:
    record = audit(*files, draws=20)
    presence, is_present = files[1].poses.presence, np.arange(80) < 60
    assert record.presence.n == 80
    assert record.presence.auroc == pytest.approx(roc_auc_score(is_present, presence), abs=1e-12)
    assert record.presence.brier == pytest.approx(brier_score_loss(is_present, presence), abs=1e-12)
    low, high = record.intervals["presence.auroc"]
    assert low < record.presence.auroc < high
    assert set(record.as_dict()["presence"]) == {"auroc", "ece", "brier", "n"}


def test_null_and_why(files: tuple[TruthFile, ResultsFile]) -> None:
    truth, results = files
    silent = replace(truth, images=replace(truth.images, all_people_boxed=None))
    record = audit(silent, results, draws=0)
    assert record.presence.auroc is None and record.presence.n == 0
    assert any("does not say that all people of a photo have boxes" in note for note in record.notes)
    record = audit(truth, replace(results, poses=replace(results.poses, presence=None)), draws=0)
    assert record.presence.ece is None and any("the file has no presence" in note for note in record.notes)


def test_people_with_a_box_alone_say_that_all_are_boxed(files: tuple[TruthFile, ResultsFile]) -> None:
    truth, results = files
    v = truth.truth.v.copy()
    v[0] = 0
    silent = replace(
        truth,
        images=replace(truth.images, all_people_boxed=None),
        truth=replace(truth.truth, v=v, num_keypoints=None),
    )
    assert silent.all_people_boxed.all() and audit(silent, results, draws=0).presence.n == 80


def test_expected_oks_is_compared_with_oks_and_the_score_ranks(files: tuple[TruthFile, ResultsFile]) -> None:
    truth, results = files
    quality = np.clip(results.score, 0, 1) ** 2
    changed_results = replace(results, poses=replace(results.poses, pose_quality=quality))
    record, plain = audit(truth, changed_results, draws=0), audit(truth, results, draws=0)
    assert (record.score_field, record.pose_field) == ("score", "pose_quality")
    assert plain.pose_field == "score" and record.ap == plain.ap
    oks = record.details.oks[record.details.measured]
    assert record.pose.pearson == pytest.approx(np.corrcoef(quality[:60], oks)[0, 1], abs=1e-12)
    audit_record = audit(truth, changed_results, score="score", draws=0)
    assert audit_record.pose_field == "score" and audit_record.pose.pearson == pytest.approx(
        plain.pose.pearson, abs=1e-12
    )


def test_a_result_without_presence_neither_counts_nor_takes_a_person(files: tuple[TruthFile, ResultsFile]) -> None:
    truth, results = files
    presence, box = results.poses.presence.copy(), results.poses.box.copy()
    presence[79], box[79] = np.nan, box[0]
    image = results.poses.image_id.copy()
    image[79] = image[0]
    poses = replace(results.poses, presence=presence, box=box, image_id=image)
    record = audit(truth, replace(results, poses=poses), draws=0)
    assert record.presence.n == 79
    assert record.presence.auroc == pytest.approx(roc_auc_score(np.arange(79) < 60, presence[:79]), abs=1e-12)


def test_a_batch_without_presence_or_complete_photos_takes_nothing_back(files: tuple[TruthFile, ResultsFile]) -> None:
    truth, results = files
    section, findings = Presence(), Findings(Resampling(np.sort(truth.images.id), 0, 0))
    section.add(Batch(truth, results, sigmas=truth.sigmas(), area="segment"))
    silent = replace(truth, images=replace(truth.images, all_people_boxed=None))
    without = replace(results, poses=replace(results.poses, presence=None))
    section.add(Batch(silent, without, sigmas=truth.sigmas(), area="segment", first=len(truth.images)))
    trust = section.result(findings)
    assert trust.n == 80 and trust.brier == audit(truth, results, draws=0).presence.brier and not findings.notes
