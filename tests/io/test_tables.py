"""Tables hold the rows of COCO results and nothing is lost on the way there and back."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

import trustpose as tp
from trustpose.extras import install_line
from trustpose.files import InputError
from trustpose.images import Images
from trustpose.io.coco.results import read_results
from trustpose.io.tables import check_format, write_table
from trustpose.poses import Poses, write_results
from trustpose.poses.tables import package
from trustpose.skeletons import COCO_17

RANDOM = np.random.default_rng(0)
VISIBILITY = RANDOM.dirichlet([1, 1, 1], (4, 17))
POSES = Poses(
    xy=np.where(np.arange(17)[:, None] == 3, 0.0, RANDOM.uniform(0, 600, (4, 17, 2))),
    score=np.where(np.arange(17) == 3, 0.0, RANDOM.random((4, 17))),
    pose_score=RANDOM.random(4),
    quality=RANDOM.random((4, 17)),
    visibility=VISIBILITY,
    visibility_label=np.where(np.arange(4)[:, None] == 2, -1, VISIBILITY.argmax(axis=2)).astype(np.int8),
    pose_quality=RANDOM.random(4),
    box=np.array([[0.1, 0.2, 10.3, 20.4]] * 4),
    box_score=np.array([0.5, np.nan, 0.25, 1 / 3]),
    image_id=np.array([1, 1, 2, 3]),
    annotation_id=np.array([7, -1, 8, 9]),
    missing=np.arange(17)[None].repeat(4, 0) == 3,
    skeleton=COCO_17,
)


def same(poses: Poses, other_poses: Poses) -> bool:
    """The same numbers to the last bit, the same fields filled."""
    pairs = zip(poses.columns().values(), other_poses.columns().values(), strict=True)
    return all(a is b is None or (a is not None and b is not None and np.array_equal(a, b, True)) for a, b in pairs)


def test_rows_are_those_that_are_written(tmp_path: Path) -> None:
    write_results(tmp_path / "results.json", POSES)
    assert json.loads((tmp_path / "results.json").read_text()) == POSES.to_coco()
    write_table(tmp_path / "table.json", POSES)
    assert (tmp_path / "table.json").read_bytes() == (tmp_path / "results.json").read_bytes()


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_nothing_is_lost_in_a_table(tmp_path: Path, format_: str) -> None:
    path = tmp_path / f"table.{format_}"
    write_results(tmp_path / "results.json", POSES)
    write_table(path, POSES, format=format_, images=Images(np.array([1, 2]), ["a.jpg", "b.jpg"]))
    by_json, by_table = read_results(tmp_path / "results.json"), read_results(path)
    assert same(by_json.poses, by_table.poses)
    np.testing.assert_array_equal(by_json.score, by_table.score)
    assert by_table.poses.missing is not None and by_table.poses.missing[:, 3].all()


@pytest.mark.parametrize("format_", ["csv", "parquet"])
def test_the_same_audit_to_the_last_digit(data_dir: Path, tmp_path: Path, format_: str) -> None:
    gt, results = data_dir / "coco/dev_gt.json", data_dir / "results/simplepose.dev.json"
    results_file = read_results(results)
    path = tmp_path / f"table.{format_}"
    write_table(path, results_file.poses, format=format_, score=results_file.score)
    first_fields, second_fields = (tp.audit(gt, file, draws=0).as_dict() for file in (results, path))
    first_fields.pop("inputs"), second_fields.pop("inputs")
    assert first_fields == second_fields


def test_frames_there_and_back() -> None:
    frame = POSES.to_pandas()
    assert len(frame) == 4 and frame["image_id"].tolist() == [1, 1, 2, 3]
    assert (
        str(frame["annotation_id"].dtype) == "Int64"
        and frame["annotation_id"].isna().tolist() == [False, True] + [False] * 2
    )
    back = Poses.from_pandas(frame, COCO_17)
    np.testing.assert_array_equal(back.xy, POSES.xy)
    np.testing.assert_allclose(back.box, POSES.box, rtol=0, atol=0)  # type: ignore[arg-type]
    kept = ("score", "pose_score", "quality", "visibility", "pose_quality", "box_score", "annotation_id", "missing")
    for name in kept:
        np.testing.assert_array_equal(getattr(back, name), getattr(POSES, name))
    assert back.skeleton is COCO_17
    with pytest.raises(ValueError, match="column 'keypoints' is missing, expected one row per pose"):
        Poses.from_pandas(POSES.to_pandas(tidy=True))


def test_a_tidy_table_has_one_row_a_keypoint() -> None:
    frame = POSES.to_pandas(tidy=True)
    assert len(frame) == 4 * 17
    one = frame[(frame["pose"] == 2) & (frame["name"] == "left_wrist")].iloc[0]
    k = COCO_17.keypoints.index("left_wrist")
    assert (one["x"], one["y"], one["keypoint"], one["image_id"]) == (*POSES.xy[2, k], k, 2)
    assert (one["p_absent"], one["p_occluded"], one["p_visible"]) == tuple(VISIBILITY[2, k])
    assert frame[frame["missing"]]["name"].unique().tolist() == [COCO_17.keypoints[3]]
    assert POSES.to_arrow(tidy=True).num_rows == 4 * 17 and POSES.to_arrow().num_rows == 4


def test_texts_stand_for_ids(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    texts = {"image_id": {1: "cam1/1", 2: "cam1/2", 3: "cam2/1"}}
    for format_ in ("csv", "parquet"):
        path = tmp_path / f"table.{format_}"
        write_table(path, POSES, format=format_, texts=texts)
        results_file = read_results(path)
        assert results_file.poses.image_id is not None
        assert [results_file.image_texts.text_of[image_id] for image_id in results_file.poses.image_id.tolist()] == [
            texts["image_id"][value] for value in (1, 1, 2, 3)
        ]


def test_broken_tables_are_named(tmp_path: Path) -> None:
    for name, content, message in (
        ("a.parquet", b"PAR1 and no more", "is not a readable Parquet file"),
        ("a.csv", b"image_id,keypoints\n1\n", "row 0: expected 2 cells, got 1"),
        ("b.csv", b"\xff\xfe", "is not a readable CSV file"),
        ("c.csv", b"pose,x\n1,2\n", "column 'keypoints' is missing, expected one row per pose"),
        ("d.csv", b"image_id,category_id,score,keypoints\n1,1,0.5,[1]\n", "field 'keypoints': expected a list of x, y"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=message):
            read_results(tmp_path / name)
    with pytest.raises(InputError, match="--format: expected one of json, csv, parquet, got 'xlsx'"):
        check_format("xlsx")


def test_missing_packages_are_reported_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("trustpose.poses.tables.import_module", missing)
    with pytest.raises(ImportError, match=re.escape(f"pandas is not installed: {install_line('tables')}")):
        package("pandas")
    with pytest.raises(InputError, match=re.escape(f"pyarrow.parquet is not installed: {install_line('tables')}")):
        check_format("parquet")


def test_no_poses_are_an_empty_table(tmp_path: Path) -> None:
    write_table(tmp_path / "none.csv", None, format="csv")
    write_table(tmp_path / "none.parquet", None, format="parquet")
    with pytest.raises(InputError, match="holds no results"):
        read_results(tmp_path / "none.parquet")
