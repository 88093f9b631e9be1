"""`trustpose train --minutes`: a run in pieces, by repeating the command, equals an uninterrupted run."""

import time
from pathlib import Path

import pytest
import torch

from tests.people_cases import write_training_folder
from tests.predict.tiny_trust import write_network
from tests.training.tiny import rows, tiny_recipe
from trustpose.cli import main
from trustpose.files import write_json
from trustpose.heads.stages import Stage
from trustpose.training import features
from trustpose.training.recipe import to_json

AT_ONCE = "--minutes=1e-9"  # one step a piece


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The command but for --out: two epochs, heatmaps and then both."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("given")
    data = write_training_folder(folder, photos=8)
    recipe = tiny_recipe((Stage(1, 1.0, 0.0), Stage(1, 10.0, 1.0)), "oks-net", ema=0.5)
    write_json(folder / "small.json", to_json(recipe))
    return ["train", str(folder / "small.json"), "--data", str(data), "--accelerator", "cpu"]


def run(capsys, words: list[str], out: Path, *more: str) -> tuple[int, str]:
    """Exit code and errors."""
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", str(out), *more])
    return int(ended.value.code or 0), capsys.readouterr().err


@pytest.mark.parametrize("options", [(), ("--precision=bf16-mixed", "--train.workers=1")])
def test_pieces_are_the_run(words, tmp_path, capsys, options):
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(capsys, words, whole, *options)[0] == 0
    steps = torch.load(whole / "training" / "checkpoint.pt", weights_only=True)["place"]["step"]
    outputs = []
    while (ended := run(capsys, words, out, *options, AT_ONCE))[0] and len(outputs) < 2 * steps:
        assert not (out / "model.json").exists()
        assert ended[0] == 75
        outputs.append(ended[1])
    expected = [(2 * (step - 1) // steps + 1, step) for step in range(1, steps + 1)]
    assert outputs == [
        f"trustpose: time is up: epoch {epoch} of 2, step {step} of {steps}; run the same command to continue from "
        f"{out / 'training'}\n"
        for epoch, step in expected
    ]
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()
    assert rows(out / "training" / "train.csv") == rows(whole / "training" / "train.csv")


def test_enough_minutes_end_as_none(words, tmp_path, capsys):
    assert run(capsys, words, tmp_path / "out", "--minutes=60") == (0, "")


def test_features_are_stored_in_pieces(tmp_path, capsys, monkeypatch):
    data = write_training_folder(tmp_path, photos=12)
    model = write_network(tmp_path / "network", batch="batch")
    words = ["train", "frozen-trust", "--data", str(data), "--model", str(model), "--accelerator", "cpu"]
    words += ["--frozen.views=2", "--train.batch_size=8", "--train.epochs=1", "--head_options.token=16"]
    whole, out = tmp_path / "whole", tmp_path / "out"
    assert run(capsys, words, whole)[0] == 0
    compute = features._columns_of

    def slow(*arguments):
        time.sleep(0.5)
        return compute(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(features, "_columns_of", slow)
        patch.setattr(features, "_SAVED_EVERY", 1)
        code, message = run(capsys, words, out, "--minutes=0.005")
    assert (code, message) == (
        75,
        f"trustpose: time is up: storing features; run the same command to continue from {out / 'training'}\n",
    )
    assert not (out / "training" / "checkpoint.pt").exists()
    assert run(capsys, words, out)[0] == 0
    assert (out / "model.safetensors").read_bytes() == (whole / "model.safetensors").read_bytes()


@pytest.mark.parametrize("minutes", ["0", "-1", "nan", "inf"])
def test_minutes_are_more_than_none(words, tmp_path, capsys, minutes):
    code, message = run(capsys, words, tmp_path / "out", f"--minutes={minutes}")
    assert (code, message) == (2, f"trustpose: error: --minutes: expected a number above 0, got {minutes}\n")
    assert not (tmp_path / "out").exists()
