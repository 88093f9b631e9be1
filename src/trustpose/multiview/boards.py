"""Calibration boards: a checkerboard, or a ChArUco board, and its corners in a photo.

The finders are OpenCV's: `findChessboardCornersSB` (Duda and Frese 2018), then the classic one with sub-pixel
refinement, and `CharucoDetector`. Each is tried at several sizes of the photo, and each result is checked, since both
finders sometimes return corners that are no grid.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError
from trustpose.io.photos import read_image
from trustpose.io.video import SUFFIXES, Video
from trustpose.names import expected_one_of

_SCALES = (1.0, 0.5, 2.0)  # the photo's own size first
_LARGEST = 1600  # pixels of an enlarged photo's longer side
_OFF_GRID = 0.25  # of the corners' distance: how far they may lie from a plane's grid, for a strong lens
_REFINED = (cv2.TERM_CRITERIA_EPS + cv2.TERM_CRITERIA_MAX_ITER, 60, 1e-4)
_FEWEST = 6  # corners of a ChArUco board that is partly seen


@dataclass(frozen=True)
class Board:
    """A checkerboard with `columns` × `rows` inner corners, or, with a `dictionary`, a ChArUco board with that many
    squares. `square` is the side of a square and `marker` that of an ArUco marker, metres.

    Raises ValueError naming what is wrong.
    """

    columns: int
    rows: int
    square: float
    marker: float | None = None
    dictionary: str | None = None

    def __post_init__(self) -> None:
        if min(self.columns, self.rows) < 3 or max(self.columns, self.rows) > 100:
            raise ValueError(f"board: expected 3 to 100 in each direction, got {self.columns}x{self.rows}")
        if not 0 < self.square < 100:
            raise ValueError(f"square: expected a side in metres, above 0 and below 100, got {self.square:g}")
        if (self.marker is None) != (self.dictionary is None):
            raise ValueError("board: a ChArUco board needs both its markers' side and their dictionary")
        if self.marker is not None and not 0 < self.marker < self.square:
            raise ValueError(f"marker: expected a side below the square's {self.square:g} m, got {self.marker:g}")
        if self.dictionary is not None and self.dictionary not in DICTIONARIES:
            raise ValueError(f"dictionary: {expected_one_of(DICTIONARIES, self.dictionary)}")

    @property
    def grid(self) -> tuple[int, int]:
        """How many corners there are across and down."""
        less = 0 if self.dictionary is None else 1
        return self.columns - less, self.rows - less

    @property
    def points(self) -> Float[np.ndarray, "N 3"]:
        """The corners (N, 3) in the board's frame, metres: x along its columns, y down its rows, z = 0, row by row. A
        ChArUco board's first corner is one square from its edges."""
        columns, rows = self.grid
        start = 0 if self.dictionary is None else 1
        down, across = np.mgrid[start : rows + start, start : columns + start]
        return np.stack([across.ravel(), down.ravel(), np.zeros(columns * rows)], axis=1) * self.square

    @property
    def has_one_way_up(self) -> bool:
        """Whether it looks different upside down, so that several cameras can agree on its frame."""
        return self.dictionary is not None or (self.columns + self.rows) % 2 == 1


DICTIONARIES = tuple(sorted(name for name in vars(cv2.aruco) if name.startswith("DICT_") and name.isupper()))


def find_corners(pixels: UInt8[np.ndarray, "H W 3"], board: Board) -> Float[np.ndarray, "N 2"] | None:
    """Return the board's corners (N, 2) in an RGB photo, image pixels, NaN for those of a ChArUco board that are not
    seen; None if the board is not found.

    A checkerboard's first square, between corners 0, 1 and the row below, is dark, and its corners are numbered as seen
    from its front: so they are the same in all cameras, for a board that `has_one_way_up`.
    """
    grey = cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)
    if board.dictionary is not None:
        return _charuco(grey, board)
    for candidate in _grids(grey, board.grid):
        corners = _in_order(grey, candidate.reshape(-1, 2).astype(np.float64), board)
        if corners is not None:
            return corners
    return None


def _grids(grey: UInt8[np.ndarray, "H W"], grid: tuple[int, int]) -> Iterator[np.ndarray]:
    """Yield what OpenCV's finders find, best first, in pixels of the photo."""
    # exhaustive also where it is not needed: 0.15 instead of 0.21 pixels off, on real photos
    robust = cv2.CALIB_CB_EXHAUSTIVE | cv2.CALIB_CB_ACCURACY | cv2.CALIB_CB_NORMALIZE_IMAGE
    classic = cv2.CALIB_CB_ADAPTIVE_THRESH | cv2.CALIB_CB_NORMALIZE_IMAGE
    for scale in _SCALES:
        if scale > 1 and max(grey.shape) * scale > _LARGEST:
            continue
        smaller = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        sized = grey if scale == 1 else cv2.resize(grey, None, fx=scale, fy=scale, interpolation=smaller)
        for find, flags in ((cv2.findChessboardCornersSB, robust), (cv2.findChessboardCorners, classic)):
            cv2.setRNGSeed(1)  # the first finder is random: its grid may be wrong in one run and right in the next
            is_found, corners = find(sized, grid, flags=flags)
            if not is_found:
                continue
            corners = (corners.reshape(-1, 1, 2).astype(np.float32) + 0.5) / scale - 0.5
            if scale != 1 or find is cv2.findChessboardCorners:
                side = max(2, int(_spacing(corners.reshape(-1, 2), grid) / 4))  # half a window within the squares
                corners = cv2.cornerSubPix(grey, corners, (min(side, 11),) * 2, (-1, -1), _REFINED)
            yield corners


def _spacing(corners: Float[np.ndarray, "N 2"], grid: tuple[int, int]) -> float:
    """Return the smallest distance of neighbours, pixels."""
    table = corners.reshape(grid[1], grid[0], 2)
    steps = [np.linalg.norm(np.diff(table, axis=axis), axis=2).min() for axis in (0, 1)]
    return float(min(steps))


def _in_order(
    grey: UInt8[np.ndarray, "H W"], corners: Float[np.ndarray, "N 2"], board: Board
) -> Float[np.ndarray, "N 2"] | None:
    """Return the corners numbered from the front, from a dark square; None if they are no grid."""
    columns, rows = board.grid
    if not _is_grid(corners, board):
        return None
    table = corners.reshape(rows, columns, 2)
    across, down = table[0, 1] - table[0, 0], table[1, 0] - table[0, 0]
    if across[0] * down[1] - across[1] * down[0] < 0:  # numbered as seen from behind
        table = table[:, ::-1]
    if (columns + rows) % 2:
        centres = (table[:-1, :-1] + table[1:, 1:] + table[1:, :-1] + table[:-1, 1:]) / 4
        x, y = np.moveaxis(centres.astype(np.float32), 2, 0)
        seen = cv2.remap(grey, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        is_first = np.add.outer(np.arange(rows - 1), np.arange(columns - 1)) % 2 == 0
        if np.median(seen[is_first]) > np.median(seen[~is_first]):
            table = table[::-1, ::-1]
    return np.ascontiguousarray(table).reshape(-1, 2)


def _is_grid(corners: Float[np.ndarray, "N 2"], board: Board) -> bool:
    """Whether the corners lie near those of a plane's grid in perspective."""
    homography = cv2.findHomography(board.points[:, :2], corners)[0]
    if homography is None:
        return False
    expected = cv2.perspectiveTransform(board.points[None, :, :2], homography)[0]
    off = np.linalg.norm(expected - corners, axis=1)
    return float(np.median(off)) < _OFF_GRID * _spacing(expected, board.grid)


def charuco_board(board: Board) -> cv2.aruco.CharucoBoard:
    """Return OpenCV's board of ours, to print it with `generateImage`. Raises ValueError for a checkerboard."""
    if board.dictionary is None or board.marker is None:
        raise ValueError("board: a checkerboard has no markers")
    dictionary = cv2.aruco.getPredefinedDictionary(getattr(cv2.aruco, board.dictionary))
    return cv2.aruco.CharucoBoard((board.columns, board.rows), board.square, board.marker, dictionary)


def _charuco(grey: UInt8[np.ndarray, "H W"], board: Board) -> Float[np.ndarray, "N 2"] | None:
    detector = cv2.aruco.CharucoDetector(charuco_board(board))
    corners, numbers, *_ = detector.detectBoard(grey)
    if corners is None or numbers is None or len(corners) < _FEWEST:
        return None
    all_corners = np.full((board.grid[0] * board.grid[1], 2), np.nan)
    numbers = np.asarray(numbers, dtype=np.int64).ravel()
    all_corners[numbers] = corners.reshape(-1, 2)
    seen = board.points[numbers]
    return None if min(np.ptp(seen[:, 0]), np.ptp(seen[:, 1])) == 0 else all_corners  # corners on a line fix no plane


@dataclass(frozen=True, eq=False)
class BoardPhoto:
    """A photo, or a video's frame: its `name`, its width and height `size`, pixels, and the board's `corners` (N, 2) in
    it, as `find_corners`; None where no board was found."""

    name: str
    size: tuple[int, int]
    corners: Float[np.ndarray, "N 2"] | None


def find_boards(paths: Sequence[Path], board: Board, every: float = 1.0) -> Iterator[BoardPhoto]:
    """Yield each photo of one camera, and of each video a frame `every` so many seconds, with its board.

    Raises InputError if a file cannot be read, or has another size than the first.
    """
    first: tuple[str, tuple[int, int]] | None = None
    for name, pixels in _pixels(paths, every):
        size = (pixels.shape[1], pixels.shape[0])
        first = first or (name, size)
        if size != first[1]:
            expected = "{} × {}".format(*first[1])
            raise InputError(f"{name}: has {size[0]} × {size[1]} pixels, expected {expected} as {first[0]} has")
        yield BoardPhoto(name, size, find_corners(pixels, board))


def _pixels(paths: Sequence[Path], every: float) -> Iterator[tuple[str, UInt8[np.ndarray, "H W 3"]]]:
    for path in paths:
        if path.suffix.lower() not in SUFFIXES:
            yield path.name, read_image(path)
            continue
        with Video(path) as video:
            step = max(1, round(every * video.frame_rate))
            for number, pixels in video.frames():
                if number % step == 0:
                    yield f"{path.name} frame {number}", pixels
