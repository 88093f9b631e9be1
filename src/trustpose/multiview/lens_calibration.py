"""Calibrate a camera's lens from files: what `trustpose cameras calibrate` does before it writes."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from trustpose.files import InputError
from trustpose.geometry.expected_error import parse_length
from trustpose.multiview.boards import Board, BoardPhoto, find_boards
from trustpose.multiview.intrinsics import DEFAULT_PRIOR, Intrinsics, calibrate, coverage

_COEFFICIENTS = "k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4 tau_x tau_y".split()
_FEWEST = 3  # photos of the board


@dataclass(frozen=True)
class PhotoUse:
    """A photo's `name`, its reprojection `error` in pixels (None without a board) and why it is left out ("" if it is
    used)."""

    name: str
    error: float | None
    left_out: str


@dataclass(frozen=True, eq=False)
class LensCalibration:
    """A calibrated lens and the photos that it is from."""

    intrinsics: Intrinsics
    photos: list[BoardPhoto]

    @property
    def corners(self) -> list[Any]:
        """The board's corners (N, 2), in image pixels, of each photo that shows it."""
        return [photo.corners for photo in self.photos if photo.corners is not None]

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the photos, pixels."""
        return self.photos[0].size

    @property
    def coverage(self) -> float:
        """The share of the image in which there are corners."""
        return coverage(self.corners, self.size)

    def photo_uses(self) -> list[PhotoUse]:
        """Return how each photo was used."""
        uses = []
        errors = iter(zip(self.intrinsics.errors.tolist(), self.intrinsics.is_used.tolist(), strict=True))
        for photo in self.photos:
            if photo.corners is None:
                uses.append(PhotoUse(photo.name, None, "left out: the whole board was not found"))
                continue
            error, is_used = next(errors)
            uses.append(PhotoUse(photo.name, error, "" if is_used else "left out as an outlier"))
        return uses

    def lens_rows(self) -> list[tuple[str, str]]:
        """Return the parameters of the lens: names, and values with standard deviations."""
        camera, std = self.intrinsics.camera, self.intrinsics.std
        matrix = camera.matrix
        values = [matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2]]
        names = ["focal length x", "focal length y", "principal point x", "principal point y"]
        pixels = zip(names, values, std, strict=False)
        coefficients = _COEFFICIENTS if camera.lens == "pinhole" else ["k1", "k2", "k3", "k4"]
        distortion = zip(coefficients, camera.distortion, std[4:], strict=False)
        return [
            *((name, f"{value:9.2f} ± {spread:.2f} pixels") for name, value, spread in pixels),
            *((name, f"{value:9.5f} ± {spread:.5f}") for name, value, spread in distortion),
        ]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers for a JSON file."""
        camera = self.intrinsics.camera
        return {
            "camera": camera.name,
            "size": camera.size,
            "lens": camera.lens,
            "matrix": camera.matrix.tolist(),
            "distortion": camera.distortion.tolist(),
            "std": self.intrinsics.std.tolist(),
            "error": self.intrinsics.error,
            "photos": [
                {"name": use.name, "error": use.error, "left_out": use.left_out or None} for use in self.photo_uses()
            ],
        }


def calibrate_lens(
    photos: Sequence[Path],
    *,
    name: str,
    board: str,
    square: str,
    charuco: str | None = None,
    lens: str = "pinhole",
    coefficients: int | None = None,
    every: float = 1.0,
    prior: bool = True,
    watch: Callable[[Iterable[BoardPhoto]], Iterable[BoardPhoto]] = iter,
) -> LensCalibration:
    """Calibrate a camera from photos or videos of a board.

    Args:
        photos: photos and videos, all of one camera.
        name: of the camera.
        board, square, charuco: see `read_board`.
        lens: "pinhole" or "fisheye".
        coefficients: of distortion: 5, 8 or 14 (pinhole), 4 (fisheye); None: 5, or 4.
        every: seconds between the frames that are used of a video.
        prior: expect the principal point near the centre, square pixels and small coefficients.
        watch: iterates over the photos, for a progress bar.

    Raises:
        InputError: naming the option or file at fault, also if fewer than 3 photos show the board.
    """
    pattern = read_board(board, square, charuco)
    board_photos = list(watch(find_boards(photos, pattern, every)))
    corners = [photo.corners for photo in board_photos if photo.corners is not None]
    if len(corners) < _FEWEST:
        whole = "" if charuco else ", whole, with this many inner corners"
        counts = f"{len(corners)} of {len(board_photos)} photos{whole}"
        raise InputError(f"{photos[0]}: the board was found in {counts}; {_FEWEST} are needed")
    try:
        intrinsics = calibrate(
            corners,
            pattern,
            board_photos[0].size,
            name=name,
            lens="fisheye" if lens == "fisheye" else "pinhole",
            coefficients=coefficients or (4 if lens == "fisheye" else 5),
            prior=DEFAULT_PRIOR if prior else None,
        )
    except ValueError as error:
        raise InputError(f"{photos[0]}: {error}") from None
    return LensCalibration(intrinsics, board_photos)


def read_board(board: str, square: str, charuco: str | None = None) -> Board:
    """Return a calibration board.

    Args:
        board: inner corners of a checkerboard, such as "4x7"; squares of a ChArUco board.
        square: side of a square with its unit, such as "60mm".
        charuco: the ChArUco board's dictionary and its markers' side, such as "DICT_4X4_50,45mm".

    Raises:
        InputError: naming the option at fault.
    """
    columns, cross, rows = board.lower().partition("x")
    if not (cross and columns.isdecimal() and rows.isdecimal()):
        raise InputError(f"--board: expected columns x rows, such as 4x7, got {board!r}")
    option, dictionary, marker = "--square", None, None
    try:
        side = parse_length(square)
        if charuco is not None:
            option = "--charuco"
            dictionary, comma, length = charuco.partition(",")
            if not comma:
                raise ValueError(
                    f"expected a dictionary and the markers' side, such as DICT_4X4_50,45mm, got {charuco!r}"
                )
            marker = parse_length(length)
        option = "--board"
        return Board(int(columns), int(rows), side, marker, dictionary)
    except ValueError as error:
        raise InputError(f"{option}: {error}") from None
