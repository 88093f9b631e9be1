"""`Images`: rows found by id, sliced, read from and written as a ground truth's images."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from trustpose.images import Images
from trustpose.io.coco.truth import read_coco_truth

IMAGES = Images(
    np.array([7, 3, 9]),
    ["a.jpg", None, "c.jpg"],
    np.array([640, 0, 320]),
    np.array([480, 0, 240]),
    camera=["left", "left", None],
    time=np.array([0.0, 0.04, np.nan]),
)


def test_what_is_unknown_is_none_and_not_written() -> None:
    assert IMAGES.clip is None and IMAGES.crowd_index is None
    assert IMAGES.to_json() == [
        {"id": 7, "file_name": "a.jpg", "width": 640, "height": 480, "camera": "left", "time": 0.0},
        {"id": 3, "camera": "left", "time": 0.04},
        {"id": 9, "file_name": "c.jpg", "width": 320, "height": 240},
    ]
    assert Images(np.array([1, 2])).to_json() == [{"id": 1}, {"id": 2}]
    assert IMAGES.names() == {7: "a.jpg", 9: "c.jpg"} and Images(np.array([1])).names() == {}


def test_images_are_found_by_id_and_sliced() -> None:
    assert IMAGES.rows_of(np.array([9, 4, 7])).tolist() == [2, -1, 0]
    assert IMAGES.sizes(np.array([9, 4, 7, 3])).tolist() == [[320, 240], [0, 0], [640, 480], [0, 0]]
    assert Images(np.array([1])).sizes(np.array([1, 2])).tolist() == [[0, 0], [0, 0]]
    assert Images(np.zeros(0, int)).sizes(np.array([1])).tolist() == [[0, 0]]
    some = IMAGES.by_id(np.array([9, 7]))
    assert some.id.tolist() == [9, 7] and list(some.names().values()) == ["c.jpg", "a.jpg"]
    with pytest.raises(KeyError, match="image 4 is not among the 3 images"):
        IMAGES.by_id(np.array([9, 4]))
    part = IMAGES[1:]
    assert len(part) == 2 and part.width is not None and IMAGES.width is not None
    assert np.shares_memory(part.width, IMAGES.width)


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"id": np.array([1, 2, 1])}, r"Images\.id: 1 occurs twice"),
        ({"id": np.array([1, 2]), "file_name": ["a"]}, r"Images\.file_name: expected 2 texts, got \(1,\)"),
        ({"id": np.array([1]), "width": np.array([1.5])}, r"Images\.width: expected 1 numbers, got \(1,\) of float64"),
    ],
)
def test_wrong_columns_are_named(monkeypatch: pytest.MonkeyPatch, columns: dict[str, Any], message: str) -> None:
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # as for users, who do not run its checks
    with pytest.raises(ValueError, match=message):
        Images(**columns)


def test_a_ground_truth_has_camera_time_and_clip(tmp_path: Path) -> None:
    images = [
        {"id": 1, "file_name": "1.jpg", "camera": "left", "time": 0.5, "vid_id": "000342"},
        {"id": 2, "camera": 3, "time": "noon", "clip": "b"},  # of another meaning: left aside
    ]
    value = {"images": images, "annotations": [], "categories": [{"id": 1, "keypoints": ["nose"]}]}
    path = tmp_path / "gt.json"
    path.write_text(json.dumps(value))
    reread_images = read_coco_truth(path).images
    assert reread_images.width is None and reread_images.crowd_index is None
    assert reread_images.to_json() == [
        {"id": 1, "file_name": "1.jpg", "camera": "left", "time": 0.5, "clip": "000342"},
        {"id": 2, "clip": "b"},
    ]
