"""An audit in batches has the numbers of an audit in memory, to the last digit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.calibration.cases import as_json, made_up
from tests.parquet_cases import write_parts
from trustpose.evaluation import ranked_poses
from trustpose.evaluation.audit import audit
from trustpose.evaluation.in_batches import audit_in_batches
from trustpose.files import InputError
from trustpose.formats import parquet_parts, parquet_sorting
from trustpose.formats.coco import read_truth, truth_in_batches
from trustpose.formats.coco.truth_in_batches import truth_rows
from trustpose.formats.row_writing import row_writer

LEFT_OUT = ("spearman", "ece_equal_mass", "ap_gain", "occluded", "threshold")
ELSEWHERE = ("intervals", "inputs", "notes", "details", "crowd", "pixels", "localisation", "tracking", "compare")


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches, runs and files so small that 90 people need many of each."""
    monkeypatch.setattr(parquet_parts, "ROWS", 7)
    monkeypatch.setattr(parquet_sorting, "ROWS", 7)
    monkeypatch.setattr(parquet_sorting, "_AT_ONCE", 11)
    monkeypatch.setattr(truth_in_batches, "PHOTOS", 3)
    monkeypatch.setattr(ranked_poses, "RUN", 16)
    monkeypatch.setattr(ranked_poses, "BLOCK", 8)


def made_up_files(folder: Path, people: int, *, trust: bool) -> tuple[Path, list[dict[str, Any]]]:
    """gt.json with crowds and people without labels, and rows of results: some on nobody, some with equal scores."""
    random = np.random.default_rng(people)
    truth, results = made_up(people, spurious=people // 6)
    value = as_json(truth)
    for at, person in enumerate(value["annotations"]):
        if at % 17 == 3:
            person["iscrowd"] = 1
        if at % 13 == 5:
            person |= {"keypoints": [0] * len(person["keypoints"]), "num_keypoints": 0}
    value["images"].append({"id": 10_000})  # a photo without people and results
    (folder / "gt.json").write_text(json.dumps(value))
    poses = results.poses
    if trust:
        shape = poses.xy.shape[:2]
        poses = replace(poses, quality=random.uniform(0, 1, shape), visibility=random.dirichlet(np.ones(3), shape))
    rows = poses.to_coco(score=random.uniform(0, 1, len(poses)).round(1))
    return folder / "gt.json", rows


def as_parquet(gt: Path, out: Path) -> Path:
    """The ground truth as `trustpose convert` writes it."""
    rows, schema = truth_rows(read_truth(gt))
    with row_writer(out, schema) as write:
        write(rows)
    return out


def numbers(value: Any, name: str = "") -> dict[str, Any]:
    """The numbers that both kinds of audit have, by dotted name."""
    if isinstance(value, dict):
        kept = {key: one for key, one in value.items() if key not in LEFT_OUT and not (not name and key in ELSEWHERE)}
        return {at: one for key, part in kept.items() for at, one in numbers(part, f"{name}.{key}").items()}
    return {name: value}


@pytest.mark.parametrize("trust", [True, False])
@pytest.mark.parametrize("order", ["ascending", "shuffled"])
@pytest.mark.usefixtures("small")
def test_numbers_are_those_in_memory(tmp_path: Path, trust: bool, order: str) -> None:
    gt, rows = made_up_files(tmp_path, 90, trust=trust)
    random = np.random.default_rng(1)
    rows.sort(key=lambda row: row["image_id"])
    shuffled = [rows[at] for at in random.permutation(len(rows))]  # a photo's rows are far apart
    (tmp_path / "in_order.json").write_text(json.dumps(rows if order == "ascending" else shuffled))
    parts = write_parts(tmp_path / "parts", rows if order == "ascending" else shuffled, random)
    expected = audit(gt, tmp_path / "in_order.json", replicates=0)
    done: list[int] = []
    for truth in (gt, as_parquet(gt, tmp_path / "gt.parquet")):
        found = audit_in_batches(truth, parts, tick=done.append)
        assert numbers(found.as_dict()) == numbers(expected.as_dict()) | (
            {}
            if trust
            else {f".visibility.labelled.{name}": None for name in ("precision", "recall", "f1", "accuracy")}
        )
        assert found.inputs["results"]["paired"] == expected.inputs["results"]["paired"] < len(rows)
        assert found.inputs["ground_truth"]["images"] == 46
        kept = [note for note in expected.notes if not note.startswith(("visibility", "pixels"))]
        assert set(found.notes) >= set(kept) and any("left out" in note for note in found.notes)
    assert sum(done) == 2 * len(rows)


@pytest.mark.usefixtures("small")
def test_numbers_by_another_score_and_area(tmp_path: Path) -> None:
    gt, rows = made_up_files(tmp_path, 40, trust=False)
    (tmp_path / "results.json").write_text(json.dumps(rows))
    parts = write_parts(tmp_path / "parts", rows, np.random.default_rng(3))
    options: dict[str, Any] = {"area": "box", "score": "pose_score", "sigmas": np.array([0.1])}
    expected = audit(gt, tmp_path / "results.json", replicates=0, **options)
    found = audit_in_batches(as_parquet(gt, tmp_path / "gt.parquet"), parts, **options)
    assert found.ap == expected.ap and found.oracle_ap == expected.oracle_ap
    assert found.pose.pearson == expected.pose.pearson and found.area == "box"


def test_faults_are_named(tmp_path: Path) -> None:
    import pyarrow.parquet as parquet

    gt, rows = made_up_files(tmp_path, 20, trust=False)
    random = np.random.default_rng(0)
    parts, truth = write_parts(tmp_path / "parts", rows, random), as_parquet(gt, tmp_path / "gt.parquet")
    elsewhere = write_parts(tmp_path / "elsewhere", [*rows, rows[0] | {"image_id": 77}], random)
    with pytest.raises(InputError, match=r"'image_id'.*77"):
        audit_in_batches(truth, elsewhere)
    table = parquet.read_table(truth)
    for name, message, wrong in (
        ("twice", "field 'id': 3 occurs twice", table.take([*range(len(table)), 2])),
        ("plain", "no 'categories', expected a ground truth", table.replace_schema_metadata({})),
        ("idless", "column 'id' is missing", table.drop_columns(["id"])),
    ):
        parquet.write_table(wrong, tmp_path / f"{name}.parquet")
        with pytest.raises(InputError, match=message):
            audit_in_batches(tmp_path / f"{name}.parquet", parts)
    with pytest.raises(InputError, match="is not audited in batches"):
        audit_in_batches(truth, parts, category="all")
