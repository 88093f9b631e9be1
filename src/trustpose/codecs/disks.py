"""Disks: the cells near a keypoint, and vectors from there to it, to the other ends of its limbs, and from a person's
pixels to all of its keypoints.

Source: Papandreou, Zhu, Chen, Gidaris, Tompson, Murphy, PersonLab: Person Pose Estimation and Instance Segmentation
with a Bottom-Up, Part-Based, Geometric Embedding Model, ECCV 2018. Section 3.1: disks of radius R, short-range offsets
S_k, Hough voting, mid-range offsets M_{k,l} along both directions of each limb, and their refinement by short-range
offsets; section 3.2: person pixels, long-range offsets L_k and the embedding G(x). Written without the authors' code
and without the paper's full text.

The paper enlarges all maps to the input's size. Here a cell stands for stride² pixels and votes with that weight, so
that a perfect disk's votes add up to 1, as in the paper.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.codecs.fields import cells_about
from trustpose.geometry.crops import Grid

RADIUS = 32.0  # input pixels
MIN_VOTE = 0.1  # probability of a cell that votes
REFINEMENTS = 2  # by each kind of offset, as in the paper
_BIN = 2.0  # input pixels: the side of a Hough map's bin


class DiskTargets(NamedTuple):
    """What a network learns of the keypoints of one photo, float32, offsets in input pixels.

    disks (K, h, w): 1 in a disk. short (2 × K, h, w): x, y. middle (4 × L, h, w): x, y from each limb's first keypoint
    to its second, then x, y back. taught (2 × L, h, w): where middle is defined, as the other end is labelled.
    """

    disks: Float[np.ndarray, "K h w"]
    short: Float[np.ndarray, "2*K h w"]
    middle: Float[np.ndarray, "C h w"]
    taught: Bool[np.ndarray, "D h w"]


class PersonTargets(NamedTuple):
    """What a network learns of the people's pixels, float32: person (1, h, w), 1 on people; long (2 × K, h, w), offsets
    x, y in input pixels; taught (K, h, w), where they are defined."""

    person: Float[np.ndarray, "1 h w"]
    long: Float[np.ndarray, "2*K h w"]
    taught: Bool[np.ndarray, "K h w"]


class Votes(NamedTuple):
    """The N cells that vote for a keypoint: joint (N,), xy (N, 2) input pixels, weight (N,), a share of a disk.
    Sorted by joint."""

    joint: Int[np.ndarray, " N"]
    xy: Float[np.ndarray, "N 2"]
    weight: Float[np.ndarray, " N"]


class Seeds(NamedTuple):
    """The N local maxima of Hough maps, the highest first: joint (N,), xy (N, 2) input pixels, height (N,)."""

    joint: Int[np.ndarray, " N"]
    xy: Float[np.ndarray, "N 2"]
    height: Float[np.ndarray, " N"]


@dataclass(frozen=True)
class DiskCodec:
    """Disks of `radius` input pixels, with cells at `grid` of the input. limbs: pairs of keypoints.

    The paper's limbs are a tree. Further limbs lead past keypoints that are not labelled or not seen.
    """

    limbs: tuple[tuple[int, int], ...]
    grid: Grid
    radius: float = RADIUS

    @property
    def share(self) -> float:
        """The share of a disk's area that a cell has, stride² / (π R²)."""
        return float(np.prod(self.grid.stride)) / (np.pi * self.radius**2)

    def encode(
        self, xy: Float[np.ndarray, "P K 2"], labelled: Bool[np.ndarray, "P K"], width: int, height: int
    ) -> DiskTargets:
        """Return the targets of one photo's P people on width × height cells. A cell in the disks of several people has
        the nearest keypoint's person, as in the paper.

        Args:
            xy: keypoints in input pixels; those that are not labelled may be NaN.
            labelled: which keypoints count.
            width: of the maps, cells.
            height: of the maps, cells.
        """
        keypoints = xy.shape[1]
        owner = self._owners(xy, labelled, width, height)
        disks = (owner >= 0).astype(np.float32)
        short = np.zeros((keypoints, 2, height, width), np.float32)
        joint, row, column = np.nonzero(owner >= 0)
        short[joint, :, row, column] = xy[owner[joint, row, column], joint] - self.positions(column, row)
        middle = np.zeros((2 * len(self.limbs), 2, height, width), np.float32)
        taught = np.zeros((2 * len(self.limbs), height, width), np.bool_)
        for number, (start, end) in enumerate(directed(self.limbs)):
            row, column = np.nonzero(owner[start] >= 0)
            person = owner[start, row, column]
            has_end = labelled[person, end]
            row, column, person = row[has_end], column[has_end], person[has_end]
            middle[number, :, row, column] = xy[person, end] - self.positions(column, row)
            taught[number, row, column] = True
        return DiskTargets(disks, short.reshape(-1, height, width), middle.reshape(-1, height, width), taught)

    def encode_people(
        self, xy: Float[np.ndarray, "P K 2"], labelled: Bool[np.ndarray, "P K"], masks: Bool[np.ndarray, "P h w"]
    ) -> PersonTargets:
        """Return the targets of one photo's P people with these masks in cells. Where masks overlap, a cell is the
        first person's."""
        _, height, width = masks.shape
        long = np.zeros((xy.shape[1], 2, height, width), np.float32)
        taught = np.zeros((xy.shape[1], height, width), np.bool_)
        person, row, column = (index[::-1] for index in np.nonzero(masks))  # the first person's cells come last
        vector = xy[person] - self.positions(column, row)[:, None]  # (N, K, 2)
        long[:, :, row, column] = np.where(labelled[person][..., None], vector, 0).transpose(1, 2, 0)
        taught[:, row, column] = labelled[person].T
        is_person = np.zeros((1, height, width), np.float32)
        is_person[0] = masks.any(axis=0)
        return PersonTargets(is_person, long.reshape(-1, height, width), taught)

    def _owners(
        self, xy: Float[np.ndarray, "P K 2"], labelled: Bool[np.ndarray, "P K"], width: int, height: int
    ) -> Int[np.ndarray, "K h w"]:
        """Return the person whose keypoint's disk each cell is in, the nearest of several; -1 for none."""
        owner = np.full((xy.shape[1], height, width), -1, np.int64)
        person, joint = np.nonzero(labelled)
        middle = self.grid.cells(xy[person, joint])
        which, cell = cells_about(middle, middle, self.radius / min(self.grid.stride), width, height)
        distance = np.linalg.norm(self.positions(*cell.T) - xy[person, joint][which], axis=1)
        inside = np.flatnonzero(distance <= self.radius)
        last_is_nearest = inside[np.argsort(-distance[inside], kind="stable")]
        which, cell = which[last_is_nearest], cell[last_is_nearest]
        owner[joint[which], cell[:, 1], cell[:, 0]] = person[which]
        return owner

    def positions(self, column: Int[np.ndarray, "*N"], row: Int[np.ndarray, "*N"]) -> Float[np.ndarray, "*N 2"]:
        """Return x, y of cells in input pixels."""
        return self.grid.positions(np.stack([column, row], axis=-1).astype(np.float64))

    def votes(
        self, disks: Float[np.ndarray, "K h w"], short: Float[np.ndarray, "2*K h w"], min_vote: float = MIN_VOTE
    ) -> Votes:
        """Return the votes of all cells with a probability of at least `min_vote`."""
        joint, row, column = np.unravel_index(np.flatnonzero(disks >= min_vote), disks.shape)
        vector = np.stack([short[2 * joint + axis, row, column] for axis in (0, 1)], axis=1)
        xy = self.positions(column, row) + vector
        return Votes(joint, xy, disks[joint, row, column].astype(np.float64) * self.share)

    def hough(self, votes: Votes, keypoints: int, width: int, height: int) -> Float[np.ndarray, "K v u"]:
        """Return the Hough maps of an input of width × height pixels, in bins of 2 × 2 of them: equation 1,
        h(x) = 1 / (π R²) Σᵢ p(xᵢ) B(xᵢ + S(xᵢ) − x), with B bilinear. A vote beyond the edge is left out."""
        columns, rows = (int(np.ceil(side / _BIN)) + 1 for side in (width, height))
        position = votes.xy / _BIN
        low = np.floor(position).astype(np.int64)
        part = position - low
        cells, weights = [], []
        for right, down in np.ndindex(2, 2):
            x, y = low[:, 0] + right, low[:, 1] + down
            weight = votes.weight * np.abs(1 - right - part[:, 0]) * np.abs(1 - down - part[:, 1])
            inside = (x >= 0) & (x < columns) & (y >= 0) & (y < rows)
            cells.append(((votes.joint * rows + y) * columns + x)[inside])
            weights.append(weight[inside])
        maps = np.bincount(np.concatenate(cells), np.concatenate(weights), keypoints * rows * columns)
        return maps.reshape(keypoints, rows, columns).astype(np.float64, copy=False)  # without votes they are integers

    def seeds(self, hough: Float[np.ndarray, "K v u"], min_seed: float) -> Seeds:
        """Return the local maxima of Hough maps with at least this height.

        Each is at the weighted mean of the votes in the 3 × 3 bins around it.
        """
        _, rows, columns = hough.shape
        joint, row, column = np.unravel_index(np.flatnonzero(hough >= min_seed), hough.shape)
        height = hough[joint, row, column]
        moment, total, is_peak = np.zeros((len(joint), 2)), np.zeros(len(joint)), np.ones(len(joint), np.bool_)
        for down, right in np.ndindex(3, 3):
            y, x = row + down - 1, column + right - 1
            inside = (y >= 0) & (y < rows) & (x >= 0) & (x < columns)
            neighbour = np.where(inside, hough[joint, y.clip(0, rows - 1), x.clip(0, columns - 1)], 0.0)
            is_peak &= height > neighbour if (down, right) < (1, 1) else height >= neighbour
            total += neighbour
            moment += neighbour[:, None] * (right - 1, down - 1)
        xy = (np.stack([column, row], axis=1) + moment / np.maximum(total, 1e-12)[:, None]) * _BIN
        peaks = np.flatnonzero(is_peak)
        peaks = peaks[np.argsort(-height[peaks], kind="stable")]
        return Seeds(joint[peaks], xy[peaks], height[peaks])


def directed(limbs: tuple[tuple[int, int], ...]) -> list[tuple[int, int]]:
    """Return the limbs in the order of mid-range offsets: each forwards, then backwards."""
    return [pair for start, end in limbs for pair in ((start, end), (end, start))]


@dataclass(frozen=True, eq=False)
class DiskFields:
    """Reads one photo's maps, those of `DiskTargets`, at positions in input pixels, between cells bilinearly.

    votes: those of the same maps.
    """

    codec: DiskCodec
    disks: Float[np.ndarray, "K h w"]
    short: Float[np.ndarray, "2*K h w"]
    middle: Float[np.ndarray, "C h w"]
    votes: Votes
    _first_vote: Int[np.ndarray, " K+1"] = field(init=False)

    def __post_init__(self) -> None:
        first = np.searchsorted(self.votes.joint, np.arange(len(self.disks) + 1))
        object.__setattr__(self, "_first_vote", first)

    def probability(self, joint: Int[np.ndarray, " N"], xy: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, " N"]:
        """Return p_k(x), the probability that x is in the disk of a keypoint of this kind; 0 outside the input."""
        height, width = self.disks.shape[1:]
        cells = self.codec.grid.cells(xy)
        inside = ((cells > -1) & (cells < (width, height))).all(axis=1)
        return np.where(inside, _read(self.disks, joint[:, None], cells)[:, 0], 0.0)

    def across(self, number: Int[np.ndarray, " N"], xy: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
        """Return where limbs from x lead, by their number in `directed`: x + M(x), refined twice by the short-range
        offsets of the other end, M ← x' + S(x')."""
        ends = np.array([end for _, end in directed(self.codec.limbs)], np.int64)[number]
        return self._refined(self._moved(self.middle, number, xy), ends)

    def _refined(self, xy: Float[np.ndarray, "N 2"], joint: Int[np.ndarray, " N"]) -> Float[np.ndarray, "N 2"]:
        for _ in range(REFINEMENTS):
            xy = self._moved(self.short, joint, xy)
        return xy

    def _moved(
        self, maps: Float[np.ndarray, "C h w"], number: Int[np.ndarray, " N"], xy: Float[np.ndarray, "N 2"]
    ) -> Float[np.ndarray, "N 2"]:
        """Return x plus the vector at x in the maps 2 × number and 2 × number + 1."""
        return xy + _read(maps, 2 * number[:, None] + [0, 1], self.codec.grid.cells(xy))

    def localisation(
        self, joint: int, xy: Float[np.ndarray, "P 2"], deviation: Float[np.ndarray, " P"]
    ) -> Float[np.ndarray, " P"]:
        """Return the expected exp(−d² / (2 deviation²)), 0–1, of the distance d of a keypoint from x, which votes
        within R of x say; 0 without any.

        The paper's integral over the Hough map, normalised in the disk around x, as a sum over the votes themselves.
        """
        votes = slice(*self._first_vote[joint : joint + 2].tolist())
        x, y = self.votes.xy[votes].T
        square = (x - xy[:, :1]) ** 2 + (y - xy[:, 1:]) ** 2  # (P, N)
        person, vote = np.divmod(np.flatnonzero(square <= self.codec.radius**2), max(len(x), 1))
        weight = self.votes.weight[votes][vote]
        similar = np.exp(-square[person, vote] / (2 * deviation[person] ** 2))
        total, similarity = (np.bincount(person, weights, len(xy)) for weights in (weight, weight * similar))
        return similarity / np.maximum(total, 1e-12)

    def embedding(
        self, person: Float[np.ndarray, "h w"], long: Float[np.ndarray, "C h w"], min_person: float
    ) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"], Float[np.ndarray, "N K 2"]]:
        """Return rows and columns of the N cells with at least this probability of a person, and their G(x), input
        pixels: x + L_k(x), refined twice by long-range, then twice by short-range offsets."""
        row, column = np.nonzero(person >= min_person)
        keypoints = len(self.disks)
        joint = np.tile(np.arange(keypoints), len(row))
        xy = np.repeat(self.codec.positions(column, row), keypoints, axis=0)
        for _ in range(1 + REFINEMENTS):
            xy = self._moved(long, joint, xy)
        return row, column, self._refined(xy, joint).reshape(-1, keypoints, 2)


def _read(
    maps: Float[np.ndarray, "C h w"], channel: Int[np.ndarray, "N D"], cells: Float[np.ndarray, "N 2"]
) -> Float[np.ndarray, "N D"]:
    """Return the maps' values at positions in cells, between cells bilinearly, beyond the maps those of their edge."""
    height, width = maps.shape[1:]
    x, y = (cells[:, axis].clip(0, side - 1) for axis, side in ((0, width), (1, height)))
    x0, y0 = x.astype(np.int64), y.astype(np.int64)
    x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
    across, down = (x - x0)[:, None], (y - y0)[:, None]
    flat, first = maps.reshape(-1), channel * (height * width)
    (above_left, above_right), (below_left, below_right) = (
        [flat[first + (row * width + column)[:, None]] for column in (x0, x1)] for row in (y0, y1)
    )
    above = above_left * (1 - across) + above_right * across
    return above * (1 - down) + (below_left * (1 - across) + below_right * across) * down
