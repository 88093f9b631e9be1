"""COCO's average precision in bootstrap draws of photos.

In a draw each photo occurs some times, and so do its poses, at the same score. Interpolated precision at a recall
threshold is the highest precision from where the recall is reached on. Every pose of every draw would have to be looked
at for that; but sums of blocks of poses bound the precision within each, and nearly all blocks lie below what others
are known to reach. Only the poses of the rest are looked at, about one block for each threshold, and the results are
the same to the last bit.

Of few poses all are looked at instead (`_Runs`), as sums of blocks cost more than they save: 19,000 poses take three
times as long in blocks (`_Blocks`), 300,000 half as long again without.
"""

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.sparse import csr_array

from trustpose.metrics.average_precision import AREA_RANGES, RECALL_THRESHOLDS, Evaluation
from trustpose.metrics.bootstrap import replicate_sums

DRAWS_AT_ONCE = 64  # whose counts of a photo fit into a few lines of the processor's cache
_FEW = 2**17  # poses all of which are looked at
_BLOCKS = 64, 256  # poses of the smallest and the largest blocks; the sums of a block fit into 16 bits
_AT_ONCE = 2**16  # poses of several draws that are looked at: their arrays fit into the cache
_RUNS_AT_ONCE = 2**19  # poses of several draws whose runs are looked at
_THREADS = 2
_TRIED = np.int64(2**32 - 1)  # bits of poses that are tried, below those that are right


@dataclass(frozen=True, eq=False)
class DrawnCurves:
    """C curves in b draws: mean interpolated precision, and the highest recall; NaN where no person counts."""

    precision: Float[np.ndarray, "b C"]
    recall: Float[np.ndarray, "b C"]

    def numbers(self, area_names: tuple[str, ...]) -> dict[str, Float[np.ndarray, " b"]]:
        """Return the COCO numbers of curves of area ranges × OKS thresholds, each (b,)."""
        shape = (len(self.precision), len(area_names), self.precision.shape[1] // max(1, len(area_names)))
        precision, recall = (
            np.ascontiguousarray(np.moveaxis(curve.reshape(shape), 0, 2)) for curve in (self.precision, self.recall)
        )  # (areas, T, b)
        numbers = {}
        for a, area in enumerate(area_names):
            suffix = {"all": "", "medium": "m", "large": "l"}[area]
            for name, values in (("AP", precision[a]), ("AR", recall[a])):
                numbers[f"{name}{suffix}"] = values.mean(axis=0)
                if area == "all":
                    numbers[f"{name}50"], numbers[f"{name}75"] = values[0], values[5]
        return numbers


def joined_draws(parts: Iterable[DrawnCurves], curves: int) -> DrawnCurves:
    """Return the draws of all parts one after the other."""
    parts = [DrawnCurves(np.zeros((0, curves)), np.zeros((0, curves))), *parts]
    return DrawnCurves(
        np.concatenate([part.precision for part in parts]), np.concatenate([part.recall for part in parts])
    )


@dataclass(frozen=True, eq=False)
class _Ranked:
    """D poses by descending score, each of one of S kinds: those of a kind are right and tried in the same curves."""

    image: Int[np.ndarray, " D"]
    kind: Int[np.ndarray, " D"]
    right: Bool[np.ndarray, "S C"]
    tried: Bool[np.ndarray, "S C"]

    @classmethod
    def of(cls, pieces: "Iterable[Piece]") -> "_Ranked":
        images, kinds, curves = [np.zeros(0, np.int32)], [np.zeros(0, np.int32)], 0
        numbers: dict[bytes, int] = {}
        for image, true_positive, pose_ignored in pieces:
            curves = true_positive.shape[1]
            bits = np.packbits(np.concatenate([true_positive, ~pose_ignored], axis=1), axis=1)
            distinct, kind = np.unique(bits.view(f"V{bits.shape[1]}").ravel(), return_inverse=True)
            number = [numbers.setdefault(value.tobytes(), len(numbers)) for value in distinct]
            images.append(image.astype(np.int32))
            kinds.append(np.array(number, np.int32)[kind])
        bits = np.frombuffer(b"".join(numbers), np.uint8).reshape(len(numbers), -(-2 * curves // 8))
        right, tried = np.split(np.unpackbits(bits, axis=1, count=2 * curves).view(bool), 2, axis=1)
        return cls(np.concatenate(images), np.concatenate(kinds), right, tried)

    def curves_by_tried(self) -> list[list[int]]:
        """Return the curves in groups for which the same poses are tried, the largest group first."""
        groups: dict[bytes, list[int]] = {}
        for curve, tried in enumerate(self.tried.T):
            groups.setdefault(tried.tobytes(), []).append(curve)
        return sorted(groups.values(), key=len, reverse=True)


Piece = tuple[Int[np.ndarray, " D"], Bool[np.ndarray, "D C"], Bool[np.ndarray, "D C"]]


class RankedCurves:
    """The poses of C curves, such as area ranges × thresholds, by descending score, for any draws of photos."""

    def __init__(self, pieces: Iterable[Piece]) -> None:
        """Take pieces of poses in order: the image of each, and in which curves it is right and ignored."""
        ranked = _Ranked.of(pieces)
        self._poses: _Runs | _Blocks = _Runs(ranked) if len(ranked.kind) <= _FEW else _Blocks(ranked)

    def in_draws(self, counts: Int[np.ndarray, "b I"], people: Float[np.ndarray, "b C"]) -> DrawnCurves:
        """Return all curves in each draw.

        Args:
            counts: how often each image is drawn (`bootstrap.resample_counts`).
            people: how many people count in each draw and curve.
        """
        step = self._poses.draws_at_once
        parts = (slice(start, start + step) for start in range(0, len(counts), step))
        return joined_draws((self._part(counts[part], people[part]) for part in parts), people.shape[1])

    def _part(self, counts: Int[np.ndarray, "b I"], people: Float[np.ndarray, "b C"]) -> DrawnCurves:
        precision, hits = self._poses.measure(counts, people)
        recall = np.divide(hits, people, out=np.zeros(people.shape), where=people > 0)
        return DrawnCurves(*(np.where(people > 0, values, np.nan) for values in (precision, recall)))


class _Runs:
    """A few poses, all of which are looked at, in runs of right ones: precision is highest at the end of a run."""

    def __init__(self, ranked: _Ranked) -> None:
        self.draws_at_once = max(1, _RUNS_AT_ONCE // max(1, len(ranked.kind)))
        self._image = ranked.image
        # of curves for which the same poses are tried: these poses; of each curve its number, and before which of the
        # poses its runs begin and end
        self._groups: list[tuple[np.ndarray, list[tuple[int, np.ndarray, np.ndarray]]]] = []
        for group in ranked.curves_by_tried():
            tried = np.flatnonzero(ranked.tried[ranked.kind, group[0]])
            edges = [np.diff(ranked.right[ranked.kind[tried], curve], prepend=False, append=False) for curve in group]
            bounds = [np.flatnonzero(edge) for edge in edges]
            runs = [(curve, bound[::2], bound[1::2]) for curve, bound in zip(group, bounds, strict=True)]
            self._groups.append((tried, runs))

    def measure(
        self, counts: Int[np.ndarray, "b I"], people: Float[np.ndarray, "b C"]
    ) -> tuple[Float[np.ndarray, "b C"], Int[np.ndarray, "b C"]]:
        """Return mean precision and the number of right poses in each draw and curve."""
        precision, hits = np.zeros(people.shape), np.zeros(people.shape, np.int64)
        weight = np.take(counts, self._image, axis=1)

        def measure_group(group: tuple[np.ndarray, list[tuple[int, np.ndarray, np.ndarray]]]) -> None:
            tried, curves = group
            before = np.zeros((len(counts), len(tried) + 1), np.int32)
            np.cumsum(np.take(weight, tried, axis=1), axis=1, out=before[:, 1:])
            for curve, start, end in curves:
                if len(start):
                    tried_at_end = np.take(before, end, axis=1)
                    right = np.cumsum(tried_at_end - np.take(before, start, axis=1), axis=1, dtype=np.int32)
                    run = _first_at_least(right, _needed(people[:, curve]))
                    highest = _highest_from(right / np.maximum(tried_at_end, 1), run)
                    precision[:, curve], hits[:, curve] = _mean(highest), right[:, -1]

        _in_threads(measure_group, self._groups)
        return precision, hits


class _Blocks:
    """Many poses, in blocks of which few are looked at.

    The poses of a block and a kind are a cell; how many of a cell there are in a draw is summed once for all curves.
    """

    draws_at_once = DRAWS_AT_ONCE

    def __init__(self, ranked: _Ranked) -> None:
        self._size = _block_size(len(ranked.kind))
        self._blocks = -(-len(ranked.kind) // self._size)
        missing = self._blocks * self._size - len(ranked.kind)  # of the last block: neither right nor tried
        self._image = np.append(ranked.image, np.zeros(missing, np.int32))
        self._kind = np.append(ranked.kind, np.full(missing, len(ranked.right), np.int32))
        self._right, self._tried = (np.pad(flags, ((0, 1), (0, 0))) for flags in (ranked.right, ranked.tried))
        self._groups = ranked.curves_by_tried()
        self._sort_into_cells()

    def _sort_into_cells(self) -> None:
        rows, kinds, parts = self._size * max(1, 2**17 // self._size), len(self._right), []
        self._image_by_cell = np.empty_like(self._image)
        for first in range(0, len(self._kind), rows):
            kind = self._kind[first : first + rows]
            cell = np.arange(first, first + len(kind)) // self._size * kinds + kind
            order = np.argsort(cell, kind="stable")
            self._image_by_cell[first : first + rows] = self._image[first : first + rows][order]
            cell = cell[order]
            starts = np.flatnonzero(np.diff(cell, prepend=-1))
            parts.append((first + starts, cell[starts]))
        starts, cell = (np.concatenate([part[side] for part in parts]) for side in range(2))
        self._cell_start = np.append(starts, len(self._kind)).astype(np.int32)
        self._cell_kind = (cell % kinds).astype(np.int32)
        self._first_cell = np.searchsorted(cell // kinds, np.arange(self._blocks + 1))  # of each block

    def measure(
        self, counts: Int[np.ndarray, "b I"], people: Float[np.ndarray, "b C"]
    ) -> tuple[Float[np.ndarray, "b C"], Int[np.ndarray, "b C"]]:
        """Return mean precision and the number of right poses in each draw and curve."""
        rows = csr_array(
            (np.ones(len(self._image), np.int16), self._image_by_cell, self._cell_start),
            (len(self._cell_kind), counts.shape[1]),
        )
        cells = rows @ np.ascontiguousarray(counts.T).astype(np.int16)  # (cells, b)
        precision, hits = np.empty(people.shape), np.empty(people.shape, np.int64)

        def measure_group(group: list[int]) -> None:
            tried = self._sums(cells, self._tried[:, group[0]])
            for curve in group:
                right = self._sums(cells, self._right[:, curve])
                hits[:, curve] = right[:, -1]
                precision[:, curve] = self._precision(curve, counts, people[:, curve], right, tried)

        _in_threads(measure_group, self._groups)
        return precision, hits

    def _sums(self, cells: Int[np.ndarray, "cells b"], kinds: Bool[np.ndarray, " S"]) -> Int[np.ndarray, "b n"]:
        """Return how many poses of these kinds there are before each block, and behind the last."""
        inside = kinds[self._cell_kind]
        before = np.concatenate([[0], np.cumsum(inside)])[self._first_cell]
        chosen = np.flatnonzero(inside)
        of_block = csr_array((np.ones(len(chosen), np.int16), chosen, before), (self._blocks, len(cells))) @ cells
        sums = np.zeros((cells.shape[1], self._blocks + 1), np.int32)
        np.cumsum(of_block.T, axis=1, out=sums[:, 1:])
        return sums

    def _precision(
        self,
        curve: int,
        counts: Int[np.ndarray, "b I"],
        people: Float[np.ndarray, " b"],
        hits: Int[np.ndarray, "b n"],
        tried: Int[np.ndarray, "b n"],
    ) -> Float[np.ndarray, " b"]:
        """Return mean interpolated precision in each draw, from how many poses are right and tried before each block.

        Precision falls from one right pose to the next, so that it may be looked at behind any pose: the highest is one
        behind a right one.
        """
        needed = _needed(people)
        block = _first_at_least(hits[:, 1:], needed)  # (b, R) in which each threshold is reached
        behind = hits[:, 1:] / np.maximum(tried[:, 1:], 1)
        highest = _highest_from(behind, block)
        # as if the right poses of a block came first
        most = hits[:, 1:] / np.maximum(tried[:, :-1] + (hits[:, 1:] - hits[:, :-1]), 1)
        lengths = np.diff(block, axis=1, append=self._blocks)
        chosen = np.flatnonzero(most.ravel() > np.repeat(highest.ravel(), lengths.ravel()))
        inside = self._look(curve, counts, (hits, tried), chosen, (needed, block))
        return _mean(np.maximum(highest, inside))

    def _look(
        self,
        curve: int,
        counts: Int[np.ndarray, "b I"],
        before: tuple[Int[np.ndarray, "b n"], Int[np.ndarray, "b n"]],
        chosen: Int[np.ndarray, " c"],
        thresholds: tuple[Int[np.ndarray, "b R"], Int[np.ndarray, "b R"]],
    ) -> Float[np.ndarray, "b R"]:
        """Return the highest precision from each threshold up to the next within the chosen blocks, 0 where there is
        none.

        Args:
            curve: which curve.
            counts: how often each image is drawn.
            before: how many poses are right and tried before each block.
            chosen: blocks, each as its draw × the number of blocks + its own number, ascending.
            thresholds: with how many right poses each is reached, and in which block.
        """
        needed, block = (column.ravel() for column in thresholds)
        size, images = self._size, counts.shape[1]
        flags = self._right[:, curve].astype(np.int64) << 32 | self._tried[:, curve]  # both counted at once
        drawn, image, kind = counts.ravel(), self._image.reshape(-1, size), self._kind.reshape(-1, size)
        at_start = np.repeat(np.arange(len(counts)), thresholds[0].shape[1]) * self._blocks + block
        row = np.searchsorted(chosen, at_start)  # the first chosen block from each threshold on
        is_chosen = (np.append(chosen, -1)[row] == at_start) & (block < self._blocks)
        cut = row * size
        precision = np.zeros(len(chosen) * size + 1)  # a last one for thresholds behind which none is chosen
        step = max(1, _AT_ONCE // size)
        for start in range(0, len(chosen), step):
            draw, number = np.divmod(chosen[start : start + step], self._blocks)
            running = np.take(flags, kind[number])
            running *= np.take(drawn, image[number] + (draw * images)[:, None])
            np.cumsum(running, axis=1, out=running)
            running += (before[0][draw, number].astype(np.int64) << 32 | before[1][draw, number])[:, None]
            right = running >> 32
            running &= _TRIED
            part = precision[start * size : start * size + right.size].reshape(right.shape)
            np.divide(right, np.maximum(running, 1, out=running), out=part)
            first, end = np.searchsorted(row, (start, start + step))
            reached = first + np.flatnonzero(is_chosen[first:end])
            cut[reached] += (right[row[reached] - start] >= needed[reached, None]).argmax(axis=1)
        highest = np.maximum.reduceat(precision, cut)
        highest[np.diff(cut, append=len(precision) - 1) == 0] = 0  # the next threshold is reached by the same pose
        return highest.reshape(thresholds[0].shape)


def _in_threads(work: Callable[[Any], None], items: list[Any]) -> None:
    with ThreadPoolExecutor(_THREADS, "trustpose-draws") as threads:
        list(threads.map(work, items))


def _block_size(poses: int) -> int:
    """Return how many poses make a block: about as much work for the sums of all as for the poses of a few."""
    return int(np.clip(2 ** round(np.log2(max(1, poses / 50)) / 2), *_BLOCKS))


def _mean(highest: Float[np.ndarray, "b R"]) -> Float[np.ndarray, " b"]:
    """Return the mean of interpolated precision from the highest from each threshold on."""
    return np.maximum.accumulate(np.ascontiguousarray(highest[:, ::-1]), axis=1).mean(axis=1)


def _first_at_least(values: Int[np.ndarray, "b n"], limits: Int[np.ndarray, "b R"]) -> Int[np.ndarray, "b R"]:
    """Return the first of the ascending values of each draw that reaches each limit, n if none does."""
    # one search in all draws: the numbers of each lie above those of the draw before
    beyond = int(values[:, -1].max()) + 1
    draw = np.arange(len(values), dtype=np.int64)[:, None]
    offset = draw * (beyond + 1)
    first = np.searchsorted((values + offset).ravel(), (np.minimum(limits, beyond) + offset).ravel())
    return first.reshape(limits.shape) - draw * values.shape[1]


def _highest_from(values: Float[np.ndarray, "b n"], first: Int[np.ndarray, "b R"]) -> Float[np.ndarray, "b R"]:
    """Return the highest of each draw's values, 0 or more, from each of these ascending numbers on, the first of which
    is 0; 0 behind the last."""
    padded = np.zeros((len(values), values.shape[1] + 1))
    padded[:, :-1] = values
    start = first + np.arange(len(values))[:, None] * padded.shape[1]
    highest = np.maximum.reduceat(padded.ravel(), start.ravel()).reshape(first.shape)
    return np.maximum.accumulate(highest[:, ::-1], axis=1)[:, ::-1]


def _needed(people: Float[np.ndarray, " b"]) -> Int[np.ndarray, "b R"]:
    """Return the fewest right poses with which each recall threshold is reached, divided as COCO divides."""
    everyone = np.maximum(people, 1)[:, None]
    fewest = np.ceil(RECALL_THRESHOLDS * everyone)
    fewest -= (fewest - 1) / everyone >= RECALL_THRESHOLDS
    fewest += fewest / everyone < RECALL_THRESHOLDS
    return np.maximum(fewest, 0).astype(np.int64)


def average_precision_replicates(
    evaluation: Evaluation,
    counts: Int[np.ndarray, "B I"],
    pose_image: Int[np.ndarray, " N"],
    person_image: Int[np.ndarray, " M"],
    area_names: tuple[str, ...] = tuple(AREA_RANGES),
) -> dict[str, Float[np.ndarray, " B"]]:
    """Compute the COCO numbers of the named area ranges in every draw, each (B,), NaN where no person counts.

    `counts`: how often each of I images is drawn (`bootstrap.resample_counts`). `pose_image` (N,) and
    `person_image` (M,) give the image, 0..I−1, of every pose and person of the evaluation. An image drawn twice counts
    its poses and people twice, at the same score. Matching happens within an image, so it does not change. Raises
    ValueError for an evaluation with other ranges or thresholds than COCO's.
    """
    evaluation.summary()  # raises for other ranges and thresholds
    chosen, steps = [evaluation.area_names.index(name) for name in area_names], len(evaluation.oks_thresholds)
    counted = [np.bincount(person_image[~evaluation.person_ignored[a]], minlength=counts.shape[1]) for a in chosen]
    people = replicate_sums(counts, np.array(counted).T)  # (B, areas)
    flags = (np.moveaxis(flag[chosen], 1, 0) for flag in (evaluation.true_positive, evaluation.pose_ignored))
    true_positive, pose_ignored = (flag.reshape(len(flag), -1) for flag in flags)
    curves = RankedCurves([(pose_image[evaluation.order], true_positive, pose_ignored)])
    return curves.in_draws(counts, np.repeat(people, steps, axis=1)).numbers(area_names)
