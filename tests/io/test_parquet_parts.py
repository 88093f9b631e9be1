"""Parquet results in parts: the same rows however they are cut, whole photos together, errors with part and row."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parquet_cases import write_parts
from trustpose.files import InputError
from trustpose.io import pose_stream
from trustpose.io.coco import results
from trustpose.io.columns import Rows
from trustpose.io.parquet import find_scattered, open_parts
from trustpose.io.pose_stream import open_results
from trustpose.poses import Poses

VISIBILITY = [[0.1, 0.2, 0.7], [0.25, 0.5, 0.25]]


def made_up_rows(count: int, random: np.random.Generator, *, text: bool = False) -> list[dict[str, Any]]:
    """Rows of two keypoints, one to five a photo, with optional fields here and there."""
    image = np.cumsum(random.random(count) < 0.4) * 7 % 1009
    rows = []
    for index in range(count):
        number = int(image[index])
        row: dict[str, Any] = {"image_id": f"cam1/{number}" if text else number, "category_id": 1}
        row["keypoints"] = [float(integer) for integer in random.integers(0, 300, 6)]
        row["score"] = float(random.random())
        optional = {
            "bbox": [1.5, 2.0, 3.25, 300.0],
            "bbox_score": 0.5,
            "pose_score": float(random.random()),
            "keypoint_quality": [0.5, 1.0],
            "visibility": VISIBILITY,
            "visibility_label": [1, 0],
            "track_id": index,
            "annotation_id": index + 10,
            "keypoint_missing": [0, 1],
        }
        rows.append(row | {name: value for name, value in optional.items() if random.random() < 0.3})
    return rows


def in_memory(rows: list[dict[str, Any]]) -> results.ResultsFile:
    found = Rows("all", "result", rows)
    return results.results_of_rows(found, truth=None, keypoint_count=2, skeleton=None, score_field="score")


@pytest.mark.parametrize("seed", range(8))
def test_batches_are_the_rows_however_they_are_cut(tmp_path: Path, seed: int) -> None:
    random = np.random.default_rng(seed)
    rows = made_up_rows(int(random.integers(1, 120)), random, text=seed % 4 == 3)
    results = open_results(write_parts(tmp_path / "parts", rows, random))
    batches = list(results.batches(int(random.integers(1, 30))))
    assert [row for _, part in batches for row in part.rows] == rows
    of_batches = [{row["image_id"] for row in part.rows} for _, part in batches]
    assert sum(map(len, of_batches)) == len({row["image_id"] for row in rows}), "a photo is in two batches"
    whole = in_memory(rows)
    joined = Poses.concatenate([one.poses for one, _ in batches])
    for name, column in whole.poses.columns().items():
        found = getattr(joined, name)
        if name == "missing":
            column, found = (np.zeros((len(rows), 2), bool) if one is None else one for one in (column, found))
        if name != "image_id" or seed % 4 != 3:  # texts are numbered per batch
            np.testing.assert_array_equal(found, column, err_msg=name)
    np.testing.assert_array_equal(np.concatenate([one.score for one, _ in batches]), whole.score)


FAULTS = {
    "keypoints": ([1.0, 2.0], "expected 6 finite numbers"),
    "score": (float("inf"), "expected a finite number"),
    "image_id": (None, "expected a whole number, got nothing"),
    "visibility": ([[0.5, 0.5, 0.5]] * 2, "three probabilities that sum to 1"),
    "keypoint_quality": ([0.5, 2.0], "expected numbers from 0 to 1"),
    "visibility_label": ([0, 7], "expected 0, 1 or 2"),
    "bbox": ([0.0, 0.0, -1.0, 5.0], "expected a width and height of at least 0"),
}


@pytest.mark.parametrize("field", FAULTS)
def test_an_error_names_part_row_field_and_expectation(tmp_path: Path, field: str) -> None:
    random = np.random.default_rng(1)
    rows = [row | {"image_id": 7} for row in made_up_rows(40, random)]
    value, expected = FAULTS[field]
    rows[33][field] = value
    folder = write_parts(tmp_path / "parts", rows, random, cuts=[30])
    with pytest.raises(InputError, match=rf"01\.parquet: result 3: field '{field}'.*{expected}"):
        list(open_results(folder, is_ordered=False).batches(8))


def test_scattered_photos_are_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    rows = [{"image_id": value, "category_id": 1, "keypoints": [1.0] * 6, "score": 0.5} for value in (5, 5, 3, 9, 9, 3)]
    folder = write_parts(tmp_path / "parts", rows, random)
    with pytest.raises(InputError, match="parts: field 'image_id': the rows of photo 3 are not contiguous"):
        open_results(folder)
    monkeypatch.setattr("trustpose.io.parquet._AT_ONCE", 2)
    assert find_scattered(open_parts(folder)) == 3
    assert find_scattered(open_parts(write_parts(tmp_path / "together", rows[:5], random))) is None


def test_folders_that_hold_no_results(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no Parquet files"):
        open_parts(tmp_path)
    (tmp_path / "part.parquet").write_bytes(b"PAR1 not")
    with pytest.raises(InputError, match=r"part\.parquet: is not a readable Parquet file"):
        open_parts(tmp_path)
    (tmp_path / "part.parquet").unlink()
    write_parts(tmp_path / "other", [{"image_id": 1, "x": 2.0}], np.random.default_rng(0))
    with pytest.raises(InputError, match=r"column 'keypoints' is missing, expected one row per result \(not --tidy\)"):
        open_parts(tmp_path / "other")


def test_columns_of_two_types_are_refused(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = [{"image_id": value, "keypoints": [1.0]} for value in (1, 2, "one")]
    folder = write_parts(tmp_path / "parts", rows, np.random.default_rng(1), cuts=[2])
    with pytest.raises(InputError, match=r"01\.parquet: column 'image_id': expected int64, as in the parts before"):
        open_parts(folder)


def test_errors_parquet_is_no_part(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    folder = write_parts(tmp_path / "parts", made_up_rows(5, random), random)
    write_parts(tmp_path / "e", [{"file": "a.jpg", "reason": "broken"}], random, cuts=[])
    next((tmp_path / "e").iterdir()).rename(folder / "errors.parquet")
    assert len(open_results(folder)) == 5


def test_parts_in_subfolders_are_read_in_the_order_of_their_paths(tmp_path: Path) -> None:
    """As `predict --engine ray` writes them: poses/0000/….parquet beside errors.parquet."""
    random = np.random.default_rng(3)
    write_parts(tmp_path / "flat", made_up_rows(30, random), random, cuts=[12])
    parts = sorted((tmp_path / "flat").iterdir())
    for folder, part in zip(("poses/0000", "poses/0001"), parts, strict=True):
        (tmp_path / "run" / folder).mkdir(parents=True)
        (tmp_path / "run" / folder / "part.parquet").write_bytes(part.read_bytes())
    (tmp_path / "run" / "errors.parquet").write_bytes(b"no results")
    (tmp_path / "run" / ".hidden").mkdir()
    (tmp_path / "run" / ".hidden" / "a.parquet").write_bytes(b"no results")
    found = open_parts(tmp_path / "run")
    assert found.rows == 30 and [file.parent.name for file in found.files] == ["0000", "0001"]


def test_few_boxes_do_not_show_their_format_alone(tmp_path: Path) -> None:
    plain = {"category_id": 1, "keypoints": [1.0] * 6, "score": 0.5}
    rows = [plain | {"image_id": 1, "bbox": [10.0, 10.0, 200.0, 300.0]}] * 9
    rows += [plain | {"image_id": 2, "bbox": [0.0, 0.0, 1.0, 2.0]}]
    results = open_results(write_parts(tmp_path / "parts", rows, np.random.default_rng(0)))
    assert sum(len(one.poses) for one, _ in results.batches(1)) == 10
    small = open_results(write_parts(tmp_path / "small", rows[9:], np.random.default_rng(0)))
    with pytest.raises(InputError, match="fractions of the photo"):
        list(small.batches())
    assert pose_stream._FIRST < 8192
