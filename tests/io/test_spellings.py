"""Files as other tools spell them: ids as texts and fractions, a mark before UTF-8, several categories of which one is
used; and files that are no results, which are named with what reads them."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trustpose as tp
from tests.cli.cases import run, small_files
from trustpose.files import InputError
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.poses3d import write_poses3d
from trustpose.io.read_poses import read_poses
from trustpose.poses import Poses3D
from trustpose.predict.boxes import boxes_from_detections
from trustpose.skeletons import COCO_17


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, list[dict[str, Any]], dict[str, Any]]:
    results, truth = small_files(tmp_path)
    (tmp_path / "results.json").write_text(json.dumps(results))
    return tmp_path, results, truth


def numbers(folder: Path, gt: str, results: str, *options: object) -> dict[str, Any]:
    files = ["--gt", folder / gt, "--results", folder / results, "--json", folder / "audit.json", "--draws", 0]
    assert run("audit", *files, *options) == 0
    record = json.loads((folder / "audit.json").read_text())
    return {name: record[name] for name in ("ap", "pose", "keypoint", "errors")}


def test_categories_as_texts_and_ids_with_fractions_are_read(files) -> None:
    folder, results, truth = files
    expected = numbers(folder, "gt.json", "results.json")
    spelt = [row | {"category_id": "1", "image_id": float(row["image_id"])} for row in results]
    (folder / "spelt.json").write_text(json.dumps(spelt))
    assert numbers(folder, "gt.json", "spelt.json") == expected
    people = [row | {"category_id": "1", "id": float(row["id"])} for row in truth["annotations"]]
    categories = [row | {"id": "1"} for row in truth["categories"]]
    images = [row | {"id": float(row["id"])} for row in truth["images"]]
    (folder / "spelt_gt.json").write_text(
        json.dumps(truth | {"annotations": people, "categories": categories, "images": images})
    )
    assert read_coco_truth(folder / "spelt_gt.json").category_id == 1
    assert numbers(folder, "spelt_gt.json", "spelt.json") == expected
    boxes = [{"image_id": 1268.0, "category_id": "1", "bbox": [1, 2, 30, 40], "score": 0.5}]
    (folder / "boxes.json").write_text(json.dumps(boxes))
    assert boxes_from_detections(folder / "boxes.json").image_id.tolist() == [1268]


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("category_id", "person", "field 'category_id': expected a whole number, got the text 'person'"),
        ("category_id", 1.5, "field 'category_id': expected a whole number, got 1.5"),
        ("image_id", 2.0**60, "field 'image_id': expected a whole number"),  # not exact
        ("image_id", True, "field 'image_id': expected a whole number, got true"),
        ("track_id", "3", "field 'track_id': expected a whole number, got the text '3'"),
    ],
)
def test_what_is_no_whole_number_is_named(files, field: str, value: object, message: str) -> None:
    folder, results, _ = files
    results[0][field] = value
    (folder / "results.json").write_text(json.dumps(results))
    with pytest.raises(InputError, match=message):
        read_results(folder / "results.json")


def test_a_mark_before_utf8_is_no_fault(files) -> None:
    folder, results, truth = files
    expected = numbers(folder, "gt.json", "results.json")
    skeleton = {"name": "mine", "keypoints": list(COCO_17.keypoints), "sigmas": COCO_17.sigmas.tolist()}
    for name, value in (("gt", truth), ("results", results), ("skeleton", skeleton)):
        (folder / f"marked_{name}.json").write_text(json.dumps(value), "utf-8-sig")
    options = ("--skeleton", folder / "marked_skeleton.json")
    assert numbers(folder, "marked_gt.json", "marked_results.json", *options) == expected
    assert run("convert", folder / "results.json", "--out", folder / "results.csv") == 0
    (folder / "marked.csv").write_text((folder / "results.csv").read_text(), "utf-8-sig")
    assert numbers(folder, "marked_gt.json", "marked.csv") == expected
    assert run("convert", folder / "marked_gt.json", "--out", folder / "gt.parquet") == 0


def test_of_several_categories_the_one_with_people_is_read(files) -> None:
    folder, _, truth = files
    horse = truth["categories"][0] | {"id": 2, "name": "horse"}
    more = truth | {"categories": [*truth["categories"], horse]}
    (folder / "more.json").write_text(json.dumps(more))
    truth_file = read_coco_truth(folder / "more.json")
    assert truth_file.category_id == 1 and len(truth_file.truth) == len(truth["annotations"])
    more["annotations"] = [truth["annotations"][0] | {"category_id": 2}, *truth["annotations"][1:]]
    (folder / "more.json").write_text(json.dumps(more))
    with pytest.raises(InputError, match=r"several categories \(person, horse\), expected one"):
        read_coco_truth(folder / "more.json")
    more["categories"][1] = horse | {"name": "person"}
    (folder / "more.json").write_text(json.dumps(more))
    with pytest.raises(InputError, match="several categories are 'person'"):
        read_coco_truth(folder / "more.json", "person")


def saved(write: Any, *arguments: Any, **named: Any) -> bytes:
    file = io.BytesIO()
    write(file, *arguments, **named)
    return file.getvalue()


NAMED = {
    "a.npy": (saved(np.save, np.zeros((3, 17, 2))), "is an array of NumPy (3 × 17 × 2)"),
    "a.npz": (
        saved(np.savez, keypoints=np.zeros(3), scores=np.ones(2)),
        "is not VideoPose3D's 2D keypoints (data_2d_*.npz): has no array",
    ),
    "mp.csv": (b"frame,nose_x,nose_y,nose_z,nose_visibility\n0,.1,.2,.3,.9\n", "looks like landmarks of MediaPipe"),
    "results.csv": (b"image_id,category_id,keypoints,score\n", "holds no results"),
}


@pytest.mark.parametrize("name", NAMED)
def test_convert_names_what_it_does_not_read(tmp_path: Path, capsys, name: str) -> None:
    content, message = NAMED[name]
    (tmp_path / name).write_bytes(content)
    assert run("convert", tmp_path / name, "--out", tmp_path / "out.json") == 2
    error = capsys.readouterr().err
    assert f"{tmp_path / name}: " in error and message in error and error.count("\n") == 1


def test_convert_names_people_in_3d(tmp_path: Path, capsys) -> None:
    poses = Poses3D(np.zeros((2, 17, 3)), frame=np.arange(2), time=np.arange(2) / 25, skeleton=COCO_17)
    for suffix in (".trc", ".csv"):
        write_poses3d(tmp_path / f"run{suffix}", poses)
        assert run("convert", tmp_path / f"run{suffix}", "--out", tmp_path / "out.json") == 2
        assert "in 3D, which trustpose.io.poses3d.read_poses3d reads" in capsys.readouterr().err


def test_a_message_has_at_most_300_characters() -> None:
    message = str(InputError("gt.json: " + "many words " * 100 + "the end"))
    assert len(message) == 300 + len("gt.json: ")
    assert message.startswith("gt.json: many words") and " … " in message and message.endswith("the end")
    assert str(InputError("gt.json: " + "x" * 300)) == "gt.json: " + "x" * 300


def test_whole_bodies_are_converted_whole(data_dir: Path, tmp_path: Path, capsys) -> None:
    """File: layouts/coco/test_coco_wholebody.json."""
    from tests.made_up_results import made_up_results

    gt = data_dir / "layouts/coco/test_coco_wholebody.json"
    if not gt.is_file():
        pytest.skip(f"no layouts at {data_dir}")
    (tmp_path / "results.json").write_text(json.dumps(made_up_results(json.loads(gt.read_text()))))
    name = ("--skeleton", "coco_wholebody133")
    expected = numbers(tmp_path, str(gt), "results.json", *name)
    for options in ((), name, ("--gt", gt, *name)):
        assert run("convert", tmp_path / "results.json", "--out", tmp_path / "whole.json", *options) == 0
        assert "133 keypoints (coco_wholebody133)" in capsys.readouterr().out
        assert numbers(tmp_path, str(gt), "whole.json", *name) == expected
        capsys.readouterr()
    expected = numbers(tmp_path, str(gt), "results.json")
    for options, note in ((("--skeleton", "coco17"), "116 of the file's 133 keypoints, left out"),
                          (("--gt", gt), "keypoints that the ground truth lacks, left out")):  # fmt: skip
        body = tmp_path / "body" / "results.json"  # beside its own skeleton.json
        assert run("convert", tmp_path / "results.json", "--out", body, *options) == 0
        assert note in capsys.readouterr().err
        assert numbers(tmp_path, str(gt), str(body)) == expected
    poses = read_results(tmp_path / "whole.json", keypoint_count=133).poses
    assert isinstance(poses, tp.Poses) and np.abs(poses.xy[:, 17:]).max() > 0


def test_a_table_whose_last_column_is_the_keypoints_is_read(tmp_path: Path) -> None:
    """A line's end is not part of its last column's name."""
    cells = ", ".join(["10, 20, 0.5"] * 17)
    (tmp_path / "poses.csv").write_text(f'image_id,category_id,score,keypoints\n1,1,0.5,"[{cells}]"\n')
    assert len(read_poses(tmp_path / "poses.csv")) == 1
