"""Ground truths of other data sets in their own layouts: those that can be audited, and the messages for others.

Files: layouts/ of the data, a few annotations of each data set.
"""

import contextlib
import copy
import importlib
import io
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.cases import run
from tests.coco_cases import pycocotools_numbers
from tests.made_up_results import made_up_results
from trustpose.skeletons import SKELETONS

COCO = "expected a COCO ground truth (images, annotations, categories)"
AUDITED = [  # file, options, skeleton, area
    ("coco/test_coco.json", [], "coco17", "segment"),
    ("coco/test_coco_wholebody.json", [], "coco17", "segment"),
    ("coco/test_coco_wholebody.json", ["--skeleton", "coco_wholebody133"], "coco_wholebody133", "segment"),
    ("aic/test_aic.json", [], "aic14", "box*0.53"),
    ("ap10k/test_ap10k.json", ["--category", "jaguar"], "ap10k17", "segment"),
    ("ap10k/test_ap10k.json", ["--category", "all"], "ap10k17", "segment"),
    ("crowdpose/test_crowdpose.json", [], "crowdpose14", "box*0.53"),
    ("exlpose/test_exlpose.json", [], "crowdpose14", "box*0.53"),
    ("freihand/test_freihand.json", ["--sigmas", "0.03"], "hand21", "segment"),
    ("halpe/test_halpe.json", [], "halpe136", "segment"),
    ("humanart/test_humanart.json", [], "coco17", "segment"),
    ("humanart/test_humanart.json", ["--skeleton", "humanart21"], "humanart21", "segment"),
    ("jhmdb/test_jhmdb_sub1.json", [], "jhmdb15", "box*0.53"),
    ("ochuman/test_ochuman.json", [], "coco17", "segment"),
    ("posetrack18/annotations/test_posetrack18_val.json", [], "posetrack18_17", "box*0.53"),
    ("posetrack18/annotations/val/003418_mpii_test.json", [], "posetrack18_17", "box*0.53"),
    ("posetrack18/annotations/val/009473_mpii_test.json", [], "posetrack18_17", "box*0.53"),
    ("posetrack18/annotations/val/012834_mpii_test.json", [], "posetrack18_17", "box*0.53"),
    ("300w/test_300w.json", ["--skeleton", "face68", "--sigmas", "0.02"], "face68", "segment"),
    ("wflw/test_wflw.json", ["--sigmas", "0.02"], None, "segment"),
]
REFUSED = [
    ("ap10k/test_ap10k.json", "several categories (antelope, argali sheep, bison, buffalo, cow, …), expected one, "
     "chosen by its name or id, or all"),
    ("300w/test_300w.json", "no published sigmas for these 68 keypoints (from 'keypoint_0' on); give them"),
    ("wflw/test_wflw.json", "no published sigmas for these 98 keypoints (from 'keypoint_0' on); give them"),
    ("freihand/test_freihand.json", "no published sigmas for these 21 keypoints (the skeleton hand21)"),
    ("campus/calibration_campus.json", f"holds a camera calibration; {COCO}"),
    ("shelf/calibration_shelf.json", f"holds a camera calibration; {COCO}"),
    ("interhand2.6m/test_interhand2.6m_camera.json", f"holds a camera calibration; {COCO}"),
    ("panoptic_body3d/160906_band1/calibration_160906_band1.json", "holds a camera calibration of CMU Panoptic"),
    ("panoptic_body3d/160906_band2/calibration_160906_band2.json", "holds a camera calibration of CMU Panoptic"),
    ("panoptic_body3d/160906_band1/hdPose3d_stage1_coco19/body3DScene_00000168.json", "holds 3D poses of CMU Panoptic"),
    ("coco/test_coco_det_AP_H_56.json", "holds COCO detections, boxes without keypoints (predict --boxes reads them)"),
    ("crowdpose/test_crowdpose_det_AP_40.json", "holds COCO detections, boxes without keypoints"),
    ("posetrack18/annotations/test_posetrack18_human_detections.json", "holds COCO detections"),
]  # fmt: skip


@pytest.fixture(scope="module")
def layouts(data_dir: Path) -> Path:
    if not (data_dir / "layouts").is_dir():
        pytest.skip(f"no layouts at {data_dir}")
    return data_dir / "layouts"


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def results_for(path: Path, truth: dict[str, Any], options: list[str]) -> list[dict[str, Any]]:
    """Results with the keypoints that the options ask for in the field `keypoints`."""
    results = made_up_results(truth)
    for result in results:
        if "humanart21" in options:
            result["keypoints"] = result["keypoints_21"]
    path.write_text(json.dumps(results))
    return results


@pytest.mark.parametrize(("name", "options", "skeleton", "area"), AUDITED, ids=lambda value: str(value)[:60])
def test_it_audits(layouts: Path, tmp_path: Path, name: str, options: list[str], skeleton: str | None, area) -> None:
    truth = read(layouts / name)
    results_for(tmp_path / "results.json", truth, options)
    files = ["--gt", layouts / name, "--results", tmp_path / "results.json", "--json", tmp_path / "audit.json"]
    assert run("audit", *files, "--draws", 0, *options) == 0
    record = read(tmp_path / "audit.json")
    assert record["area"] == area
    if skeleton is not None:
        assert tuple(record["keypoint_types"]) == SKELETONS[skeleton].keypoints
    assert record["ap"]["AP"] > 0.4  # labels with 2 pixels of noise
    assert record["keypoint"]["n"] > 0


@pytest.mark.parametrize(("name", "message"), REFUSED, ids=[name for name, _ in REFUSED])
def test_other_layouts_are_named_in_one_line(layouts: Path, tmp_path: Path, capsys, name: str, message: str) -> None:
    (tmp_path / "results.json").write_text(
        json.dumps([{"image_id": 1, "category_id": 1, "score": 1, "keypoints": [1] * 51}])
    )
    assert run("audit", "--gt", layouts / name, "--results", tmp_path / "results.json") == 2
    complaint = capsys.readouterr().err
    assert f"{layouts / name}: " in complaint
    assert message in complaint
    assert complaint.count("\n") == 1


@pytest.mark.parametrize("name", ["halpe/test_halpe.json", "humanart/test_humanart.json", "ap10k/test_ap10k.json"])
def test_ap_equals_pycocotools(layouts: Path, tmp_path: Path, name: str) -> None:
    truth = read(layouts / name)
    results = results_for(tmp_path / "results.json", truth, [])
    skeleton = {"halpe": "halpe136", "humanart": "coco17", "ap10k": "ap10k17"}[name.split("/")[0]]
    options = ["--category", "jaguar"] if "ap10k" in name else []
    files = ["--gt", layouts / name, "--results", tmp_path / "results.json", "--json", tmp_path / "audit.json"]
    assert run("audit", *files, "--draws", 0, *options) == 0
    if options:
        truth["categories"] = [category for category in truth["categories"] if category["name"] == "jaguar"]
        of_category = truth["categories"][0]["id"]
        truth["annotations"] = [
            annotation for annotation in truth["annotations"] if annotation["category_id"] == of_category
        ]
        results = [result for result in results if result["category_id"] == of_category]
    for result in results:
        del result["bbox"]
    expected = pycocotools_numbers(copy.deepcopy(truth), results, SKELETONS[skeleton].sigmas)
    ours = [-1 if value is None else value for value in read(tmp_path / "audit.json")["ap"].values()]
    np.testing.assert_allclose(ours[0], expected[0], rtol=0, atol=1e-12)
    np.testing.assert_allclose(ours[5], expected[5], rtol=0, atol=1e-12)


def test_whole_bodies_equal_xtcocotools(layouts: Path, tmp_path: Path) -> None:
    pytest.importorskip("xtcocotools", reason="xtcocotools can be had for Python 3.11 only")
    # its wheel is compiled for numpy 1; only its mask code is, which keypoints do not use
    sys.modules["xtcocotools._mask"] = importlib.import_module("pycocotools._mask")
    xtcocotools_coco = importlib.import_module("xtcocotools.coco")
    from xtcocotools.cocoeval import COCOeval

    name, skeleton = layouts / "coco/test_coco_wholebody.json", SKELETONS["coco_wholebody133"]
    results_for(tmp_path / "results.json", read(name), [])
    with contextlib.redirect_stdout(io.StringIO()), pytest.warns(UserWarning, match="wholebody_score"):
        coco = xtcocotools_coco.COCO(str(name))
        evaluation = COCOeval(
            coco, coco.loadRes(str(tmp_path / "results.json")), "keypoints_wholebody", skeleton.sigmas, use_area=True
        )
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    files = ["--gt", name, "--results", tmp_path / "results.json", "--json", tmp_path / "audit.json"]
    assert run("audit", *files, "--draws", 0, "--skeleton", "coco_wholebody133") == 0
    ours = read(tmp_path / "audit.json")["ap"]
    assert (ours["AP"], ours["AR"]) == pytest.approx((evaluation.stats[0], evaluation.stats[5]), abs=1e-12)


def test_a_skeleton_file_serves_where_a_name_does(layouts: Path, tmp_path: Path) -> None:
    name = layouts / "wflw/test_wflw.json"
    skeleton = {"name": "wflw98", "keypoints": [f"point_{i}" for i in range(98)], "sigmas": [0.02] * 98}
    (tmp_path / "wflw98.json").write_text(json.dumps(skeleton))
    results_for(tmp_path / "results.json", read(name), [])
    files = ["--gt", name, "--results", tmp_path / "results.json", "--json", tmp_path / "audit.json", "--draws", 0]
    assert run("audit", *files, "--skeleton", tmp_path / "wflw98.json") == 0
    by_file = read(tmp_path / "audit.json")
    assert "point_97" in by_file["keypoint_types"]
    assert run("audit", *files, "--sigmas", "0.02") == 0
    assert read(tmp_path / "audit.json")["ap"] == by_file["ap"]
    source = ["convert", tmp_path / "results.json", "--format", "coco", "--out", tmp_path / "out.json"]
    assert run(*source, "--gt", name, "--skeleton", tmp_path / "wflw98.json") == 2  # called otherwise than the labels
    assert run(*source, "--skeleton", tmp_path / "wflw98.json") == 0


@pytest.mark.parametrize("name", ["halpe/test_halpe.json", "humanart/test_humanart.json"])
def test_assumptions_are_reported(layouts: Path, tmp_path: Path, capsys, name: str) -> None:
    results_for(tmp_path / "results.json", read(layouts / name), [])
    assert run("audit", "--gt", layouts / name, "--results", tmp_path / "results.json", "--draws", 0) == 0
    message = " ".join(capsys.readouterr().out.split())
    if "halpe" in name:
        assert "annotations have 136 keypoints, the category names none: treated as halpe136" in message
        assert "note: sigmas: Halpe evaluation (Fang-Haoshu/Halpe-FullBody" in message
    else:
        assert "annotations have 17 keypoints, the category names 21: treated as coco17" in message
