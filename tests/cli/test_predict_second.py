"""Calibrators in `trustpose predict`, and networks as second opinions there and in `trustpose calibrate`."""

import json
from pathlib import Path

import numpy as np
import pytest

import trustpose as tp
from tests.cli.test_calibrate import run
from trustpose.calibration import trees
from trustpose.calibration.selection import Trial
from trustpose.io.coco.results import read_results
from trustpose.predict.journal import Journal

pytestmark = pytest.mark.usefixtures("each_run_once")

PHOTOS = 12


@pytest.fixture(scope="module")
def folder(data_dir, tmp_path_factory) -> Path:
    """Photos of `dev` with gt.json, SimplePose's results on them, one.cal fitted alone and two.cal with TinyPose."""
    folder = tmp_path_factory.mktemp("opinions")
    truth = json.loads((data_dir / "coco" / "dev_gt.json").read_text())
    people = {annotation["image_id"] for annotation in truth["annotations"] if annotation["num_keypoints"]}
    truth["images"] = [image for image in truth["images"] if image["id"] in people][:PHOTOS]
    ids = {image["id"] for image in truth["images"]}
    truth["annotations"] = [annotation for annotation in truth["annotations"] if annotation["image_id"] in ids]
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "photos").mkdir()
    for image in truth["images"]:
        (folder / "photos" / image["file_name"]).symlink_to(data_dir / "coco" / "dev" / image["file_name"])
    assert predict(folder, data_dir, "out") == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "POSE_TREES", 10)
        patch.setattr(trees, "KEYPOINT_TREES", 10)
        patch.setattr("trustpose.calibration.selection._is_worth", _all_of_it)  # too few people to tell
        common = ("calibrate", "fit", "--gt", folder / "gt.json", "--results", folder / "out" / "results.json",
                  "--folds", "2", "--draws", "5", "--method", "trees")  # fmt: skip
        second = ("--second", data_dir / "small-networks" / "tinypose.onnx", "--images", folder / "photos")
        assert run(*common, "--out", folder / "one.cal") == 0
        assert run(*common, "--out", folder / "two.cal", *second) == 0
    return folder


def _all_of_it(_before: Trial, _after: Trial) -> bool:
    return True


def predict(folder: Path, data_dir: Path, out: str, *more: str | Path, network: str = "simplepose") -> int:
    return run(
        "predict", folder / "photos", "--model", data_dir / "networks" / f"{network}.onnx", "--gt", folder / "gt.json",
        "--no-draw", "--out", folder / out, *more,
    )  # fmt: skip


def rows_of(path: Path) -> list[dict]:
    return json.loads((path / "results.json").read_text())


def test_predict_gives_what_apply_gives(folder, data_dir) -> None:
    """With the second network run on the photos by both commands, with its results file, and from Python."""
    tiny = data_dir / "small-networks" / "tinypose.onnx"
    assert predict(folder, data_dir, "trusted", "--calibrator", folder / "two.cal", "--second", tiny) == 0
    at_once = rows_of(folder / "trusted")
    common = ("calibrate", "apply", "--calibrator", folder / "two.cal", "--results", folder / "out" / "results.json")
    assert run(*common, "--second", tiny, "--images", folder / "photos", "--out", folder / "later.json") == 0
    assert predict(folder, data_dir, "tiny", network="../small-networks/tinypose") == 0
    file = folder / "tiny" / "results.json"
    assert run(*common, "--second", file, "--out", folder / "from_file.json") == 0
    for name in ("later.json", "from_file.json"):
        rows = json.loads((folder / name).read_text())
        for field in ("keypoint_quality", "visibility", "pose_quality", "score"):
            expected = np.array([row[field] for row in rows])
            np.testing.assert_allclose(np.array([row[field] for row in at_once]), expected, atol=1e-6)
    first = at_once[0]["image_id"]
    mine = [row for row in at_once if row["image_id"] == first]
    box = np.array([row["bbox"] for row in mine])
    photo = next((folder / "photos").glob(f"*{first}.jpg"))
    predictor = tp.load(
        data_dir / "networks" / "simplepose.onnx", calibrator=folder / "two.cal", second=str(tiny), detector="whole"
    )
    poses = predictor(photo, boxes=np.concatenate([box[:, :2], box[:, :2] + box[:, 2:]], axis=1))
    np.testing.assert_allclose(poses.pose_quality, [row["pose_quality"] for row in mine], atol=1e-5)
    alone = [row["pose_quality"] for row in rows_of(folder / "trusted")]
    assert predict(folder, data_dir, "alone", "--calibrator", folder / "one.cal") == 0
    assert not np.allclose([row["pose_quality"] for row in rows_of(folder / "alone")], alone)


def test_predict_says_what_its_calibrator_was_fitted_on(folder, data_dir, capsys) -> None:
    """As `calibrate apply` does; a run without a calibrator in the same folder removes the record."""
    record = folder / "noted" / "results.json.calibrator.json"
    capsys.readouterr()
    assert predict(folder, data_dir, "noted", "--calibrator", folder / "one.cal") == 0
    assert "was fitted on: if they are the same photos, these numbers are in-sample" in capsys.readouterr().err
    common = ("calibrate", "apply", "--calibrator", folder / "one.cal", "--results", folder / "out" / "results.json")
    assert run(*common, "--out", folder / "noted.json") == 0
    written, applied = (json.loads(path.read_text()) for path in (record, folder / "noted.json.calibrator.json"))
    for name in ("calibrator", "fitted", "fitted_photos"):
        assert written[name] == applied[name]
    assert written["source"] == {"file": None, "sha256": None}
    capsys.readouterr()
    files = ("--gt", folder / "gt.json", "--results", folder / "noted" / "results.json")
    assert run("audit", *files, "--draws", 0) == 0
    assert "one.cal was fitted on" in " ".join(capsys.readouterr().out.split())
    assert predict(folder, data_dir, "noted", "--overwrite") == 0 and not record.exists()


def test_the_second_network_may_find_people_by_itself(folder, data_dir, capsys) -> None:
    """Paired by box: people that the second network misses still get trust."""
    multipose = data_dir / "networks" / "movenet-multipose.onnx"
    poses = read_results(folder / "out" / "results.json").poses
    card = tp.Calibrator.load(folder / "two.cal").card
    assert card.opinions[0].people == len(poses) and card.opinions[0].model
    code = run("calibrate", "fit", "--gt", folder / "gt.json", "--results", folder / "out" / "results.json", "--folds",
               "2", "--draws", "5", "--method", "trees", "--out", folder / "multi.cal", "--second",
               f"multi={multipose}", "--images", folder / "photos")  # fmt: skip
    assert code == 0
    (opinion,) = tp.Calibrator.load(folder / "multi.cal").card.opinions
    assert opinion.name == "multi" and 0.5 * len(poses) < opinion.people < len(poses)
    assert f"second opinion 'multi', {opinion.people} people" in capsys.readouterr().out


def test_left_out_at_fitting_it_is_not_run(folder, tmp_path, monkeypatch) -> None:

    with monkeypatch.context() as patch:
        patch.setattr("trustpose.calibration.selection._is_worth", lambda *_: False)
        patch.setattr(trees, "KEYPOINT_TREES", 5)
        code = run("calibrate", "fit", "--gt", folder / "gt.json", "--results", folder / "out" / "results.json",
                   "--folds", "2", "--draws", "5", "--method", "trees", "--out", tmp_path / "left.cal", "--second",
                   "default", "--images", folder / "photos")  # fmt: skip
        assert code == 0
    (opinion,) = tp.Calibrator.load(tmp_path / "left.cal").card.opinions
    assert opinion.name == "default" and not opinion.kept and opinion.trust
    monkeypatch.setattr("trustpose.predict.calibrated.second_opinions", None)  # would fail if called
    common = ("calibrate", "apply", "--calibrator", tmp_path / "left.cal", "--results", folder / "out" / "results.json")
    assert run(*common, "--out", tmp_path / "plain.json") == 0
    assert run(*common, "--second", "default", "--images", folder / "photos", "--out", tmp_path / "given.json") == 0
    assert (tmp_path / "plain.json").read_bytes() == (tmp_path / "given.json").read_bytes()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--calibrator", "two.cal"], "two.cal: the calibrator was fitted with the second opinion of tinypose.onnx"),
        (
            ["--second", "default"],
            "--second default: only a calibrator that was fitted with it reads it; give --calibrat",
        ),
        (
            ["--calibrator", "one.cal", "--second", "default"],
            "one.cal: second opinion 'default': the calibrator was fi",
        ),
        (
            ["--calibrator", "two.cal", "--second", "SIMPLE"],
            "is not the network that was used at fitting, by its files' fing",
        ),
        (["--calibrator", "none.cal"], "none.cal: no such file"),
    ],
)
def test_predict_refuses(folder, data_dir, capsys, more, message) -> None:
    simple = data_dir / "networks" / "simplepose.onnx"
    more = [folder / one if one.endswith(".cal") else simple if one == "SIMPLE" else one for one in more]
    assert predict(folder, data_dir, "refused", *more) == 2
    assert message in capsys.readouterr().err and not (folder / "refused").exists()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--second", "default"], "--second default: is a network, which looks at the photos: expected --images DIR"),
        (["--images", "photos"], "--images: is for a network as --second, such as --second default"),
        (["--second", "TINY", "--images", "one.cal"], "the folder holds no photos|no photo of image"),
    ],
)
def test_calibrate_refuses(folder, data_dir, tmp_path, capsys, more, message) -> None:
    tiny = data_dir / "small-networks" / "tinypose.onnx"
    (tmp_path / "one.cal").mkdir()
    (tmp_path / "one.cal" / "7.jpg").write_bytes(b"")
    more = [tiny if one == "TINY" else tmp_path / one if one in ("one.cal", "photos") else one for one in more]
    code = run("calibrate", "apply", "--calibrator", folder / "two.cal", "--results", folder / "out" / "results.json",
               "--out", tmp_path / "x.json", *more)  # fmt: skip
    error = capsys.readouterr().err
    assert code == 2 and any(word in error for word in message.split("|"))


def test_resume_needs_the_same_calibrator(folder, data_dir, capsys) -> None:
    assert predict(folder, data_dir, "stopped", "--calibrator", folder / "one.cal") == 0
    journal = folder / "stopped" / "results.json.journal"
    from trustpose.predict.load import load
    from trustpose.predict.options import RunOptions
    from trustpose.predict.run import settings_of

    settings = settings_of(load(data_dir / "networks" / "simplepose.onnx"), RunOptions(gt=folder / "gt.json"))
    with Journal(journal, settings | {"sources": "x"}, is_resumed=False):
        pass
    assert predict(folder, data_dir, "stopped", "--calibrator", folder / "one.cal", "--resume") == 2
    assert "calibrator" in capsys.readouterr().err


def test_a_bundled_calibrator_is_for_its_own_network(folder, data_dir, capsys) -> None:
    assert predict(folder, data_dir, "shipped", "--calibrator", "shipped:simplepose") == 0
    expected = tp.Calibrator.load("shipped:simplepose")(read_results(folder / "out" / "results.json").poses)
    np.testing.assert_allclose([row["pose_quality"] for row in rows_of(folder / "shipped")], expected.pose_quality)
    arguments = ("--calibrator", "shipped:pp-tinypose")
    assert predict(folder, data_dir, "refused", *arguments) == 2
    assert "shipped:pp-tinypose: is for pp-tinypose, but " in capsys.readouterr().err
    assert predict(folder, data_dir, "refused", "--calibrator", "shipped:mediapipe") == 2
    assert predict(folder, data_dir, "refused", *arguments, "--estimator", "simplepose") == 2
    assert "was fitted on the estimator 'pp-tinypose', not on 'simplepose'" in capsys.readouterr().err
    assert predict(folder, data_dir, "refused", "--calibrator", "shipped:none") == 2
    assert not (folder / "refused").exists()
    assert predict(folder, data_dir, "said", *arguments, "--estimator", "pp-tinypose") == 0


def test_apply_takes_a_bundled_calibrator(folder, tmp_path) -> None:
    common = ("calibrate", "apply", "--results", folder / "out" / "results.json", "--out", tmp_path / "out.json")
    assert run(*common, "--calibrator", "shipped:simplepose") == 0
    assert "keypoint_quality" in json.loads((tmp_path / "out.json").read_text())[0]
    assert run(*common, "--calibrator", "shipped:movenet-thunder", "--estimator", "simplepose") == 2


def test_they_are_listed(capsys) -> None:
    assert run("models", "--shipped", "--json") == 0
    rows = {row["model"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows["shipped:movenet-thunder"]["measured"]["r(pose, OKS)"] > 0.85
    assert rows["default"]["gives"]
