"""The audit of real predictions against the numbers of their README, and of almost empty data sets."""

import inspect
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
import sklearn.metrics

import trustpose as tp
from trustpose.evaluation.audit import audit
from trustpose.files import InputError
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.poses import Truth
from trustpose.skeletons import COCO_17

# results/README.md of the data: AP, AP with true OKS, r(score, OKS), r(average score, average OPKS), r per keypoint
README = {
    "simplepose.dev": (0.5076, 0.5515, 0.6902, 0.8792, 0.6313),
    "simplepose_flip.dev": (0.5262, 0.5683, 0.6867, 0.8788, 0.6337),
    "movenet-thunder.dev": (0.4933, 0.5396, 0.6588, 0.7802, 0.6469),
    "simplepose.train": (0.5098, 0.5529, 0.6981, 0.8915, 0.6402),
    "movenet-thunder.train": (0.4760, 0.5292, 0.6397, 0.7613, 0.6446),
}


@pytest.mark.parametrize("name", README)
def test_numbers_of_the_readme(data_dir: Path, name: str) -> None:
    split = name.split(".")[1]
    record = tp.audit(data_dir / f"coco/{split}_gt.json", data_dir / f"results/{name}.json", draws=0)
    measured = (
        record.ap.AP,
        record.oracle_ap.AP,
        record.pose.pearson,
        record.keypoint.pearson_pose_mean,
        record.keypoint.pearson,
    )
    np.testing.assert_allclose(measured, README[name], atol=5.1e-5)
    assert record.headroom == record.oracle_ap.AP - record.ap.AP
    assert record.intervals == {}


@pytest.fixture(scope="module")
def dev(data_dir: Path) -> tp.Audit:
    return audit(data_dir / "coco/dev_gt.json", data_dir / "results/simplepose.dev.json", draws=200)


TEN = "AP AP50 AP75 APm APl AR AR50 AR75 ARm ARl".split()
SCRIPTS_RELY_ON = [
    *(f"{group}.{name}" for group in ("ap", "oracle_ap") for name in TEN),
    "headroom",
    *(f"pose.{name}" for name in "pearson spearman n ece".split()),
    *(f"keypoint.{name}" for name in "pearson pearson_pose_mean ece brier n".split()),
    *(f"visibility.labelled.{name}" for name in "precision recall f1 accuracy".split()),
    *(f"visibility.ternary.{name}.f1" for name in "absent occluded visible total".split()),
    *(f"errors.{name}" for name in "good jitter inversion swap miss ap_gain".split()),
    *(f"occlusion.{group}.{name}" for group in "0-5 6-10 11-15 16-17".split() for name in ("AP", "oracle_AP", "n")),
    "crowd",
    "compare",
    "area",
    "score_field",
    "inputs",
    "notes",
]  # fmt: skip


@pytest.mark.parametrize("name", SCRIPTS_RELY_ON)
def test_json_has_the_keys_that_scripts_rely_on(dev: tp.Audit, name: str) -> None:
    value = json.loads(orjson.dumps(dev.as_dict()))
    for part in name.split("."):
        value = value[part]
    if name.startswith("visibility.ternary"):
        assert value is None
        assert any("visibility.ternary" in note for note in dev.notes)
    else:
        assert value is not None


def test_intervals_hold_their_numbers(dev: tp.Audit) -> None:
    for name in (
        "ap.AP",
        "ap.APm",
        "headroom",
        "pose.pearson",
        "pose.spearman",
        "keypoint.ece",
        "visibility.labelled.f1",
    ):
        low, high = dev.intervals[name]
        assert low < dev.number(name) < high
        assert high - low < 0.2


def test_visibility_and_quality_are_read_where_the_file_has_them(data_dir: Path, tmp_path: Path) -> None:
    rows = json.loads((data_dir / "results/simplepose.dev.json").read_bytes())
    truth = {a["id"]: a for a in json.loads((data_dir / "coco/dev_gt.json").read_bytes())["annotations"]}
    random = np.random.default_rng(0)
    predicted, true, quality = [], [], []
    for row in rows:
        v = np.array(truth[row["annotation_id"]]["keypoints"][2::3])
        guess = np.where(random.random(17) < 0.7, v, random.integers(0, 3, 17))
        row["visibility"] = (np.eye(3)[guess] * 0.8 + 0.2 / 3).tolist()
        row["keypoint_quality"] = random.random(17).tolist()
        predicted.append(guess)
        true.append(v)
        quality.append(row["keypoint_quality"])
    (tmp_path / "results.json").write_bytes(orjson.dumps(rows))
    record = audit(data_dir / "coco/dev_gt.json", tmp_path / "results.json", draws=0)
    predicted, true = np.ravel(predicted), np.ravel(true)
    per_class = sklearn.metrics.f1_score(true, predicted, average=None)
    ternary = record.visibility.ternary
    np.testing.assert_allclose([ternary.absent.f1, ternary.occluded.f1, ternary.visible.f1], per_class)
    assert ternary.total.f1 == pytest.approx(sklearn.metrics.f1_score(true, predicted, average="weighted"))
    assert record.visibility.labelled.f1 == pytest.approx(sklearn.metrics.f1_score(true > 0, predicted > 0))
    assert record.keypoint.source == "keypoint_quality"
    np.testing.assert_array_equal(record.details.keypoint_score, quality)


def test_results_without_ids_or_boxes_stay_with_their_people(data_dir: Path, tmp_path: Path) -> None:
    rows = json.loads((data_dir / "results/simplepose.dev.json").read_bytes())
    (tmp_path / "named.json").write_bytes(orjson.dumps(rows))
    for row in rows:
        del row["annotation_id"]
    (tmp_path / "boxed.json").write_bytes(orjson.dumps(rows))
    for row in rows:
        del row["bbox"]
    (tmp_path / "bare.json").write_bytes(orjson.dumps(rows))
    named, boxed, bare = (
        audit(data_dir / "coco/dev_gt.json", tmp_path / f"{name}.json", draws=0) for name in ("named", "boxed", "bare")
    )
    assert boxed.pose.n == named.pose.n == 990
    assert boxed.pose.pearson == pytest.approx(named.pose.pearson, abs=1e-3)
    assert bare.pose.n > 900
    assert bare.pose.pearson == pytest.approx(named.pose.pearson, abs=0.05)


def tiny(people: list[dict[str, Any]], results: list[dict[str, Any]], folder: Path) -> tuple[Path, Path]:
    truth = {
        "images": [{"id": 1, "file_name": "a.jpg"}, {"id": 2}],
        "annotations": people,
        "categories": [{"id": 1, "name": "person", "keypoints": list(tp.SKELETONS["coco17"].keypoints)}],
    }
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "gt.json", folder / "results.json"


def person(v: int, **fields: Any) -> dict[str, Any]:
    keypoints = [value for k in range(17) for value in (10.0 * k, 5.0 * k, v)]
    common = {"category_id": 1, "image_id": 1, "area": 5000.0, "bbox": [0, 0, 160, 80], "iscrowd": 0}
    return {"id": 1, "keypoints": keypoints, "num_keypoints": 17 * (v > 0)} | common | fields


def result(**fields: Any) -> dict[str, Any]:
    keypoints = [value for k in range(17) for value in (10.0 * k + 1, 5.0 * k, 0.5)]
    return {"image_id": 1, "category_id": 1, "keypoints": keypoints, "score": 0.5} | fields


@pytest.mark.parametrize(
    ("people", "results"),
    [
        ([person(2)], [result()]),
        ([person(0)], [result()]),
        ([], [result()]),
        ([person(2, iscrowd=1)], [result(image_id=2)]),
        ([person(2)], [result(score=-3), result(score=40, image_id=2)]),
    ],
    ids=["one", "no labels", "no people", "only a crowd", "another scale"],
)
def test_almost_empty_files_give_null_with_a_reason(tmp_path: Path, people, results) -> None:
    record = audit(*tiny(people, results, tmp_path), draws=20)
    plain = json.loads(orjson.dumps(record.as_dict()))
    assert plain["pose"]["pearson"] is None
    assert record.as_dict()["ap"]["APl"] is None
    if len(results) > 1:
        assert plain["pose"]["ece"] is None
        assert any("pose.ece" in note and "-3 to" in note for note in record.notes)


def test_what_an_audit_lacks_is_named(tmp_path: Path) -> None:
    bare = person(2)
    del bare["area"]
    files = tiny([bare], [result()], tmp_path)
    with pytest.raises(InputError, match=r"'area' is missing in every annotation; --area box\*0\.53 does not need it"):
        audit(*files, area="segment")
    assert audit(*files, area="box*0.53", draws=0).area == "box*0.53"
    by_itself = audit(*files, draws=0)
    assert by_itself.area == "box*0.53"
    assert "area: the annotations have none, so OKS uses box*0.53 (--area)" in by_itself.notes
    with pytest.raises(InputError, match="area: expected one of auto, segment, box"):
        audit(*files, area="polygon")
    with pytest.raises(InputError, match="result 0: field 'pose_quality': expected a finite number, got nothing"):
        audit(*files, area="box", score="pose_quality")


def test_annotation_id_0_is_counted_as_cocos_tools_do_and_noted(tmp_path: Path) -> None:
    record = audit(*tiny([person(2, id=0)], [result()], tmp_path), draws=0)
    assert record.ap.AP == 0.0
    assert any("id 0" in note for note in record.notes)


def test_levels_of_crowding_are_cut_where_crowdposes_own_code_cuts(tmp_path: Path) -> None:
    people = [person(2, id=i + 1, image_id=i + 1) for i in range(5)]
    results = [result(image_id=i + 1) for i in range(5)]
    files = tiny(people, results, tmp_path)
    truth = json.loads(files[0].read_text())
    indices = [0.0, 0.1999, 0.2, 0.8, None]
    truth["images"] = [{"id": i + 1, "crowdIndex": index} for i, index in enumerate(indices)]
    files[0].write_text(json.dumps(truth))
    record = audit(*files, draws=0)
    assert {name: level.n for name, level in record.crowd.items()} == {"easy": 2, "medium": 1, "hard": 1}
    assert any("1 of 5 photos have no crowdIndex" in note for note in record.notes)
    truth["images"] = [{"id": i + 1, "crowdIndex": 0.1} for i in range(5)]
    files[0].write_text(json.dumps(truth))
    record = audit(*files, draws=5)
    assert record.crowd["easy"].AP == record.ap.AP
    assert (record.crowd["hard"].AP, record.crowd["hard"].n) == (None, 0)
    assert audit(*tiny(people[:1], results[:1], tmp_path), draws=0).crowd == {}


@pytest.mark.parametrize(
    ("fault", "is_noted"),
    [("none", False), ("dropped", False), ("moved to -1, -1", True), ("box elsewhere", True)],
)
def test_results_that_lie_on_people_and_match_no_person_are_noted(
    data_dir: Path, tmp_path: Path, fault: str, is_noted: bool
) -> None:
    rows = json.loads((data_dir / "results/movenet-thunder.dev.json").read_text())
    for row in rows:
        keypoints = np.reshape(row["keypoints"], (17, 3))
        lost, box = keypoints[:, 2] < 0.3, row.pop("bbox")
        row.pop("annotation_id")
        if fault == "dropped":
            keypoints[lost] = 0
        elif fault == "moved to -1, -1":
            keypoints[lost, :2] = -1
        else:
            row["bbox"] = box if fault == "none" else [0.0, 0.0, 20.0, 20.0]
        row["keypoints"] = keypoints.ravel().tolist()
    (tmp_path / "results.json").write_text(json.dumps(rows))
    record = audit(data_dir / "coco/dev_gt.json", tmp_path / "results.json", draws=0)
    notes = [note for note in record.notes if "are unmatched although most of their keypoints" in note]
    assert len(notes) == is_noted, record.notes
    assert any("keypoints are missing" in note for note in record.notes) == (fault == "dropped")
    if fault == "dropped":
        assert record.inputs["results"]["paired"] > 0.89 * len(rows)


def test_areas_change_the_numbers_and_are_named(data_dir: Path) -> None:
    files = (data_dir / "coco/dev_gt.json", data_dir / "results/simplepose.dev.json")
    by_name = {area: audit(*files, area=area, draws=0) for area in ("file", "box", "box*0.53")}
    assert by_name["box"].ap.AP > by_name["file"].ap.AP + 0.05
    assert abs(by_name["box*0.53"].ap.AP - by_name["file"].ap.AP) < 0.05
    assert all(record.area == area for area, record in by_name.items())


def test_areas_from_other_sources_are_not_called_segments(data_dir: Path) -> None:
    files = (data_dir / "coco/dev_gt.json", data_dir / "results/simplepose.dev.json")
    records = [audit(*files, area=area, draws=0) for area in ("auto", "segment", "file")]
    for record in records:
        assert record.area == "file"
        assert "area: OKS uses the areas of the annotations, area_source 1,019 box*0.53, 477 segment" in record.notes
        assert record.ap == records[0].ap
    truth = read_coco_truth(files[0])
    none = replace(truth, truth=truth.truth[np.flatnonzero(~truth.truth.is_segment)])
    with pytest.raises(InputError, match=r"field 'area': none is from a segment, .* 1,019 box\*0\.53; --area file"):
        none.area_convention("segment")


def test_the_public_name_is_the_function_with_its_signature() -> None:
    assert list(inspect.signature(tp.audit).parameters)[:3] == ["ground_truth", "results", "area"]
    assert Truth is tp.Truth


def test_results_of_another_skeleton_are_refused(data_dir: Path) -> None:
    truth = read_coco_truth(data_dir / "coco/dev_gt.json")
    results = read_results(data_dir / "results/simplepose.dev.json", truth=truth)
    assert results.poses.skeleton is COCO_17 and truth.truth.skeleton is COCO_17
    mine = replace(COCO_17, name="mine", keypoints=("tip", *COCO_17.keypoints[1:]))
    changed_results = replace(results, poses=replace(results.poses, skeleton=mine))
    with pytest.raises(
        InputError, match=r"different skeletons, 'mine' .* and 'coco17' .*: keypoint 0 is 'tip' and 'nose'"
    ):
        audit(truth, changed_results, draws=0)
    with pytest.raises(InputError, match=r"skeleton: expected one of coco17, .* or FILE\.json, got 'coco'"):
        audit(data_dir / "coco/dev_gt.json", results, skeleton="coco", draws=0)
