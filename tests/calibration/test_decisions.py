"""Decision rules: chosen for a goal on other photos than they are evaluated on, stored, applied, and refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import f1_score

import trustpose as tp
from tests.calibration.cases import FEW, STANDING, as_json, fit, made_up
from tests.calibration.damaged import card_with, saved_with
from tests.cli.cases import run
from trustpose.calibration.decisions import DecisionRule, choose_rule
from trustpose.files import InputError
from trustpose.images import fold_of
from trustpose.io.coco.results import read_results
from trustpose.poses import Poses, write_results

ISOTONIC = replace(FEW, method="isotonic", folds=3)


def chances(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Calibrated probabilities (count, 17, 3), in which occluded is seldom the likeliest, and classes drawn from
    them."""
    random = np.random.default_rng(seed)
    weight = random.gamma([0.6, 0.3, 0.8], 1.0, (count, len(STANDING), 3))
    visibility = weight / weight.sum(axis=2, keepdims=True)
    v = (random.random(visibility.shape[:2])[..., None] > visibility.cumsum(axis=2)).sum(axis=2).clip(0, 2)
    return visibility, v


def f1(v: np.ndarray, predicted: np.ndarray, average: str) -> float:
    per_class = f1_score(v.ravel(), predicted.ravel(), average=None if average == "occluded" else "weighted")
    return float(per_class[1] if average == "occluded" else per_class)


@pytest.mark.parametrize(("goal", "average"), [("occluded-f1", "occluded"), ("total-f1", "weighted")])
def test_the_chosen_rule_is_the_best_of_those_tried_one_by_one(goal: str, average: str) -> None:
    visibility, v = chances(150)
    chosen = choose_rule(visibility, v, goal)
    best = f1(v, chosen(visibility), average)
    assert best > f1(v, visibility.argmax(axis=2), average)
    absent = [0.5] if average == "occluded" else np.linspace(0.3, 0.7, 9)
    for threshold in np.linspace(0.05, 0.6, 23):
        for share in absent:
            assert best >= f1(v, DecisionRule(float(threshold), float(share))(visibility), average) - 1e-9


def test_likelihood_is_the_likeliest_class() -> None:
    visibility, v = chances(20)
    rule = choose_rule(visibility, v, "likelihood")
    np.testing.assert_array_equal(rule(visibility), visibility.argmax(axis=2))


def test_a_rules_text_matches_its_decisions() -> None:
    rule = DecisionRule(0.2)
    predicted = rule(np.array([[0.5, 0.2, 0.3], [0.3, 0.19, 0.51], [0.41, 0.18, 0.41]]))
    assert predicted.tolist() == [1, 2, 0] and predicted.dtype == np.int8
    assert str(rule) == "occluded where P(occluded) ≥ 0.2, else absent if likelier than visible"
    assert str(DecisionRule(0.26, 0.45)).endswith("else absent where P(absent) ≥ 0.45 (P(absent) + P(visible))")


def test_numbers_are_cross_fitted_and_labels_stored_and_applied(tmp_path: Path) -> None:
    truth, results = made_up(240)
    fitted = fit(truth, results, replace(ISOTONIC, goal="occluded-f1"))
    decision, poses, v = fitted.calibrator.card.decision, fitted.out_of_fold, truth.truth.v
    assert decision is not None and poses.visibility is not None and poses.image_id is not None
    fold, label = fold_of(poses.image_id, 3), np.empty(v.shape, np.int8)
    for index in range(3):
        rule = choose_rule(poses.visibility[fold != index], v[fold != index], "occluded-f1")
        label[fold == index] = rule(poses.visibility[fold == index])
    np.testing.assert_array_equal(poses.visibility_label, label)
    before, after, change = (numbers["occluded"] for numbers in (decision.before, decision.after, decision.change))
    assert after[0] == pytest.approx(f1(v, label, "occluded"), abs=1e-12)
    assert before[0] == pytest.approx(f1(v, poses.visibility.argmax(axis=2), "occluded"), abs=1e-12)
    assert change[0] == pytest.approx(after[0] - before[0]) and change[1] < change[0] < change[2]
    assert decision.after["total"][0] == pytest.approx(f1(v, label, "weighted"), abs=1e-12)
    assert decision.rule == choose_rule(poses.visibility, v, "occluded-f1")
    fitted.calibrator.save(tmp_path / "one.cal")
    loaded = tp.Calibrator.load(tmp_path / "one.cal")
    assert loaded.card == fitted.calibrator.card
    predicted = loaded(results.poses)
    assert predicted.visibility is not None
    np.testing.assert_array_equal(predicted.visibility_label, decision.rule(predicted.visibility))
    plain = fit(truth, results, ISOTONIC).calibrator
    assert plain.card.decision is None
    without = plain(predicted)
    np.testing.assert_array_equal(without.visibility, predicted.visibility)  # probabilities stay as they are
    assert without.visibility_label is None  # nor is another calibrator's decision kept


def test_an_earlier_calibrator_has_no_rule(tmp_path: Path) -> None:
    calibrator = fit(*made_up(60), ISOTONIC).calibrator
    card = calibrator.card.as_dict()
    del card["decision"]
    content = np.frombuffer(json.dumps(card).encode(), np.uint8)
    earlier = tp.Calibrator.load(saved_with(calibrator, tmp_path, card=content))
    assert earlier.card == calibrator.card and earlier(made_up(20, 1)[1].poses).visibility_label is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"goal": "best"},
        {"goal": 1},
        {"rule": None},
        {"rule": {"occluded": "0.2", "absent": 0.5}},
        {"rule": {"occluded": 1.5, "absent": 0.5}},
        {"rule": {"occluded": 0.2, "absent": float("nan")}},
        {"rule": {"occluded": 0.2, "absent": 0.5, "more": 1}},
        {"after": {"occluded": [1, 2]}},
        {"after": [1, 2]},
        {"after": {"others": [0.1, 0.1, 0.1]}},
        {"more": 1},
    ],
)
def test_damaged_decisions_are_refused(tmp_path: Path, wrong) -> None:
    good = fit(*made_up(60), replace(ISOTONIC, goal="total-f1")).calibrator
    decision = good.card.as_dict()["decision"] | wrong
    with pytest.raises(InputError, match=r"bad.cal: is not a calibrator that this version reads"):
        tp.Calibrator.load(saved_with(good, tmp_path, card=card_with(good, decision=decision)))


def test_goals_that_cannot_be_reached_are_refused() -> None:
    truth, results = made_up(60)
    with pytest.raises(InputError, match="goal: expected one of occluded-f1, total-f1, likelihood, got 'f1'"):
        fit(truth, results, replace(ISOTONIC, goal="f1"))
    people = truth.truth
    truth = replace(truth, truth=replace(people, v=np.where(people.v == 1, 2, people.v)))
    with pytest.raises(InputError, match=r"goal occluded-f1: no labelled keypoint is occluded"):
        fit(truth, results, replace(ISOTONIC, goal="occluded-f1"))


def test_the_command_line_prints_stores_applies_and_audits_it(tmp_path: Path, capsys) -> None:
    truth, results = made_up(240)
    (tmp_path / "gt.json").write_text(json.dumps(as_json(truth)))
    write_results(tmp_path / "results.json", results.poses)
    code = run(
        "calibrate", "fit", "--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json", "--folds", 2,
        "--method", "isotonic", "--draws", 20, "--goal", "occluded-f1", "--out", tmp_path / "one.cal",
    )  # fmt: skip
    printed = capsys.readouterr().out
    rule = tp.Calibrator.load(tmp_path / "one.cal").card.decision.rule
    assert code == 0 and f"decision for occluded-f1: {rule}" in printed and "F1, occluded" in printed
    apply = ("calibrate", "apply", "--calibrator", tmp_path / "one.cal", "--results", tmp_path / "results.json")
    assert run(*apply, "--out", tmp_path / "trusted.json") == 0
    poses: Poses = read_results(tmp_path / "trusted.json").poses
    assert poses.visibility is not None
    np.testing.assert_array_equal(poses.visibility_label, rule(poses.visibility))
    record = tp.audit(tmp_path / "gt.json", tmp_path / "trusted.json", draws=0)
    assert record.visibility.ternary.occluded.f1 == pytest.approx(f1(truth.truth.v, poses.visibility_label, "occluded"))
