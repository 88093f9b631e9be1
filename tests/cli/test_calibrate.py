"""`trustpose calibrate` as a command, and `audit` of its output: printed numbers, files, refused input."""

import json
from pathlib import Path

import numpy as np
import pytest

import trustpose as tp
from tests.calibration.cases import as_json, made_up
from trustpose.cli import main
from trustpose.io.coco.results import read_results
from trustpose.poses import write_results


def run(*arguments: str | Path) -> int:
    """Exit code of the command, in this process."""
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """gt.json, results.json of it, others.json of other photos, and one.cal fitted by the command."""
    folder = tmp_path_factory.mktemp("calibrate")
    truth, results = made_up(120)
    (folder / "gt.json").write_text(json.dumps(as_json(truth)))
    write_results(folder / "results.json", results.poses)
    write_results(folder / "others.json", made_up(60, 1)[1].poses)
    code = run(
        "calibrate", "fit", "--gt", folder / "gt.json", "--results", folder / "results.json", "--folds", "2",
        "--draws", "20", "--estimator", "made up", "--out", folder / "one.cal", "--json", folder / "fit.json",
    )  # fmt: skip
    assert code == 0
    return folder


def apply(folder: Path, results: str, out: Path, *more: str) -> int:
    return run(
        "calibrate", "apply", "--calibrator", folder / "one.cal", "--results", folder / results, "--out", out, *more
    )


def test_fit_prints_and_writes_numbers_out_of_fold(folder, tmp_path, capsys) -> None:
    code = run(
        "calibrate", "fit", "--gt", folder / "gt.json", "--results", folder / "results.json", "--folds", "2",
        "--draws", "20", "--method", "isotonic", "--out", tmp_path / "two.cal",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    for name in (
        "out of fold, 2 folds of photos; area: segment",
        "pose r",
        "pose ECE",
        "difference",
        "isotonic was requested",
    ):
        assert name in printed
    assert tp.Calibrator.load(tmp_path / "two.cal").card.method == "isotonic"
    written = json.loads((folder / "fit.json").read_text())
    card = tp.Calibrator.load(folder / "one.cal").card
    assert written["card"]["after"] == card.after and card.estimator == "made up"
    assert written["rescoring"]["gain"] == written["rescoring"]["better"] - written["rescoring"]["own"]


def test_apply_adds_trust_and_touches_nothing_else(folder, tmp_path) -> None:
    assert apply(folder, "others.json", tmp_path / "out.json", "--estimator", "made up") == 0
    before = json.loads((folder / "others.json").read_text())
    after = json.loads((tmp_path / "out.json").read_text())
    expected = tp.Calibrator.load(folder / "one.cal")(read_results(folder / "others.json").poses)
    assert expected.pose_quality is not None and expected.quality is not None
    for index, (old, new) in enumerate(zip(before, after, strict=True)):
        for name in ("image_id", "category_id", "keypoints", "annotation_id"):
            assert new[name] == old[name]
        assert new["bbox"] == pytest.approx(old["bbox"], rel=1e-15)
        assert new["pose_score"] == old["score"]
        assert new["score"] == new["pose_quality"] == expected.pose_quality[index]
        assert new["keypoint_quality"] == expected.quality[index].tolist()
        np.testing.assert_allclose(np.sum(new["visibility"], axis=1), 1, atol=1e-9)
    beside = ["out.errors.json", "out.json", "out.json.calibrator.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == beside


def test_applied_twice_is_applied_once(folder, tmp_path) -> None:
    apply(folder, "others.json", tmp_path / "once.json")
    once = tmp_path / "once.json"
    assert (
        run(
            "calibrate",
            "apply",
            "--calibrator",
            folder / "one.cal",
            "--results",
            once,
            "--out",
            tmp_path / "twice.json",
        )
        == 0
    )
    assert once.read_bytes() == (tmp_path / "twice.json").read_bytes()


def test_audit_shows_what_it_changed(folder, tmp_path, capsys) -> None:
    apply(folder, "results.json", tmp_path / "after.json")
    code = run(
        "audit", "--gt", folder / "gt.json", "--before", folder / "results.json", "--after", tmp_path / "after.json",
        "--calibrator", folder / "one.cal", "--draws", "20", "--json", tmp_path / "audit.json",
    )  # fmt: skip
    printed = capsys.readouterr().out
    assert code == 0
    assert "AP gain +" in printed and "headroom closed" in printed and "pose ECE" in printed
    assert "after.json: the calibrator was fitted on 60 of these photos: these numbers are in-sample, better" in printed
    written = json.loads((tmp_path / "audit.json").read_text())
    assert set(written) == {"before", "after", "change"}
    gain = written["after"]["ap"]["AP"] - written["before"]["ap"]["AP"]
    assert written["change"]["gain"] == pytest.approx(gain, abs=1e-12)
    assert written["after"]["pose"]["ece"] < written["before"]["pose"]["ece"]
    differences = {comparison["metric"]: comparison for comparison in written["after"]["compare"]}
    assert [differences["ap.AP"][end] for end in ("low", "high")] == written["change"]["intervals"]["gain"]
    assert differences["pose.ece"]["high"] < 0
    assert any("was fitted on 60 of these photos" in note for note in written["after"]["notes"])


def test_other_poses_have_no_gain(folder, tmp_path, capsys) -> None:
    results = read_results(folder / "results.json").poses
    write_results(tmp_path / "less.json", results[:50])
    code = run(
        "audit", "--gt", folder / "gt.json", "--before", folder / "results.json", "--after", tmp_path / "less.json",
        "--draws", "0",
    )  # fmt: skip
    message = capsys.readouterr()
    assert code == 0 and "have different poses" in message.err and "AP gain" not in message.out


def test_people_unlike_the_fitted_ones_give_a_warning(folder, tmp_path, capsys) -> None:
    rows = json.loads((folder / "others.json").read_text())
    for row in rows:
        row["keypoints"][2::3] = [score**3 for score in row["keypoints"][2::3]]
    (tmp_path / "strange.json").write_text(json.dumps(rows))
    code = run("calibrate", "apply", "--calibrator", folder / "one.cal", "--results", tmp_path / "strange.json",
               "--out", tmp_path / "out.json")  # fmt: skip
    assert code == 0 and (tmp_path / "out.json").is_file()
    assert "trustpose: warning:" in (message := capsys.readouterr().err) and "another estimator" in message


@pytest.mark.parametrize(
    ("results", "more", "message"),
    [
        ("others.json", ["--estimator", "other"], "was fitted on the estimator 'made up', not on 'other'"),
        ("missing.json", [], "missing.json: no such file"),
        ("boxless.json", [], "boxless.json: poses have no box"),
        ("scaled.json", [], "scaled.json: keypoint scores range from"),
        ("short.json", [], "short.json: poses have 14 keypoints, but the calibrator was fitted on 17"),
    ],
)
def test_invalid_input_gives_one_line_and_no_file(folder, tmp_path, capsys, results, more, message) -> None:
    rows = json.loads((folder / "others.json").read_text())
    for name, change in (
        ("boxless.json", lambda row: row.pop("bbox")),
        ("scaled.json", lambda row: row["keypoints"].__setitem__(slice(2, None, 3), [90.0] * 17)),
        ("short.json", lambda row: row["keypoints"].__delitem__(slice(42, None))),
    ):
        changed = json.loads(json.dumps(rows))
        for row in changed:
            change(row)
        (folder / name).write_text(json.dumps(changed))
    assert apply(folder, results, tmp_path / "out.json", *more) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and error[0].startswith("trustpose: error: ") and message in error[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--before", "results.json"], "--before and --after must be given together"),
        (["--before", "results.json", "--after", "others.json", "--results", "results.json"], "without --results"),
        ([], "expected --results, or --before and --after"),
        (["--results", "results.json", "--calibrator", "gt.json"], "gt.json: is not a calibrator of trustpose"),
    ],
)
def test_an_impossible_audit_gives_one_line(folder, capsys, monkeypatch, arguments, message) -> None:
    monkeypatch.chdir(folder)
    assert run("audit", "--gt", "gt.json", "--draws", "0", *arguments) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert message in error[-1] and error[-1].startswith("trustpose: error: ")


def test_skeleton_and_sigmas_complete_the_ground_truth(folder, tmp_path, capsys) -> None:
    """A ground truth whose category names no keypoints."""
    truth = json.loads((folder / "gt.json").read_text())
    truth["categories"][0]["keypoints"] = []
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    names = list(tp.SKELETONS["coco17"].keypoints)
    (tmp_path / "mine.json").write_text(json.dumps({"name": "mine", "keypoints": [f"my_{name}" for name in names]}))
    files = ["--gt", tmp_path / "gt.json", "--results", folder / "results.json", "--folds", 2, "--draws", 5]
    fit = ["calibrate", "fit", *files, "--method", "platt", "--out", tmp_path / "one.cal"]
    assert run(*fit) == 2
    assert (
        "no published sigmas for these 17 keypoints (from 'keypoint_0' on); give them with --sigmas"
        in capsys.readouterr().err
    )
    assert run(*fit, "--skeleton", "coco17") == 0
    assert tp.Calibrator.load(tmp_path / "one.cal").card.skeleton.keypoints == tuple(names)
    assert run(*fit, "--skeleton", tmp_path / "mine.json", "--sigmas", "0.07") == 0
    card = tp.Calibrator.load(tmp_path / "one.cal").card
    assert (card.keypoints[0], set(card.sigmas)) == ("my_nose", {0.07})
    assert run(*fit, "--skeleton", "crowdpose14") == 2
    assert "expected 42 finite numbers (x, y, v of 14 keypoints), got a list of 51" in capsys.readouterr().err


def test_apply_refuses_another_skeleton_and_other_sigmas(folder, tmp_path, capsys) -> None:
    out = tmp_path / "out.json"
    assert apply(folder, "others.json", out, "--skeleton", "coco17", "--sigmas", "0.05") == 2
    assert "was fitted with other sigmas than --sigmas" in capsys.readouterr().err
    assert apply(folder, "others.json", out, "--skeleton", "posetrack18_17") == 2
    assert "poses and calibrator have different skeletons, 'posetrack18_17'" in capsys.readouterr().err
    assert not out.exists()
    sigmas = ",".join(map(str, tp.SKELETONS["coco17"].sigmas))
    assert apply(folder, "others.json", out, "--skeleton", "coco17", "--sigmas", sigmas) == 0


def test_fit_on_common_photos_and_on_all_categories(folder, tmp_path, capsys) -> None:
    rows = json.loads((folder / "results.json").read_text())
    for row in rows[-6:]:
        row["image_id"] += 1000
        row.pop("annotation_id", None)
    (tmp_path / "results.json").write_text(json.dumps(rows))
    truth = json.loads((folder / "gt.json").read_text())
    truth["categories"].append(truth["categories"][0] | {"id": 2, "name": "statue"})
    for name in ("gt.json", "results.json"):
        value = truth if name == "gt.json" else rows
        for row in value["annotations"] if name == "gt.json" else value:
            row["category_id"] = 1 + row["image_id"] % 2
        (tmp_path / name).write_text(json.dumps(value))
    files = ["--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json", "--folds", 2, "--draws", 5]
    fit = ["calibrate", "fit", *files, "--method", "platt", "--out", tmp_path / "one.cal"]
    assert run(*fit, "--category", "all") == 2
    assert "--common leaves such photos out" in capsys.readouterr().err
    assert run(*fit, "--category", "all", "--common") == 0
    printed = capsys.readouterr().out
    assert "results in photos that are not compared, left out: 6 of" in printed
    card = tp.Calibrator.load(tmp_path / "one.cal").card
    assert card.truth.used == len(rows) - 6


def test_all_categories_print_the_mean_ap(folder, tmp_path, capsys) -> None:
    truth, results = (json.loads((folder / name).read_text()) for name in ("gt.json", "results.json"))
    images = {row["id"]: 1 + i % 2 for i, row in enumerate(truth["images"])}
    for row in (*truth["annotations"], *results):
        row["category_id"] = images[row["image_id"]]
    truth["categories"].append(truth["categories"][0] | {"id": 2, "name": "other"})
    (tmp_path / "gt.json").write_text(json.dumps(truth))
    (tmp_path / "results.json").write_text(json.dumps(results))
    files = ["--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json", "--category", "all"]
    options = ["--folds", "2", "--draws", "20", "--method", "isotonic", "--json", tmp_path / "fit.json"]
    for sigmas in ([], ["--sigmas", "0.3"]):  # AP goes by them too
        capsys.readouterr()
        assert run("calibrate", "fit", *files, *sigmas, *options, "--out", tmp_path / "one.cal") == 0
        printed = capsys.readouterr().out
        assert "AP, headroom closed: means over 2 categories; all other numbers pool them" in printed
        assert run("audit", *files, *sigmas, "--draws", "0", "--json", tmp_path / "audit.json") == 0
        expected = json.loads((tmp_path / "audit.json").read_text())["ap"]["AP"]
        assert json.loads((tmp_path / "fit.json").read_text())["rescoring"]["own"] == pytest.approx(expected)
        assert any(line.split()[1:4:2] == ["AP", f"{expected:.3f}"] for line in printed.splitlines())
