"""A full disk: one line, exit code 2, no incomplete file, and runs that can be resumed are resumed."""

import errno
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import IO

import numpy as np
import pytest

from tests.cli.cases import run, small_files
from tests.cli.predict_cases import case as case  # a fixture
from tests.small_disk import make_room, needs_root, small_disk
from trustpose.files import DiskError
from trustpose.poses import Poses
from trustpose.predict.journal import Journal
from trustpose.report.video import VideoWriter

FULL = "No space left on device"


def free(folder) -> int:
    """Bytes."""
    return shutil.disk_usage(folder).free


def fill(folder, leaving: int) -> None:
    (folder / "other").write_bytes(bytes(max(0, free(folder) - leaving)))


@needs_root
@pytest.mark.parametrize("option", ["--json", "--report"])
def test_audit(tmp_path, capsys, option):
    small_files(tmp_path)
    with small_disk(tmp_path / "disk", "16k") as disk:
        fill(disk, leaving=4096)
        arguments = ("--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json", "--draws", "0")
        assert run("audit", *arguments, option, disk / "out") == 2
        assert [entry.name for entry in disk.iterdir()] == ["other"]
    message = capsys.readouterr().err
    assert message == f"trustpose: error: {tmp_path / 'disk' / 'out'}: cannot be written ({FULL})\n"


@needs_root
@pytest.mark.parametrize("outputs", [("--json", "--report"), ("--report", "--json")])
def test_audit_writes_both_files_or_neither(tmp_path, outputs):
    """There is room for the numbers, and not for the page."""
    small_files(tmp_path)
    with small_disk(tmp_path / "disk", "64k") as disk:
        fill(disk, leaving=32_768)
        arguments = ("--gt", tmp_path / "gt.json", "--results", tmp_path / "results.json", "--draws", "0")
        assert run("audit", *arguments, outputs[0], disk / "first", outputs[1], disk / "second") == 2
        assert [entry.name for entry in disk.iterdir()] == ["other"]
        assert run("audit", *arguments, "--json", disk / "numbers") == 0, "there was room for the numbers"


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full here")
@pytest.mark.parametrize("words", [["--version"], ["--help"], ["recipes", "--json"], ["suppress"]])
def test_standard_output_that_is_full(tmp_path, words):
    """For every way to print: typer's, rich's, and a file written to it."""
    small_files(tmp_path)
    arguments = (
        words if words[0] != "suppress" else ["suppress", "--results", str(tmp_path / "results.json"), "--out", "-"]
    )
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "trustpose", *arguments]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (2, f"trustpose: error: standard output: cannot be written ({FULL})\n")


def test_standard_output_that_is_closed(tmp_path):
    small_files(tmp_path)
    command = f"{sys.executable} -m trustpose audit --draws 0 --gt gt.json --results results.json --json out >&-"
    done = subprocess.run(command, shell=True, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    assert (done.returncode, done.stderr) == (0, "") and (tmp_path / "out").is_file()


@needs_root
def test_predict_goes_on_when_there_is_room(case, capsys):
    """Full at any file: the journal, pictures, results. The final files equal those of a run with enough space."""
    path, _ = case
    arguments = ["predict", path / "photos", "--gt", path / "gt.json", "--model", path / "colours.onnx"]
    assert run(*arguments, "--out", path / "whole") == 0
    names = sorted(entry.name for entry in (path / "whole").iterdir())
    full_at = set()
    for room in (0, 8192, 16384, 32768):
        with small_disk(path / f"disk-{room}", "128k") as disk:
            fill(disk, leaving=room)
            capsys.readouterr()
            code = run(*arguments, "--out", disk / "out")
            message = capsys.readouterr().err
            if code:
                assert code == 2 and message.count("\n") == 1 and FULL in message
                assert message.endswith("; free some space, then run the same command with --resume to continue\n")
                full_at.add(message.split(":")[2].rpartition("/")[2].partition(".")[2])
                assert not list((disk / "out").glob(".*.part"))
                make_room(disk, "1m")
                assert run(*arguments, "--out", disk / "out", "--resume") == 0
            assert sorted(entry.name for entry in (disk / "out").iterdir()) == names
            for name in names:
                assert (disk / "out" / name).read_bytes() == (path / "whole" / name).read_bytes(), name
    assert {"json.journal", "jpg"} <= full_at


def test_a_journal_on_a_full_disk(tmp_path, monkeypatch):
    """Without a full disk: earlier lines stay, the incomplete line is removed."""
    poses = Poses(xy=np.zeros((1, 17, 2)), score=np.zeros((1, 17)))
    path = tmp_path / "journal"
    message = rf"^{path}: cannot be written \({os.strerror(errno.EDQUOT)}\)$"
    with pytest.raises(DiskError, match=message), Journal(path, {}, is_resumed=False) as journal:
        journal.add(1, poses)
        monkeypatch.setattr(journal, "_file", _Full(journal._file))
        journal.add(2, poses)
    assert path.read_bytes().count(b"\n") == 2 and not path.read_bytes().endswith(b"\n")
    with Journal(path, {}, is_resumed=True) as journal:
        assert list(journal.done) == [1]


class _Full:
    """A file on a disk that has room for half of what is written."""

    def __init__(self, file: IO[bytes]):
        self.file = file

    def write(self, content: bytes) -> None:
        self.file.write(content[: len(content) // 2])
        self.file.flush()
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    def close(self) -> None:
        self.file.close()
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))


@needs_root
def test_an_incomplete_video_is_not_kept(tmp_path):
    """OpenCV does not report it."""
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    message = r"film\.mp4: cannot be written \(0 of 60 frames written, disk full\?\)"
    with small_disk(tmp_path / "disk", "256k") as disk:
        with pytest.raises(DiskError, match=message), VideoWriter(disk / "film.mp4", 320, 240, 10.0) as video:
            for _ in range(60):
                video.write(noise)
        assert not list(disk.iterdir())
