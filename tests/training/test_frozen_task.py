"""Heads on the stored features of a network that stands still: from `trustpose train` to poses with trust."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from tests.people_cases import write_training_folder
from tests.predict.tiny_trust import crops, normalised, write_network
from tests.training.tiny import equal, rows
from trustpose.cli import main
from trustpose.files import write_json
from trustpose.geometry.crops import Boxes
from trustpose.images import fold_of
from trustpose.io.coco.truth import read_coco_truth
from trustpose.models.spec import ModelSpec
from trustpose.networks.checkpoint_files import read_tensors
from trustpose.predict.load import load
from trustpose.training.frozen_task import frozen_task
from trustpose.training.recipe import FrozenOptions, to_json, with_overrides
from trustpose.training.recipes import find_recipe

FILLED = {
    "keypoint-tokens": {"quality", "visibility", "pose_quality"},
    "oks-net": {"pose_quality"},
    "hpcvnet": {"quality", "pose_quality"},
    "metamodel": {"visibility"},
}
RECIPE = find_recipe("simplepose-trust")
SMALL = replace(
    RECIPE,
    frozen=FrozenOptions(views=3),
    head_options={},
    train=replace(RECIPE.train, epochs=2, batch_size=8, log_every=1, warmup=2),
)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_training_folder(tmp_path_factory.mktemp("data"), photos=12)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network"))


def train(data, model, out, *more) -> int:
    """The exit code of training by the small recipe."""
    write_json(out.with_suffix(".recipe.json"), to_json(SMALL))
    arguments = () if model is None else ("--model", model)
    words = (
        "train",
        out.with_suffix(".recipe.json"),
        "--data",
        data,
        "--out",
        out,
        *arguments,
        "--accelerator=cpu",
        *more,
    )
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    return int(ended.value.code or 0)


def run(capsys, *arguments) -> tuple[int, str, str]:
    """Exit code, output and errors."""
    code = train(*arguments)
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.fixture(scope="module")
def trained(data, model, tmp_path_factory):
    """What the small recipe makes, for tests that leave it as it is."""
    out = tmp_path_factory.mktemp("trained") / "out"
    assert train(data, model, out) == 0
    return out


@pytest.mark.parametrize("head", FILLED)
def test_from_a_network_to_poses_with_trust(data, model, tmp_path, capsys, head):
    out = tmp_path / "out"
    code, output, errors = run(capsys, data, model, out, "--head", head)
    assert (code, errors) == (0, "")
    assert output.startswith(f"{out}: simplepose-trust, ap.AP ")
    assert {path.name for path in out.iterdir()} == {"model.json", "model.onnx", "model.safetensors", "training"}
    log = rows(out / "training" / "train.csv")
    assert all(np.isfinite(float(row["loss"])) for row in log) and len({row["loss"] for row in log}) == len(log)
    spec = ModelSpec.read(out)
    assert spec.trust is not None and (spec.trust.head, spec.trust.area) == (head, "segment")
    poses = load(out, detector="whole")(sorted((data / "train").iterdir())[0])
    assert len(poses)
    for name in ("quality", "visibility", "pose_quality"):
        values = getattr(poses, name)
        assert (values is not None) == (name in FILLED[head]), name
        assert values is None or (np.isfinite(values).all() and values.min() >= 0 and values.max() <= 1)
    assert poses.visibility is None or np.allclose(poses.visibility.sum(axis=2), 1, atol=1e-5)
    average = torch.load(out / "training" / "checkpoint.pt", weights_only=True)["ema"]["average"]
    saved = read_tensors(out / "model.safetensors")
    same = {name.removeprefix("head."): value for name, value in average.items() if "calibration" not in name}
    assert equal({name: value for name, value in saved.items() if "calibration" not in name}, same)


def test_the_networks_heatmaps_are_untouched(model, trained):
    blob = normalised(crops(1, seed=3)).numpy()
    before = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"]).run(None, {"data": blob})[0]
    session = onnxruntime.InferenceSession(trained / "model.onnx", providers=["CPUExecutionProvider"])
    box = {
        get_input.name: np.full((1, 2), 0.8, np.float32)
        for get_input in session.get_inputs()
        if get_input.name != "data"
    }
    np.testing.assert_allclose(session.run(["heatmaps"], {"data": blob, **box})[0], before, atol=1e-6)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Where the small recipe's features are, once a test has stored them."""
    return tmp_path_factory.mktemp("stored")


def test_people_held_out_are_in_no_batch(data, model, stored):
    task = frozen_task(SMALL, data, model, stored)
    truth = read_coco_truth(data / "train_gt.json")
    images = np.unique(truth.truth.image_id)
    held_out = set(images[fold_of(images, 5) == 0].tolist())
    assert held_out and held_out != set(images.tolist())
    seen: set[int] = set()
    for epoch in range(8):
        samples = task.samples(epoch)
        batch = task.collate([samples[index] for index in range(len(samples))])
        assert len(set(batch["annotation_id"].tolist())) == len(samples)  # everybody once
        seen |= set(batch["image_id"].tolist())
        assert len(set((samples.rows // task.features.people).tolist())) > 1  # in several views
    assert seen == set(images.tolist()) - held_out
    columns = task.columns_of(task.held_out)
    assert set(columns["image_id"].tolist()) == held_out


@pytest.fixture(scope="module")
def detections(data, tmp_path_factory):
    """Detections in each photo: its people's boxes, and as many where nobody is."""
    truth, found = json.loads((data / "train_gt.json").read_text()), []
    for annotation in truth["annotations"]:
        x, y, width, height = annotation["bbox"]
        for bbox in ([x, y, width, height * 0.9], [x + 0.8 * width, y, width, height]):
            found.append({"image_id": annotation["image_id"], "category_id": 1, "bbox": bbox, "score": 0.5})
    path = tmp_path_factory.mktemp("detections") / "boxes.json"
    path.write_text(json.dumps(found))
    return path


def test_a_detectors_boxes_teach_presence_and_nothing_else(data, model, tmp_path, stored, detections):
    """Boxes of nobody are in presence's loss and calibration only; validation is of people in labelled boxes."""
    changes = {"data.detections": str(detections), "head_options.presence": "true"}
    task = frozen_task(with_overrides(SMALL, changes), data, model, tmp_path)
    alone = frozen_task(SMALL, data, model, stored)
    assert np.array_equal(task.held_out, alone.held_out) and len(task.features.columns["overlap"]) == 3 * (24 + 72)
    overlap, known = (np.asarray(task.features.columns[name]) for name in ("overlap", "is_known"))
    boxes = task.held_out_boxes
    assert (overlap[boxes] < 1).all() and 0 < (overlap[boxes] >= 0.5).mean() < 1
    nobody = np.flatnonzero(overlap < 0.5)
    assert not known[nobody].any() and np.isin(nobody[: len(nobody) // 3], task.training).any()
    batch = task.collate(nobody[:8].tolist())
    totals = task.counts(batch)
    assert {name: int(value) for name, value in totals.items()} == {
        "visibility": 0, "opks": 0, "oks": 0, "presence": 8,
    }  # fmt: skip
    losses = task.losses(task.model, batch, totals)
    assert {name for name in totals if losses[name].item() > 0} == {"presence"}


def test_presence_is_told_apart_from_trust_in_a_detectors_boxes(data, model, tmp_path, capsys, detections):
    out, photo = tmp_path / "out", sorted((data / "train").iterdir())[0]
    options = ("--data.detections", detections, "--head_options.presence=true")
    assert run(capsys, data, model, out, *options)[0] == 0
    trust = ModelSpec.read(out).trust
    assert trust is not None and "presence" in trust.outputs and "presence_calibrated_on" in trust.fitted_on
    predictor, box = load(out), np.array([[30.0, 40, 200, 300], [200, 90, 300, 330]])
    poses = predictor(photo, boxes=Boxes(box, np.zeros(2, np.int64)))
    detected = predictor(photo, boxes=Boxes(box, np.zeros(2, np.int64), np.array([0.9, 0.3])))
    np.testing.assert_array_equal(poses.xy, detected.xy)
    assert poses.presence is None and ((detected.presence > 0) & (detected.presence < 1)).all()
    for name in ("pose_quality", "quality", "visibility"):
        np.testing.assert_array_equal(getattr(detected, name), getattr(poses, name))


def test_people_of_photos_that_the_network_has_not_seen(data, model, tmp_path):
    content = json.loads((data / "train_gt.json").read_text())
    json_path = tmp_path / "some.json"
    json_path.write_text(json.dumps(content | {"images": content["images"][:7]}))
    ids = {image["id"] for image in content["images"][:7]}
    content["annotations"] = [annotation for annotation in content["annotations"] if annotation["image_id"] in ids]
    json_path.write_text(json.dumps(content | {"images": content["images"][:7]}))
    task = frozen_task(with_overrides(SMALL, {"data.photos": str(json_path)}), data, model, tmp_path / "features")
    assert set(np.unique(task.features.columns["image_id"]).tolist()) == ids


def test_labels_come_back_to_photo_pixels(data, model, stored):
    task = frozen_task(SMALL, data, model, stored)
    columns, truth = task.columns_of(task.held_out), read_coco_truth(data / "train_gt.json").truth
    index = {int(number): row for row, number in enumerate(truth.annotation_id)}
    ids = task.features.columns["annotation_id"][task.held_out]
    chosen = truth[[index[int(number)] for number in ids]]
    labelled = chosen.v > 0
    assert np.array_equal(columns["v"], chosen.v)
    np.testing.assert_allclose(columns["truth_xy"][labelled], chosen.xy[labelled], atol=0.02)
    np.testing.assert_allclose(columns["area"], chosen.area, rtol=1e-4)
    np.testing.assert_allclose(columns["box"], chosen.box, atol=1e-3)
    # the truth itself, put where the network's places are, has OKS 1
    stored = dict(task.features.columns) | {"found_xy": np.asarray(task.features.columns["xy"])}
    task.features = replace(task.features, columns=stored)
    assert task.validate()["pose.pearson"] != task.validate()["pose.pearson"]  # NaN: all OKS are 1
    assert task.validate()["oracle_ap.AP"] == pytest.approx(1)


def test_calibration_is_of_people_held_out_only(data, model, tmp_path, trained):
    assert SMALL.data.folds == 5
    assert train(data, model, tmp_path / "all", "--data.folds=0") == 0
    for folds, out in ((5, trained), (0, tmp_path / "all")):
        tensors = read_tensors(out / "model.safetensors")
        is_fitted = not torch.equal(tensors["calibration_opks"], torch.tensor([1.0, 0.0]))
        fitted_on = json.loads((out / "model.json").read_text())["trust"]["fitted_on"]
        assert is_fitted == (folds == 5) == ("calibrated_on" in fitted_on)
        assert fitted_on["people"] + fitted_on["held_out_people"] == 24


def test_class_weights_are_of_people_in_training(data, model, tmp_path):
    task = frozen_task(replace(SMALL, head="metamodel"), data, model, tmp_path)
    v = task.features.columns["v"][task.training].ravel()
    expected = compute_class_weight("balanced", classes=np.arange(3), y=v)
    weights = np.array(task.loss_options.class_weights)
    np.testing.assert_allclose(weights / weights[0], expected / expected[0], rtol=1e-6)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("--head=hpc",), "head: expected one of oks-net, hpcvnet, metamodel, keypoint-tokens"),
        (("--head=none",), "head: expected one of oks-net"),
        (("--head_options.tokens=3",), "head_options.tokens: keypoint-tokens has no such option, expected one of"),
        (("--head_options.hidden=0",), "hidden: expected 1 or more"),
        (("--data.skeleton=mpii16",), "data.skeleton: mpii16 has no published sigmas"),
        (("--data.skeleton=crowdpose14",), "has skeleton coco17, the recipe expects crowdpose14"),
        (("--data.folds=50", "--data.fold=49"), "data.folds: 12 images are too few to divide into 50"),
        (("--train.batch_size=1000",), "train.batch_size: 1000 is more than the"),
        (("--frozen.views=0",), "frozen.views: expected 1 to 1000, got 0"),
        (("--frozen.maps.features=active4",), "frozen.maps.features: keypoint-tokens does not read it, expected back"),
        (("--frozen.maps.backbone=nothing",), "has no map 'nothing' inside; the last ones are"),
        (("--data.min_keypoints=18",), "no person has 18 labelled keypoints"),
    ],
)
def test_what_does_not_fit_is_one_line(data, model, tmp_path, capsys, more, message):
    code, output, errors = run(capsys, data, model, tmp_path / "out", *more)
    assert (code, output, errors.count("\n")) == (2, "", 1), errors
    assert message in errors


def test_networks_that_cannot_be_read_are_one_line(data, tmp_path, capsys):
    order = ["x", "y", "score"]
    points = {"output": {"kind": "coordinates", "keypoints": 17, "order": order, "normalised": True}}
    for given, message in (
        (None, f"{SMALL.name}: trains a head on a frozen network; give the network's ONNX file as --model"),
        (tmp_path / "no.onnx", "no such file"),
        (
            write_network(tmp_path / "points", **points),
            "gives coordinates, expected a network that gives heatmaps",
        ),
        (write_network(tmp_path / "lsp", skeleton="lsp14"), "17"),
    ):
        code, output, errors = run(capsys, data, given, tmp_path / "out")
        assert (code, output, errors.count("\n")) == (2, "", 1), errors
        assert message in errors


def test_a_box_head_is_told_so_and_one_without_needs_none(data, model, tmp_path, capsys, trained):
    out = shutil.copytree(trained, tmp_path / "out")
    assert ModelSpec.read(out).trust.box == "box"
    # the same folder, other features: they are written anew
    assert run(capsys, data, model, out, "--head_options.box=false", "--no-resume")[0] == 0
    spec = ModelSpec.read(out)
    assert spec.trust.box is None and spec.trust.options == {"box": False}
    code, _, errors = run(capsys, data, model, out, "--head=oks-net", "--head_options.box=false", "--no-resume")
    assert (code, errors.count("\n")) == (2, 1)
    assert "head_options.box: oks-net has no such option" in errors


def test_the_folder_runs_without_torch(data, trained):
    program = (
        "import sys; sys.modules['torch'] = None; import trustpose as tp; "
        f"poses = tp.load({str(trained)!r}, detector='whole')({str(sorted((data / 'train').iterdir())[0])!r}); "
        "print(poses.pose_quality.shape, poses.visibility.shape)"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=Path.cwd(), timeout=100)
    assert found.returncode == 0, found.stderr
    count = found.stdout.split(",")[0].strip("(")
    assert found.stdout == f"({count},) ({count}, 17, 3)\n"
