"""`trustpose convert` as a command: audit reads its output; wrong input gives one line and no file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.cases import as_bytes, mutated, run
from tests.coco_cases import NAMES, pycocotools_numbers
from tests.io import samples
from trustpose.io.coco.results import read_results
from trustpose.skeletons import COCO_17, OPENPOSE_BODY_25

PEOPLE = samples.people()
FIRST = next(iter(samples.PHOTOS))


def labelled(folder: Path) -> Path:
    """A ground truth with the samples' people in the first photo, all keypoints visible."""
    truth = samples.ground_truth()
    assert PEOPLE.box is not None
    for i, (xy, (x0, y0, x1, y1)) in enumerate(zip(PEOPLE.xy, PEOPLE.box, strict=True)):
        truth["annotations"].append({
            "id": i + 1, "image_id": 785, "category_id": 1, "iscrowd": 0, "num_keypoints": 17,
            "keypoints": np.c_[xy, np.full(17, 2)].ravel().tolist(), "area": float((x1 - x0) * (y1 - y0)),
            "bbox": [float(x0), float(y0), float(x1 - x0), float(y1 - y0)],
        })  # fmt: skip
    return samples.write(folder / "gt.json", truth)


def tool_files(folder: Path) -> dict[str, Path]:
    """The people of the first photo in the files of each tool."""
    stem = Path(FIRST).stem
    body = samples.people(skeleton=OPENPOSE_BODY_25)
    for k, name in enumerate(COCO_17.keypoints):
        body.xy[:, OPENPOSE_BODY_25.keypoints.index(name)] = PEOPLE.xy[:, k]
    common = {"image_id": 785, "category_id": 1, "score": 0.5}
    results = [common | {"keypoints": flat} for flat in samples.triplets(PEOPLE)]
    return {
        "mmpose": samples.write(folder / "mm" / f"{stem}.json", samples.mmpose_instances(PEOPLE)),
        "ultralytics": samples.write(folder / "ul" / f"{stem}.txt", samples.ultralytics_labels(PEOPLE, 640, 425)),
        "openpose": samples.write(folder / "op" / f"{stem}_keypoints.json", samples.openpose_frame(body)),
        "alphapose": samples.write(folder / "ap.json", samples.alphapose_results(PEOPLE, FIRST)),
        "detectron2": samples.write(folder / "coco_instances_results.json", results),
    }


@pytest.mark.parametrize("tool", ["mmpose", "ultralytics", "openpose", "alphapose", "detectron2"])
@pytest.mark.parametrize("is_told", [True, False])
def test_right_poses_of_any_tool_get_an_ap_of_one(tmp_path: Path, capsys, tool: str, is_told: bool) -> None:
    truth, source, out = labelled(tmp_path), tool_files(tmp_path)[tool], tmp_path / "new" / "results.json"
    arguments = ["--format", tool] if is_told else []
    assert run("convert", source, "--gt", truth, "--out", out, *arguments) == 0
    message = capsys.readouterr().out
    assert message.startswith(f"{out}: 2 poses in 1 photo, 17 keypoints (coco17), from ")
    assert run("audit", "--gt", truth, "--results", out, "--draws", 0, "--json", tmp_path / "audit.json") == 0
    assert json.loads((tmp_path / "audit.json").read_text())["ap"]["AP"] == pytest.approx(1)


def test_mmposes_real_results_keep_their_ap(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "results" / "mmpose_4imgs_preds.json"
    whole = json.loads((data_dir / "coco" / "val2017_gt.json").read_text())
    photos = {row["image_id"] for row in json.loads(source.read_text())}
    truth = whole | {
        "images": [image for image in whole["images"] if image["id"] in photos],
        "annotations": [annotation for annotation in whole["annotations"] if annotation["image_id"] in photos],
    }
    gt, out = samples.write(tmp_path / "gt.json", truth), tmp_path / "results.json"
    assert run("convert", source, "--format", "mmpose", "--gt", gt, "--out", out) == 0
    assert run("audit", "--gt", gt, "--results", out, "--draws", 0, "--json", tmp_path / "audit.json") == 0
    record = json.loads((tmp_path / "audit.json").read_text())
    reference = dict(zip(NAMES, pycocotools_numbers(truth, json.loads(out.read_text())), strict=True))
    untouched = dict(zip(NAMES, pycocotools_numbers(truth, json.loads(source.read_text())), strict=True))
    assert len(photos) == 4
    assert 0.5 < reference["AP"] < 1
    assert reference == untouched
    assert record["ap"] == pytest.approx(reference, abs=1e-12)


def test_our_own_results_come_back_as_they_were(data_dir: Path, tmp_path: Path) -> None:
    source = data_dir / "results" / "simplepose.dev.json"
    assert run("convert", source, "--out", tmp_path / "out.json") == 0
    assert json.loads((tmp_path / "out.json").read_text()) == json.loads(source.read_text())


def test_boxes_tracks_and_scores_are_kept(tmp_path: Path, capsys) -> None:
    files = tool_files(tmp_path)
    assert run("convert", files["alphapose"], "--out", tmp_path / "a.json") == 0
    rows = json.loads((tmp_path / "a.json").read_text())
    source = json.loads(files["alphapose"].read_text())
    for row, one in zip(rows, source, strict=True):
        assert row["keypoints"] == one["keypoints"]
        assert row["score"] == one["score"]
        assert row["track_id"] == one["idx"][0]
        np.testing.assert_allclose(row["bbox"], one["box"])
    capsys.readouterr()
    assert run("convert", files["mmpose"], "--out", tmp_path / "m.json") == 0
    assert "note: `score` of poses without their own score is the mean" in capsys.readouterr().err
    results_file = read_results(tmp_path / "m.json")
    assert PEOPLE.score is not None
    np.testing.assert_allclose(results_file.score, PEOPLE.score.mean(axis=1))
    np.testing.assert_array_equal(results_file.poses.box_score, PEOPLE.pose_score)


def test_photos_without_numbers_are_counted_and_listed(tmp_path: Path, capsys) -> None:
    for name in ("samsung-neon", "demo"):
        samples.write(tmp_path / "in" / f"{name}.json", samples.mmpose_instances(PEOPLE))
    out, images = tmp_path / "out" / "results.json", tmp_path / "out" / "images.json"
    for _ in range(2):  # the same list again is no obstacle
        assert run("convert", tmp_path / "in", "--out", out) == 0
        message = capsys.readouterr().out.splitlines()
        assert message[0].startswith(f"{out}: 4 poses in 2 photos, ")
        assert message[1:] == [f"{images}: 2 photos, counted from 1 in the order of their names"]
        assert json.loads(images.read_text()) == [
            {"id": 1, "file_name": "demo"},
            {"id": 2, "file_name": "samsung-neon"},
        ]
    poses = read_results(out).poses
    assert poses.image_id is not None
    assert poses.image_id.tolist() == [1, 1, 2, 2]
    out.unlink()
    for foreign in ('[{"id": 1, "file_name": "bus"}]', "no JSON", "[" * 3):
        images.write_text(foreign)
        assert run("convert", tmp_path / "in", "--out", out) == 2
        complaint = capsys.readouterr().err
        assert complaint.splitlines()[-1].startswith(f"trustpose: error: {images}: ")
        assert images.read_text() == foreign
        assert not out.exists()
    images.unlink()
    for text in ("-", "/dev/null"):
        assert run("convert", tmp_path / "in", "--out", text) == 0
        assert "note: photos were counted, but --out is not a file" in capsys.readouterr().err
    assert not (Path("images.json").exists() or Path("/dev/images.json").exists())
    assert run("convert", tmp_path / "in", "--out", images) == 2
    assert "--out expects another name" in capsys.readouterr().err
    assert run("convert", tool_files(tmp_path)["mmpose"], "--out", tmp_path / "n" / "results.json") == 0
    assert [path.name for path in (tmp_path / "n").iterdir()] == ["results.json"]


def test_a_folder_of_frames_with_a_bar_on_a_terminal(tmp_path: Path) -> None:
    frame = samples.openpose_frame(samples.people(skeleton=OPENPOSE_BODY_25))
    for i in range(25):
        samples.write(tmp_path / "frames" / f"clip_{i:012}_keypoints.json", frame if i % 5 else {"people": []})
    command = [sys.executable, "-m", "trustpose", "convert", tmp_path / "frames", "--out", tmp_path / "out.json"]
    done = subprocess.run(command, capture_output=True, text=True, env={"FORCE_COLOR": "1", "TTY_COMPATIBLE": "1"})
    assert done.returncode == 0, done.stderr
    assert "reading" in done.stderr
    assert "40 poses in 20 photos, 25 keypoints (openpose_body25), from openpose" in done.stdout
    plain = subprocess.run(command, capture_output=True, text=True)
    assert "reading" not in plain.stderr


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda a: [*a[:1], "--format", "openpose"], "looks like a file of mmpose, --format expects one of openpose"),
        (lambda a: [*a, "--format", "yolo"], "--format: expected auto, mmpose, ultralytics"),
        (lambda a: [*a, "--skeleton", "body"], "--skeleton: expected one of coco17,"),
        (lambda a: [*a, "--images", "nowhere"], "nowhere: no such directory, --images expects"),
        (lambda a: [*a, "--gt", "nowhere.json"], "nowhere.json: no such file"),
        (lambda _: ["nowhere.json"], "nowhere.json: no such file"),
        (lambda a: [a[0].parent, a[0].parent.parent / "op"], "convert them separately"),
    ],
)
def test_wrong_input_is_one_line_and_no_file(tmp_path: Path, capsys, spoil: Any, message: str) -> None:
    files, out = tool_files(tmp_path), tmp_path / "out" / "results.json"
    code = run("convert", *spoil([files["mmpose"]]), "--out", out)
    complaint = capsys.readouterr().err
    assert code == 2
    assert complaint.startswith("trustpose: error: ")
    assert complaint.count("\n") == 1
    assert message in complaint
    assert not out.parent.exists()


def test_it_never_writes_over_its_input_or_a_folder(tmp_path: Path, capsys) -> None:
    source = tool_files(tmp_path)["mmpose"]
    before = source.read_bytes()
    assert run("convert", source.parent, "--out", source) == 2
    assert "is given as a file to convert" in capsys.readouterr().err
    assert run("convert", source, "--out", tmp_path) == 2
    assert "--out expects a file to write" in capsys.readouterr().err
    assert source.read_bytes() == before


@pytest.mark.parametrize("tool", ["mmpose", "openpose", "alphapose", "detectron2"])
def test_spoilt_files_get_one_clear_line_or_whole_results(tmp_path: Path, capsys, tool: str) -> None:
    """Random damage: no traceback, no incomplete output, and written files can be read."""
    source, out = tool_files(tmp_path)[tool], tmp_path / "out.json"
    value, random, refused = json.loads(source.read_text()), np.random.default_rng(7), 0
    for _ in range(80):
        source.write_bytes(as_bytes(random, mutated(random, value)))
        code = run("convert", source, "--out", out, "--format", random.choice(["auto", tool]))
        complaint = capsys.readouterr().err
        if code == 2:
            refused += 1
            assert complaint.count("\n") == 1
            assert source.name in complaint or "no poses in the given files" in complaint
            assert not out.exists()
        else:
            assert code == 0
            assert len(read_results(out).poses) > 0
            out.unlink()
    assert refused > 25


@pytest.mark.parametrize(
    ("name", "text"),
    [("000000000785.txt", samples.ultralytics_labels(PEOPLE, 640, 425)), ("video.csv", samples.DEEPLABCUT_MULTI)],
)
def test_spoilt_texts_get_one_clear_line_or_whole_results(tmp_path: Path, capsys, name: str, text: str) -> None:
    truth = samples.write(tmp_path / "gt.json", samples.ground_truth())
    options = ["--gt", truth] if name.endswith(".txt") else []
    source, out, random, refused = tmp_path / name, tmp_path / "out.json", np.random.default_rng(3), 0
    pieces = [b"", b",", b"\n", b" ", b"-", b"1e999", b"nan", b"\xff", b"\x00", b'"', b"x", b"9" * 30, b"y,"]
    for _ in range(150):
        content = text.encode()
        for _ in range(random.integers(1, 4)):
            index, length = random.integers(0, len(content)), random.integers(0, 12)
            content = content[:index] + pieces[random.integers(len(pieces))] + content[index + length :]
        source.write_bytes(content)
        code = run("convert", source, "--out", out, *options)
        complaint = capsys.readouterr().err
        if code == 2:
            refused += 1
            assert complaint.count("\n") == 1
            assert name in complaint
            assert not out.exists()
        else:
            assert code == 0
            assert len(read_results(out).poses) > 0
            out.unlink()
    assert refused > 50
