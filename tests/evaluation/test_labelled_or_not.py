"""Ground truths whose v says only whether a keypoint is labelled.

Files: layouts/posetrack18/annotations/test_posetrack18_val.json, layouts/{freihand,wflw,300w,crowdpose,jhmdb}/…,
results/simplepose.dev.json and coco/dev_gt.json of the data.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trustpose as tp
from tests.calibration.cases import FEW, fit, made_up
from tests.cli.cases import run
from tests.made_up_results import made_up_results
from trustpose.evaluation.audit import audit
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.truth_stream import truth_rows

POSETRACK = "layouts/posetrack18/annotations/test_posetrack18_val.json"
LABELLED = [
    POSETRACK,
    "layouts/freihand/test_freihand.json",
    "layouts/wflw/test_wflw.json",
    "layouts/300w/test_300w.json",
]
TERNARY = ["layouts/crowdpose/test_crowdpose.json", "layouts/jhmdb/test_jhmdb_sub1.json", "coco/dev_gt.json"]


@pytest.fixture(scope="module")
def posetrack(data_dir: Path) -> dict[str, Any]:
    if not (data_dir / POSETRACK).is_file():
        pytest.skip(f"no {POSETRACK} at {data_dir}")
    return json.loads((data_dir / POSETRACK).read_text())


def written(folder: Path, truth: dict[str, Any]) -> Path:
    """The ground truth, and beside it results that know which keypoints are labelled and call them visible."""
    results = made_up_results(truth)
    people = [annotation for annotation in truth["annotations"] if annotation.get("keypoints")]
    for result, person in zip(results, people, strict=True):
        result["visibility"] = np.where(np.array(person["keypoints"][2::3])[:, None] > 0, [0, 0, 1], [1, 0, 0]).tolist()
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "gt.json"


@pytest.mark.parametrize("name", LABELLED + TERNARY)
def test_what_v_means_is_read_from_its_values(data_dir: Path, name: str) -> None:
    if not (data_dir / name).is_file():
        pytest.skip(f"no {name} at {data_dir}")
    truth = read_coco_truth(data_dir / name)
    rows = [annotation["keypoints"][2::3] for annotation in json.loads((data_dir / name).read_text())["annotations"]]
    assert truth.has_visibility == (name in TERNARY)
    np.testing.assert_array_equal(truth.truth.v > 0, np.array(rows) > 0)
    if name in TERNARY:
        np.testing.assert_array_equal(truth.truth.v, rows)
    else:
        assert set(np.unique(truth.truth.v)) <= {0, 2}
    assert any(note.startswith("v: is 0 or 1") for note in truth.notes) == (name in LABELLED)


def test_an_audit_evaluates_labelled_or_not_alone_and_says_so(posetrack, tmp_path: Path) -> None:
    truth = written(tmp_path, posetrack)
    record = tp.audit(truth, tmp_path / "results.json", draws=20)
    assert record.visibility.labelled.f1 == 1
    assert record.visibility.ternary.total.f1 is None and record.visibility.occluded.average_precision is None
    assert not any(name.startswith(("visibility.ternary", "visibility.occluded")) for name in record.intervals)
    assert any(note.startswith("visibility.ternary and visibility.occluded: null") for note in record.notes)


def test_a_category_says_that_its_v_is_ternary(posetrack, tmp_path: Path) -> None:
    categories = [category | {"visibility": "ternary"} for category in posetrack["categories"]]
    truth = written(tmp_path, posetrack | {"categories": categories})
    record = tp.audit(truth, tmp_path / "results.json", draws=0)
    assert record.visibility.ternary.occluded.f1 == 0  # every labelled keypoint is occluded, and none is called so
    assert not any("visibility.ternary" in note for note in record.notes)


@pytest.mark.parametrize("is_stated", [True, False])
def test_batches_give_the_same(posetrack, tmp_path: Path, is_stated: bool) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    truth, results = written(tmp_path, posetrack), tmp_path / "results.json"
    assert run("convert", truth, "--out", tmp_path / "gt.parquet") == 0
    assert run("convert", results, "--out", tmp_path / "results.parquet", "--gt", truth) == 0
    if not is_stated:  # as a file that another tool wrote
        rows, schema = truth_rows(read_coco_truth(truth))
        assert json.loads(schema.metadata[b"categories"])[0].pop("visibility") == "labelled"
        for row in rows:
            row["keypoints"] = np.minimum(np.reshape(row["keypoints"], (-1, 3)), [1e9, 1e9, 1]).ravel().tolist()
        table = pyarrow.Table.from_pylist(rows, schema=schema)
        categories = json.dumps(posetrack["categories"])
        parquet.write_table(table.replace_schema_metadata({"categories": categories}), tmp_path / "gt.parquet")
    record = audit(tmp_path / "gt.parquet", tmp_path / "results.parquet")
    assert record.visibility.labelled.f1 == 1
    assert record.visibility.ternary.total.f1 is None
    assert any(note.startswith("visibility.ternary and visibility.occluded: null") for note in record.notes)
    assert any(note.startswith("v: is 0 or 1") for note in record.notes) != is_stated


@pytest.mark.parametrize("method", ["temperature", "platt", "isotonic", "trees"])
def test_a_calibrator_learns_absent_against_labelled(tmp_path: Path, method: str) -> None:
    truth, results = made_up(400)
    v = np.minimum(truth.truth.v, 1)
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(as_coco(truth, v)))
    labelled = read_coco_truth(path)
    options = type(FEW)(**{**FEW.__dict__, "method": method})
    alone, ternary = fit(labelled, results, options), fit(truth, results, options)
    assert (alone.calibrator.card.visibility, ternary.calibrator.card.visibility) == ("labelled", "ternary")
    visibility, expected = (one.calibrator(results.poses).visibility for one in (alone, ternary))
    np.testing.assert_allclose(visibility[..., 0], expected[..., 0], atol=1e-6)
    assert visibility[..., 1].max() < 1e-4 < expected[..., 1].max()
    assert visibility[..., 2].mean() == pytest.approx((v > 0).mean(), abs=0.02)
    alone.calibrator.save(tmp_path / "fitted.calibrator")
    assert tp.Calibrator.load(tmp_path / "fitted.calibrator").card.visibility == "labelled"


def as_coco(truth, v: np.ndarray) -> dict[str, Any]:
    people, keypoints = truth.truth, np.concatenate([truth.truth.xy, v[..., None]], axis=2)
    box = np.c_[people.box[:, :2], people.box[:, 2:] - people.box[:, :2]]
    return {
        "images": [{"id": number} for number in truth.images.id.tolist()],
        "categories": [{"id": 1, "name": "person", "keypoints": list(truth.keypoint_names)}],
        "annotations": [
            {
                "id": int(people.annotation_id[row]),
                "image_id": int(people.image_id[row]),
                "category_id": 1,
                "area": float(people.area[row]),
                "bbox": box[row].tolist(),
                "keypoints": keypoints[row].ravel().tolist(),
            }
            for row in range(len(people))
        ],
    }
