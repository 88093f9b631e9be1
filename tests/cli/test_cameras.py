"""`trustpose cameras`: output and files, and one line for wrong input."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.multiview.test_intrinsics import camera
from trustpose.cli import main
from trustpose.geometry.cameras import Cameras
from trustpose.io.cameras import read_cameras, write_cameras


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
    written = ("--out", tmp_path / "left.json", "--json", tmp_path / "numbers.json", "--report", tmp_path / "page.html")
    assert run("calibrate", *files, *board, *written) == 0
    page = (tmp_path / "page.html").read_text()
    assert page.count("<circle") == 4 * 30 and "none.png" in page and "default-src 'none'" in page
    assert "<script" not in page and "focal length x" in page
    printed = capsys.readouterr().out
    assert "none.png      –  left out: the whole board was not found" in printed
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


def test_place_by_points(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from tests.multiview.rings import ring

    cameras = ring(2)
    corners = {name: np.random.default_rng(number).uniform(-1, 1, 3).tolist() for number, name in enumerate("abcdefgh")}
    pixels = {c.name: {n: c.project(np.array(xyz)).tolist() for n, xyz in corners.items()} for c in cameras}
    pixels["cam1"]["c"][0] += 40
    (tmp_path / "scene.json").write_text(json.dumps({"unit": "m", "points": corners, "cameras": pixels}))
    write_cameras(Cameras(tuple(camera.placed(np.eye(3), np.zeros(3)) for camera in cameras)), tmp_path / "two.json")
    assert (
        run(
            "place",
            tmp_path / "two.json",
            "--points",
            tmp_path / "scene.json",
            "--out",
            tmp_path / "out.json",
            "--report",
            tmp_path / "page.html",
        )
        == 0
    )
    page = (tmp_path / "page.html").read_text()
    assert '"name":"cam1"' in page and "2 cameras, 8 points" in page and "1 person" not in page
    printed = capsys.readouterr().out
    assert "cam0: reprojection error 0.00 pixels of 8 points" in printed
    assert "point 'c' is " in printed and "is it the right one?" in printed
    assert np.abs(read_cameras(tmp_path / "out.json")["cam0"].centre - cameras["cam0"].centre).max() < 1e-3


def test_place_by_a_board(photos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_cameras(Cameras((camera().resized(640, 360),)), tmp_path / "one.json")
    board = ("--photo", photos / "0.png", "--square", "30mm", "--out", tmp_path / "out.json")
    assert run("place", tmp_path / "one.json", *board, "--board", "6x5") == 0
    assert "a: reprojection error 0." in capsys.readouterr().out
    placed = read_cameras(tmp_path / "out.json")["a"]
    middle = placed.to_camera(np.array([0.075, 0.06, 0]))  # of the corners, which lie 0.35 m in front
    assert np.abs(middle - [0, 0, 0.35]).max() < 0.06
    assert run("place", tmp_path / "one.json", *board, "--board", "5x5") == 2
    assert "looks the same upside down" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--out", "x.json"], "expected one of --results, --photo, --points, got none"),
        (
            ["--results", "a.json", "--out", "x.json"],
            "--results: images alone do not determine the scale; expected one known length",
        ),
        (["--photo", "a.png", "--out", "x.json"], "--photo: needs --board and --square"),
        (
            ["--photo", "a.png", "--photo", "b.png", "--board", "4x7", "--square", "1m", "--out", "x.json"],
            "--photo: expected",
        ),
        (["--points", "gone.json", "--out", "x.json"], "gone.json: no such file"),
    ],
)
def test_place_says_what_is_missing(
    words: list[str], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_cameras(Cameras((camera(),)), "one.json")
    assert run("place", "one.json", *words) == 2
    assert capsys.readouterr().err.startswith(f"trustpose: error: {message}")


@pytest.mark.parametrize(
    ("words", "message"),
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
    words: list[str], message: str, photos: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(photos)
    assert run(*words) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"trustpose: error: {message}") and error.count("\n") == 1
    assert not (photos / "a.json").exists()
