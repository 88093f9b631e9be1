"""Ids that are texts: the same numbers as with numbers, written back as they were, and refused by name where wrong."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.calibration.cases import as_json, made_up
from tests.cli.cases import run, small_files
from tests.coco_cases import NAMES, pycocotools_numbers
from tests.io import samples
from trustpose.evaluation.audit import audit
from trustpose.files import InputError
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.columns import number_texts
from trustpose.poses import write_results
from trustpose.predict.boxes import boxes_from_detections

Rows = list[dict[str, Any]]
PADDED: Callable[[int], str] = lambda number: f"{number:06}"  # noqa: E731
NAMED: Callable[[int], str] = lambda number: f"cam{9 - number}/frame"  # noqa: E731  # in another order than the numbers


def written(folder: Path, truth: dict[str, Any], results: Rows) -> tuple[Path, Path]:
    folder.mkdir(exist_ok=True)
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    return folder / "gt.json", folder / "results.json"


def with_texts(
    truth: dict[str, Any], results: Rows, image: Callable[[int], int | str], person: Callable[[int], str] | None = None
) -> tuple[dict[str, Any], Rows]:
    """The same files with texts for ids."""
    truth, results = copy.deepcopy(truth), copy.deepcopy(results)
    for row in truth["images"]:
        row["id"] = image(row["id"])
    for row in (*truth["annotations"], *results):
        row["image_id"] = image(row["image_id"])
    if person is not None:
        for row, field in [
            *((row, "id") for row in truth["annotations"]),
            *((row, "annotation_id") for row in results),
        ]:
            row[field] = person(row[field])
    return truth, results


@pytest.mark.parametrize("image", [str, PADDED, NAMED])
@pytest.mark.parametrize("person", [None, PADDED, lambda number: f"person {number}"])
def test_an_audit_is_the_same_with_text_ids(tmp_path: Path, image, person) -> None:
    results, truth = small_files(tmp_path)
    expected = audit(tmp_path / "gt.json", tmp_path / "results.json", draws=0).as_dict()
    files = written(tmp_path / "texts", *with_texts(truth, results, image, person))
    fields = audit(*files, draws=0).as_dict()
    for record in (expected, fields):
        del record["inputs"]
    assert fields == expected


def test_ap_is_pycocotools_with_the_same_texts(data_dir: Path, tmp_path: Path) -> None:
    truth = json.loads((data_dir / "coco/dev_gt.json").read_text())
    results = json.loads((data_dir / "results/simplepose.dev.json").read_text())
    for row in results:
        row.pop("annotation_id", None)
        row["score"] = round(row["score"], 1)  # ties, which go by the order of the ids
    truth, results = with_texts(truth, results, lambda number: f"{str(number)[::-1]}.jpg")
    fields = audit(*written(tmp_path, truth, results), draws=0).ap.as_dict()
    reference = dict(zip(NAMES, pycocotools_numbers(copy.deepcopy(truth), copy.deepcopy(results)), strict=True))
    assert fields == pytest.approx(reference, abs=1e-12)


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["000785", "12"], {"000785": 785, "12": 12}),
        (["1", "001", "2"], {"001": 1, "1": 2, "2": 3}),  # two of the same number
        (["b", "a", "7"], {"7": 1, "a": 2, "b": 3}),
        (["1" * 19, "2"], {"1" * 19: 1, "2": 2}),  # beyond 64 bits
        (["-1", "2"], {"-1": 1, "2": 2}),
        ([], {}),
    ],
)
def test_numerals_are_their_numbers_where_no_two_are_the_same(texts: list[str], expected: dict[str, int]) -> None:
    assert number_texts(texts).number_of == expected


@pytest.mark.parametrize("in_results", [int, str, PADDED])
def test_results_of_padded_ids_may_be_numbers_or_padded_otherwise(tmp_path: Path, in_results) -> None:
    results, truth = small_files(tmp_path)
    expected = audit(tmp_path / "gt.json", tmp_path / "results.json", draws=0).ap
    for row in results:
        row["image_id"] = in_results(row["image_id"])
    for of_truth in (int, PADDED):
        padded, _ = with_texts(truth, [], of_truth)
        assert audit(*written(tmp_path / "texts", padded, results), draws=0).ap == expected


def test_results_by_themselves_keep_their_texts(tmp_path: Path) -> None:
    results, truth = small_files(tmp_path)
    for image, person in ((PADDED, None), (NAMED, PADDED), (NAMED, NAMED)):
        _, rows = with_texts(truth, results, image, person)
        del rows[1]["annotation_id"]
        _, path = written(tmp_path / "texts", truth, rows)
        results_file = read_results(path)
        write_results(
            *(tmp_path / "out.json", results_file.poses),
            texts={
                "image_id": results_file.image_texts.text_of,
                "annotation_id": results_file.annotation_texts.text_of,
            },
        )
        again = json.loads((tmp_path / "out.json").read_text())
        for row, first in zip(again, rows, strict=True):
            assert (row["image_id"], row.get("annotation_id")) == (first["image_id"], first.get("annotation_id"))
    assert results_file.poses.annotation_id is not None
    assert results_file.poses.annotation_id.tolist()[1] == -1


@pytest.mark.parametrize("image", [PADDED, lambda number: "1" + "0" * (number % 7) + f"/{number}"])
def test_large_files_are_read_block_by_block_to_the_same_ids(tmp_path: Path, image) -> None:
    rows = [
        {"image_id": i // 3, "category_id": 1, "keypoints": [float(i)] * 51, "score": 0.5, "annotation_id": i + 1}
        for i in range(4000)
    ]
    _, texts = with_texts({"images": [], "annotations": []}, rows, image, str)
    _, path = written(tmp_path, {}, texts)
    assert path.stat().st_size > 2**19
    results_file = read_results(path)
    image_id, people = results_file.poses.image_id, results_file.poses.annotation_id
    assert image_id is not None and people is not None
    assert [results_file.image_texts.text_of[number] for number in image_id.tolist()] == [
        row["image_id"] for row in texts
    ]
    assert people.tolist() == [row["annotation_id"] for row in rows]
    texts[3500]["image_id"] = 7
    _, path = written(tmp_path, {}, texts)
    with pytest.raises(InputError, match="result 3500: field 'image_id': expected a text, as other rows have, got 7"):
        read_results(path)


def test_unknown_ids_are_named_by_their_text(tmp_path: Path) -> None:
    results, truth = small_files(tmp_path)
    named, rows = with_texts(truth, results, NAMED, NAMED)

    def fails(message: str, truth: dict[str, Any], results: Rows, **options: Any) -> None:
        with pytest.raises(InputError) as caught:
            audit(*written(tmp_path / "texts", truth, results), draws=0, **options)
        assert message in str(caught.value)

    fails("field 'image_id': expected texts such as 'cam6/frame', as in the images of", named, results)
    unknown = [row | {"image_id": "cam5/frame"} if i == 0 else row for i, row in enumerate(rows)]
    fails("field 'image_id': 'cam5/frame' not in the images of", named, unknown)
    fails("field 'image_id': 'cam8/frame', 'cam7/frame', 'cam6/frame' not in the images of", truth, rows)
    nobody = [row | {"annotation_id": "nobody"} for row in rows[:1]]
    fails("field 'annotation_id': 'nobody' not in the annotations of", named, nobody)
    fails("result 1: field 'annotation_id': 'cam8/frame' occurs twice", named, [rows[0], rows[0]])
    twice = named | {"images": [*named["images"], named["images"][1]]}
    fails("image 3: field 'id': 'cam7/frame' occurs twice (also in image 1)", twice, rows)
    stray = named | {"annotations": [named["annotations"][0] | {"image_id": "elsewhere"}]}
    fails("field 'image_id': 'elsewhere' not in field 'images'", stray, rows)
    mixed = named | {"annotations": truth["annotations"]}
    fails("field 'image_id': expected texts such as 'cam6/frame', as in field 'images', got numbers", mixed, rows)
    fails("image 1: field 'id': expected a text", truth | {"images": [{"id": "a"}, {"id": 2}]}, rows)
    common = [{**row, "annotation_id": None} for row in unknown]
    record = audit(*written(tmp_path / "texts", named, common), draws=0, common=True)
    assert record.inputs["results"]["left_out"] == {"images": 1, "results": 1}


def test_tools_write_the_ground_truths_own_texts(tmp_path: Path) -> None:
    """As pycocotools and others need to evaluate against this ground truth."""
    truth = samples.ground_truth()
    texts = {row["id"]: f"video/{row['file_name']}" for row in truth["images"]}
    for row in truth["images"]:
        row["id"] = texts[row["id"]]
    gt, out = samples.write(tmp_path / "gt.json", truth), tmp_path / "results.json"
    source = samples.write(tmp_path / "in" / "000000000785.json", samples.mmpose_instances(samples.people()))
    assert run("convert", source, "--gt", gt, "--out", out) == 0
    assert {row["image_id"] for row in json.loads(out.read_text())} == {texts[785]}
    image_id = read_results(out, truth=read_coco_truth(gt)).poses.image_id
    assert image_id is not None and np.isin(image_id, read_coco_truth(gt).images.id).all()
    numbers = samples.write(tmp_path / "numbers.json", [{"image_id": 1, "category_id": 1, "score": 1.0,
                                                         "keypoints": [1.0] * 51}])  # fmt: skip
    assert run("convert", numbers, "--gt", gt, "--out", tmp_path / "other.json") == 2


def test_calibrate_keeps_text_ids_and_does_not_match_them_to_fitted_photos(tmp_path: Path, capsys) -> None:
    truth, results = made_up(60)
    others, other_results = made_up(60, 1)
    write_results(tmp_path / "results.json", results.poses)
    write_results(tmp_path / "others.json", other_results.poses)
    rows = [json.loads((tmp_path / name).read_text()) for name in ("results.json", "others.json")]
    gt, found = written(tmp_path / "a", *with_texts(as_json(truth), rows[0], lambda i: f"a{i}"))
    other_gt, other = written(tmp_path / "b", *with_texts(as_json(others), rows[1], lambda i: f"b{i}"))
    cal, out = tmp_path / "one.cal", tmp_path / "out.json"
    options = ["--folds", "2", "--draws", "5", "--method", "isotonic"]
    assert run("calibrate", "fit", "--gt", gt, "--results", found, *options, "--out", cal) == 0
    assert run("calibrate", "apply", "--calibrator", cal, "--results", other, "--out", out) == 0
    written_rows = json.loads(out.read_text())
    assert [row["image_id"] for row in written_rows] == [row["image_id"] for row in json.loads(other.read_text())]
    capsys.readouterr()
    assert run("audit", "--gt", other_gt, "--results", out, "--calibrator", cal, "--draws", "0") == 0
    assert "was fitted on" not in capsys.readouterr().out


def test_detections_go_by_the_same_texts(tmp_path: Path) -> None:
    results, truth = small_files(tmp_path)
    named, rows = with_texts(truth, results, NAMED)
    gt, path = written(tmp_path / "texts", named, rows)
    truth_file = read_coco_truth(gt)
    assert boxes_from_detections(path, truth=truth_file).image_id.tolist() == [3, 3, 2, 1]
    with pytest.raises(InputError, match="detection 0: field 'image_id': expected a whole number, or a text"):
        boxes_from_detections(path)
    _, path = written(tmp_path / "padded", *with_texts(truth, results, PADDED))
    assert boxes_from_detections(path).image_id.tolist() == [1, 1, 2, 3]
