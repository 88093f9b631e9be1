"""The verdict on an audit: each rule of docs/evaluation.md, on suitable scores, and on real results."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.report.cases import empty_cases, make_audit
from trustpose.evaluation.audit import audit
from trustpose.evaluation.record import Audit
from trustpose.evaluation.section_records import PoseTrust
from trustpose.metrics.average_precision import AveragePrecision
from trustpose.metrics.reliability import expected_calibration_error
from trustpose.report.summary import conclusion


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    return make_audit(tmp_path_factory.mktemp("audit"), 300)


def with_scores(record: Audit, score: np.ndarray, *, ap: float = 0.7, headroom: float = 0.01) -> Audit:
    """The audit if its matched poses had these scores, (n,), this AP and this headroom."""
    details = record.details
    oks, everyone = details.oks[details.measured], details.pose_score.copy()
    everyone[details.measured] = score
    unit = score.min() >= 0 and score.max() <= 1
    ece = expected_calibration_error(score, oks) if unit else None
    pearson = None if np.ptp(score) == 0 else float(np.corrcoef(score, oks)[0, 1])
    return replace(
        record,
        details=replace(details, pose_score=everyone),
        pose=PoseTrust(pearson, pearson, len(score), ece, ece),
        ap=replace(record.ap, AP=ap),
        headroom=headroom,
    )


def blurred(oks: np.ndarray, sd: float) -> np.ndarray:
    """The expected OKS given a blurred look at it: a calibrated score, the worse the larger `sd`."""
    seen = oks + np.random.default_rng(0).normal(0, sd, len(oks))
    slope, offset = np.polyfit(seen, oks, 1)
    return np.clip(slope * seen + offset, 0, 1)


def test_every_rule(record: Audit) -> None:
    oks = record.details.oks[record.details.measured]
    good, poor = blurred(oks, 0.02), blurred(oks, 0.6)
    verdicts = {
        "The score separates good poses from bad very well and is calibrated: use it as it is.": (good, {}),
        "The score separates good poses from bad very well and is calibrated; the ranking still costs 0.05 of AP.": (
            good,
            {"headroom": 0.05},
        ),
        "The score separates good poses from bad very well but is too high by 0.12: calibrate it.": (
            np.minimum(good * 0.6 + oks.mean() * 0.4 + 0.12, 1),
            {},
        ),
        "The score separates good poses from bad very well but is too low by 0.12: calibrate it.": (
            np.maximum(good * 0.6 + oks.mean() * 0.4 - 0.12, 0),
            {},
        ),
        "The score separates good poses from bad very well but is not on a scale from 0 to 1: calibrate it.": (
            good * 100,
            {},
        ),
        "All scores are equal, or all poses equally good, so the score separates nothing.": (
            np.full(len(oks), 0.5),
            {},
        ),
        "Hardly any pose is near its label (AP 0.03): check image ids, the order of the keypoints and their "
        "coordinates before reading scores.": (good, {"ap": 0.03}),
    }
    for text, (score, numbers) in verdicts.items():
        assert conclusion(with_scores(record, score, **numbers)) == text
    assert conclusion(with_scores(record, 1 - good)).startswith("The score ranks bad poses above good ones and is ")
    assert "but is calibrated" in conclusion(with_scores(record, poor))
    squeezed = np.clip((good - oks.mean()) * 0.3 + oks.mean(), 0, 1)
    assert "too high in places and too low in others, by 0." in conclusion(with_scores(record, squeezed))


def test_chance_in_a_small_sample_is_no_fault(tmp_path: Path) -> None:
    """80 calibrated poses have an ECE above 0.02 by chance alone: no reason to calibrate again."""
    few, random = make_audit(tmp_path, 80), np.random.default_rng(0)
    score = random.uniform(0.05, 0.95, few.pose.n)
    oks = few.details.oks.copy()
    oks[few.details.measured] = random.beta(6 * score, 6 * (1 - score))  # its mean is the score
    few = replace(few, details=replace(few.details, oks=oks))
    made = with_scores(few, score)
    assert made.pose.ece is not None and made.pose.ece > 0.02
    assert "is calibrated" in conclusion(made)
    assert "calibrate it" in conclusion(with_scores(few, np.clip(score + 0.2, 0, 1)))


def test_too_little_to_judge(tmp_path: Path) -> None:
    cases = empty_cases(tmp_path)
    nothing = "No pose is matched to a labelled person: check that results and ground truth belong together."
    assert conclusion(cases["no paired results"]) == nothing
    assert conclusion(cases["no labelled keypoints"]) == nothing
    assert conclusion(cases["one person"]) == "Only 1 pose matched to labelled people: too few for a verdict."
    for case in cases.values():
        assert conclusion(replace(case, ap=AveragePrecision(*[-1.0] * 10), headroom=None)).endswith((".", "verdict."))


def test_real_results(data_dir: Path) -> None:
    for name, off in (("simplepose.dev.json", "0.20"), ("movenet-thunder.dev.json", "0.28")):
        real = audit(data_dir / "coco" / "dev_gt.json", data_dir / "results" / name, draws=0)
        text = f"The score separates good poses from bad fairly well but is too low by {off}: calibrate it."
        assert conclusion(real) == text


def test_an_audit_prints_as_one_line(tmp_path: Path) -> None:
    record = make_audit(tmp_path)
    assert "\n" not in repr(record) and len(repr(record)) < 300
    assert repr(record).endswith(f"keypoint ECE {record.keypoint.ece:.3f})") and "12 poses; AP 0." in repr(record)
    assert "pose r –" in repr(empty_cases(tmp_path)["no paired results"])
