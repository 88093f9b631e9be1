"""Part affinity fields: for each limb a map of the unit vectors along it, and links between candidates from these maps.

Source: Cao, Simon, Wei, Sheikh, Realtime Multi-Person 2D Pose Estimation using Part Affinity Fields, CVPR 2017: the
fields of one person are its equation 8, of overlapping people equation 9, the score of a link equations 10 and 11.
How samples decide on a link, and the penalty for long ones, is not in the paper but in the authors' demonstration
code, as its ports have it; see `FieldCodec.links`.

Features of a grouped person from part affinity fields: the fields' values along all of its limbs. Limbs without a
link count, too: between joints that two people's links brought into one group the fields point elsewhere, and limbs
that started no person (`grouping.paf`) are read like all others.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.codecs import Candidates
from trustpose.geometry.crops import Grid

SAMPLES = 10
_SHORTEST = 1e-6  # map or input pixels: limbs below have no direction


@dataclass(frozen=True)
class FieldCodec:
    """Fields (B, 2 × limbs, h, w): x, then y, of each limb's vector, cells at `grid` of the input.

    limbs: pairs of joints (from, to). width: how far a field reaches on either side of its limb, in map pixels; σ_l of
    equation 8.

    For links: `samples` points along each; `min_value`: that a sample must exceed to count; `min_share`: the share of
    samples that must count. `nearest` reads the cell nearest to each sample, otherwise four are interpolated.
    """

    limbs: tuple[tuple[int, int], ...]
    grid: Grid
    width: float = 1.0
    samples: int = SAMPLES
    min_value: float = 0.05
    min_share: float = 0.8
    nearest: bool = False

    def encode(
        self, xy: Float[np.ndarray, "P K 2"], labelled: Bool[np.ndarray, "P K"], width: int, height: int
    ) -> Float[np.ndarray, "C h w"]:
        """Return the fields of one photo's P people, (2 × limbs, height, width) float32; xy in input pixels.

        A cell within `width` of a limb, and between its ends, has the limb's unit vector; the mean of them, where
        people overlap; otherwise 0. Limbs with an unlabelled end are left out; coordinates of those may be NaN.
        """
        ends = np.array(self.limbs, np.int64).reshape(-1, 2)
        person, limb = np.nonzero(labelled[:, ends].all(axis=2))
        low, high = (self.grid.cells(xy[person, ends[limb, end]]) for end in (0, 1))  # (I, 2) map pixels
        along = high - low
        length = np.linalg.norm(along, axis=1)
        has_length = length > _SHORTEST
        limb, low, high, length = limb[has_length], low[has_length], high[has_length], length[has_length]
        unit = along[has_length] / length[:, None]
        which, cell = cells_about(low, high, self.width, width, height)
        from_low = cell - low[which]
        forward = (from_low * unit[which]).sum(axis=1)
        aside = from_low[:, 0] * unit[which, 1] - from_low[:, 1] * unit[which, 0]
        on_limb = (forward >= 0) & (forward <= length[which]) & (np.abs(aside) <= self.width)
        which, cell = which[on_limb], cell[on_limb]
        flat_index = (limb[which] * height + cell[:, 1]) * width + cell[:, 0]
        size = len(self.limbs) * height * width
        people = np.maximum(np.bincount(flat_index, minlength=size), 1)  # n_c(p) of equation 9
        fields = [np.bincount(flat_index, unit[which, axis], size) / people for axis in (0, 1)]
        shape = (len(self.limbs), height, width)
        return (
            np.stack([field.reshape(shape) for field in fields], axis=1).reshape(-1, height, width).astype(np.float32)
        )

    def links(
        self, candidates: Candidates, fields: Float[np.ndarray, "B C h w"], longest: float | None = None
    ) -> Candidates:
        """Return the candidates with links, along every limb between all candidates for its ends in the same input.

        A link's score is the mean over its samples of the field along the link (equation 10; 1 along a perfect field),
        minus a penalty if it is longer than half of `longest` input pixels, usually the input's height: 1 −
        longest / (2 × length). None: no penalty. Kept are links above 0 of which more than `min_share` of the samples
        count. A pair at one place is no link. Links are sorted by input, then by limb. Raises ValueError if the fields
        do not fit the limbs.
        """
        if fields.shape[1] != 2 * len(self.limbs):
            raise ValueError(
                f"fields: expected {2 * len(self.limbs)} maps for {len(self.limbs)} limbs, got {fields.shape[1]}"
            )
        pair, limb = _pairs(candidates, np.array(self.limbs, np.int64).reshape(-1, 2))
        start, end = candidates.xy[pair[:, 0]], candidates.xy[pair[:, 1]]
        length = np.linalg.norm(end - start, axis=1)
        has_length = length > _SHORTEST
        pair, limb, start, end, length = (
            pair[has_length],
            limb[has_length],
            start[has_length],
            end[has_length],
            length[has_length],
        )
        value, links = self._along(fields, candidates.input[pair[:, 0]], limb, start, end - start)  # equation 10
        score = value.mean(axis=1)
        if longest is not None:
            score = score + np.minimum(0.5 * longest / length[links] - 1, 0)
        links = links[score > 0]
        return replace(candidates, links=pair[links], link_score=score[score > 0])

    def limb_of(self, candidates: Candidates) -> Int[np.ndarray, " M"]:
        """Return the limb of each link. Raises ValueError if there are no links, or a link is along no limb."""
        if candidates.links is None:
            raise ValueError("candidates: expected links, got None")
        names = {ends: index for index, ends in enumerate(self.limbs)}
        ends = candidates.joint[candidates.links].tolist()
        unknown = next((pair for pair in map(tuple, ends) if pair not in names), None)
        if unknown is not None:
            raise ValueError(f"candidates: a link is between joints {unknown}, expected one of the limbs")
        return np.array([names[tuple(pair)] for pair in ends], np.int64)

    def values(
        self,
        xy: Float[np.ndarray, "N K 2"],
        missing: Bool[np.ndarray, "N K"],
        fields: Float[np.ndarray, "1 C h w"],
    ) -> Float[np.ndarray, "N L samples"]:
        """Return the field along every limb of people in one input, xy in its pixels, at samples from its first end to
        its second (equation 10); NaN for a limb that lacks an end, 0 for one without length."""
        ends = np.array(self.limbs, np.int64).reshape(-1, 2)
        lacks_end = np.any(missing[:, ends], axis=2)
        values = np.where(lacks_end[..., None], np.full(self.samples, np.nan), 0.0)
        person, limb = np.nonzero(~lacks_end)
        start, end = (xy[person, ends[limb, end_index]] for end_index in (0, 1))
        has_length = np.linalg.norm(end - start, axis=1) > _SHORTEST
        person, limb, start, end = person[has_length], limb[has_length], start[has_length], end[has_length]
        whole = replace(self, min_value=-np.inf, min_share=0.0)  # none is given up
        values[person, limb] = whole._along(fields, np.zeros(len(limb), np.int64), limb, start, end - start)[0]
        return values

    def _along(
        self,
        fields: Float[np.ndarray, "B C h w"],
        image: Int[np.ndarray, " M"],
        limb: Int[np.ndarray, " M"],
        start: Float[np.ndarray, "M 2"],
        way: Float[np.ndarray, "M 2"],
    ) -> tuple[Float[np.ndarray, "m samples"], Int[np.ndarray, " m"]]:
        """Return the samples' values along the links that have enough that count, and which links these are.

        Samples are read one after the other, the middle first, and a link no longer than it can have enough: most pairs
        of a crowd lead through empty space.
        """
        unit = way / np.linalg.norm(way, axis=1, keepdims=True)
        missing = np.zeros(len(image), np.int64)
        most_missing = np.ceil(self.samples * (1 - self.min_share) - 1e-9) - 1  # more than the share must count
        value = np.zeros((len(image), self.samples))
        alive = np.arange(len(image))
        for sample in np.argsort(np.abs(np.arange(self.samples) - (self.samples - 1) / 2), kind="stable").tolist():
            u = sample / max(self.samples - 1, 1)
            cells = self.grid.cells(start[alive] + u * way[alive])  # equation 11
            vector = self._read(fields, image[alive], limb[alive], cells)
            value[alive, sample] = (vector * unit[alive]).sum(axis=1)
            missing[alive] += value[alive, sample] <= self.min_value
            alive = alive[missing[alive] <= most_missing]
        return value[alive], alive

    def _read(
        self,
        fields: Float[np.ndarray, "B C h w"],
        image: Int[np.ndarray, " M"],
        limb: Int[np.ndarray, " M"],
        cells: Float[np.ndarray, "M 2"],
    ) -> Float[np.ndarray, "M 2"]:
        """Return the vectors at positions in cells; beyond the map those of its edge."""
        height, width = fields.shape[2:]
        flat = fields.reshape(-1)
        first = (image * fields.shape[1] + 2 * limb) * (height * width)

        def vector_at(row: np.ndarray, column: np.ndarray) -> np.ndarray:
            cell = first + row * width + column
            return np.stack([flat[cell], flat[cell + height * width]], axis=1).astype(np.float64)

        x, y = (cells[:, axis].clip(0, length - 1) for axis, length in ((0, width), (1, height)))
        if self.nearest:
            return vector_at(np.rint(y).astype(np.int64), np.rint(x).astype(np.int64))
        x0, y0 = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
        x1, y1 = np.minimum(x0 + 1, width - 1), np.minimum(y0 + 1, height - 1)
        across, down = (x - x0)[:, None], (y - y0)[:, None]
        above = vector_at(y0, x0) * (1 - across) + vector_at(y0, x1) * across
        return above * (1 - down) + (vector_at(y1, x0) * (1 - across) + vector_at(y1, x1) * across) * down


def cells_about(
    low: Float[np.ndarray, "I 2"], high: Float[np.ndarray, "I 2"], reach: float, width: int, height: int
) -> tuple[Int[np.ndarray, " M"], Int[np.ndarray, "M 2"]]:
    """Return all cells, x, y, within `reach` of the box about each of I limbs, and the limb of each."""
    size = np.array([width, height])
    first = np.ceil(np.minimum(low, high) - reach).clip(0, size).astype(np.int64)
    last = np.floor(np.maximum(low, high) + reach).clip(-1, size - 1).astype(np.int64)
    across, down = np.maximum(last - first + 1, 0).T
    which = np.repeat(np.arange(len(low)), across * down)
    within = _count_up(across * down)
    row, column = np.divmod(within, np.maximum(across[which], 1))
    return which, first[which] + np.stack([column, row], axis=1)


def _pairs(
    candidates: Candidates, ends: Int[np.ndarray, "L 2"]
) -> tuple[Int[np.ndarray, "M 2"], Int[np.ndarray, " M"]]:
    """Return all pairs of candidates for the two ends of a limb in one input, by input and limb, and their limbs."""
    inputs, joints = candidates.shape
    group = candidates.input * joints + candidates.joint
    start = np.searchsorted(group, np.arange(inputs * joints + 1))  # the rows of each input's joints
    groups = (np.arange(inputs)[:, None, None] * joints + ends).reshape(-1, 2)  # (inputs × L, 2)
    count = start[groups + 1] - start[groups]
    pairs = count.prod(axis=1)
    block = np.repeat(np.arange(len(groups)), pairs)
    start_index, end_index = np.divmod(_count_up(pairs), np.maximum(count[block, 1], 1))
    limb = block % max(len(ends), 1)
    return start[groups[block]] + np.stack([start_index, end_index], axis=1), limb


def _count_up(counts: Int[np.ndarray, " I"]) -> Int[np.ndarray, " M"]:
    """Return 0 … count − 1 for each count, one after the other."""
    return np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)


COUNTS = 0.05  # of a sample's value, OpenPose's threshold


@dataclass(frozen=True, eq=False)
class Support:
    """Features of N groups from further maps, read in `codecs.group_tokens`.

    of_joints (N, K, J): of each joint, 0 for a missing one. of_group (N, M): of the whole group.
    """

    of_joints: Float[np.ndarray, "N K J"]
    of_group: Float[np.ndarray, "N M"]


def limb_support(values: Float[np.ndarray, "N L S"], limbs: Int[np.ndarray, "L 2"], keypoints: int) -> Support:
    """Return the support of groups by the fields' values at S samples along each limb, NaN where an end is missing.

    Of a joint, over the limbs that end there: the mean of their means, the mean share of samples above `COUNTS`, the
    least mean. Of the group the same over all its limbs. 0 without any.
    """
    has_both_ends = ~np.any(np.isnan(values), axis=2)[:, None]  # (N, 1, L)
    whole = np.where(np.isnan(values), 0.0, values)
    mean, share = whole.mean(axis=2)[:, None], (whole > COUNTS).mean(axis=2)[:, None]
    ends_there = (limbs[None] == np.arange(keypoints)[:, None, None]).any(axis=2)  # (K, L)
    return Support(_summary(mean, share, has_both_ends & ends_there), _summary(mean, share, has_both_ends)[:, 0])


def _summary(
    mean: Float[np.ndarray, "N 1 L"], share: Float[np.ndarray, "N 1 L"], chosen: Bool[np.ndarray, "N M L"]
) -> Float[np.ndarray, "N M 3"]:
    number = np.maximum(chosen.sum(axis=2), 1)
    lowest = np.where(chosen, mean, np.inf).min(axis=2, initial=np.inf)
    columns = [
        np.where(chosen, mean, 0.0).sum(axis=2) / number,
        np.where(chosen, share, 0.0).sum(axis=2) / number,
        np.where(np.isfinite(lowest), lowest, 0.0),
    ]
    return np.stack(columns, axis=2)
