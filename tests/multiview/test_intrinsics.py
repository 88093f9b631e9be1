"""Boards and intrinsics: against OpenCV, boards drawn with a known lens, and the photos of four real cameras."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from trustpose.geometry.cameras import Camera
from trustpose.io.cameras import read_cameras
from trustpose.io.photos import read_image
from trustpose.multiview.boards import Board, charuco_board, find_boards, find_corners
from trustpose.multiview.intrinsics import board_pose, calibrate, coverage, project

BOARD = Board(9, 6, 0.03)
SIZE = (1280, 720)
LENSES = {"pinhole": (900.0, [-0.25, 0.1, 0.001, -0.0005, 0.0]), "fisheye": (500.0, [0.05, -0.01, 0.003, -0.001])}
CORNERS = Path(__file__).parent / "pose2sim_corners.json"  # of its photos, by `find_corners`


def camera(lens: str = "pinhole") -> Camera:
    focal, distortion = LENSES[lens]
    matrix = np.array([[focal, 0, 655], [0, focal, 350], [0, 0, 1]])
    return Camera("a", matrix, np.array(distortion), np.eye(3), np.zeros(3), SIZE, lens)  # type: ignore[arg-type]


def shots(of: Camera, count: int = 10, noise: float = 0.1, board: Board = BOARD) -> list[np.ndarray]:
    """The corners of boards held all over the image."""
    generator, found = np.random.default_rng(3), []
    while len(found) < count:
        rotation = cv2.Rodrigues(generator.uniform(-0.6, 0.6, 3))[0]
        points = generator.uniform((-0.2, -0.1, 0.25), (0.2, 0.1, 0.5))
        xy = of.project((board.points - board.points.mean(axis=0)) @ rotation.T + points)
        if (xy > 0).all() and (xy < SIZE).all():
            found.append(xy + generator.normal(0, noise, xy.shape))
    return found


@pytest.mark.parametrize("lens", ["pinhole", "fisheye"])
def test_derivatives(lens: str) -> None:
    """Against differences."""
    matrix, distortion = camera(lens).matrix, camera(lens).distortion
    one = np.concatenate([[matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]], distortion])
    pose = np.array([0.3, -0.2, 0.5, 0.05, -0.02, 0.6])

    points = BOARD.points[:5]
    pixels, *by = project(lens, one, pose, points)  # type: ignore[arg-type]
    for which, (start, derivative) in enumerate(zip((one, pose, points), by, strict=True)):
        for k in range(start.shape[-1]):
            step = 1e-6 * max(1.0, np.abs(start[..., k]).max())
            moved = start.copy()
            moved[..., k] += step
            arguments = [moved if n == which else value for n, value in enumerate((one, pose, points))]
            there = project(lens, *arguments)[0]  # type: ignore[arg-type]
            assert np.abs((there - pixels) / step - derivative[..., k]).max() < 1e-3 * max(1, np.abs(derivative).max())


def test_without_a_prior_it_is_opencv_s() -> None:
    corners = shots(camera())
    ours = calibrate(corners, BOARD, SIZE, prior=None)
    points = [BOARD.points.astype(np.float32)] * len(corners)
    seen = [corner.astype(np.float32)[:, None] for corner in corners]
    error, matrix, distortion, *_, std, _, _ = cv2.calibrateCameraExtended(points, seen, SIZE, None, None)  # type: ignore[call-overload]
    assert abs(ours.error - error) < 1e-4
    assert np.abs(ours.camera.matrix - matrix).max() < 0.05
    assert np.abs(ours.camera.distortion - distortion.ravel()).max() < 1e-3
    assert np.abs(ours.std[:4] / std.ravel()[:4] - 1).max() < 0.02


@pytest.mark.parametrize(("lens", "coefficients"), [("pinhole", 5), ("pinhole", 8), ("pinhole", 14), ("fisheye", 4)])
def test_a_known_lens_is_found(lens: str, coefficients: int) -> None:
    of = camera(lens)
    calibration = calibrate(shots(of, 14), BOARD, SIZE, lens=lens, coefficients=coefficients)  # type: ignore[arg-type]
    assert calibration.is_used.all() and 0.11 < calibration.error < 0.16  # 0.1 in each direction
    assert abs(calibration.camera.matrix[0, 0] / of.matrix[0, 0] - 1) < 0.003
    centre = 25 if coefficients == 14 else 5  # a tilted sensor and the principal point look alike
    assert np.abs(calibration.camera.matrix[:2, 2] - of.matrix[:2, 2]).max() < centre
    here = np.array([[300.0, 150], [640, 360], [1000, 550]])
    off = np.linalg.norm(calibration.camera.directions(here) - of.directions(here), axis=1)
    assert np.degrees(off).max() < (1.5 if coefficients == 14 else 0.5)


def test_a_bad_photo_is_left_out() -> None:
    corners = shots(camera())
    corners[4] = corners[4] + np.random.default_rng(0).normal(0, 3, corners[4].shape)
    calibration = calibrate(corners, BOARD, SIZE)
    assert np.flatnonzero(~calibration.is_used).tolist() == [4]
    assert calibration.errors[4] > 2 and calibration.error < 0.2 and np.isfinite(calibration.translations).all()
    with pytest.raises(ValueError, match="at least 3 photos"):
        calibrate(corners[:2], BOARD, SIZE)
    with pytest.raises(ValueError, match=r"coefficients: expected 5 or 8 or 14 \(pinhole\), got 6"):
        calibrate(corners, BOARD, SIZE, coefficients=6)


def drawn(board: Board, columns: int, rows: int, upside_down: bool = False) -> np.ndarray:
    """A photo of a checkerboard: columns × rows squares with a white edge, turned a little."""
    side = 60
    squares = np.add.outer(np.arange(rows), np.arange(columns)) % 2 * 255
    picture = np.pad(np.kron(squares, np.ones((side, side))), side, constant_values=255).astype(np.uint8)
    if board.dictionary is not None:
        picture = charuco_board(board).generateImage((columns * side, rows * side), marginSize=side // 2)
    if upside_down:
        picture = picture[::-1, ::-1]
    height, width = picture.shape
    target = np.array([[90, 60], [width + 60, 90], [width + 20, height + 100], [60, height + 50]], dtype=np.float32)
    source = np.array([[0, 0], [width, 0], [width, height], [0, height]], dtype=np.float32)
    turn = cv2.getPerspectiveTransform(source, target)
    seen = cv2.warpPerspective(np.ascontiguousarray(picture), turn, (width + 150, height + 150), borderValue=128)
    return np.ascontiguousarray(cv2.cvtColor(seen, cv2.COLOR_GRAY2RGB))


def test_a_checkerboard_s_first_corner_is_the_same_upside_down() -> None:
    board = Board(5, 4, 0.05)
    upright, turned = (find_corners(drawn(board, 6, 5, flip), board) for flip in (False, True))
    assert upright is not None and turned is not None
    for corners, first in ((upright, "top left"), (turned, "bottom right")):
        assert (corners[0].sum() < corners[-1].sum()) == (first == "top left")
        pose = board_pose(camera(), board.points, corners)
        assert cv2.Rodrigues(pose[:3])[0][2, 2] > 0  # seen from its front
    assert find_corners(np.full((200, 300, 3), 128, dtype=np.uint8), board) is None


def test_charuco_partly_seen() -> None:
    board = Board(7, 5, 0.03, 0.02, "DICT_4X4_50")
    whole = drawn(board, 7, 5)
    corners = find_corners(whole, board)
    assert corners is not None and corners.shape == (24, 2) and np.isfinite(corners).all()
    covered = whole.copy()
    covered[:, :200] = 128
    part = find_corners(covered, board)
    assert part is not None
    known = np.isfinite(part).all(axis=1)
    assert 6 <= known.sum() < 24 and np.abs(part[known] - corners[known]).max() < 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((2, 7, 0.06), "board: expected 3 to 100"),
        ((4, 7, -1.0), "square: "),
        ((4, 7, 0.06, 0.04), "both"),
        ((4, 7, 0.06, 0.07, "DICT_4X4_50"), "marker: expected a side below"),
        ((4, 7, 0.06, 0.04, "DICT_9X9"), "dictionary: expected one of"),
    ],
)
def test_boards_that_are_none(arguments: tuple, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Board(*arguments)


def test_coverage() -> None:
    assert coverage([np.array([[0.0, 0], [99, 99], [np.nan, 1]])], (100, 100)) == 0.02


@pytest.fixture
def pose2sim(data_dir: Path) -> Path:
    folder = data_dir / "multiview/pose2sim"
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    return folder


def test_real_photos_where_plain_finders_fail(pose2sim: Path) -> None:
    """The newer finder now and then takes something else for the first; the classic one misses the second."""
    stored = json.loads(CORNERS.read_text())
    for name in ("02_05_int", "03_05_int"):
        corners = find_corners(read_image(pose2sim / "intrinsics" / f"cam{name}.jpg"), Board(4, 7, 0.06))
        assert corners is not None and np.abs(corners - np.array(stored[f"cam_{name[:2]}"][name])).max() < 1


def test_four_real_cameras(pose2sim: Path) -> None:
    """Against the Qualisys file. These photos leave the principal point open: docs/benchmarks/cameras.md."""
    reference = read_cameras(pose2sim / "Calib.qca.txt")
    for name, photos in json.loads(CORNERS.read_text()).items():
        corners = [np.array(photo) for photo in photos.values()]
        first_calibration, alone = (
            calibrate(corners, Board(4, 7, 0.06), (1088, 1920), **prior) for prior in ({}, {"prior": None})
        )
        matrix = reference[name].matrix
        assert np.abs(np.diag(first_calibration.camera.matrix)[:2] / np.diag(matrix)[:2] - 1).max() < 0.005
        off, before = (np.linalg.norm(one.camera.matrix[:2, 2] - matrix[:2, 2]) for one in (first_calibration, alone))
        assert off < before and off < 46 and first_calibration.error < 0.2


def test_photos_of_two_sizes_are_refused(tmp_path: Path) -> None:
    for name, height in (("a.png", 300), ("b.png", 310)):
        cv2.imwrite(str(tmp_path / name), np.zeros((height, 400, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r"b\.png: has 400 × 310 pixels, expected 400 × 300 as a\.png has"):
        list(find_boards([tmp_path / "a.png", tmp_path / "b.png"], Board(4, 7, 0.06)))
