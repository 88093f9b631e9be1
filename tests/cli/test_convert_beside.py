"""skeleton.json next to the output of `trustpose convert`: read by every --skeleton, and never overwrites a file."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.cases import run
from tests.cli.test_convert import labelled, tool_files
from tests.io import samples
from trustpose.skeletons import COCO_17, SKELETONS, Skeleton, read_skeleton, skeleton_value


@pytest.mark.parametrize("name", SKELETONS)
def test_every_skeleton_comes_back_as_it_was(tmp_path: Path, name: str) -> None:
    one = SKELETONS[name]
    skeleton = read_skeleton(samples.write(tmp_path / "one.json", skeleton_value(one)))
    assert (skeleton.name, skeleton.keypoints, skeleton.edges) == (one.name, one.keypoints, one.edges)
    assert (skeleton.flip_pairs, skeleton.sigmas_source) == (one.flip_pairs, one.sigmas_source)
    assert skeleton.has_sigmas == one.has_sigmas and (not one.has_sigmas or np.array_equal(skeleton.sigmas, one.sigmas))


def test_sigmas_reach_the_audit(tmp_path: Path, capsys) -> None:
    truth, source, out = labelled(tmp_path), tool_files(tmp_path)["mmpose"], tmp_path / "new" / "results.json"
    content = json.loads(truth.read_text())
    for row in content["annotations"]:
        moved = np.array(row["keypoints"], float).reshape(-1, 3)
        moved[:, 0] += 40
        row["keypoints"] = moved.ravel().tolist()
    truth.write_text(json.dumps(content))
    assert run("convert", source, "--gt", truth, "--sigmas", "0.2", "--out", out) == 0
    path = out.parent / "skeleton.json"
    assert f"{path}: 17 keypoints and their sigmas, for --skeleton" in capsys.readouterr().out
    written = json.loads(path.read_text())
    assert written["name"] == "coco17" and written["sigmas"] == [0.2] * 17
    assert ["left_hip", "right_hip"] in written["mirror_pairs"] and len(written["limbs"]) == len(COCO_17.edges)
    numbers = {}
    for name, options in (("file", ["--skeleton", path]), ("given", ["--sigmas", "0.2"]), ("coco", [])):
        record = tmp_path / f"{name}.json"
        run("audit", "--gt", truth, "--results", out, "--draws", "0", "--json", record, *options)
        numbers[name] = json.loads(record.read_text())["ap"]["AP"]
    assert numbers["file"] == numbers["given"] > numbers["coco"]
    assert "note: sigmas: given to trustpose convert, --sigmas" in capsys.readouterr().out.replace("\n", " ")


def test_it_is_written_where_asked_for_and_in_the_order_of_the_results(tmp_path: Path) -> None:
    source, out = tool_files(tmp_path)["mmpose"], tmp_path / "new" / "results.json"
    assert run("convert", source, "--out", out) == 0
    assert [path.name for path in out.parent.iterdir()] == ["results.json"]
    mine = Skeleton("mine17", tuple(f"joint_{i}" for i in range(17)), ((0, 1),))
    file = samples.write(tmp_path / "mine.json", skeleton_value(mine))
    sigmas = [round(0.01 * (i + 1), 2) for i in range(17)]
    assert run("convert", source, "--skeleton", file, "--sigmas", ",".join(map(str, sigmas)), "--out", out) == 0
    skeleton = read_skeleton(out.parent / "skeleton.json")
    assert (skeleton.name, skeleton.keypoints, skeleton.sigmas.tolist()) == (mine.name, mine.keypoints, sigmas)
    turned = samples.ground_truth(COCO_17.keypoints[::-1])
    gt, out = samples.write(tmp_path / "gt.json", turned), tmp_path / "turned" / "results.json"
    assert run("convert", source, "--gt", gt, "--skeleton", "coco17", "--out", out) == 0
    assert read_skeleton(out.parent / "skeleton.json").keypoints == tuple(turned["categories"][0]["keypoints"])


def test_nothing_is_written_over(tmp_path: Path, capsys) -> None:
    source, out = tool_files(tmp_path)["mmpose"], tmp_path / "new" / "results.json"
    json_path = out.parent / "skeleton.json"
    short = {"name": "coco17", "keypoints": list(COCO_17.keypoints)}  # it has limbs and sigmas too
    for foreign in (json.dumps(short), "no JSON", "[]"):
        out.parent.mkdir(exist_ok=True)
        json_path.write_text(foreign)
        assert run("convert", source, "--skeleton", "coco17", "--out", out) == 2
        assert capsys.readouterr().err.startswith(f"trustpose: error: {json_path}")
        assert json_path.read_text() == foreign and not out.exists()
    same = json.dumps(skeleton_value(COCO_17), indent=4)
    json_path.write_text(same)
    assert run("convert", source, "--skeleton", json_path, "--out", out) == 0  # an input that says the same stays
    assert json_path.read_text() == same
    out.unlink()
    assert run("convert", source, "--skeleton", json_path, "--sigmas", "0.1", "--out", out) == 2
    assert "exists and lists other keypoints; choose another folder" in capsys.readouterr().err
    assert json_path.read_text() == same and not out.exists()
    assert run("convert", source, "--sigmas", "0.1", "--out", tmp_path / "other" / "skeleton.json") == 2
    assert "--out expects another name" in capsys.readouterr().err
    for name in ("-", "/dev/null"):
        assert run("convert", source, "--sigmas", "0.1", "--out", name) == 0
        assert "note: --out is not a file next to which the keypoints" in capsys.readouterr().err
    assert not (Path("skeleton.json").exists() or Path("/dev/skeleton.json").exists())


@pytest.mark.parametrize(
    ("sigmas", "message"),
    [
        ("0.1,0.2", "sigmas: expected 17 numbers above 0, one per keypoint, or one for all"),
        ("0.1,x", "--sigmas: expected numbers separated by commas"),
        ("-1", "sigmas: expected 17 numbers above 0"),
        ("nan", "sigmas: expected 17 numbers above 0"),
    ],
)
def test_wrong_sigmas(tmp_path: Path, capsys, sigmas: str, message: str) -> None:
    out = tmp_path / "new" / "results.json"
    assert run("convert", tool_files(tmp_path)["mmpose"], f"--sigmas={sigmas}", "--out", out) == 2
    assert message in capsys.readouterr().err
    assert not out.parent.exists()


def test_photos_that_were_counted_and_keypoints_stand_or_fall_together(tmp_path: Path) -> None:
    source = samples.write(tmp_path / "in" / "bus.json", samples.mmpose_instances(samples.people()))
    out = tmp_path / "new" / "results.json"
    samples.write(out.parent / "skeleton.json", {"name": "mine", "keypoints": ["nose"]})
    assert run("convert", source, "--skeleton", "coco17", "--out", out) == 2
    assert [path.name for path in out.parent.iterdir()] == ["skeleton.json"]
