"""Smooth the poses of tracks over time, each keypoint by its trust, and fill gaps with stated uncertainty.

Each keypoint of a track is a point that random forces move (`kalman`). How noisy its measurements are relative to each
other follows from each keypoint's expected OPKS, as an error in pixels (`geometry.expected_error`), and so does the
probability that it is a gross error; the overall level of noise, and the strength of the forces, are estimated from the
clip (`gross_errors`).
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.expected_error import AREA_OF_BOX, expected_error
from trustpose.io.read_poses import ImagesSource, PosesSource, images_of, poses_of
from trustpose.names import expected_one_of
from trustpose.poses import Poses
from trustpose.tracking.gross_errors import Measured, estimate_noise, smooth_measured
from trustpose.tracking.kalman import Points
from trustpose.tracking.paths import Paths, add_filled_rows, paths_of

MOTIONS = {"velocity": 2, "acceleration": 3}  # the order of `kalman`
NOISES = ("auto", "trust", "constant")
FILL = 10
_GROSS, _GROSS_SIZE = 0.05, 0.35  # of constant noise: P(gross error), and its standard deviation / √area
_MAX_COORDINATE = 1e6  # pixels from the photo's corner, beyond which a keypoint counts as not found
_CONSTANT = 0.05  # standard deviation / √area, to begin with: a factor is estimated from the clip


@dataclass(frozen=True, eq=False, repr=False)
class Smoothed:
    """What `tp.smooth` returns: the N poses that it was given, in their order, then a row for each filled frame.

    Attributes:
        poses: N' ≥ N poses; the rows after the first N are of frames in which a track was not detected.
        std: (N', K), standard deviation of each keypoint along each axis, image pixels; NaN where it was not smoothed:
            in a row of no track, and for a keypoint detected in too few frames.
        replaced: (N', K), keypoints whose position follows from other frames alone: they were not detected, or taken
            for gross errors.
        source: (N',), the input row that each row is or, for a filled one, comes after.
        noise: what the measurement noise was taken from: "trust" or "constant".

    Example:
        >>> smoothed = tp.smooth(tp.track("cam1.json"))
        >>> smoothed.poses.xy.shape[:2] == smoothed.std.shape
        True
    """

    poses: Poses
    std: Float[np.ndarray, "N K"]
    replaced: Bool[np.ndarray, "N K"]
    source: Int[np.ndarray, " N"]
    noise: str

    def __repr__(self) -> str:
        """One line: how many poses and added rows, and the noise."""
        added = len(self.source) - len(np.unique(self.source))
        return f"Smoothed({len(self.poses)} poses, {added} of them added; noise: {self.noise})"

    @property
    def input_count(self) -> int:
        """Number of the given poses, without the filled rows."""
        return int(self.source.max()) + 1 if len(self.source) else 0

    @property
    def unchanged_count(self) -> int:
        """Number of the given poses of which no keypoint was smoothed."""
        return int(np.isnan(self.std[: self.input_count]).all(axis=1).sum())


def smooth(
    poses: PosesSource,
    images: ImagesSource | None = None,
    *,
    noise: str = "auto",
    motion: str = "velocity",
    gross_errors: bool = True,
    fill: int = FILL,
    groups: Int[np.ndarray, " N"] | None = None,
) -> Smoothed:
    """Smooth the keypoints of each track and fill its gaps; the estimator's scores are unchanged.

    The quality of a replaced keypoint is that of the track's keypoints around it, reduced by the uncertainty of its
    position (not reduced for a skeleton without sigmas). `std` includes errors that are constant over time, which no
    smoother can see, as far as `quality` accounts for them: with constant noise it is that of jitter and motion alone.

    Args:
        poses: poses with `track_id`, or one person a frame; or the path of their results file.
        images: the clips' frames, for their order and times (`frames.order_frames`), or the path of a file that lists
            them; without, `image_id` is the frame's number in one clip.
        noise: "trust" takes the expected error of each keypoint, from `quality`; "constant" the same for all frames;
            "auto" trust where there is quality.
        motion: what is constant up to random forces, "velocity" or "acceleration".
        gross_errors: whether keypoints far from where the others expect them count less, unless they move there and
            back step by step.
        fill: frames without the track, between two with it, get a row if they are at most so many.
        groups: (N,) rows with different numbers, such as categories, are never of one track.

    Returns:
        The poses, then rows for filled frames, with the standard deviation of each keypoint in image pixels.

    Raises:
        ValueError: for poses without frames or with several people in one frame and no `track_id`, and for "trust"
            without quality in all rows.
        InputError: if a file cannot be read.

    Example:
        >>> tp.smooth(tp.track("cam1.json"))
        Smoothed(60 poses, 0 of them added; noise: trust)
    """
    poses, images = poses_of(poses), None if images is None else images_of(images)
    if motion not in MOTIONS:
        raise ValueError(f"motion: {expected_one_of(MOTIONS, motion)}")
    if fill < 0:
        raise ValueError(f"fill: expected 0 or more frames, got {fill}")
    count = QualityCount()
    count.add(poses)
    used = count.noise(noise)
    paths = paths_of(poses, images, fill=fill, groups=groups)
    filled, row, source = add_filled_rows(poses, paths)
    paths = replace(paths, row=row)
    errors = _trust_noise(filled) if used == "trust" else _constant_noise(filled, paths)
    if not gross_errors:
        errors = replace(errors, gross=np.zeros_like(errors.gross))
    result = _Result.of(filled)
    for block in paths.blocks(poses.keypoint_count):
        _smooth_block(result, errors, paths, block, MOTIONS[motion])
    return result.smoothed(len(poses), source, used)


class QualityCount:
    """Counts poses and those without `quality`, batch by batch, which decide what the noise is taken from."""

    def __init__(self) -> None:
        self._poses, self._lacking, self._has_sigmas = 0, 0, True
        self.has_quality = True

    def add(self, poses: Poses) -> None:
        """Count the poses of a batch; all batches have the same columns and skeleton."""
        self.has_quality = poses.quality is not None
        self._has_sigmas = poses.skeleton is not None and poses.skeleton.has_sigmas
        self._poses += len(poses)
        if poses.quality is not None:
            is_placed = np.ones(poses.quality.shape, bool) if poses.missing is None else ~poses.missing
            self._lacking += int((np.isnan(poses.quality) & is_placed).any(axis=1).sum())

    def noise(self, noise: str) -> str:
        """Return "trust" or "constant" for one of `NOISES`. Raises ValueError if trust is asked for and lacking."""
        if noise not in NOISES:
            raise ValueError(f"noise: {expected_one_of(NOISES, noise)}")
        if noise == "trust":
            if not self.has_quality:
                raise ValueError("keypoint_quality: expected in the poses for noise by trust, got none")
            if not self._has_sigmas:
                raise ValueError(
                    "skeleton: expected one with sigmas, which turn keypoint_quality into pixels; got none"
                )
            if self._lacking:
                raise ValueError(
                    f"keypoint_quality: {self._lacking} of {self._poses} poses have none, expected one in each"
                )
        has_trust = self.has_quality and self._has_sigmas and not self._lacking
        return "trust" if has_trust and noise != "constant" else "constant"


@dataclass(frozen=True, eq=False)
class _Errors:
    """Of N × K keypoints, in pixels: standard deviation of good ones, P(gross error), its standard deviation; and
    how much of the good one's variance stays over time at most (0 or 1)."""

    std: np.ndarray
    gross: np.ndarray
    gross_std: np.ndarray
    staying: float


def _trust_noise(poses: Poses) -> _Errors:
    error = expected_error(poses)
    assert error is not None
    gross = error.gross
    if poses.visibility is not None:  # the position of an absent keypoint means nothing
        gross = 1 - (1 - gross) * (1 - np.nan_to_num(poses.visibility[..., 0].astype(np.float64)))
    return _Errors(error.std, gross, error.gross_std, staying=1.0)


def _constant_noise(poses: Poses, paths: Paths) -> _Errors:
    """The same for all frames of a track, in proportion to the person's usual size."""
    size = _size(poses)
    usual = np.ones(len(poses))
    for track in np.split(paths.row, np.flatnonzero(np.diff(paths.track)) + 1):
        track_sizes = size[track][np.isfinite(size[track])]
        if len(track_sizes):
            usual[track] = np.median(track_sizes)
    shape = poses.xy.shape[:2]
    std = np.broadcast_to(usual[:, None], shape)
    return _Errors(_CONSTANT * std, np.full(shape, _GROSS), _GROSS_SIZE * std, staying=0.0)


def _size(poses: Poses) -> Float[np.ndarray, " N"]:
    """Return √area of each person, at least 1 pixel."""
    box = poses.person_box().astype(np.float64)
    with np.errstate(invalid="ignore", over="ignore"):
        return np.maximum(np.sqrt(AREA_OF_BOX * np.prod(np.maximum(box[:, 2:] - box[:, :2], 0), axis=1)), 1.0)


@dataclass(frozen=True, eq=False)
class _Result:
    """The poses, and the columns that smoothing changes, to be filled in."""

    poses: Poses
    xy: np.ndarray
    std: np.ndarray
    replaced: np.ndarray
    quality: np.ndarray | None
    missing: np.ndarray

    @classmethod
    def of(cls, poses: Poses) -> "_Result":
        shape = poses.xy.shape[:2]
        quality = None if poses.quality is None else poses.quality.astype(np.float64)
        missing = np.zeros(shape, bool) if poses.missing is None else poses.missing.copy()
        return cls(poses, poses.xy.astype(np.float64), np.full(shape, np.nan), np.zeros(shape, bool), quality, missing)

    def smoothed(self, pose_count: int, source: np.ndarray, noise: str) -> Smoothed:
        missing = self.missing if self.missing.any() else None
        poses = replace(self.poses, xy=self.xy, quality=self.quality, missing=missing)
        # a frame in which nothing of a track is known, since it was found too rarely, gets no row
        rows = np.flatnonzero((np.arange(len(poses)) < pose_count) | np.isfinite(self.std).any(axis=1))
        return Smoothed(poses[rows], self.std[rows], self.replaced[rows], source[rows], noise)


def _smooth_block(result: _Result, errors: _Errors, paths: Paths, block: np.ndarray, order: int) -> None:
    """Smooth tracks, (T, S) indices of the paths' rows, -1 after the end of a track."""
    is_row, index = block >= 0, np.maximum(block, 0)
    row, time = paths.row[index], np.where(is_row, paths.time[index], np.nan)
    step = np.nan_to_num(np.diff(time, axis=0, prepend=np.nan), nan=1.0)
    count, keypoints = row.shape, result.xy.shape[1]

    def columns(values: np.ndarray) -> np.ndarray:
        """(N, K, …) of the poses as (T, S × K, …) of the block, joint by joint of each track."""
        return values[row].reshape(count[0], count[1] * keypoints, *values.shape[2:])

    is_measured = columns(
        ~result.missing & (np.abs(result.poses.xy) < _MAX_COORDINATE).all(axis=2) & np.isfinite(errors.std)
    )
    is_measured &= np.repeat(is_row, keypoints, axis=1) & (columns(errors.std) > 0)
    variance = np.where(is_measured, columns(errors.std) ** 2, np.inf)
    points = Points(
        np.where(is_measured[..., None], columns(result.poses.xy), 0.0),
        variance,
        np.repeat(step, keypoints, axis=1),
        order,
    )
    gross_variance = np.where(is_measured, np.maximum(columns(errors.gross_std) ** 2, variance), np.inf)
    measured = Measured(points, np.where(is_measured, columns(errors.gross), 0.0), gross_variance)
    noise = estimate_noise(measured, np.tile(np.arange(keypoints), count[1]))
    path = smooth_measured(measured, noise)
    is_good = path.good >= 0.5
    enough = is_good.sum(axis=0) > order
    target = np.repeat(is_row, keypoints, axis=1) & enough  # (T, S × K)
    times = np.repeat(np.where(is_row, time, np.inf), keypoints, axis=1)
    _write(result, result.xy, path.path.position, target, row)
    _write(result, result.std, np.sqrt(path.path.variance + errors.staying * path.staying), target, row)
    _write(result, result.replaced, ~is_good, target, row)
    _write(result, result.missing, np.zeros_like(is_good), target, row)
    if result.quality is not None:
        around = _interpolate(columns(result.quality), is_good, times, target)
        size = np.broadcast_to(_size(result.poses)[:, None], result.xy.shape[:2])
        size = _interpolate(columns(size), is_good & np.isfinite(columns(size)), times, target)
        factor = _quality_factor(result.poses, path.path.variance, size)
        _write(result, result.quality, np.clip(around * factor, 0, 1), target & ~is_good, row)


def _write(result: _Result, into: np.ndarray, values: np.ndarray, target: np.ndarray, row: np.ndarray) -> None:
    """Write values (T, S × K, …) to the poses' rows and keypoints where `target` says so."""
    keypoints = result.xy.shape[1]
    t, point = np.nonzero(target)
    into[row[t, point // keypoints], point % keypoints] = values[t, point]


def _interpolate(values: np.ndarray, is_good: np.ndarray, times: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return values (T, P) where `is_good`, interpolated in time elsewhere in `target`, and 0 otherwise."""
    interpolated = np.where(is_good, values, 0.0)
    for point in np.flatnonzero((target & ~is_good).any(axis=0)).tolist():
        good, lacking = np.flatnonzero(is_good[:, point]), np.flatnonzero(target[:, point] & ~is_good[:, point])
        if len(good):
            interpolated[lacking, point] = np.interp(times[lacking, point], times[good, point], values[good, point])
    return interpolated


def _quality_factor(poses: Poses, variance: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return E[OPKS] of a Gaussian error of this variance along each axis, 1 / (1 + variance / (s² k²)), where s is
    `size`; all are (T, S × K)."""
    skeleton = poses.skeleton
    sigmas = np.full(poses.keypoint_count, np.inf) if skeleton is None or not skeleton.has_sigmas else skeleton.sigmas
    scale = np.maximum(size, 1.0) * 2 * np.tile(sigmas, variance.shape[1] // len(sigmas))
    return 1 / (1 + variance / scale**2)
