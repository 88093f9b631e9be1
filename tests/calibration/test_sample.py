"""Calibrators of many results: the same people of every layout, whole photos, drawn by their ids."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.calibration.cases import as_json, made_up
from tests.parquet_cases import write_parts
from trustpose.calibration.fit import DrawnPhotos, files_to_fit, limited
from trustpose.files import InputError
from trustpose.images import Images, draw_number
from trustpose.io import parquet
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.tables import row_writer
from trustpose.io.truth_stream import truth_rows


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """gt.json, gt.parquet, results.json, and the same in parts."""
    truth, results = made_up(120, spurious=9)
    rows = results.poses.to_coco()
    rows = [rows[index] for index in np.random.default_rng(0).permutation(len(rows))]
    (tmp_path / "gt.json").write_text(json.dumps(as_json(truth)))
    (tmp_path / "results.json").write_text(json.dumps(rows))
    write_parts(tmp_path / "parts", rows, np.random.default_rng(1))
    people, schema = truth_rows(read_coco_truth(tmp_path / "gt.json"))
    with row_writer(tmp_path / "gt.parquet", schema) as write:
        write(people)
    return tmp_path


@pytest.mark.parametrize("gt", ["gt.json", "gt.parquet"])
@pytest.mark.parametrize("max_rows", [40, 1000])
def test_all_layouts_keep_the_same_people(folder: Path, gt: str, max_rows: int, monkeypatch) -> None:
    monkeypatch.setattr(parquet, "ROWS", 7)
    truth, results = files_to_fit(folder / "gt.json", folder / "results.json", max_rows)
    found, read = files_to_fit(folder / gt, folder / "parts", max_rows)
    assert (len(results.poses) < 129) == (max_rows == 40) and 20 < len(results.poses)
    assert found.notes == truth.notes and len(truth.notes) == (max_rows == 40)
    for name in ("xy", "v", "area", "box", "image_id", "annotation_id"):
        np.testing.assert_array_equal(getattr(found.truth, name), getattr(truth.truth, name))
    np.testing.assert_array_equal(found.images.id, truth.images.id)
    for name in ("xy", "score", "pose_score", "box", "image_id"):
        np.testing.assert_array_equal(getattr(read.poses, name), getattr(results.poses, name))
    np.testing.assert_array_equal(read.score, results.score)
    again = limited(truth, results, max_rows)[1]
    assert len(again.poses) == len(results.poses), "a fit would leave out more"


@pytest.mark.parametrize("max_rows", [50, 300, 999, 1000])
def test_as_many_photos_as_possible_are_drawn(folder: Path, max_rows: int) -> None:
    random = np.random.default_rng(max_rows)
    ids = np.sort(random.integers(0, 10**6, 400)[random.integers(0, 400, 1000)])
    truth = read_coco_truth(folder / "gt.json")
    whole = read_results(folder / "results.json", truth=truth)
    image_ids = []
    for pieces in (1, 30):
        drawn = DrawnPhotos(max_rows)
        for photos in np.array_split(random.permutation(np.unique(ids)), pieces):
            rows = ids[np.isin(ids, photos)]
            poses = replace(whole.poses[np.zeros(len(rows), int)], image_id=rows)
            changed_whole = replace(whole, poses=poses, score=np.zeros(len(rows)), category_id=np.ones(len(rows), int))
            drawn.add(replace(truth, truth=truth.truth[:0], images=Images(photos)), changed_whole)
        image_ids.append(sorted(drawn.files("results")[1].poses.image_id.tolist()))
    assert image_ids[0] == image_ids[1]
    most_of_a_photo = np.unique(ids, return_counts=True)[1].max()
    assert (
        (len(image_ids[0]) == 1000)
        if max_rows == 1000
        else (max_rows - most_of_a_photo < len(image_ids[0]) <= max_rows)
    )


def test_photos_are_drawn_alike_of_every_kind_of_id() -> None:
    """A quarter of 4,000 photos, within four standard deviations of chance, whatever their ids are."""
    for ids in (np.arange(4000), 7 * np.arange(4000) * 10**7, 4000 - np.arange(4000)):
        drawn = draw_number(ids) < 2**62
        for part in (drawn, drawn[::2], drawn[:1000]):
            share, expected = part.mean(), 1 / 4
            assert abs(share - expected) < 4 * np.sqrt(expected * (1 - expected) / len(part))


def test_faults_name_part_and_row(folder: Path) -> None:
    from pyarrow.parquet import read_table

    rows = read_table(sorted((folder / "parts").glob("*.parquet"))[0]).to_pylist()
    rows[3]["bbox"] = [1.0, 2.0, -3.0, 4.0]
    wrong = write_parts(folder / "wrong", rows, np.random.default_rng(0), cuts=[2])
    with pytest.raises(InputError, match=r"01.parquet: result 1: field 'bbox'"):
        files_to_fit(folder / "gt.parquet", wrong, 10_000)
    with pytest.raises(InputError, match="no photo was drawn"):
        files_to_fit(folder / "gt.parquet", folder / "parts", 1)
