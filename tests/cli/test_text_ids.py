"""Ground truths with texts for image ids, where their photos are predicted on or trained on."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cli.cases import run
from tests.cli.predict_cases import case

__all__ = ["case"]


def test_text_ids_are_in_the_results_of_a_prediction(case: tuple[Path, Any]) -> None:
    path, _ = case
    truth, boxes = (json.loads((path / name).read_text()) for name in ("gt.json", "boxes.json"))
    for row in truth["images"]:
        row["id"] = f"photos/{row['id']}"
    for row in (*truth["annotations"], *boxes):
        row["image_id"] = f"photos/{row['image_id']}"
    (path / "gt.json").write_text(json.dumps(truth))
    (path / "boxes.json").write_text(json.dumps(boxes))
    common = [
        "--gt",
        path / "gt.json",
        "--no-draw",
        "--model",
        path / "colours.onnx",
        "--out",
        path / "out",
        "--overwrite",
    ]
    for options in ([], ["--boxes", path / "boxes.json"]):
        assert run("predict", path / "photos", *common, *options) == 0
        rows = json.loads((path / "out" / "results.json").read_text())
        assert {row["image_id"] for row in rows} == {"photos/11", "photos/12"}


def test_photos_without_boxes_are_named_by_their_text_ids(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the train extra is not installed")
    from trustpose.training.people import open_photos

    images = [{"id": f"set/{i}", "file_name": f"{i}.png", "width": 9, "height": 9} for i in range(3)]
    images[1]["all_people_boxed"] = False
    people = [
        {"id": i, "image_id": f"set/{i}", "category_id": 1, "iscrowd": 0, "area": 9, "bbox": [1, 1, 3, 3],
         "num_keypoints": 0, "keypoints": [0] * 51} for i in range(3)
    ]  # fmt: skip
    truth = {"images": images, "annotations": people, "categories": [{"id": 1, "name": "person"}]}
    (tmp_path / "train_gt.json").write_text(json.dumps(truth))
    (tmp_path / "train").mkdir()
    for image in images:
        (tmp_path / "train" / image["file_name"]).touch()
    assert open_photos(tmp_path)[1].tolist() == [True, False, True]
