"""Differences between files in paired draws: against drawing photos by hand and measuring with other packages."""

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.stats
import sklearn.metrics

from tests.coco_cases import pycocotools_numbers
from trustpose.evaluation.audit import audit
from trustpose.evaluation.comparison import comparable, compare, outcome, with_comparisons
from trustpose.evaluation.precision import rescoring, rescoring_of
from trustpose.evaluation.record import Audit, Comparison
from trustpose.files import write_json
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.bootstrap import resample_counts

DRAWS, SEED = 6, 5
PHOTOS = 24


@pytest.fixture(scope="module")
def small(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """24 photos of dev with two networks' results, of which the second leaves out every seventh person."""
    folder = tmp_path_factory.mktemp("small")
    truth = json.loads((data_dir / "coco/dev_gt.json").read_bytes())
    truth["images"] = truth["images"][:PHOTOS]
    ids = {image["id"] for image in truth["images"]}
    truth["annotations"] = [row for row in truth["annotations"] if row["image_id"] in ids]
    write_json(folder / "gt.json", truth)
    options: dict[str, Any] = {"truth": truth, "folder": folder}
    for name in ("simplepose", "movenet-thunder"):
        rows = json.loads((data_dir / f"results/{name}.dev.json").read_bytes())
        rows = [row for row in rows if row["image_id"] in ids]
        rows = rows if name == "simplepose" else [row for i, row in enumerate(rows) if i % 7]
        write_json(folder / f"{name}.json", rows)
        options[name] = rows
    return options


@pytest.fixture(scope="module")
def audits(small: dict[str, Any]) -> list[Audit]:
    gt, names = small["folder"] / "gt.json", ("simplepose", "movenet-thunder")
    return [audit(gt, small["folder"] / f"{name}.json", draws=DRAWS, seed=SEED) for name in names]


def drawn(small: dict[str, Any], name: str, counts: np.ndarray, score: dict[int, float] | None = None) -> np.ndarray:
    """AP, AR by pycocotools of a draw: every photo under as many new ids as it was drawn."""
    images = np.repeat(sorted(image["id"] for image in small["truth"]["images"]), counts).tolist()
    annotations, results = [], []
    for new, image in enumerate(images, start=1):
        for row in small["truth"]["annotations"]:
            if row["image_id"] == image:
                annotations.append(row | {"image_id": new, "id": len(annotations) + 1})
        for row in small[name]:
            if row["image_id"] == image:
                new_score = row["score"] if score is None else score[row["annotation_id"]]
                results.append(row | {"image_id": new, "score": new_score})
    truth = {**small["truth"], "images": [{"id": i + 1} for i in range(len(images))], "annotations": annotations}
    return pycocotools_numbers(truth, results)[[0, 5]]


def ece(score: np.ndarray, target: np.ndarray) -> float:
    """Expected calibration error by scipy's bins, which close on the left as ours on the right: so of 1 − score."""
    edges = 1 - np.linspace(0, 1, 16)[::-1]
    sums, _, _ = scipy.stats.binned_statistic(1 - score, [score, target], "sum", bins=edges)
    return float(np.abs(sums[0] - sums[1]).sum() / len(score))


@pytest.mark.slow
def test_differences_are_those_of_photos_drawn_by_hand(small: dict[str, Any], audits: list[Audit]) -> None:
    """Every draw is measured again with pycocotools, scipy and scikit-learn on the drawn photos."""
    people = {row["id"]: row for row in small["truth"]["annotations"]}
    ids = sorted(image["id"] for image in small["truth"]["images"])
    expected: dict[str, list[float]] = {}
    for counts in resample_counts(PHOTOS, DRAWS, SEED):
        values: dict[str, list[float]] = {}
        for record, name in zip(audits, ("simplepose", "movenet-thunder"), strict=True):
            details = record.details
            assert np.isfinite(details.oks).all() and len(details.measured) == len(small[name])
            truly = {row["annotation_id"]: oks for row, oks in zip(small[name], details.oks.tolist(), strict=True)}
            ap, ar = drawn(small, name, counts)
            oracle, _ = drawn(small, name, counts, truly)
            times = [int(counts[ids.index(row["image_id"])]) for row in small[name]]
            scores = np.repeat([row["score"] for row in small[name]], times)
            oks = np.repeat(details.oks, times)
            third = np.repeat(np.clip([row["keypoints"][2::3] for row in small[name]], 0, 1), times, axis=0)
            raw = np.repeat([row["keypoints"][2::3] for row in small[name]], times, axis=0)
            opks = np.repeat(details.opks, times, axis=0)
            labelled = np.repeat([np.array(people[row["annotation_id"]]["keypoints"][2::3]) > 0 for row in small[name]],
                                 times, axis=0)  # fmt: skip
            threshold = record.visibility.labelled.threshold
            for metric, value in {
                "ap.AP": ap,
                "ap.AR": ar,
                "headroom": oracle - ap,
                "pose.pearson": scipy.stats.pearsonr(scores, oks).statistic,
                "pose.spearman": scipy.stats.spearmanr(scores, oks).statistic,
                "pose.ece": ece(scores, oks),
                "keypoint.pearson": scipy.stats.pearsonr(raw.ravel(), opks.ravel()).statistic,
                "keypoint.ece": ece(third.ravel(), opks.ravel()),
                "keypoint.brier": np.mean((third - opks) ** 2),
                "visibility.labelled.f1": sklearn.metrics.f1_score(labelled.ravel(), raw.ravel() >= threshold),
            }.items():
                values.setdefault(metric, []).append(float(value))
        for metric, (first, second) in values.items():
            expected.setdefault(metric, []).append(first - second)
    found = {comparison.metric: comparison for comparison in compare(*audits)}
    for metric, differences in expected.items():
        low, high = np.quantile(differences, [0.025, 0.975])
        assert low < high
        assert (found[metric].low, found[metric].high) == pytest.approx((low, high), abs=1e-10), metric
        value = audits[0].number(metric) - audits[1].number(metric)
        assert found[metric].difference == value


def test_paired_draws_separate_files_that_separate_intervals_do_not(data_dir: Path) -> None:
    truth = read_coco_truth(data_dir / "coco/dev_gt.json")
    flipped, plain = (
        audit(truth, data_dir / f"results/{name}.dev.json", draws=200) for name in ("simplepose_flip", "simplepose")
    )
    assert flipped.intervals["ap.AP"][0] < plain.ap.AP and plain.intervals["ap.AP"][1] > flipped.ap.AP
    ap = next(comparison for comparison in compare(flipped, plain) if comparison.metric == "ap.AP")
    assert ap.difference == pytest.approx(0.0186, abs=5e-5)
    assert 0.01 < ap.low < ap.difference < ap.high < 0.03
    assert (flipped.details.draws.values["ap.AP"] > plain.details.draws.values["ap.AP"]).all()
    assert outcome(ap) == "better"


def test_differences_are_antisymmetric_and_zero_for_the_same_file(audits: list[Audit]) -> None:
    comparison, back = compare(*audits), compare(*audits[::-1])
    assert [one.metric for one in comparison] == [one.metric for one in back]
    for first, second in zip(comparison, back, strict=True):
        assert (first.file, first.against, first.difference) == (second.against, second.file, -second.difference)
        assert (first.low, first.high) == pytest.approx((-second.high, -second.low))
    assert all(
        (difference.difference, difference.low, difference.high) == (0, 0, 0)
        for difference in compare(audits[0], audits[0])
    )


def test_every_record_holds_its_differences_from_the_others(audits: list[Audit]) -> None:
    third = replace(audits[0], inputs={**audits[0].inputs, "results": {**audits[0].inputs["results"], "file": "x"}})
    first, second, _ = with_comparisons([*audits, third])
    assert first.compare == (*compare(*audits), *compare(audits[0], third))
    assert {comparison.against for comparison in second.compare} == {audits[0].inputs["results"]["file"], "x"}
    entry = first.as_dict()["compare"][0]
    assert list(entry) == ["file", "against", "metric", "difference", "low", "high"]
    assert with_comparisons(audits[:1])[0].as_dict()["compare"] == []


def test_audits_with_other_settings_are_not_compared(small: dict[str, Any], audits: list[Audit]) -> None:
    files = small["folder"] / "gt.json", small["folder"] / "simplepose.json"
    assert comparable(audits)
    wider = {**small["truth"], "images": [*small["truth"]["images"], {"id": 1}]}
    write_json(small["folder"] / "wider.json", wider)
    for record in (
        audit(*files, area="box", draws=0),
        audit(*files, sigmas=np.full(17, 0.1), draws=0),
        audit(small["folder"] / "wider.json", files[1], draws=0),
    ):
        assert not comparable([*audits, record])
        assert compare(audits[0], record) == []
    for record in (audit(*files, draws=0), audit(*files, draws=DRAWS, seed=SEED + 1)):
        assert {(comparison.low, comparison.high) for comparison in compare(audits[1], record)} == {(None, None)}
        assert outcome(compare(audits[1], record)[0]) == "undecided"


@pytest.mark.parametrize(
    ("metric", "low", "high", "expected"),
    [
        ("ap.AP", 0.01, 0.02, "better"),
        ("ap.AP", -0.02, -0.01, "worse"),
        ("ap.AP", -0.02, 0.01, "undecided"),
        ("ap.AP", 0.0, 0.01, "undecided"),
        ("pose.ece", 0.01, 0.02, "worse"),
        ("headroom", -0.02, -0.01, "better"),
    ],
)
def test_better_needs_the_whole_interval_on_one_side_of_zero(
    metric: str, low: float, high: float, expected: str
) -> None:
    assert outcome(Comparison("a", "b", metric, (low + high) / 2, low, high)) == expected


def test_rescoring_is_the_same_from_two_audits(small: dict[str, Any], audits: list[Audit]) -> None:
    before = audits[0]
    poses = before.details.poses
    rows = [row | {"score": float(np.median(row["keypoints"][2::3]))} for row in small["simplepose"]]
    write_json(small["folder"] / "after.json", rows)
    after = audit(small["folder"] / "gt.json", small["folder"] / "after.json", draws=DRAWS, seed=SEED)
    truth = read_coco_truth(small["folder"] / "gt.json")
    scores = before.details.pose_score, after.details.pose_score
    assert rescoring_of(before, after) == rescoring(truth, poses, *scores, draws=DRAWS, seed=SEED)
    with pytest.raises(ValueError, match="the same poses"):
        inspect.unwrap(rescoring_of)(before, audits[1])
