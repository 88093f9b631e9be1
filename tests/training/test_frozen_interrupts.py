"""Trainings of a head on a frozen network that were stopped: within seconds, and as if they had not been."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing.context import ForkProcess
from pathlib import Path

import pytest
import torch

from tests.people_cases import write_coco
from tests.predict.tiny_trust import write_network
from tests.small_disk import make_room, needs_root, small_disk
from tests.training.forked import start, wait
from tests.training.tiny import rows
from trustpose.cli import main
from trustpose.files import write_json
from trustpose.training import features
from trustpose.training.frozen_task import FrozenTask
from trustpose.training.recipe import FrozenOptions, to_json
from trustpose.training.recipes import find_recipe


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """The command but for --out: ten steps, a checkpoint every fifth."""
    folder = tmp_path_factory.mktemp("given")
    truth, photos = write_coco(folder, photos=12)
    truth.rename(folder / "train_gt.json")
    photos.rename(folder / "train")
    recipe = find_recipe("simplepose-trust")
    train = replace(recipe.train, epochs=5, batch_size=8, log_every=1, warmup=2, checkpoint_every=5, validate_every=2)
    small = replace(recipe, frozen=FrozenOptions(views=3), head_options={"token": 16}, train=train)
    write_json(folder / "small.json", to_json(small))
    model = write_network(folder / "network", batch="batch")
    return ["train", str(folder / "small.json"), "--data", str(folder), "--model", str(model), "--accelerator", "cpu"]


def run(words, out, *more) -> int:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--out", str(out), *more])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def whole(words, tmp_path_factory):
    torch.set_num_threads(1)
    out = tmp_path_factory.mktemp("whole") / "out"
    assert run(words, out) == 0
    assert len(rows(out / "training" / "train.csv")) == 10
    return out


def wait_for(running: ForkProcess, has_come: Callable[[], bool]) -> None:
    """Until a process has done something; it may take long on a machine that has much to do."""
    deadline = time.monotonic() + 300
    while not has_come():
        assert running.exitcode is None and time.monotonic() < deadline
        time.sleep(0.02)


def same(out: Path, whole: Path) -> bool:
    """Weights, logs and features, to the bit."""
    logs = all(
        rows(out / "training" / name) == rows(whole / "training" / name) for name in ("train.csv", "validation.csv")
    )
    stored = sorted((whole / "training" / "features").iterdir())
    files = [Path("model.safetensors"), *(path.relative_to(whole) for path in stored)]
    return logs and all((out / name).read_bytes() == (whole / name).read_bytes() for name in files)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_in_training_ends_it_after_the_step(words, whole, tmp_path, capsys, monkeypatch, number):
    compute, calls = FrozenTask.losses, []

    def losses(*arguments):
        calls.append(0)
        if len(calls) == 4:
            os.kill(os.getpid(), number)
        return compute(*arguments)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(FrozenTask, "losses", losses)
        assert run(words, out) == 130
    assert len(calls) == 4
    assert (
        capsys.readouterr().err == f"trustpose: interrupted; run the same command to continue from {out / 'training'}\n"
    )
    assert not (out / "model.json").exists()
    assert run(words, out) == 0
    assert same(out, whole)


def test_ctrl_c_while_features_are_stored(words, whole, tmp_path, capsys, monkeypatch):
    compute, calls = features._columns_of, []

    def columns_of(*arguments):
        calls.append(0)
        if len(calls) == 5:
            os.kill(os.getpid(), signal.SIGINT)
        return compute(*arguments)

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(features, "_columns_of", columns_of)
        patch.setattr(features, "_SAVED_EVERY", 1)
        assert run(words, out) == 130
    output = capsys.readouterr().err
    assert output == f"trustpose: interrupted; run the same command to continue from {out / 'training'}\n"
    assert run(words, out) == 0
    assert same(out, whole)


@pytest.mark.slow
def test_killed_in_a_step(words, whole, tmp_path, monkeypatch):
    out, errors = tmp_path / "out", tmp_path / "errors"
    compute, calls = FrozenTask.losses, []

    def losses(*arguments):
        calls.append(0)
        if len(calls) == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        return compute(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(FrozenTask, "losses", losses)
        running = start(lambda: main([*words, "--out", str(out)]), errors)
    assert wait(running) == -signal.SIGKILL, errors.read_text()
    assert run(words, out) == 0
    assert same(out, whole)


@pytest.mark.slow
def test_sigterm_while_features_are_stored(words, whole, tmp_path, monkeypatch):
    """It ends at once; what was stored is gone on from."""
    out = tmp_path / "out"
    index = out / "training" / "features" / "index.json"
    compute = features._columns_of

    def columns_of(*arguments):
        time.sleep(0.3)
        return compute(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(features, "_columns_of", columns_of)
        patch.setattr(features, "_SAVED_EVERY", 1)
        running = start(lambda: main([*words, "--out", str(out)]), tmp_path / "errors")
    wait_for(running, index.is_file)
    running.terminate()
    assert wait(running, 30) == 128 + signal.SIGTERM
    assert run(words, out) == 0
    assert same(out, whole)


@pytest.mark.slow
def test_sigterm_after_the_folder_was_removed(words, tmp_path):
    """In training: a line, no hang, whatever of the folder a checkpoint or a log brings back."""
    out, errors = tmp_path / "out", tmp_path / "errors"
    log = out / "training" / "train.csv"
    longer = "--train.epochs=100000", "--train.validate_every=100000"
    running = start(lambda: main([*words, "--out", str(out), *longer]), errors)
    wait_for(running, lambda: log.is_file() and log.stat().st_size > 300)
    out.rename(tmp_path / "away")
    running.terminate()
    code, said = wait(running), errors.read_text()
    assert code in (2, 130), said
    assert said.startswith("trustpose: ") and said.count("\n") == 1, said


@needs_root
@pytest.mark.parametrize(("room", "written_file"), [("32k", "features/"), ("1600k", "checkpoint.pt")])
def test_a_full_disk_is_one_line_and_gone_on_from(words, whole, tmp_path, capsys, room, written_file):
    """Memory maps on a full disk would kill the process; torch raises an error of its own over the disk's."""
    with small_disk(tmp_path / "disk", room) as disk:
        out = disk / "out"
        assert run(words, out) == 2
        output = capsys.readouterr().err
        assert output.startswith(f"trustpose: error: {out / 'training' / written_file}") and output.count("\n") == 1
        assert output.endswith(
            f": cannot be written (No space left on device); free some space, then run the same command to "
            f"continue from {out / 'training'}\n"
        )
        make_room(disk, "64m")
        assert run(words, out) == 0
        assert same(out, whole)
