"""`trustpose suppress` and `trustpose predict --suppression`: changed rows, unchanged rows, refused input."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import trustpose as tp
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.cli import main
from trustpose.cli.predict import predict
from trustpose.cli.suppress import suppress
from trustpose.files import InputError
from trustpose.grouping.pose_nms import ALPHAPOSE, ALPHAPOSE_THRESHOLD, PoseDistance
from trustpose.grouping.suppression import suppress as run
from trustpose.grouping.suppression import suppressor
from trustpose.io.coco.results import read_results
from trustpose.predict.suppressed_results import suppress_results
from trustpose.skeletons import COCO_17

SOFT = ("soft-oks-nms", "soft-oks-nms-linear")


def _run(command, *arguments) -> str:
    app = typer.Typer()
    app.command()(command)
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    assert result.exit_code == 0
    return result.output


@pytest.fixture
def results(tmp_path):
    """Two photos, three results: two of one person, the second of them better by pose_quality; one alone."""
    generator = np.random.default_rng(0)
    person = generator.uniform(0, 200, (17, 2))
    near = person + generator.normal(0, 1, (17, 2))
    rows = []
    columns = ((7, person, 0.9, 0.2, 0.5), (7, near, 0.8, 0.7, 0.9), (8, person, 0.1, 0.1, 0.25))
    for image_id, xy, score, quality, box in columns:
        keypoints = np.c_[xy, np.full(17, 0.5)].reshape(-1).tolist()
        row = {"image_id": image_id, "category_id": 1, "keypoints": keypoints, "score": score, "bbox": [0, 0, 200, 200]}
        rows.append(row | {"pose_quality": quality, "bbox_score": box, "centre": [1, 2], "note": "as it was"})
    path = tmp_path / "results.json"
    path.write_text(json.dumps(rows))
    return path, rows


def test_the_better_of_two_is_kept_and_rows_stay_as_they_were(results):
    path, rows = results
    out = path.with_name("out.json")
    output = _run(suppress, "--results", path, "--out", out)
    assert "2 of 3 poses kept, 0 with a lower score" in output
    assert json.loads(out.read_text()) == [rows[0], rows[2]]
    assert sorted(entry.name for entry in path.parent.iterdir()) == ["out.json", "results.json"]


def test_ranked_by_another_field_or_a_product(results):
    path, rows = results
    out = path.with_name("out.json")
    _run(suppress, "--results", path, "--out", out, "--score", "pose_quality")
    expected = [
        rows[index] | {"score": rows[index]["pose_quality"], "pose_score": rows[index]["score"]} for index in (1, 2)
    ]
    assert json.loads(out.read_text()) == expected
    _run(suppress, "--results", path, "--out", out, "--score", "pose_quality * bbox_score", "--method", "none")
    assert [row["score"] for row in json.loads(out.read_text())] == [0.2 * 0.5, 0.7 * 0.9, 0.1 * 0.25]
    poses = read_results(out).poses
    np.testing.assert_array_equal(poses.pose_score, [row["score"] for row in rows])


@pytest.mark.parametrize("method", SOFT)
def test_soft_methods_keep_all_and_lower_scores(results, method):
    path, rows = results
    out = path.with_name("out.json")
    arguments = ("--method", method, "--threshold", "0.5", "--area", "keypoints", "--in-vis-threshold", "0.4")
    output = _run(suppress, "--results", path, "--out", out, *arguments)
    assert "3 of 3 poses kept, 1 with a lower score" in output
    poses = read_results(path).poses
    scores = np.array([row["score"] for row in rows])
    expected = run(poses, scores, method=method, threshold=0.5, sigmas=COCO_17.sigmas, area="keypoints").score
    written = json.loads(out.read_text())
    assert [row["score"] for row in written] == expected.tolist()
    assert written[1]["score"] < 0.5 * rows[1]["score"]
    assert [row["pose_score"] for row in written] == scores.tolist()  # the estimator's own
    again = path.with_name("again.json")
    _run(suppress, "--results", out, "--out", again, *arguments)
    assert [row["pose_score"] for row in json.loads(again.read_text())] == scores.tolist()


def test_the_distance_of_pose_nms(results):
    """σ₁, σ₂ and λ by one option, as in Python; AlphaPose's own by name, with its own threshold."""
    path, rows = results
    out, poses = path.with_name("out.json"), read_results(path).poses
    scores = np.array([row["score"] for row in rows])
    kept = {}
    for given, distance, threshold in (
        ("0.3,1,1", PoseDistance(), 0.5),
        ("0.3, 1e-4, 5", PoseDistance(0.3, 1e-4, 5.0), 0.5),
        ("alphapose", ALPHAPOSE, ALPHAPOSE_THRESHOLD),
    ):
        _run(suppress, "--results", path, "--out", out, "--method", "pose-nms", "--distance", given)
        options = {"method": "pose-nms", "threshold": threshold, "sigmas": COCO_17.sigmas, "area": "crop"}
        found = run(poses, scores, **options, distance=distance)
        assert [row["image_id"] for row in json.loads(out.read_text())] == poses.image_id[found.keep].tolist()
        kept[given] = int(found.keep.sum())
    assert kept == {"0.3,1,1": 2, "0.3, 1e-4, 5": 3, "alphapose": 2}


def _exit(capsys, *arguments) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        main([str(argument) for argument in arguments])
    return ended.value.code, capsys.readouterr().err


def test_wrong_input_is_one_line(results, capsys):
    path, rows = results
    out = path.with_name("out.json")
    options = ("suppress", "--results", path, "--out", out)
    mistakes = {
        ("--method", "nms"): "method: expected one of none, oks-nms",
        ("--threshold", "1.1"): "oks-nms expects an OKS from 0 to 1, got 1.1",
        ("--method", "soft-oks-nms", "--threshold", "0"): "expects a number above 0",
        ("--area", "segment"): "area: expected one of crop, box, keypoints, got 'segment'",
        ("--score", "confidence"): "field 'confidence'",
        ("--score", "score**2"): "--score: expected the name of a field",
        ("--method", "pose-nms", "--distance", "1,2"): "distance: expected σ₁,σ₂,λ, such as 0.3,1,1, or alphapose, got",
        ("--method", "pose-nms", "--distance", "1,0,1"): "distance_scale: expected a number above 0, got 0",
        ("--distance", "1,2,3"): "distance: is for pose-nms, expected none with oks-nms",
        ("--skeleton", "coco"): "--skeleton: expected one of coco17",
        ("--skeleton", "mpii16"): "no published sigmas",
        ("--skeleton", "crowdpose14"): "expected 42 finite numbers (x, y, score of 14 keypoints)",
        ("--out", str(path)): "would be overwritten",
    }
    for arguments, expected in mistakes.items():
        code, message = _exit(capsys, *options, *arguments)
        assert code == 2 and expected in message and message.count("\n") == 1, arguments
    for row in rows:
        del row["bbox"]
    path.write_text(json.dumps(rows))
    code, message = _exit(capsys, *options)
    assert code == 2 and "results.json: suppression: area 'crop' needs the poses' boxes" in message
    assert not out.exists()


@pytest.fixture
def photo(tmp_path):
    """A photo of two people, the first with three boxes that overlap, and their detections."""
    pixels, _, boxes = photo_of_people(2)
    (tmp_path / "photos").mkdir()
    cv2.imwrite(str(tmp_path / "photos" / "1.png"), pixels[..., ::-1])
    shifted = [boxes[0], boxes[0] + [-2, 0, 2, 3], boxes[0] + [0, -3, 1, 0], boxes[1]]
    detections = [
        {"image_id": 1, "category_id": 1, "bbox": [x0, y0, x1 - x0, y1 - y0], "score": score}
        for (x0, y0, x1, y1), score in zip(np.array(shifted).tolist(), (0.5, 0.9, 0.7, 0.4), strict=True)
    ]
    (tmp_path / "boxes.json").write_text(json.dumps(detections))
    write_network(tmp_path)
    return tmp_path


def _predict(folder, out, *arguments) -> str:
    options = ("--boxes", folder / "boxes.json", "--model", folder / "colours.onnx", "--out", folder / out)
    return _run(predict, folder / "photos", *options, *arguments)


def test_predicting_with_suppression_is_suppressing_what_was_predicted(photo):
    assert "4 people on 1 photo" in _predict(photo, "all")
    for method in ("oks-nms", *SOFT):
        arguments = ("--suppression", method, "--suppression-threshold", "0.5", "--suppression-area", "box")
        output = _predict(photo, method, *arguments)
        assert ("2 people" if method == "oks-nms" else "4 people") in output
        direct = json.loads((photo / method / "results.json").read_text())
        out = photo / "after.json"
        _run(suppress, "--results", photo / "all" / "results.json", "--out", out, "--method", method,
             "--threshold", "0.5", "--area", "box")  # fmt: skip
        after = json.loads(out.read_text())
        assert [row["score"] for row in direct] == pytest.approx([row["score"] for row in after], rel=1e-12)
        assert [row["keypoints"] for row in direct] == [row["keypoints"] for row in after]
        assert [row["bbox_score"] for row in direct] == ([0.9, 0.4] if method == "oks-nms" else [0.5, 0.9, 0.7, 0.4])
        np.testing.assert_allclose(
            read_results(photo / method / "results.json").poses.pose_score, [row["pose_score"] for row in direct]
        )
    drawn = [cv2.imread(str(photo / out / "1.jpg")) for out in ("all", "oks-nms", "soft-oks-nms")]
    assert (drawn[0] == drawn[2]).all() and (drawn[0] != drawn[1]).any()


def test_predicting_with_an_unknown_suppression(photo):
    for wrong in (("--suppression", "nms"), ("--suppression", "oks-nms", "--suppression-area", "segment")):
        with pytest.raises(InputError, match=r"--suppression(-area)?: expected one of"):
            _predict(photo, "out", *wrong)
    assert not (photo / "out").exists()


def test_predicting_with_a_distance_of_pose_nms(photo):
    arguments = ("--no-draw", "--suppression", "pose-nms", "--suppression-distance")
    assert "2 people" in _predict(photo, "default", *arguments, "0.3,1,1")
    assert "4 people" in _predict(photo, "narrow", *arguments, "0.3,1e-9,100")
    with pytest.raises(InputError, match="suppression: distance: expected"):
        _predict(photo, "wrong", *arguments, "0.3")


def test_an_estimator_without_boxes_gets_one_line(photo):
    predictor = tp.load(photo / "colours.onnx")
    how = suppressor("oks-nms", 0.5, "crop", predictor.spec.skeleton)
    pixels, _, boxes = photo_of_people(2)
    poses = predictor(pixels, boxes)
    assert how(poses, poses.pose_score).keep.all()
    with pytest.raises(InputError, match="suppression: area 'crop' needs the poses' boxes"):
        how(replace(poses, box=None), poses.pose_score)


def test_a_run_goes_on_only_with_the_same_suppression(photo):
    _predict(photo, "all", "--no-draw")
    arguments = ("--no-draw", "--suppression", "oks-nms")
    folder = photo / "out"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("trustpose.predict.run._write", _stop)
        with pytest.raises(RuntimeError):
            _predict(photo, "out", *arguments)
    with pytest.raises(InputError, match="suppression"):
        _predict(photo, "out", "--no-draw", "--resume")
    _predict(photo, "out", *arguments, "--resume")
    assert len(read_results(folder / "results.json").poses) == 2


def _stop(*_):
    raise RuntimeError


def test_merging_takes_the_dropped_poses_into_the_kept_ones(results):
    path, rows = results
    out = path.with_name("out.json")
    with pytest.raises(InputError, match=r"results\.json: merge: the poses have pose_quality"):
        suppress_results(path, out, merge=True)
    with pytest.raises(InputError, match="--merge: expected --method oks-nms or pose-nms"):
        suppress_results(path, out, merge=True, method="soft-oks-nms")
    plain = [{name: value for name, value in row.items() if name != "pose_quality"} for row in rows]
    path.write_text(json.dumps(plain))
    _run(suppress, "--results", path, "--out", out, "--merge")
    merged, alone = json.loads(out.read_text())
    first, second = (np.reshape(row["keypoints"], (17, 3)) for row in plain[:2])
    np.testing.assert_allclose(np.reshape(merged["keypoints"], (17, 3)), (first + second) / 2)  # equal scores
    assert {**merged, "keypoints": 0} == {**plain[0], "keypoints": 0}
    assert alone == plain[2]
