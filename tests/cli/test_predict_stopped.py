"""`trustpose predict --resume`: a stopped or killed run is resumed, and gives the same files."""

import signal
import subprocess
import sys
import time

import pytest

from tests.cli.predict_cases import case as case  # a fixture
from tests.cli.predict_cases import run, stop_after
from trustpose.cli.progress import Interrupted
from trustpose.files import InputError


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_a_stopped_run_goes_on(case, monkeypatch, stop):
    path, _ = case
    arguments = (path / "photos", "--gt", path / "gt.json", "--model", path / "colours.onnx", "--flip")
    run(*arguments, "--out", path / "whole")
    with monkeypatch.context() as patch:
        done = stop_after(patch, stop)
        with pytest.raises(Interrupted, match="same command with --resume to continue"):
            run(*arguments, "--out", path / "out", "--resume")
        assert len(done) == stop
    assert not (path / "out" / "results.json").exists() and (path / "out" / "results.json.journal").exists()
    with pytest.raises(InputError, match="cannot resume with other settings: flip was True, now False"):
        run(*arguments[:-1], "--out", path / "out", "--resume")
    with pytest.raises(InputError, match="sources was"):
        run(path / "photos" / "two.jpg", *arguments[1:], "--out", path / "out", "--resume")
    with monkeypatch.context() as patch:
        done = stop_after(patch, 99)
        assert run(*arguments, "--out", path / "out", "--resume")[0] == 0
        assert len(done) == 3 - stop
    names = sorted(entry.name for entry in (path / "out").iterdir())
    assert names == sorted(entry.name for entry in (path / "whole").iterdir())
    for name in names:
        assert (path / "out" / name).read_bytes() == (path / "whole" / name).read_bytes()


@pytest.mark.slow
def test_a_killed_run_goes_on(data_dir, tmp_path):
    """SimplePose on 24 real photos, killed without warning in the middle: the same file in the end."""
    photos = sorted((data_dir / "coco" / "dev").iterdir())[:24]
    arguments = [*photos, "--gt", data_dir / "coco" / "dev_gt.json", "--no-draw"]
    arguments += ["--model", data_dir / "networks" / "simplepose.onnx"]
    assert run(*arguments, "--out", tmp_path / "whole")[0] == 0
    command = [sys.executable, "-m", "trustpose", "predict", *map(str, arguments), "--out", str(tmp_path / "out")]
    journal = tmp_path / "out" / "results.json.journal"
    with subprocess.Popen(command) as process:
        while process.poll() is None and not (journal.exists() and journal.read_bytes().count(b"\n") > 6):
            time.sleep(0.01)
        process.kill()
    assert process.returncode == -signal.SIGKILL and journal.exists()
    assert run(*arguments, "--out", tmp_path / "out", "--resume")[0] == 0
    results = [(tmp_path / folder / "results.json").read_bytes() for folder in ("whole", "out")]
    assert results[0] == results[1] and not journal.exists()
