"""How far keypoints are expected to be from the truth, in pixels, and what held-out people say of these
expectations.

`geometry.expected_error` computes `ExpectedError`; `ErrorModel` corrects its discs, by joint and quality.

What held-out people say of expected errors: corrections of the discs of `ExpectedError`, by joint and quality. The
mixture of `geometry.expected_error` says with which probability u a keypoint's error is at most what it is. Were it
right, u would be uniform, and its depth −log(1 − u), half of the squared distance of a single Gaussian in units of
its standard deviation, exponential. An `ErrorModel` stores how depths were distributed for keypoints on people that
nothing was fitted to, in cells of one group of joints and one range of quality: the depth that a share p of them
stays below. The disc of share p is then the mixture's disc of that depth (split conformal prediction with the depth
as the score; the cells make it Mondrian).

Guarantee: the depth for p in a cell with n keypoints is the ⌈(n + 1) p⌉-th smallest, so a further keypoint of that
cell, exchangeable with these n, lies within its disc with a probability of at least p, whatever the errors'
distribution, on average over all fits and keypoints of the cell. It is no statement about one person, pose or photo;
nor about people unlike the fitted ones. Keypoints of one person go together, so that with several of them in a cell
the finite-sample term is approximate. Sources: Vovk, Gammerman, Shafer, Algorithmic Learning in a Random World, 2005
(split conformal and Mondrian prediction); Chernozhukov, Wüthrich, Zhu, Distributional conformal prediction, PNAS 2021
(u).
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.json_records import naming, read_record, short
from trustpose.poses.accuracy_errors import AccuracyErrors
from trustpose.poses.measure_errors import MeasureErrors, is_ascending, is_rising

VERSION = 1
DEEPEST = 1e4  # of a stored depth: 140 standard deviations


@dataclass(frozen=True)
class ErrorModel:
    """Corrects the discs of expected errors so that they hold the stated share of held-out keypoints' errors.

    Keypoints are divided into cells: groups of joints, and in each group ranges of expected OPKS. A cell has, for each
    share, the depth of the disc that held it, where a disc of depth d holds the share 1 − e^(−d) by the uncorrected
    mixture (`ExpectedError`). Joints of no group keep the mixture's discs.

    Args:
        shares: the P shares, ascending, between 0 and 1.
        joints: names of the joints of each group.
        quality: of each group, the ascending borders between its ranges of expected OPKS (given that the keypoint is
            labelled); b borders make b + 1 cells.
        depths: of each group and cell, P depths that never fall; beyond the last share they go on as the mixture's.
        people: number of people it was fitted on.
        keypoints: number of their keypoints.
        fitted_on: what they are, such as the names of the files.
        measures: how far joint angles and inclinations are off (`tp.measure`); None: nothing was learnt of them.
        accuracy: how far means of expected OKS and OPKS are off (`tp.estimate`); None: nothing was learnt of them.

    Raises:
        ValueError: naming the field that is wrong.
    """

    shares: tuple[float, ...]
    joints: tuple[tuple[str, ...], ...]
    quality: tuple[tuple[float, ...], ...]
    depths: tuple[tuple[tuple[float, ...], ...], ...]
    people: int
    keypoints: int
    fitted_on: str = ""
    measures: MeasureErrors | None = None
    accuracy: AccuracyErrors | None = None

    def __post_init__(self) -> None:
        if not self.shares or not is_ascending((0.0, *self.shares, 1.0)):
            raise ValueError("shares: expected ascending numbers between 0 and 1")
        names = [name for group in self.joints for name in group]
        if len(set(names)) < len(names):
            raise ValueError("joints: expected each joint in one group")
        if not len(self.joints) == len(self.quality) == len(self.depths):
            raise ValueError("expected joints, quality and depths of the same number of groups")
        for borders, cells in zip(self.quality, self.depths, strict=True):
            if not is_ascending(borders):
                raise ValueError("quality: expected ascending borders of each group")
            if len(cells) != len(borders) + 1 or any(len(depth) != len(self.shares) for depth in cells):
                raise ValueError("depths: expected a number for each share in each cell of each group")
            if not all(is_rising((0.0, *depth, DEEPEST)) for depth in cells):
                raise ValueError(f"depths: expected numbers from 0 to {DEEPEST:g} that never fall")

    @cached_property
    def _curves(self) -> tuple[Float[np.ndarray, " Q"], Float[np.ndarray, "C Q"]]:
        """The mixture's own depth of each share, from 0 to one beyond the last, and the depth instead, in each cell;
        the last cell is that of joints of no group."""
        mixture_depth = np.array([0.0, *(-np.log1p(-np.array(self.shares)))])
        cells = [(0.0, *depth) for group in self.depths for depth in group] + [mixture_depth]
        table = np.array(cells)
        return np.append(mixture_depth, mixture_depth[-1] + 1e6), np.column_stack([table, table[:, -1] + 1e6])

    def cells(self, quality: Float[np.ndarray, "*N K"], names: Sequence[str]) -> Int[np.ndarray, "*N K"]:
        """Return the cell of each keypoint, from its expected OPKS if labelled (…, K) and its joint's name."""
        first = np.cumsum([0, *(len(group) for group in self.depths)])
        cell = np.full(quality.shape, first[-1], np.int32)
        for group, joints in enumerate(self.joints):
            columns = [index for index, name in enumerate(names) if name in joints]
            ranges = np.searchsorted(self.quality[group], np.nan_to_num(quality[..., columns]), side="right")
            cell[..., columns] = first[group] + ranges
        return cell

    def depth(self, share: float, cell: Int[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N K"]:
        """Return the depth in the mixture of the disc that holds this share, for keypoints of these cells."""
        mixture_depth, table = self._curves
        return np.array([np.interp(-np.log1p(-share), mixture_depth, row) for row in table])[cell]

    def own_depth(self, depth: Float[np.ndarray, "*N K"], cell: Int[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N K"]:
        """Return −log(1 − share) of the share of errors that discs of these depths hold: the inverse of `depth`."""
        mixture_depth, table = self._curves
        held = np.full(depth.shape, np.nan)
        for number in np.unique(cell).tolist():
            rows = cell == number
            held[rows] = np.interp(depth[rows], table[number], mixture_depth)
        return held

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that `of_json` reads."""
        groups = {"joints": self.joints, "quality": self.quality, "depths": self.depths}
        counts = {"people": self.people, "keypoints": self.keypoints, "fitted_on": self.fitted_on}
        records = {"measures": self.measures, "accuracy": self.accuracy}
        filled = {name: asdict(record) for name, record in records.items() if record is not None}
        return {"version": VERSION, "shares": self.shares, **groups, **counts, **filled}

    @classmethod
    def of_json(cls, value: Any, path: str | Path = "", field: str = "errors") -> "ErrorModel":
        """Read `to_json`'s value, the `field` of the file `path`. Raises InputError naming what is wrong."""
        version = value.get("version") if isinstance(value, Mapping) else None
        with naming(path, field):
            if version != VERSION:
                raise ValueError(f"version: expected {VERSION}, got {short(version)}")
        return read_record(cls, {name: item for name, item in value.items() if name != "version"}, path, field)


_HALVINGS = 24  # of the interval from good to gross: to a millionth of it


@dataclass(frozen=True, eq=False, repr=False)
class ExpectedError:
    """How far keypoints are expected to be from where they would be labelled: a mixture of two isotropic Gaussians.

    `Poses.expected_error` returns it. `radius(0.95)` is the disc that holds 95 % of the errors. The shape of all arrays
    is (N, K), or (K,) for one person; NaN marks a keypoint of which nothing is known.

    Args:
        std: standard deviation along each axis of a keypoint without gross error, pixels.
        gross: probability of a gross error, 0–1.
        gross_std: standard deviation along each axis of a gross error, pixels.
        model: makes discs and probabilities those that held for the people it was fitted on; None: the mixture's. The
            mixture, by which smoothing and triangulation weight keypoints, is unchanged.
        cell: the cell of each keypoint in `model`; None without it.

    Example:
        >>> poses = tp.load("default")("photo.jpg")
        >>> error = poses.expected_error()
        >>> bool((error.radius(0.5) < error.radius(0.95)).all())
        True
    """

    std: Float[np.ndarray, "*N K"]
    gross: Float[np.ndarray, "*N K"]
    gross_std: Float[np.ndarray, "*N K"]
    model: ErrorModel | None = None
    cell: Int[np.ndarray, "*N K"] | None = None

    def __repr__(self) -> str:
        """One line: how many keypoints, and the median radius of their discs."""
        shape = " × ".join(map(str, self.std.shape))
        radius = np.nanmedian(self.median) if np.isfinite(self.median).any() else np.nan
        source = "the mixture" if self.model is None else self.model.fitted_on
        return f"ExpectedError({shape} keypoints, half of them within {radius:.1f} pixels; discs of {source})"

    def __getitem__(self, keypoints: Any) -> "ExpectedError":
        """Return the errors of some keypoints, by an index or a mask of the arrays."""
        cell = None if self.cell is None else self.cell[keypoints]
        return ExpectedError(self.std[keypoints], self.gross[keypoints], self.gross_std[keypoints], self.model, cell)

    @cached_property
    def median(self) -> Float[np.ndarray, "*N K"]:
        """The radius that the error exceeds in half of all cases, pixels."""
        return self.radius(0.5)

    @cached_property
    def median_chance(self) -> Float[np.ndarray, "*N K"]:
        """The mixture's own probability that an error exceeds the median; one half without a model."""
        if self.model is None or self.cell is None:
            return np.full(self.std.shape, 0.5)
        return np.exp(-self.model.depth(0.5, self.cell))

    def median_exceeds(
        self, distance: Float[np.ndarray, " N"], keypoints: Int[np.ndarray, " J"]
    ) -> Bool[np.ndarray, "N J"]:
        """Return whether `median` is above a distance (N,), for some keypoints of N people: what comparing the radius
        would give, without searching for it."""
        std, gross, gross_std = self.std[:, keypoints], self.gross[:, keypoints], self.gross_std[:, keypoints]
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # as in `depth_within`
            square = -(distance[:, None] ** 2) / 2
            beyond = (1 - gross) * np.exp(square / std**2) + gross * np.exp(square / gross_std**2)
            return beyond > self.median_chance[:, keypoints]

    @property
    def total_std(self) -> Float[np.ndarray, "*N K"]:
        """The standard deviation along each axis of the whole mixture, pixels; gross errors dominate it."""
        return np.sqrt((1 - self.gross) * self.std**2 + self.gross * self.gross_std**2)

    def probability_within(self, distance: Float[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N K"]:
        """Return the probability, 0–1, that the error is at most `distance` (pixels)."""
        depth = self.depth_within(distance)
        return -np.expm1(
            -(depth if self.model is None or self.cell is None else self.model.own_depth(depth, self.cell))
        )

    def depth_within(self, distance: Float[np.ndarray, "*N K"]) -> Float[np.ndarray, "*N K"]:
        """Return −log of the mixture's own probability that the error exceeds `distance`.

        The distance of an isotropic Gaussian follows Rayleigh's distribution, which exceeds d with exp(−d² / (2 e²)).
        """
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # an area of 0, or no gross errors
            good = np.log1p(-self.gross) - distance**2 / (2 * self.std**2)
            return -np.logaddexp(good, np.log(self.gross) - distance**2 / (2 * self.gross_std**2))

    def radius(self, share: float) -> Float[np.ndarray, "*N K"]:
        """Return the radius, in pixels, of the disc that holds the labelled position with probability `share`.

        Raises ValueError if `share` is not between 0 and 1.
        """
        if not 0 < share < 1:
            raise ValueError(f"share: expected a number between 0 and 1, got {share}")
        depth = -np.log1p(-share) if self.model is None or self.cell is None else self.model.depth(share, self.cell)
        alone = np.sqrt(2 * depth)  # radius / standard deviation of one Gaussian
        low, high = alone * self.std, alone * self.gross_std
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):  # as in `depth_within`
            good, bad = -1 / (2 * self.std**2), -1 / (2 * self.gross_std**2)
            for _ in range(_HALVINGS):
                middle = (low + high) / 2
                square = middle**2
                # the probability of a larger error, in units of the sought one
                beyond = (1 - self.gross) * np.exp(depth + square * good) + self.gross * np.exp(depth + square * bad)
                is_within = beyond > 1
                low, high = np.where(is_within, middle, low), np.where(is_within, high, middle)
        return (low + high) / 2
