"""The same rows give the same audit to the last digit in any layout: JSON, CSV, Parquet, parts in any order."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.calibration.cases import as_json, made_up
from tests.parquet_cases import as_csv, write_parts
from trustpose.evaluation import draws
from trustpose.evaluation.audit import audit
from trustpose.files import InputError
from trustpose.io import parquet, truth_stream
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.tables import row_writer
from trustpose.io.truth_stream import truth_rows
from trustpose.metrics import rank_correlation, spill


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches, runs and files so small that 90 people need many of each."""
    monkeypatch.setattr(parquet, "ROWS", 7)
    monkeypatch.setattr(parquet, "_AT_ONCE", 11)
    monkeypatch.setattr(truth_stream, "PHOTOS", 3)
    monkeypatch.setattr(spill, "RUN_BYTES", 1500)
    monkeypatch.setattr(spill, "BLOCK", 32)
    monkeypatch.setattr(spill, "HELD_BYTES", 500)
    monkeypatch.setattr(spill, "SPILL_BLOCK", 100)
    monkeypatch.setattr(rank_correlation, "_ROWS", 10)
    monkeypatch.setattr(rank_correlation, "_PAIRED", 25)
    monkeypatch.setattr(draws, "_PHOTOS", 10)
    monkeypatch.setattr(draws, "_COUNT_BYTES", 400)


def made_up_files(folder: Path, people: int, *, trust: bool) -> tuple[Path, list[dict[str, Any]]]:
    """gt.json with crowds and people without labels, and rows of results: some on nobody, some with equal scores."""
    random = np.random.default_rng(people)
    truth, results = made_up(people, spurious=people // 6)
    value = as_json(truth)
    for index, person in enumerate(value["annotations"]):
        if index % 17 == 3:
            person["iscrowd"] = 1
        if index % 13 == 5:
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
    rows, schema = truth_rows(read_coco_truth(gt))
    with row_writer(out, schema) as write:
        write(rows)
    return out


def numbers(value: Any, name: str = "") -> dict[str, Any]:
    """The values of an audit's JSON by dotted name, without the names of its files."""
    if not isinstance(value, dict):
        return {name: value}
    return {
        key: number
        for part, inside in value.items()
        if name or part != "inputs"
        for key, number in numbers(inside, f"{name}.{part}").items()
    }


OPTIONS: dict[str, dict[str, Any]] = {
    "defaults": {},
    "tables": {"table": ["thresholds,scoring-errors", "non-0@0.1"], "metric": ["pck,pcp"]},
    "others": {"area": "box", "score": "pose_score", "sigmas": np.array([0.1]), "common": True},
}


@pytest.mark.parametrize("trust", [True, False])
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.usefixtures("small")
def test_all_layouts_have_the_same_audit(tmp_path: Path, trust: bool, options: str) -> None:
    gt, rows = made_up_files(tmp_path, 60, trust=trust)
    random = np.random.default_rng(1)
    by_photo: dict[int, list[dict[str, Any]]] = {}
    for row in rows:
        by_photo.setdefault(row["image_id"], []).append(row)
    shuffled = [row for photo in random.permutation(list(by_photo)).tolist() for row in by_photo[photo]]
    files = [tmp_path / "results.json", tmp_path / "shuffled.json", tmp_path / "results.csv", tmp_path / "one.parquet"]
    files[0].write_text(json.dumps(rows))
    files[1].write_text(json.dumps(shuffled))
    files[2].write_text(as_csv(rows))
    write_parts(tmp_path / "one", rows, random, cuts=[])
    (tmp_path / "one" / "00.parquet").rename(files[3])
    files += [write_parts(tmp_path / "parts", rows, random), write_parts(tmp_path / "shuffled", shuffled, random)]
    chosen = {"draws": 20, "seed": 3} | OPTIONS[options]
    expected = numbers(audit(gt, files[0], **chosen).as_dict())
    assert expected[".ap.AP"] is not None and expected[".intervals.ap.AP"] is not None
    for truth, file in [(gt, file) for file in files[1:]] + [(as_parquet(gt, tmp_path / "gt.parquet"), files[5])]:
        assert numbers(audit(truth, file, **chosen).as_dict()) == expected, f"{truth.name}, {file.name}"


def test_faults_are_named(tmp_path: Path) -> None:
    from pyarrow.parquet import read_table, write_table

    gt, rows = made_up_files(tmp_path, 20, trust=False)
    random = np.random.default_rng(0)
    parts, truth = write_parts(tmp_path / "parts", rows, random), as_parquet(gt, tmp_path / "gt.parquet")
    elsewhere = write_parts(tmp_path / "elsewhere", [*rows, rows[0] | {"image_id": 77}], random)
    with pytest.raises(InputError, match=r"'image_id'.*77"):
        audit(truth, elsewhere)
    table = read_table(truth)
    for name, message, wrong in (
        ("twice", "field 'id': 3 occurs twice", table.take([*range(len(table)), 2])),
        ("plain", "no 'categories', expected a ground truth", table.replace_schema_metadata({})),
        ("idless", "column 'id' is missing", table.drop_columns(["id"])),
    ):
        write_table(wrong, tmp_path / f"{name}.parquet")
        with pytest.raises(InputError, match=message):
            audit(tmp_path / f"{name}.parquet", parts)
    with pytest.raises(InputError, match="has one category"):
        audit(truth, parts, category="all")
