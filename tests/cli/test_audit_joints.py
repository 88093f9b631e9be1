"""`trustpose audit` and `convert` on data sets of single people: PCKh on MPII, errors, the page.

Files: mpii/ (ground truth and real predictions), flic/valid.h5 of the data.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

import trustpose as tp
from tests.cli.cases import run, small_files
from trustpose.datasets.ground_truth import read_ground_truth
from trustpose.files import write_json
from trustpose.skeletons import LSP_14

# of mmpose's keypoint_pck_accuracy run on the same arrays: the means of left and right in percent, docs/parity.md
GROUPS = {"head": 96.7, "shoulder": 94.7, "elbow": 88.5, "wrist": 83.4, "hip": 87.5, "knee": 83.1, "ankle": 79.1}
PROMISED = ("ap", "oracle_ap", "headroom", "pose", "keypoint", "visibility", "errors", "compare", "occlusion", "area",
            "score_field", "inputs", "notes")  # fmt: skip


@pytest.fixture(scope="module")
def mpii(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The ground truth, and both files of predictions converted."""
    if not (data_dir / "mpii").is_dir():
        pytest.skip(f"no mpii/ at {data_dir}")
    folder, gt = tmp_path_factory.mktemp("mpii"), data_dir / "mpii/annot/valid.h5"
    for name in ("ours", "example"):
        assert (
            run("convert", data_dir / f"mpii/preds/valid-{name}.h5", "--gt", gt, "--out", folder / f"{name}.json") == 0
        )
    return {"gt": gt, "ours": folder / "ours.json", "example": folder / "example.json"}


def test_pckh_of_published_predictions(mpii: dict[str, Path], tmp_path: Path, capsys) -> None:
    files = ["--gt", mpii["gt"], "--results", mpii["ours"], mpii["example"], "--draws", 20]
    assert run("audit", *files, "--json", tmp_path / "out.json", "--report", tmp_path / "page.html") == 0
    printed = capsys.readouterr().out
    assert "PCKh@0.5" in printed
    assert "-0.041" in printed
    ours, example = json.loads((tmp_path / "out.json").read_text())
    assert set(PROMISED) <= set(ours)
    assert ours["ap"] is None
    assert "no published sigmas" in ours["notes"][-1]
    pckh = ours["localisation"]["pckh"]
    assert {name: round(100 * rate, 1) for name, rate in pckh["groups"].items()} == GROUPS
    assert round(pckh["all"], 3) == 0.890
    assert round(example["localisation"]["pckh"]["all"], 3) == 0.850
    assert pckh["parts"]["pelvis"]["n"] == 2878
    assert pckh["people"] == 2958
    low, high = ours["intervals"]["localisation.pckh.total"]
    assert low < pckh["total"] < high
    paired = next(comparison for comparison in example["compare"] if comparison["metric"] == "localisation.pckh.total")
    assert paired["high"] < 0  # worse in every draw, although single intervals are wide
    page = (tmp_path / "page.html").read_text()
    assert page.count("<svg") == 8
    assert "0.890" in page
    assert page.count("2,958 people.") == 1  # said once where all files have the same
    assert "Total, less that of" in page
    record = tp.audit(mpii["gt"], mpii["ours"], draws=20)  # the same in Python
    assert record.as_dict() == ours | {"compare": []}
    assert "PCKh@0.5 0.880" in repr(record)
    assert record.number("ap.AP") is None
    with pytest.raises(AttributeError, match="ap: needs OKS"):
        _ = record.ap


def test_a_skeleton_with_sigmas_has_both(tmp_path: Path) -> None:
    small_files(tmp_path)
    files = ["--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json", "--draws", 5]
    files += ["--json", tmp_path / "out.json", "--report", tmp_path / "page.html"]
    assert run("audit", *files, "--metric", "pck-box@0.1", "--metric", "pcp,pcp-loose") == 0
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["ap"]["AP"] is not None
    assert list(record["localisation"]) == ["pck-box", "pcp", "pcp-loose"]
    assert record["localisation"]["pck-box"]["fraction"] == 0.1
    assert record["localisation"]["pcp-loose"]["total"] >= record["localisation"]["pcp"]["total"]
    assert "Are the joints in the right place?" in (tmp_path / "page.html").read_text()
    assert run("audit", *files) == 0
    assert json.loads((tmp_path / "out.json").read_text())["localisation"] == {}
    assert "Are the joints in the right place?" not in (tmp_path / "page.html").read_text()


def lsp_people(folder: Path) -> list[dict[str, Any]]:
    """LSP's file of three people, and perfect results of them."""
    joints = np.random.default_rng(0).uniform(20, 200, (3, 14, 3))
    joints[2] = 0
    savemat(folder / "joints.mat", {"joints": joints})
    return [
        {"image_id": person + 1, "category_id": 1, "annotation_id": person + 1, "score": 0.5,
         "keypoints": np.c_[joints[:2, :, person].T, np.ones(14)].ravel().tolist()}
        for person in range(3)
    ]  # fmt: skip


def test_what_is_not_found_is_wrong(tmp_path: Path) -> None:
    results = lsp_people(tmp_path)
    wrist = LSP_14.index("left_wrist")
    results[0]["keypoints"][3 * wrist : 3 * wrist + 3] = [0, 0, 0]  # missing, as OpenPose writes it
    write_json(tmp_path / "results.json", results[:2])  # none of the third person
    files = ["--gt", tmp_path / "joints.mat", "--results", tmp_path / "results.json", "--draws", 0]
    assert run("audit", *files, "--json", tmp_path / "out.json") == 0
    record = json.loads((tmp_path / "out.json").read_text())
    pck_torso = record["localisation"]["pck-torso"]
    assert pck_torso["parts"]["left_wrist"] == {"rate": pytest.approx(1 / 3), "n": 3}
    assert pck_torso["parts"]["head_top"] == {"rate": pytest.approx(2 / 3), "n": 3}
    assert pck_torso["without_result"] == 1
    assert any("1 of 3 people have no result" in note for note in record["notes"])
    assert record["localisation"]["pcp"]["parts"]["left_lower_arm"]["rate"] == pytest.approx(1 / 3)


def test_head_boxes_of_size_0_are_left_out_and_said(tmp_path: Path) -> None:
    joints = np.random.default_rng(0).uniform(20, 200, (3, 16, 2))
    common = {"joints_vis": [1] * 16, "center": [100, 100], "scale": 1.0}
    people = [common | {"image": f"{index}.jpg", "joints": joints[index].tolist()} for index in range(3)]
    write_json(tmp_path / "valid.json", people)
    heads = np.tile([[[0.0], [0]], [[30], [40]]], (1, 1, 3))
    heads[1, :, 1] = 0
    savemat(tmp_path / "gt_valid.mat", {"headboxes_src": heads})
    truth = read_ground_truth(tmp_path / "valid.json").truth
    results = [
        {"image_id": int(truth.image_id[index]), "category_id": 1, "annotation_id": int(truth.annotation_id[index]),
         "score": 0.5, "keypoints": np.c_[truth.xy[index], np.ones(16)].ravel().tolist()}
        for index in range(3)
    ]  # fmt: skip
    write_json(tmp_path / "results.json", results)
    files = ["--gt", tmp_path / "valid.json", "--results", tmp_path / "results.json", "--draws", 0]
    assert run("audit", *files, "--json", tmp_path / "out.json") == 0
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["localisation"]["pckh"]["people"] == 2 and record["localisation"]["pckh"]["all"] == 1.0
    note = next(note for note in record["notes"] if "1 of 3 people are left out" in note)
    assert "HRNet's evaluation counts all of a person's joints as wrong" in note


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--metric", "pckh"], "joints.mat: has no head sizes, which --metric pckh needs"),
        (["--metric", "pkc"], "--metric: expected pckh, pck, pck-box, pck-torso, pdj, fck, nme, pcp, pcp-loose"),
        (["--metric", "pck@-1"], "--metric pck@-1: expected a fraction above 0"),
        (["--metric", "pck,pck@0.1"], "--metric: pck is given twice"),
        (["--category", "person"], "joints.mat: has no categories"),
        (["--skeleton", "mpii16"], "joints.mat: has a different skeleton from --skeleton"),
    ],
)
def test_errors_are_one_line(tmp_path: Path, capsys, options: list[str], message: str) -> None:
    write_json(tmp_path / "results.json", lsp_people(tmp_path))
    files = ["--gt", tmp_path / "joints.mat", "--results", tmp_path / "results.json"]
    assert run("audit", *files, "--draws", 0, *options) == 2
    complaint = capsys.readouterr().err
    assert message in complaint
    assert complaint.count("\n") == 1


def test_without_sigmas_there_is_nothing_to_calibrate(tmp_path: Path, capsys) -> None:
    example = {"filepath": "film-00000001.jpg", "coords": np.full((2, 29), 9.0), "imgdims": [48, 64, 3]}
    savemat(tmp_path / "examples.mat", {"examples": example})
    write_json(tmp_path / "results.json", [])
    files = ["--gt", tmp_path / "examples.mat", "--results", tmp_path / "results.json"]
    assert run("audit", *files, "--calibrator", "none.json") == 2
    assert "--before, --after and --calibrator need OKS: give --sigmas" in capsys.readouterr().err
    assert run("audit", *files, "--images", tmp_path, "--report", tmp_path / "page.html") == 2
    assert "--images, the gallery, chooses people by OKS: give --sigmas" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((3, 14, 2)), None),
        (np.full((2, 14, 3), np.nan), None),
        (np.zeros((4, 14, 2)), "variable 'preds': expected 3 × 14 × 2 numbers"),
    ],
)
def test_arrays_without_names(tmp_path: Path, capsys, array: np.ndarray, message: str | None) -> None:
    lsp_people(tmp_path)
    savemat(tmp_path / "preds.mat", {"preds": array})
    convert = ["convert", tmp_path / "preds.mat", "--out", tmp_path / "out.json"]
    assert run(*convert, "--gt", tmp_path / "joints.mat") == (0 if message is None else 2)
    assert (message or "") in capsys.readouterr().err
    if message is None:
        rows = json.loads((tmp_path / "out.json").read_text())
        assert [row["annotation_id"] for row in rows] == [1, 2, 3]
    assert run(*convert) == 2
    assert "give it with --gt" in capsys.readouterr().err


def test_flic_by_its_own_metrics(data_dir: Path, tmp_path: Path) -> None:
    if not (data_dir / "flic").is_dir():
        pytest.skip(f"no flic/ at {data_dir}")
    truth = read_ground_truth(data_dir / "flic/valid.h5").truth
    moved = truth.xy + np.array([6.0, 8.0])  # ten pixels
    torso = np.linalg.norm(truth.xy[:, 0] - truth.xy[:, 7], axis=1)
    savemat(tmp_path / "preds.mat", {"preds": moved})
    gt = ["--gt", data_dir / "flic/valid.h5"]
    assert run("convert", tmp_path / "preds.mat", *gt, "--out", tmp_path / "results.json") == 0
    files = [*gt, "--results", tmp_path / "results.json", "--draws", 0, "--json", tmp_path / "out.json"]
    assert run("audit", *files) == 0
    localisation = json.loads((tmp_path / "out.json").read_text())["localisation"]
    assert list(localisation) == ["fck", "pdj", "pcp"]
    assert localisation["fck"]["total"] == pytest.approx((10 <= 0.05 * torso).mean())
    assert localisation["pdj"]["total"] == pytest.approx((10 <= 0.2 * torso).mean())
