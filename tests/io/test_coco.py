"""COCO files in and out: loss-free, as pycocotools reads them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.poses import Poses, write_results

NUMBERS = st.floats(allow_nan=False, allow_infinity=False, width=64, min_value=-1e6, max_value=1e6)
SHARES = st.floats(0, 1)


@st.composite
def extended_rows(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Results rows with every extended field in some or all rows, full-precision numbers throughout."""
    count = draw(st.integers(1, 3))
    drawn = draw(
        st.sets(st.sampled_from(["bbox", "bbox_score", "pose_quality", "quality", "visibility", "ids", "pose"]))
    )
    everywhere = draw(st.booleans())
    rows = []
    for i in range(draw(st.integers(1, 4))):
        row: dict[str, Any] = {
            "image_id": draw(st.integers(0, 2**60)),
            "category_id": draw(st.integers(1, 90)),
            "keypoints": draw(st.lists(NUMBERS, min_size=3 * count, max_size=3 * count)),
            "score": draw(NUMBERS),
        }
        fields: dict[str, Any] = {
            "bbox": {"bbox": [draw(st.integers(-9999, 9999)) / 100, draw(st.integers(-9999, 9999)) / 100]
                     + [draw(st.integers(300, 99999)) / 100 for _ in "wh"]},
            "bbox_score": {"bbox_score": draw(NUMBERS)},
            "pose_quality": {"pose_quality": draw(SHARES)},
            "quality": {"keypoint_quality": [draw(SHARES) for _ in range(count)]},
            "visibility": {"visibility": [[0.25, 0.25, 0.5], [1.0, 0.0, 0.0], [0.1, 0.2, 0.7]][:count]},
            "ids": {"annotation_id": 1000 + i, "track_id": draw(st.integers(0, 2**40))},
            "pose": {"pose_score": draw(NUMBERS)},
        }  # fmt: skip
        for name in sorted(drawn):
            if everywhere or draw(st.booleans()):
                row |= fields[name]
        rows.append(row)
    return rows


@given(extended_rows())
def test_results_survive_the_way_there_and_back(tmp_path_factory: pytest.TempPathFactory, rows) -> None:
    folder = tmp_path_factory.mktemp("results")
    (folder / "in.json").write_text(json.dumps(rows))
    results_file = read_results(folder / "in.json")
    write_results(
        folder / "out.json", results_file.poses, score=results_file.score, category_id=results_file.category_id
    )
    again = json.loads((folder / "out.json").read_text())
    for before, after in zip(rows, again, strict=True):
        if "pose_score" not in before and "pose_score" in after:
            assert after.pop("pose_score") == before["score"]  # the estimator's own, named once there are two
        if "pose_score" in before and "pose_score" not in after:
            assert before["pose_score"] == before["score"]
            after["pose_score"] = before["pose_score"]
        assert after == before


def test_score_is_quality_times_box_score_once_trust_is_known(tmp_path: Path) -> None:
    poses = Poses(
        xy=np.zeros((2, 1, 2)),
        score=np.ones((2, 1)),
        pose_score=np.array([7.0, 8.0]),
        image_id=np.array([1, 2]),
    )
    write_results(tmp_path / "raw.json", poses)
    raw = json.loads((tmp_path / "raw.json").read_text())
    assert [row["score"] for row in raw] == [7.0, 8.0]
    assert "pose_score" not in raw[0]
    known = Poses(
        **{
            **poses.columns(),
            "pose_quality": np.array([0.5, 0.25]),
            "box_score": np.array([0.5, np.nan]),
        }
    )
    write_results(tmp_path / "known.json", known)
    rows = json.loads((tmp_path / "known.json").read_text())
    assert [row["score"] for row in rows] == [0.25, 0.25]
    assert [row["pose_score"] for row in rows] == [7.0, 8.0]
    assert "bbox_score" not in rows[1]


def test_pycocotools_reads_what_is_written(tmp_path: Path, data_dir: Path) -> None:
    from tests.coco_cases import pycocotools_numbers

    truth = data_dir / "coco" / "dev_gt.json"
    original = data_dir / "results" / "simplepose.dev.json"
    results_file = read_results(original, truth=read_coco_truth(truth))
    write_results(tmp_path / "out.json", results_file.poses)
    np.testing.assert_array_equal(
        pycocotools_numbers(str(truth), str(tmp_path / "out.json")), pycocotools_numbers(str(truth), str(original))
    )
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads(original.read_text())


def test_poses_that_coco_cannot_express_are_refused(tmp_path: Path) -> None:
    poses = Poses(xy=np.full((1, 1, 2), np.nan), score=np.ones((1, 1)), pose_score=np.ones(1), image_id=np.array([1]))
    with pytest.raises(ValueError, match="finite"):
        write_results(tmp_path / "x.json", poses)
    with pytest.raises(ValueError, match=r"image_id and Poses\.score"):
        write_results(tmp_path / "x.json", Poses(xy=np.zeros((1, 1, 2))))
    with pytest.raises(ValueError, match="neither pose_quality nor pose_score"):
        write_results(tmp_path / "x.json", Poses(xy=np.zeros((1, 1, 2)), score=np.ones((1, 1)), image_id=np.array([1])))
    assert not list(tmp_path.iterdir())


def test_people_with_only_a_box_have_no_keypoints(data_dir: Path) -> None:
    truth = read_coco_truth(data_dir / "coco" / "dev_gt.json").truth
    raw = json.loads((data_dir / "coco" / "dev_gt.json").read_text())["annotations"]
    assert len(truth) == len(raw) == 990 + 506
    assert truth.num_keypoints is not None and int((truth.num_keypoints > 0).sum()) == 990
    np.testing.assert_array_equal(truth.area_by("file"), [a["area"] for a in raw])
    np.testing.assert_array_equal(truth.area_by("box"), [a["bbox"][2] * a["bbox"][3] for a in raw])
