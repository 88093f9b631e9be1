"""`trustpose cameras`: output and files, and one line for wrong input."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.multiview.test_intrinsics import camera
from trustpose.cli import main
from trustpose.formats.cameras import read_cameras, write_cameras
from trustpose.geometry.cameras import Cameras


def run(*words: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(word) for word in ("cameras", *words)])
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four photos of a checkerboard through a known lens, and one without."""
    folder, of = tmp_path_factory.mktemp("board"), camera().resized(640, 360)
    side, (width, height) = 40, (640, 360)
    squares = np.add.outer(np.arange(6), np.arange(7)) % 2 * 255
    picture = np.pad(np.kron(squares, np.ones((side, side))), side, constant_values=255).astype(np.uint8)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float64)
    ideal = of.undistort(np.stack([columns, rows], axis=-1))
    plane = (ideal - of.matrix[:2, 2]) / of.matrix[0, 0]
    for number, turn in enumerate(([0.5, 0, 0], [0, 0.5, 0.2], [-0.3, -0.4, 0], [0.3, 0.3, -0.3])):
        rotation = cv2.Rodrigues(np.array(turn))[0]
        onto = np.linalg.inv(
            np.column_stack([rotation[:, 0], rotation[:, 1], [0.0, 0, 0.35] - rotation @ [0.12, 0.1, 0]])
        )
        hit = np.concatenate([plane, np.ones((height, width, 1))], axis=2) @ onto.T
        xy = (hit[..., :2] / hit[..., 2:] / 0.03 + 1) * side - 0.5
        seen = cv2.remap(picture, *np.moveaxis(xy.astype(np.float32), 2, 0), cv2.INTER_LINEAR, borderValue=128)
        cv2.imwrite(str(folder / f"{number}.png"), seen)
    cv2.imwrite(str(folder / "none.png"), np.full((height, width), 128, dtype=np.uint8))
    return folder


def test_calibrate(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(photos.iterdir())
    board = ("--board", "6x5", "--square", "30mm")
    assert run("calibrate", *files, *board, "--out", tmp_path / "left.json", "--json", tmp_path / "numbers.json") == 0
    printed = capsys.readouterr().out
    assert "none.png      –  left out: the board was not found, whole" in printed
    assert "4 of 5 photos" in printed and "focal length x" in printed and " ± " in printed
    found, of = read_cameras(tmp_path / "left.json")["left"], camera().resized(640, 360)
    assert abs(found.matrix[0, 0] / of.matrix[0, 0] - 1) < 0.01 and found.size == of.size
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert len(numbers["photos"]) == 5 and numbers["photos"][-1]["error"] is None and numbers["error"] < 0.5


def test_convert_puts_files_together(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from dataclasses import replace

    for name in ("left", "right"):
        write_cameras(Cameras((replace(camera(), name=name),)), tmp_path / f"{name}.json")
    both = [tmp_path / "left.json", tmp_path / "right.json"]
    assert run("convert", *both, "--out", tmp_path / "both.toml") == 0
    assert "both.toml: 2 cameras" in capsys.readouterr().out
    assert read_cameras(tmp_path / "both.toml").names == ("left", "right")
    assert run("convert", tmp_path / "both.toml", "--only", "r*", "--to", "openpose", "--out", tmp_path / "folder") == 0
    assert read_cameras(tmp_path / "folder").names == ("right",)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["calibrate", "none.png", "--board", "6", "--square", "30mm", "--out", "a.json"],
            "--board: expected columns x",
        ),
        (
            ["calibrate", "none.png", "--board", "6x5", "--square", "30", "--out", "a.json"],
            "--square: expected a length",
        ),
        (
            ["calibrate", "none.png", "--board", "6x2", "--square", "1m", "--out", "a.json"],
            "--board: board: expected 3 to",
        ),
        (
            ["calibrate", "none.png", "--board", "6x5", "--square", "1m", "--out", "a.json"],
            "none.png: the board was found in 0",
        ),
        (["calibrate", "gone.png", "--board", "6x5", "--square", "1m", "--out", "a.json"], "gone.png: no such file"),
        (["convert", "none.png", "--out", "a.json"], "none.png: "),
    ],
)
def test_one_line_says_what_is_wrong(
    words: list[str], told: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photos)
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"trustpose: error: {told}") and error.count("\n") == 1
    assert not (photos / "a.json").exists()
