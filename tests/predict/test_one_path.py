"""Python and the command line give the same poses, in the same order, with the same scores, to the last bit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import typer
from typer.testing import CliRunner

import trustpose as tp
from tests.predict.tiny_people import write_people
from tests.tiny_onnx import photo_of_people, write_network
from trustpose.cli.predict import predict
from trustpose.geometry.boxes import xywh_to_xyxy, xyxy_to_xywh
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.poses import Poses
from trustpose.predict import adapters, load
from trustpose.predict.adapters.estimator import EstimatorPredictor, PeopleFrom
from trustpose.predict.boxes import Boxes, boxes_from_detections, boxes_from_truth
from trustpose.skeletons import COCO_17

pytestmark = pytest.mark.usefixtures("each_run_once")  # the same pixels, from Python and from the command line

app = typer.Typer()
app.command()(predict)
SUPPRESSIONS = (
    {},
    {"suppression": "oks-nms", "suppression_threshold": 0.4},
    {"suppression": "soft-oks-nms", "suppression_threshold": 0.5, "suppression_area": "box"},
)


def command_line(photos: list[Path], model: str | Path, out: Path, *arguments: Any, **options: Any) -> Path:
    """results.json of `trustpose predict`; options as in Python."""
    words = [*photos, "--model", model, "--out", out, "--no-draw", *arguments]
    for name, value in options.items():
        words += [f"--{name.replace('_', '-')}"] + ([] if value is True else [value])
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return out / "results.json"


def assert_same(poses: Poses, results: Path, image_ids: list[int]) -> None:
    """The rows of the file are the poses, bit for bit, and so is what they are ranked by."""
    assert len(poses)
    results_file = read_results(results)
    assert poses.image_id is not None and results_file.poses.image_id is not None
    ids = np.array(image_ids)[poses.image_id]
    np.testing.assert_array_equal(ids, results_file.poses.image_id)
    np.testing.assert_array_equal(poses.ranking_score, results_file.score)
    for name in ("xy", "score", "pose_score", "pose_quality", "quality", "visibility", "box_score"):
        mine, theirs = getattr(poses, name), getattr(results_file.poses, name)
        np.testing.assert_array_equal(mine, theirs, err_msg=name)
    assert poses.box is not None and results_file.poses.box is not None
    np.testing.assert_array_equal(xywh_to_xyxy(xyxy_to_xywh(poses.box)), results_file.poses.box)


def dev_photos(data_dir: Path, count: int) -> list[Path]:
    names = sorted(
        image["file_name"] for image in json.loads((data_dir / "coco" / "dev_gt.json").read_bytes())["images"]
    )
    return [data_dir / "coco" / "dev" / name for name in names[:count]]


@pytest.mark.parametrize("suppression", SUPPRESSIONS, ids=["none", "nms", "soft"])
def test_the_default_model(data_dir, tmp_path, suppression):
    photos = dev_photos(data_dir, 4)
    results = command_line(photos, "default", tmp_path, **suppression)
    assert_same(tp.load("default", **suppression)(photos), results, [int(path.stem) for path in photos])


@pytest.mark.parametrize("suppression", SUPPRESSIONS, ids=["none", "nms", "soft"])
def test_a_network_with_boxes(data_dir, tmp_path, suppression):
    model = data_dir / "networks" / "simplepose.onnx"
    gt, detections = (data_dir / "coco" / name for name in ("dev_gt.json", "dev_detections.json"))
    ids = np.unique(boxes_from_detections(detections).image_id)[:3].tolist()
    photos = [data_dir / "coco" / "dev" / f"{image_id:012}.jpg" for image_id in ids]
    predictor = tp.load(model, flip=True, **suppression)
    for name, boxes in (
        ("gt", boxes_from_truth(read_coco_truth(gt).truth)),
        ("boxes", boxes_from_detections(detections)),
    ):
        images = boxes.of_images(np.array(ids))
        placed = [replace(image, image_id=np.full(len(image), index)) for index, image in enumerate(images)]
        joined = Boxes(
            np.concatenate([some.xyxy for some in placed]),
            np.concatenate([some.image_id for some in placed]),
            None if boxes.score is None else np.concatenate([some.score for some in placed if some.score is not None]),
        )
        options = {name: gt if name == "gt" else detections}
        results = command_line(photos, model, tmp_path / name, **options, flip=True, **suppression)
        assert_same(predictor(photos, joined), results, ids)


def test_a_network_without_boxes_gets_the_default_detector(data_dir, tmp_path):
    photos, model = dev_photos(data_dir, 2), data_dir / "networks" / "movenet-thunder.onnx"
    ids = [int(path.stem) for path in photos]
    for options in ({}, {"detector": "default", "min_box_score": 0.5}, {"detector": "whole"}):
        results = command_line(photos, model, tmp_path / str(len(options)), **options)
        assert_same(tp.load(model, **options)(photos), results, ids)


@pytest.mark.parametrize("suppression", SUPPRESSIONS, ids=["none", "nms", "soft"])
def test_a_network_that_finds_people_by_itself(data_dir, tmp_path, suppression):
    photos, model = dev_photos(data_dir, 4), data_dir / "networks" / "movenet-multipose.onnx"
    results = command_line(photos, model, tmp_path, **suppression)
    poses = tp.load(model, **suppression)(photos)
    assert_same(poses, results, [int(path.stem) for path in photos])
    assert poses.box_score is not None and poses.box_score.min() >= 0.1
    if not suppression:
        np.testing.assert_array_equal(poses.ranking_score, poses.box_score)


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    """Two photos of two people each."""
    paths = [tmp_path / f"{number}.png" for number in (3, 4)]
    for path in paths:
        cv2.imwrite(str(path), photo_of_people(2, seed=int(path.stem))[0][..., ::-1])
    return paths


def test_tiny_networks(photos, tmp_path):
    people, boxes = write_people(tmp_path / "people"), write_network(tmp_path / "network")
    for number, options in enumerate(({}, {"min_box_score": 0.3}, *SUPPRESSIONS[1:])):
        results = command_line(photos, people, tmp_path / f"{number}-people", **options)
        assert_same(tp.load(people, **options)(photos), results, [3, 4])
        results = command_line(photos, boxes, tmp_path / f"{number}-boxes", "--detector", people, **options)
        assert_same(tp.load(boxes, detector=people, **options)(photos), results, [3, 4])


class MadeUp:
    """An estimator of another package: two people that overlap, one score for a person where it finds them itself."""

    def __init__(self, people: PeopleFrom) -> None:
        self.name, self.licence, self.skeleton, self.people = "made up", "Apache-2.0", COCO_17, people

    def __call__(self, pixels: np.ndarray, boxes: Boxes | None = None) -> Poses:
        count = 3 if boxes is None else len(boxes)
        random = np.random.default_rng(int(pixels.astype(np.int64).sum()))
        xy = random.uniform(10, 90, (1, 17, 2)) + random.normal(0, 1, (count, 17, 2))
        score = random.uniform(0, 1, (count, 17))
        own = score.mean(axis=1)
        if boxes is not None:
            return Poses(xy=xy, score=score, pose_score=own, box=boxes.xyxy, box_score=boxes.score)
        box = np.concatenate([xy.min(axis=1), xy.max(axis=1)], axis=1)
        return Poses(xy=xy, score=score, pose_score=own, box=box, box_score=own)


class MadeUpAdapter(adapters.Adapter):
    """The adapter of `MadeUp`."""

    def load(self, name: str, **options: Any) -> EstimatorPredictor:
        people: Any = name.partition(":")[2]
        return EstimatorPredictor(MadeUp(people), **options)


def test_an_adapter(photos, tmp_path, monkeypatch):
    finder = write_people(tmp_path / "finder")
    monkeypatch.setitem(adapters.ADAPTERS, "madeup", MadeUpAdapter(*[""] * 6))
    for people in ("photo", "boxes", "either"):
        for number, options in enumerate(({}, {"min_box_score": 0.3}, *SUPPRESSIONS[1:])):
            settings = {} if people == "photo" else {"detector": finder}
            results = command_line(photos, f"madeup:{people}", tmp_path / f"{people}{number}", **options, **settings)
            assert_same(tp.load(f"madeup:{people}", **options, **settings)(photos), results, [3, 4])


def test_a_run_in_python_writes_what_the_command_line_writes(photos, tmp_path):
    model = write_people(tmp_path / "people")
    results = command_line(photos, model, tmp_path / "line", suppression="soft-oks-nms")
    told = []
    done = tp.load(model, suppression="soft-oks-nms").run(photos, tmp_path / "python", tell=told.append)
    assert (tmp_path / "python" / "results.json").read_bytes() == results.read_bytes()
    assert [(step.people, step.total, step.problem) for step in told] == [(2, 2, None)] * 2
    assert (done.people, done.predicted, done.complaints, list(done.poses)) == (4, 4, [], [3, 4])
    assert json.loads(results.read_text())[0]["pose_score"] == pytest.approx(0.9)


def test_a_run_in_python_goes_on(photos, tmp_path):
    predictor = tp.load(write_people(tmp_path / "people"))

    def stop(_: Any) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        predictor.run(photos, tmp_path / "out", tell=stop)
    told = []
    done = predictor.run(photos, tmp_path / "out", resume=True, tell=told.append)
    assert len(told) == 1 and (done.people, done.predicted) == (4, 2)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["results.json"]
    before = (tmp_path / "out" / "results.json").read_bytes()
    message = r"out: holds results.json of an earlier run; --resume continues it, --overwrite replaces it, or choose"
    with pytest.raises(tp.InputError, match=message):
        predictor.run(photos[:1], tmp_path / "out")
    assert (tmp_path / "out" / "results.json").read_bytes() == before
    (tmp_path / "out" / "4.jpg").write_bytes(b"")
    done = predictor.run(photos[:1], tmp_path / "out", overwrite=True)
    assert (done.people, done.leftover_files) == (2, [tmp_path / "out" / "4.jpg"])
    assert (tmp_path / "out" / "results.json").read_bytes() != before
    with pytest.raises(tp.InputError, match="unknown option 'colour'; its options are flip"):
        load.load(tmp_path / "people" / "people.onnx", colour="red")


def test_a_models_own_suppression_is_for_a_detectors_boxes(tmp_path):
    """Two boxes of one person: lowered if a detector found them, unless the user chooses otherwise; never for given
    boxes."""
    model = write_network(tmp_path)
    json_file = model.with_suffix(".json")
    options = {"method": "soft-oks-nms", "threshold": 0.5, "area": "crop"}
    json_file.write_text(json.dumps(json.loads(json_file.read_text()) | {"suppression": options}))
    photo, _, boxes = photo_of_people(1)
    twice = np.concatenate([boxes, boxes + 2])
    scored = Boxes(twice, np.zeros(2, np.int64), np.array([0.9, 0.8]))
    lowered, plain = tp.load(model)(photo, boxes=scored), tp.load(model, suppression="none")(photo, boxes=scored)
    assert plain.suppressed_score is None and lowered.suppressed_score is not None
    assert lowered.suppressed_score[0] == plain.ranking_score[0]
    assert lowered.suppressed_score[1] < 0.9 * plain.ranking_score[1]
    settings = {"suppression": options["method"], "suppression_threshold": options["threshold"]}
    np.testing.assert_array_equal(
        tp.load(model, **settings)(photo, boxes=scored).suppressed_score, lowered.suppressed_score
    )
    assert tp.load(model)(photo, boxes=twice).suppressed_score is None
    for field, value in (("method", "nms"), ("threshold", -1), ("area", "foot"), ("sigma", 1)):
        json_file.write_text(json.dumps(json.loads(json_file.read_text()) | {"suppression": options | {field: value}}))
        with pytest.raises(tp.InputError, match=f"suppression.{field}"):
            tp.load(model)
