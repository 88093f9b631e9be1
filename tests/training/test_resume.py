"""Runs that were stopped anywhere give the same result as uninterrupted ones."""

import os
import random
import signal
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.training.forked import start, wait
from tests.training.tiny import equal, one_process, resumable_task, rows, tiny_people, tiny_recipe, tiny_task, weights
from trustpose.files import InputError
from trustpose.training import loop
from trustpose.training.checkpoint import InterruptedRun, OutOfTime, random_state, set_random_state, time_limit
from trustpose.training.loop import fit

STEPS = 12  # three epochs of four


class Killed(BaseException):
    pass


def kill() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def stop() -> None:
    raise Killed


def run(folder: Path, stop_at=None, end=stop, recipe=None, **options):
    """A resumable run, which ends within step `stop_at`: it stops as if it were killed, or is."""
    task = resumable_task()
    if recipe is not None:
        task.recipe = recipe
    compute, calls = task.losses, []

    def losses(*arguments):
        calls.append(0)
        if stop_at is not None and len(calls) > stop_at:
            end()
        return compute(*arguments)

    task.losses = losses
    return task, fit(task, task.recipe, folder, one_process(), **options)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("whole")
    task, numbers = run(folder)
    return folder, weights(task), numbers


def same_as(uninterrupted, folder: Path, task, numbers) -> bool:
    whole, expected, expected_numbers = uninterrupted
    logs = all(rows(folder / name) == rows(whole / name) for name in ("train.csv", "validation.csv"))
    ends = [torch.load(where / "checkpoint.pt", weights_only=True) for where in (folder, whole)]
    states = [(end["model"], {str(k): v["exp_avg_sq"] for k, v in end["optimiser"]["state"].items()}) for end in ends]
    trained = equal(states[0][0], states[1][0]) and equal(states[0][1], states[1][1])
    return logs and trained and equal(weights(task), expected) and repr(numbers) == repr(expected_numbers)


def test_a_run_repeats_itself_and_learns_something(uninterrupted, tmp_path):
    assert same_as(uninterrupted, tmp_path, *run(tmp_path))
    assert not equal(weights(resumable_task()), uninterrupted[1])
    assert [row["step"] for row in rows(tmp_path / "train.csv")] == ["4", "8", "12"]
    assert [row["epoch"] for row in rows(tmp_path / "validation.csv")] == ["1", "2", "3"]


@pytest.mark.parametrize("parts", [0, 7, 8, 13, 17, 23])  # two parts a step: within and between steps, epochs, stages
def test_stopped_anywhere(uninterrupted, tmp_path, parts):
    with pytest.raises(Killed):
        run(tmp_path, parts)
    with pytest.raises(Killed):
        run(tmp_path, 5)  # and once more, five parts after it went on
    assert same_as(uninterrupted, tmp_path, *run(tmp_path))


@pytest.mark.slow
def test_killed_at_a_random_step(uninterrupted, tmp_path):
    parts = int(np.random.default_rng().integers(1, 2 * STEPS))
    killed = start(lambda: run(tmp_path, parts, kill), tmp_path / "errors")
    assert wait(killed) == -signal.SIGKILL, (tmp_path / "errors").read_text()
    assert same_as(uninterrupted, tmp_path, *run(tmp_path)), f"killed in part {parts}"


def test_a_finished_run_is_not_run_again(uninterrupted, tmp_path):
    run(tmp_path)
    task, numbers = run(tmp_path, 0)  # would be stopped at its first part
    assert numbers == {}
    assert equal(weights(task), uninterrupted[1])


def test_anew_on_demand(uninterrupted, tmp_path):
    with pytest.raises(Killed):
        run(tmp_path, 20)
    assert same_as(uninterrupted, tmp_path, *run(tmp_path, resume=False))


def test_sigterm_writes_a_checkpoint_and_ends(uninterrupted, tmp_path):
    task = resumable_task()
    compute, calls = task.losses, []

    def losses(*arguments):
        calls.append(0)
        if len(calls) == 9:
            os.kill(os.getpid(), signal.SIGTERM)
        return compute(*arguments)

    task.losses = losses
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(InterruptedRun):
        fit(task, task.recipe, tmp_path, one_process())
    assert signal.getsignal(signal.SIGTERM) is before
    assert len(calls) == 10  # the step was finished
    place = torch.load(tmp_path / "checkpoint.pt", weights_only=True)["place"]
    assert (place["step"], place["epoch"], place["step_in_epoch"]) == (5, 1, 1)
    assert same_as(uninterrupted, tmp_path, *run(tmp_path))


class Clock:
    """In place of the loop's `time`: a second passes in each step."""

    def __init__(self, task):
        self.now = 0.0
        compute = task.losses

        def losses(*arguments):
            self.now += 0.5  # two parts a step
            return compute(*arguments)

        task.losses = losses

    def monotonic(self) -> float:
        return self.now

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize("seconds", [1, 4, 5, 11])  # steps in a piece: epochs of four, twelve in all
def test_in_pieces_of_some_seconds(uninterrupted, tmp_path, monkeypatch, seconds):
    pieces = []
    for _ in range(STEPS + 1):
        task = resumable_task()
        with monkeypatch.context() as patch:
            patch.setattr(loop, "time", Clock(task))
            try:
                numbers = fit(task, task.recipe, tmp_path, one_process(), until=float(seconds))
            except OutOfTime as reached:
                pieces.append(str(reached))
            else:
                break
    ends = range(seconds, STEPS + 1, seconds)
    assert pieces == [f"epoch {(step - 1) // 4 + 1} of 3, step {step} of 12" for step in ends]
    assert same_as(uninterrupted, tmp_path, task, numbers)


def test_a_step_is_done_however_little_time_there_is(tmp_path):
    with pytest.raises(OutOfTime, match="epoch 1 of 3, step 1 of 12"):
        task = resumable_task()
        fit(task, task.recipe, tmp_path, one_process(), until=time.monotonic() - 1)
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["place"]["step"] == 1


def test_an_alarm_ends_what_has_no_steps_and_goes_when_the_block_does():
    handler, timer = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    start = time.monotonic()
    with pytest.raises(OutOfTime, match="far"), time_limit(start + 0.05, "far"):
        time.sleep(5)
    assert time.monotonic() - start < 2
    with time_limit(time.monotonic() + 0.05, "never"):
        pass
    with time_limit(None, "never"):
        time.sleep(0.1)
    assert signal.getsignal(signal.SIGALRM) is handler
    assert (signal.getitimer(signal.ITIMER_REAL)[0] > 0) == (timer[0] > 0)  # pytest-timeout's


def test_another_recipe_or_other_data_are_refused(tmp_path):
    recipe = tiny_recipe()
    fit(tiny_task(recipe), recipe, tmp_path, one_process())
    other_recipe = tiny_recipe(weight_decay=0.1)
    with pytest.raises(InputError, match=r"has another recipe: train.weight_decay was 0.0, now it is 0.1; choose"):
        fit(tiny_task(other_recipe), other_recipe, tmp_path, one_process())
    harmless = replace(tiny_recipe(workers=1, checkpoint_every=1), title="another title")
    fit(tiny_task(harmless), harmless, tmp_path, one_process())
    with pytest.raises(InputError, match=r"was written with 24 training samples, the data now has 20"):
        fit(tiny_task(recipe, tiny_people(20)), recipe, tmp_path, one_process())


def test_broken_checkpoints_are_one_line(tmp_path):
    recipe, path = tiny_recipe(), tmp_path / "checkpoint.pt"
    fit(tiny_task(recipe), recipe, tmp_path, one_process())
    content = path.read_bytes()
    broken = {
        "short": content[: len(content) // 2],
        "empty": b"",
        "text": b"not a checkpoint",
        "flipped": content[:3000] + bytes(byte ^ 255 for byte in content[3000:3100]) + content[3100:],
    }
    for name, wrong in broken.items():
        path.write_bytes(wrong)
        with pytest.raises(InputError, match=r"^/.*checkpoint.pt: ") as caught:
            fit(tiny_task(recipe), recipe, tmp_path, one_process())
        assert "\n" not in str(caught.value), name
    torch.save({"model": {}}, path)
    with pytest.raises(InputError, match="is not a checkpoint of a training"):
        fit(tiny_task(recipe), recipe, tmp_path, one_process())


def _other(content, *names, value):
    """The content with what stands under the names replaced."""
    if not names:
        return value
    if isinstance(content, list):
        return [_other(one, *names[1:], value=value) if index == names[0] else one for index, one in enumerate(content)]
    return {**content, names[0]: _other(content.get(names[0]), *names[1:], value=value)}


ODD = [
    *(
        (("place", name), value)
        for name in ("epoch", "step", "pending_steps")
        for value in ("1", -1, None, 2.5, 10**30)
    ),
    *((("place",), value) for value in ([], {"epoch": 0, "more": 1})),
    (("place", "step"), 7),
    *((("place", "pending"), value) for value in ([], {"loss": "high"})),
    *(((part,), value) for part in ("model", "ema", "optimiser", "precision", "random") for value in (3, "x", None)),
    *((("model",), value) for value in ({"a": 1}, {"a": torch.zeros(2)}, {1: torch.zeros(2)})),
    (("ema", "average"), {"a": torch.zeros(2)}),
    (("ema", "updates"), "many"),
    *((("optimiser", "state"), value) for value in ([], {0: {}}, {10**6: {}}, {"a": 1})),
    (("optimiser", "state", 0, "exp_avg"), torch.zeros(2, 2)),
    (("optimiser", "state", 0, "exp_avg"), torch.zeros(3, 3).to_sparse()),
    *((("optimiser", "param_groups", 0, "betas"), value) for value in ((2.0, 3.0), "ab", None)),
    *((("random",), value) for value in ([3], [{}], [{"torch": torch.zeros(3), "cuda": None}])),
    *((("recipe",), value) for value in ([], 3, {}, {"name": torch.zeros(2)}, {"name": {"x": 1}})),
]


def test_unexpected_content_gives_one_line_of_ours(tmp_path):
    recipe, path = tiny_recipe(ema=0.9), tmp_path / "checkpoint.pt"
    fit(tiny_task(recipe), recipe, tmp_path, one_process())
    content = torch.load(path, weights_only=True)
    for names, value in ODD:
        torch.save(_other(content, *names, value=value), path)
        with pytest.raises(InputError, match=r"^/.*checkpoint.pt: (is|its|has)") as caught:
            fit(tiny_task(recipe), recipe, tmp_path, one_process())
        assert "\n" not in str(caught.value) and "weights_only" not in str(caught.value), (names, value)
    torch.save(content, path)
    fit(tiny_task(recipe), recipe, tmp_path, one_process())


@pytest.mark.parametrize("kind", ["object", "older", "compressed"])
def test_files_that_only_look_like_checkpoints(tmp_path, kind):
    recipe, path = tiny_recipe(), tmp_path / "checkpoint.pt"
    if kind == "object":  # torch would advise weights_only=False, which runs its code
        torch.save({"format": "trustpose training, 1", "recipe": Killed()}, path)
    elif kind == "older":
        torch.save({"format": 1}, path, _use_new_zipfile_serialization=False)
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(10_000_000))
    with pytest.raises(InputError, match=r"checkpoint.pt: is not a (readable )?checkpoint") as caught:
        fit(tiny_task(recipe), recipe, tmp_path, one_process())
    assert "weights_only" not in str(caught.value) and "safe_globals" not in str(caught.value)


def test_a_write_that_fails_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    with pytest.raises(Killed):
        run(tmp_path, 13)
    before = (tmp_path / "checkpoint.pt").read_bytes()

    def fail(_, file):
        file.write(b"half")
        raise OSError("no space left")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(InputError, match="no space"):
        run(tmp_path)
    assert (tmp_path / "checkpoint.pt").read_bytes() == before
    assert not list(tmp_path.glob(".checkpoint*"))


def test_random_numbers_go_on():
    state = random_state()
    first = (torch.rand(3).tolist(), np.random.random(3).tolist(), random.random())  # noqa: NPY002
    set_random_state(state)
    assert (torch.rand(3).tolist(), np.random.random(3).tolist(), random.random()) == first  # noqa: NPY002
