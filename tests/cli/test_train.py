"""`trustpose train`: from a recipe and a folder to a model, and its messages for wrong input."""

import json
import os
import shutil
import signal
import time
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.people_cases import write_training_folder
from tests.training.forked import start, wait
from tests.training.tiny import equal, rows, tiny_network, tiny_recipe
from trustpose.cli import main
from trustpose.cli.train import split
from trustpose.extras import not_installed
from trustpose.files import InputError, write_json
from trustpose.heads.stages import Stage
from trustpose.models.runtime.weights import load_trust_network
from trustpose.models.spec import ModelSpec
from trustpose.networks.zoo import ZOO
from trustpose.predict.load import load
from trustpose.training.network_task import NetworkTask
from trustpose.training.recipe import from_json, to_json


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_training_folder(tmp_path_factory.mktemp("data"), photos=12)


@pytest.fixture
def recipe(tmp_path):
    """A file with a small recipe: heatmaps, then both."""
    made = tiny_recipe((Stage(1, 1.0, 0.0), Stage(1, 10.0, 1.0)), "oks-net", ema=0.5)
    write_json(tmp_path / "small.json", to_json(replace(made, data=replace(made.data, folds=3))))
    return tmp_path / "small.json"


def run(capsys, *arguments) -> tuple[int, str, str]:
    """Exit code, output and errors."""
    with pytest.raises(SystemExit) as ended:
        main(["train", *map(str, arguments), "--accelerator", "cpu"])
    captured = capsys.readouterr()
    return ended.value.code, captured.out, captured.err


def test_from_a_recipe_to_a_model(data, recipe, tmp_path, capsys):
    out = tmp_path / "out"
    code, message, errors = run(capsys, recipe, "--data", data, "--out", out, "--train.lr=3e-3", "--train.clip", "1")
    assert (code, errors) == (0, "")
    assert message.startswith(f"{out}: tiny, ap.AP ") and message.count("\n") == 1
    assert {path.name for path in out.iterdir()} == {"model.json", "model.onnx", "model.safetensors", "training"}
    saved = from_json(json.loads((out / "training" / "recipe.json").read_text()))
    assert (saved.train.lr, saved.train.clip) == (3e-3, 1.0)
    assert [row["epoch"] for row in rows(out / "training" / "validation.csv")] == ["1", "2"]
    photos = sorted((data / "train").iterdir())
    poses = load(out, detector="whole")(photos[0])
    assert poses.pose_quality is not None and poses.quality is None
    network = load_trust_network(ModelSpec.read(out))
    average = torch.load(out / "training" / "checkpoint.pt", weights_only=True)["ema"]["average"]
    assert equal(network.state_dict(), average)  # the average is what is exported

    again = run(capsys, recipe, "--data", data, "--out", out, "--train.lr=3e-3", "--train.clip=1")
    assert again[0] == 0
    code, _, errors = run(capsys, recipe, "--data", data, "--out", out, "--train.lr=1e-3", "--train.clip=1")
    assert code == 2
    assert errors.endswith(
        "checkpoint.pt: has another recipe: train.lr was 0.003, now it is 0.001; choose another --out, or start "
        "over with --no-resume\n"
    )


def test_a_plain_network_and_from_a_model_that_is_there(data, recipe, tmp_path, capsys):
    first = tmp_path / "first"
    plain = ("--head=none", "--strategy.stages.1.trust_weight=0", "--train.ema=0")
    assert run(capsys, recipe, "--data", data, "--out", first, *plain)[0] == 0
    spec = ModelSpec.read(first)
    assert (spec.network, spec.trust, spec.padding) == ("tiny", None, 1.25)
    frozen = ("--strategy.stages.0.trains=head", "--strategy.stages.1.trains=head", "--model", first)
    code, _, errors = run(capsys, recipe, "--data", data, "--out", tmp_path / "second", *frozen)
    assert code == 0, errors
    before = load(first).network.state_dict()
    after = load(tmp_path / "second").network.state_dict()
    assert equal(before, after)
    code, _, errors = run(capsys, recipe, "--data", data, "--out", tmp_path / "x", "--model", first, "--network=mspn-1")
    assert (code, errors.count("\n")) == (2, 1)
    assert "holds tiny of coco17, the recipe expects mspn-1 of coco17" in errors


def test_a_deepened_network_is_loaded_in_torch_and_gone_on_from(data, recipe, tmp_path, capsys):
    options = ("--head=hpcvnet", "--deepen=4")
    assert run(capsys, recipe, "--data", data, "--out", tmp_path / "first", *options)[0] == 0
    assert ModelSpec.read(tmp_path / "first").deepen == 4
    photo = sorted((data / "train").iterdir())[0]
    onnx = load(tmp_path / "first", detector="whole")(photo)
    in_torch = load(tmp_path / "first", backend="torch", device="cpu", detector="whole")(photo)
    np.testing.assert_allclose(onnx.score, in_torch.score, atol=1e-5)
    assert onnx.quality is not None and in_torch.quality is not None
    np.testing.assert_allclose(onnx.quality, in_torch.quality, atol=1e-5)
    more = ("--model", tmp_path / "first", "--strategy.stages.0.trains=head", "--strategy.stages.1.trains=head")
    code, _, errors = run(capsys, recipe, "--data", data, "--out", tmp_path / "second", *options, *more)
    assert code == 0, errors
    before, after = (load(tmp_path / name).network.state_dict() for name in ("first", "second"))
    assert equal(before, after)
    code, _, errors = run(capsys, recipe, "--data", data, "--out", tmp_path / "x", "--model", tmp_path / "first")
    assert code == 2 and "has 4 more layers, the recipe has 0" in errors


def test_a_head_goes_on_from_the_same_head(data, recipe, tmp_path, capsys):
    assert run(capsys, recipe, "--data", data, "--out", tmp_path / "first")[0] == 0
    still = [f"--strategy.stages.{index}.{change}" for index in (0, 1) for change in ("trust_weight=0", "trains=head")]
    code, _, errors = run(
        capsys, recipe, "--data", data, "--out", tmp_path / "second", "--model", tmp_path / "first", *still
    )
    assert code == 0, errors
    first, second = (load_trust_network(ModelSpec.read(tmp_path / name)).head for name in ("first", "second"))
    assert equal(first.state_dict(), second.state_dict())
    options = ("--head_options.attention=none", "--model", tmp_path / "first", *still)
    code, _, errors = run(capsys, recipe, "--data", data, "--out", tmp_path / "third", *options)
    assert code == 0, errors
    third = load_trust_network(ModelSpec.read(tmp_path / "third")).head.state_dict()
    assert not torch.equal(third["regress.1.weight"], first.state_dict()["regress.1.weight"])  # another head: anew


def test_a_run_that_was_stopped_goes_on(data, recipe, tmp_path, capsys, monkeypatch):
    whole, out, calls = tmp_path / "whole", tmp_path / "out", []
    assert run(capsys, recipe, "--data", data, "--out", whole)[0] == 0
    compute = NetworkTask.losses

    def losses(*arguments):
        calls.append(0)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return compute(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(NetworkTask, "losses", losses)
        code, _, errors = run(capsys, recipe, "--data", data, "--out", out)
    assert code == 130
    assert errors == f"trustpose: interrupted; run the same command to continue from {out / 'training'}\n"
    assert not (out / "model.json").exists()
    assert run(capsys, recipe, "--data", data, "--out", out)[0] == 0
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


def test_a_loss_that_is_not_finite_is_one_line(data, recipe, tmp_path, capsys, monkeypatch):
    def broken(keypoints: int = 17):
        network = tiny_network(keypoints)
        torch.nn.init.constant_(network.head.bias, float("nan"))
        return network

    monkeypatch.setitem(ZOO, "broken", broken)
    code, message, errors = run(capsys, recipe, "--data", data, "--out", tmp_path / "out", "--network=broken")
    assert (code, message, errors.count("\n")) == (1, "", 1)
    assert "the loss is not finite in epoch 0, step 0: {'heatmap': 'nan'} of image_id" in errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--train.learning_rate=1",), "train.learning_rate is unknown, expected one of lr, weight_decay"),
        (("--epochs", "3"), "epochs is unknown, expected one of name, title"),
        (("stray",), "stray"),
        (("-x",), "-x: unexpected"),
        (("--train.lr",), "--train.lr: expected a value, as in --train.lr=…"),
        (("--train.lr=1", "--train.lr=2"), "--train.lr: was given twice"),
        (("--head", "hpc"), "head: expected one of oks-net, hpcvnet, metamodel"),
        (("--head_options.window=0",), "head oks-net: window: expected 1 or more"),
        (("--network=alexnet",), "network: expected one of simple-baseline-r50"),
        (("--strategy.starts_from=trained",), "tiny: starts from a trained tiny; give its folder or file as --model"),
        (("--strategy.starts_from=imagenet",), "no ImageNet weights of tiny can be downloaded; give a checkpoint"),
        (("--data.codec=gauss",), "data.codec: expected one of argmax-quarter"),
        (("--width=50",), "width: expected a multiple of 4, got 50"),
        (("--train.batch_size=1000",), "train.batch_size: 1000 is more than the"),
        (("--precision=fp8",), "--precision: expected one of 32-true"),
        (("--data.skeleton=mpii16",), "data.skeleton: mpii16 has no published sigmas, which head oks-net needs"),
        (("--data.skeleton=flic11", "--head=none"), "data.skeleton: flic11 has no published sigmas, which validation"),
    ],
)
def test_invalid_options_give_one_line(data, recipe, tmp_path, capsys, arguments, message):
    code, output, errors = run(capsys, recipe, "--data", data, "--out", tmp_path / "out", *arguments)
    assert (code, output, errors.count("\n")) == (2, "", 1), errors
    assert message in errors
    assert not (tmp_path / "out").exists()


def test_recipes_data_and_places_that_are_not_there(data, recipe, tmp_path, capsys):
    for arguments, message in (
        (("oks-nte", "--data", data, "--out", tmp_path / "o"), "unknown recipe, `trustpose recipes` lists"),
        ((recipe, "--data", tmp_path / "no", "--out", tmp_path / "o"), "no such directory, see --data"),
        ((recipe, "--data", recipe, "--out", tmp_path / "o"), "not a directory, see --data"),
        ((recipe, "--data", tmp_path, "--out", tmp_path / "o"), "holds no known data set"),
        ((tmp_path / "no.json", "--data", data, "--out", tmp_path / "o"), "no such file"),
    ):
        code, _, errors = run(capsys, *arguments)
        assert (code, errors.count("\n")) == (2, 1), errors
        assert message in errors
    recipe.write_text('{"name": "x"}')
    assert "small.json: title is missing" in run(capsys, recipe, "--data", data, "--out", tmp_path / "o")[2]
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.json").write_text("{}")
    write_json(recipe, to_json(tiny_recipe()))
    output = run(capsys, recipe, "--data", data, "--out", tmp_path / "model")[2]
    assert "holds a model of another origin" in output


@pytest.mark.parametrize("workers", [0, 2])
def test_a_broken_photo_is_one_line(data, recipe, tmp_path, capsys, workers):
    broken = tmp_path / "data"
    shutil.copytree(data, broken)
    for photo in (broken / "train").iterdir():
        photo.write_bytes(b"no photo")
    options = (f"--train.workers={workers}", "--train.batch_size=2")
    code, _, errors = run(capsys, recipe, "--data", broken, "--out", tmp_path / "out", *options)
    assert (code, errors.count("\n")) == (2, 1), errors
    assert errors.startswith(f"trustpose: error: {broken / 'train'}") and "cannot be decoded as an image" in errors
    assert len(errors) < 400


@pytest.mark.slow
def test_ctrl_c_stops_a_run_with_workers_and_it_goes_on(data, recipe, tmp_path):
    """The terminal sends SIGINT to all processes, including those that prepare batches."""
    out = tmp_path / "out"
    words = ["train", str(recipe), "--data", str(data), "--out", str(out), "--accelerator", "cpu"]
    words += ["--train.workers", "1", "--train.epochs", "4000", "--train.validate_every=4000"]
    log = out / "training" / "train.csv"

    def train():
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        main(words)

    running = start(train, tmp_path / "errors")
    deadline = time.monotonic() + 300  # on a busy machine
    try:
        while not (log.is_file() and log.stat().st_size > 200):
            assert running.is_alive() and time.monotonic() < deadline
            time.sleep(0.05)
        os.killpg(running.pid, signal.SIGINT)
        code = wait(running, 30)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
    errors = (tmp_path / "errors").read_text()
    assert code == 130
    assert errors == f"trustpose: interrupted; run the same command to continue from {out / 'training'}\n"
    step = torch.load(out / "training" / "checkpoint.pt", weights_only=True)["place"]["step"]
    assert 0 < int(rows(log)[-1]["step"]) <= step


def test_without_the_extra_the_install_line_is_printed(data, recipe, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(
        "trustpose.training.train.find_spec", lambda name: None if name == "lightning_fabric" else object()
    )
    code, _, errors = run(capsys, recipe, "--data", data, "--out", tmp_path / "out")
    assert (code, errors) == (2, f"trustpose: error: {not_installed('lightning_fabric', 'train')}\n")


def test_fields_are_read_both_ways():
    assert split(["--a.b=c=d", "--e", "-1", "x", "--f="]) == ("x", {"a.b": "c=d", "e": "-1", "f": ""})
    with pytest.raises(InputError, match=r"^--e: expected a value"):
        split(["x", "--e", "--f=1"])
    with pytest.raises(InputError, match=r"^expected one recipe, got none"):
        split(["--e", "x"])


def test_seeds_differ_and_repeat(data, recipe, tmp_path, capsys):
    arguments = ("--head=none", "--strategy.stages.1.trust_weight=0", "--train.epochs=2")
    contents = []
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        out = tmp_path / name
        assert run(capsys, recipe, "--data", data, "--out", out, f"--train.seed={seed}", *arguments)[0] == 0
        contents.append((out / "model.safetensors").read_bytes())
    assert contents[0] == contents[1] != contents[2]
    assert np.isfinite(float(rows(tmp_path / "a" / "training" / "train.csv")[-1]["loss"]))
