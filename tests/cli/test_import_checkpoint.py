"""`trustpose import`: sources of checkpoints. Their conversion is tested in tests/export/test_model_folder.py."""

import hashlib
from pathlib import Path

import pytest

from trustpose.cli import main

pytest.importorskip("torch", reason="the train extra is not installed")


def _refused(position: str | Path, out: Path, capsys, *options: str) -> str:
    """The one line with the reason why nothing was imported."""
    with pytest.raises(SystemExit) as done:
        main(["import", str(position), "--network", "hourglass-1", "--out", str(out / "out"), *options])
    complaint = capsys.readouterr().err
    assert done.value.code == 2 and complaint.count("\n") == 1 and not (out / "out").exists()
    return complaint


def test_a_file_by_path_and_by_url_with_its_sha256(tmp_path, capsys):
    file = tmp_path / "a checkpoint, 100 %.pth"
    file.write_bytes(b"no checkpoint")
    digest = hashlib.sha256(b"no checkpoint").hexdigest()
    for position in (file, file.as_uri()):
        complaint = _refused(position, tmp_path, capsys, "--sha256", "ab" * 32)
        assert f"its SHA-256 is {digest}, expected {'ab' * 32}" in complaint
        for options in ((), ("--sha256", digest.upper())):  # it is the file meant, and read: it holds no tensors
            assert f"{file}: is not a readable checkpoint" in _refused(position, tmp_path, capsys, *options)
    assert "no such file" in _refused(file.with_name("none.pth").as_uri(), tmp_path, capsys, "--sha256", digest)


def test_no_download_without_a_sha256(tmp_path, capsys):
    assert "needs --sha256" in _refused("http://localhost:1/hrnet.pth", tmp_path, capsys)
    assert "cannot be downloaded" in _refused("http://localhost:1/hrnet.pth", tmp_path, capsys, "--sha256", "00")
