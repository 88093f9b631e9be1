"""Occluded keypoints at every threshold, against scikit-learn, and decided labels in a results file."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from sklearn.metrics import average_precision_score, f1_score, precision_recall_curve, roc_auc_score

import trustpose as tp
from tests.cli.cases import run
from trustpose.files import InputError
from trustpose.images import fold_of
from trustpose.io.coco.results import read_results

ABSENT, OCCLUDED = 0, 1


@pytest.fixture(scope="module")
def rows(data_dir: Path) -> tuple[list[dict[str, Any]], np.ndarray, np.ndarray]:
    """Results of dev with informative probabilities, (n, 17, 3), and the true v (n, 17)."""
    rows = json.loads((data_dir / "results/simplepose.dev.json").read_bytes())
    truth = {a["id"]: a for a in json.loads((data_dir / "coco/dev_gt.json").read_bytes())["annotations"]}
    v = np.array([truth[row["annotation_id"]]["keypoints"][2::3] for row in rows]).astype(int)
    random = np.random.default_rng(0)
    weight = random.gamma(1.0, 1.0, (*v.shape, 3)) * [0.9, 0.3, 1.4] + 0.6 * np.eye(3)[v]
    visibility = weight / weight.sum(axis=2, keepdims=True)
    for row, chances in zip(rows, visibility.tolist(), strict=True):
        row["visibility"] = chances
    return rows, visibility, v


def audited(data_dir: Path, folder: Path, rows: list[dict[str, Any]], draws: int = 0) -> tp.Audit:
    (folder / "results.json").write_bytes(orjson.dumps(rows))
    return tp.audit(data_dir / "coco/dev_gt.json", folder / "results.json", draws=draws)


def best_threshold(score: np.ndarray, positive: np.ndarray) -> float:
    precision, recall, thresholds = precision_recall_curve(positive, score)
    return float(thresholds[np.argmax((2 * precision * recall / np.maximum(precision + recall, 1e-12))[:-1])])


def test_every_number_is_scikit_learns(data_dir: Path, tmp_path: Path, rows) -> None:
    results, visibility, v = rows
    record = audited(data_dir, tmp_path, results, draws=40)
    first_occluded, chance = record.visibility.occluded, visibility[..., OCCLUDED]
    labelled, occluded = v > ABSENT, v == OCCLUDED
    given = chance / (1 - visibility[..., ABSENT])
    for index, score in ((first_occluded, chance), (first_occluded.given_labelled, given)):
        assert index.average_precision == pytest.approx(average_precision_score(occluded[labelled], score[labelled]))
        assert index.auroc == pytest.approx(roc_auc_score(occluded[labelled], score[labelled]))
    assert (first_occluded.n, first_occluded.share) == (labelled.sum(), pytest.approx(occluded.sum() / labelled.sum()))
    fold = fold_of(np.array([row["image_id"] for row in results]), 5)
    predicted = np.zeros(v.shape, bool)
    for index in range(5):
        threshold = best_threshold(chance[fold != index].ravel(), occluded[fold != index].ravel())
        predicted[fold == index] = chance[fold == index] >= threshold
    assert first_occluded.best_f1 == pytest.approx(f1_score(occluded.ravel(), predicted.ravel()))
    assert first_occluded.threshold == pytest.approx(best_threshold(chance.ravel(), occluded.ravel()))
    assert first_occluded.best_f1 > record.visibility.ternary.occluded.f1
    for name in ("average_precision", "auroc", "given_labelled.average_precision", "best_f1"):
        low, high = record.intervals[f"visibility.occluded.{name}"]
        assert low < record.number(f"visibility.occluded.{name}") < high < low + 0.1


def test_terminal_page_and_json_show_them(data_dir: Path, tmp_path: Path, rows, capsys) -> None:
    (tmp_path / "results.json").write_bytes(orjson.dumps(rows[0]))
    code = run(
        "audit", "--gt", data_dir / "coco/dev_gt.json", "--results", tmp_path / "results.json", "--draws", 20,
        "--json", tmp_path / "audit.json", "--report", tmp_path / "page.html",
    )  # fmt: skip
    assert code == 0
    printed, page = capsys.readouterr().out, (tmp_path / "page.html").read_text()
    occluded = json.loads((tmp_path / "audit.json").read_text())["visibility"]["occluded"]
    for name in ("occluded F1", "occluded best F1", "occluded AP", "occluded AUROC"):
        assert name in printed
    for name in ("average_precision", "auroc", "best_f1"):
        assert f"{occluded[name]:.3f}" in printed and f"{occluded[name]:.3f}" in page
        assert f"visibility.occluded.{name}" in page
    raw = ("audit", "--gt", data_dir / "coco/dev_gt.json", data_dir / "results/simplepose.dev.json", "--draws", 0)
    assert run(*raw) == 0
    assert "occluded AP" not in capsys.readouterr().out


def test_labels_of_the_file_are_evaluated(data_dir: Path, tmp_path: Path, rows) -> None:
    results, visibility, v = rows
    label = np.where(visibility[..., OCCLUDED] > 0.25, OCCLUDED, visibility.argmax(axis=2))
    decided = [row | {"visibility_label": one} for row, one in zip(results, label.tolist(), strict=True)]
    without, record = (audited(data_dir, tmp_path, one) for one in (results, decided))
    ternary = record.visibility.ternary
    per_class = f1_score(v.ravel(), label.ravel(), average=None)
    np.testing.assert_allclose([ternary.absent.f1, ternary.occluded.f1, ternary.visible.f1], per_class)
    assert record.visibility.labelled.f1 == pytest.approx(f1_score(v.ravel() > 0, label.ravel() > 0))
    assert record.visibility.occluded == without.visibility.occluded
    assert any("evaluate the file's visibility_label" in note for note in record.notes)
    bare = [{name: cell for name, cell in row.items() if name != "visibility"} for row in decided]
    alone = audited(data_dir, tmp_path, bare)
    assert alone.visibility.ternary == ternary and alone.visibility.occluded.average_precision is None
    del decided[3]["visibility_label"]
    some = audited(data_dir, tmp_path, decided)
    assert some.visibility.ternary == without.visibility.ternary
    assert any("visibility_label is not used, 1 results have none" in note for note in some.notes)


def test_too_few_photos_to_choose_a_threshold_elsewhere_is_reported(data_dir: Path, tmp_path: Path, rows) -> None:
    one_photo = [row for row in rows[0] if row["image_id"] == rows[0][0]["image_id"]]
    record = audited(data_dir, tmp_path, one_photo)
    assert record.visibility.occluded.best_f1 is None
    assert any("a threshold is chosen on other photos" in note for note in record.notes)


@pytest.mark.parametrize("label", [[3] * 17, [0.5] * 17, [-1] * 17, [1] * 16, [True] * 17, "1"])
def test_other_labels_are_refused(tmp_path: Path, rows, label) -> None:
    (tmp_path / "results.json").write_text(json.dumps([rows[0][0] | {"visibility_label": label}]))
    with pytest.raises(InputError, match=r"result 0: field 'visibility_label': expected .*0, 1 or 2"):
        read_results(tmp_path / "results.json")
