"""Check by the people's epipolar geometry that the cameras' frames are of the same moments.

Of one moment, each joint of a person lies on the line that the same joint in another view draws; a frame earlier or
later people have moved off it. So for every pair of cameras the mean distance of people from the lines of the other
view is taken at every lag between their clips. From the times as given, the camera whose shift lowers the distance
most is moved, then the next, until none gains: so the one that stands out is moved, and not the rest. Unlike
`synchronise`, which needs no calibration, it sees shifts of a few frames, and where nobody moves it finds none.

Check by the people's epipolar geometry that the poses belong to these cameras, in this order. Two detections of one
person, triangulated by the right two cameras, agree with the reprojection (`association`): each joint lies on the
other's epipolar line. With the wrong cameras they do not. Of a few moments the best agreement of any two people of
two views is taken, for every pair of views and every pair of cameras that may have made them; an order's fit is its
mean over the pairs of views.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from jaxtyping import Float, Int

from trustpose.geometry.cameras import Camera, Cameras
from trustpose.multiview.association import TOLERANCE, Detections, Rig, agreements
from trustpose.multiview.frames import Moments, positions_of, sizes_of, weights_of
from trustpose.poses import Poses

_MOMENTS = 48  # used of each pair, spread over the clip
_LONGEST = 60  # lag, frames of the fastest camera
_MAX_PEOPLE = 3  # of a view and frame, the surest
_SURE = 0.5  # of the usual best person's sum of weights; who has less may be none
_FAR = 0.1  # of a person's size; who is farther from the lines of everybody is not in that view
_FEWEST, _SHARE = 8, 0.5  # moments that a lag needs, and their share of those at the given times
_NEIGHBOURS = 4  # further cameras with which each is compared
_GAIN, _FRAMES = 0.1, 2  # the fall of the distance, as a share, and the frames from which a camera counts as shifted
_SPREADS = 3.0  # standard errors by which the distance falls at least, over blocks of successive moments
_BLOCKS = 6
_STEP, _ROUNDS = 0.01, 3  # the least fall for a step of the search, and steps for each camera


@dataclass(frozen=True, eq=False)
class TimeFit:
    """`shift` (V,): frames of the fastest camera to add to each camera's times, so that its people fit the others'
    best; 0 for a camera that the current times fit. `current`, `best` (V,): the mean distance of people from the lines
    of the cameras that each is compared with, as a share of their size, at the current times and with all shifts; NaN
    where too few moments are common."""

    shift: Int[np.ndarray, " V"]
    current: Float[np.ndarray, " V"]
    best: Float[np.ndarray, " V"]


def fit_times(
    views: Sequence[Poses],
    cameras: Cameras,
    fps: Sequence[float] | None = None,
    offset: Sequence[float] | None = None,
    weight: str = "none",
) -> TimeFit:
    """Return which cameras' times are shifted, by up to 60 frames. fps, offset: as for `match_frames`; weight: "trust",
    "scores" or "none", which decides who is surely a person. Raises ValueError as `match_frames` does."""
    rates = np.ones(len(views)) if fps is None else np.asarray(fps, np.float64)
    starts = np.zeros(len(views)) if offset is None else np.asarray(offset, np.float64) * rates.max()
    ticks = rates.max() / rates  # of each camera's frame
    people = [
        _people(view, cameras[index], weights_of(view, weight, index), ticks[index], starts[index])
        for index, view in enumerate(views)
    ]
    distances = {
        (a, b): _distances(people[a], people[b], ticks[b] / 2, _epipolar(cameras[a], cameras[b]))
        for a, b in combinations(range(len(views)), 2)
        if _are_neighbours(a, b, len(views))
    }
    shift = _descend(distances, len(views))
    for camera in np.flatnonzero(shift).tolist():
        without = shift.copy()
        without[camera] = 0
        if abs(shift[camera]) < _FRAMES or not _is_sure(
            _columns(distances, without, camera), _columns(distances, shift, camera)
        ):
            shift = without
    none = np.zeros_like(shift)
    current, best = ([_mean(distances, shifts, camera) for camera in range(len(views))] for shifts in (none, shift))
    return TimeFit(shift, np.array(current), np.array(best))


def describe_shifts(fit: TimeFit, names: Sequence[str]) -> str | None:
    """Return one clause that names the cameras whose frames are of other moments; None if there are none."""
    wrong = np.flatnonzero(fit.shift)
    if not len(wrong):
        return None
    clauses = ", ".join(
        f"{names[camera]!r} fits the others best {abs(frames)} frames {'later' if frames > 0 else 'earlier'} "
        f"({fit.best[camera]:.1%} of people's size off the other views' lines, not {fit.current[camera]:.1%})"
        for camera, frames in zip(wrong.tolist(), fit.shift[wrong].tolist(), strict=True)
    )
    return f"the cameras' frames were not taken at the same times: {clauses}"


@dataclass(frozen=True, eq=False)
class _People:
    """One camera's people: `positions` (N, K, 2) in image pixels, NaN without one, `size` (N,), and of each of F frames
    its time, `tick` (F,), in frames of the fastest camera, and the `rows` (F, 3) of its surest people, -1 for none."""

    camera: Camera
    positions: Float[np.ndarray, "N K 2"]
    size: Float[np.ndarray, " N"]
    tick: Float[np.ndarray, " F"]
    rows: Int[np.ndarray, "F P"]

    def ideal(self, rows: Int[np.ndarray, "*R"]) -> Float[np.ndarray, "*R K 3"]:
        """Return the ideal pixels, homogeneous, of these rows."""
        unique_rows, index = np.unique(rows, return_inverse=True)
        xy = self.camera.undistort(self.positions[unique_rows])
        return np.concatenate([xy, np.ones((*xy.shape[:2], 1))], axis=2)[index.reshape(rows.shape)]


def _people(view: Poses, camera: Camera, weights: np.ndarray, tick: float, start: float) -> _People:
    """Return a camera's people; tick, start: of a frame and of frame 0, in frames of the fastest camera."""
    if view.image_id is None:
        raise ValueError("Poses.image_id is None, the frames' numbers are unknown")
    total = weights.sum(axis=1)
    order = np.lexsort((-total, view.image_id))
    frame, first, count = np.unique(view.image_id[order], return_index=True, return_counts=True)
    sure = _SURE * float(np.median(total[order][first])) if len(first) else 0.0
    rank = np.arange(len(order)) - np.repeat(first, count)
    is_kept = (rank < _MAX_PEOPLE) & (total[order] >= sure)
    rows = np.full((len(frame), _MAX_PEOPLE), -1)
    rows[np.repeat(np.arange(len(frame)), count)[is_kept], rank[is_kept]] = order[is_kept]
    return _People(camera, positions_of(view), sizes_of(view), frame * tick + start, rows)


def _are_neighbours(a: int, b: int, count: int) -> bool:
    return min(b - a, count - (b - a)) <= _NEIGHBOURS


def _epipolar(first: Camera, second: Camera) -> Float[np.ndarray, "3 3"]:
    """Return the fundamental matrix: from ideal pixels of one camera, homogeneous, to their lines in the other."""
    turn = second.rotation @ first.rotation.T
    x, y, z = second.translation - turn @ first.translation
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    return np.linalg.inv(second.matrix).T @ cross @ turn @ np.linalg.inv(first.matrix)


def _distances(first: _People, second: _People, half: float, matrix: np.ndarray) -> Float[np.ndarray, "M L"]:
    """Return the distances of people from each other's epipolar lines, at moments (M,) spread over the clip and each
    lag of the other camera's times, as a share of their size; NaN where one shows nobody. half: of the other's frame,
    ticks."""
    lags = np.arange(-_LONGEST, _LONGEST + 1)
    common = np.flatnonzero(_frame_at(second, first.tick, half) >= 0)
    common = common[np.linspace(0, len(common) - 1, min(len(common), _MOMENTS)).round().astype(np.int64)]
    frames_of_second = _frame_at(second, first.tick[common, None] - lags, half)  # (M, L) the other's frame
    rows_first = first.rows[common][:, None, :, None]  # (M, 1, P, 1)
    rows_second = second.rows[frames_of_second][:, :, None]  # (M, L, 1, P)
    x, y = first.ideal(rows_first), second.ideal(rows_second)
    line, back = x @ matrix.T, y @ matrix
    squared = (line[..., :2] ** 2).sum(axis=-1) + (back[..., :2] ** 2).sum(axis=-1)
    off = np.abs(np.einsum("...c,...c", line, y)) / np.sqrt(np.maximum(squared, 1e-30))  # (M, L, P, P, K), Sampson's
    off = off / np.sqrt(first.size[rows_first] * second.size[rows_second])[..., None]
    seen = np.isfinite(off)
    enough = (
        (seen.sum(axis=-1) >= min(3, off.shape[-1]))
        & (rows_first >= 0)
        & (rows_second >= 0)
        & (frames_of_second >= 0)[..., None, None]
    )
    mean = np.where(seen, np.minimum(off, 2 * _FAR), 0).sum(axis=-1) / np.maximum(seen.sum(axis=-1), 1)
    mean = np.where(enough, np.minimum(mean, _FAR), np.inf)  # (M, L, P, P)
    return (_nearest(mean.min(axis=3)) + _nearest(mean.min(axis=2))) / 2


def _nearest(off: Float[np.ndarray, "M L P"]) -> Float[np.ndarray, "M L"]:
    is_known = np.isfinite(off)
    return np.where(is_known, off, 0).sum(axis=2) / np.where(is_known.any(axis=2), is_known.sum(axis=2), np.nan)


def _frame_at(people: _People, tick: np.ndarray, half: float) -> np.ndarray:
    """Return the frame of each tick, -1 where there is none."""
    if not len(people.tick):
        return np.full(tick.shape, -1)
    after = np.searchsorted(people.tick, tick).clip(1, max(len(people.tick) - 1, 1))
    before = after - 1
    after = np.minimum(after, len(people.tick) - 1)
    nearer = np.where(np.abs(people.tick[before] - tick) <= np.abs(people.tick[after] - tick), before, after)
    return np.where(np.abs(people.tick[nearer] - tick) <= half + 1e-6, nearer, -1)


Table = dict[tuple[int, int], np.ndarray]


def _columns(distances: Table, shift: np.ndarray, camera: int) -> list[np.ndarray]:
    """Return the distances (M,) at these shifts of each pair with this camera."""
    columns = []
    for (a, b), table in distances.items():
        lag = int(shift[b] - shift[a]) + _LONGEST
        if camera in (a, b):
            columns.append(table[:, lag] if 0 <= lag < table.shape[1] else np.full(len(table), np.nan))
    return columns


def _mean(distances: Table, shift: np.ndarray, camera: int) -> float:
    values = np.concatenate([np.zeros(0), *_columns(distances, shift, camera)])
    values = values[np.isfinite(values)]
    return float(values.mean()) if len(values) else np.nan


def _descend(distances: Table, count: int) -> Int[np.ndarray, " V"]:
    """Return the shifts to which the mean distances fall, moving the one camera at a time that gains most."""
    shift = np.zeros(count, np.int64)
    for _ in range(_ROUNDS * count):
        gains = [_best_shift(distances, shift, camera) for camera in range(count)]
        camera = int(np.argmax([gain for gain, _ in gains]))
        if gains[camera][0] < _STEP:
            break
        shift[camera] = gains[camera][1]
    return shift


def _best_shift(distances: Table, shift: np.ndarray, camera: int) -> tuple[float, int]:
    """Return by which share the distance of `camera` falls at its best shift, with the others unchanged, and that
    shift."""
    before, best = _columns(distances, shift, camera), (0.0, int(shift[camera]))
    for frames in range(-_LONGEST, _LONGEST + 1):
        moved = shift.copy()
        moved[camera] = frames
        old, new, _ = _common(before, _columns(distances, moved, camera))
        gain = float((old - new).sum() / max(old.sum(), 1e-12))
        if gain > best[0]:
            best = gain, frames
    return best


def _common(before: list[np.ndarray], after: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the distances before and after at the moments that have both, and their sixth of the clip; nothing if a
    pair loses too many moments."""
    rows: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for old, new in zip(before, after, strict=True):
        both = np.isfinite(old) & np.isfinite(new)
        if both.sum() < max(_FEWEST, _SHARE * np.isfinite(old).sum()):
            return np.zeros(0), np.zeros(0), np.zeros(0, np.int64)
        rows.append((old[both], new[both], np.flatnonzero(both) * _BLOCKS // len(old)))
    old, new, block = (np.concatenate(column) for column in zip(*rows, strict=True))
    return old, new, block


def _is_sure(before: list[np.ndarray], after: list[np.ndarray]) -> bool:
    """Return whether the mean distance falls far enough, and not by chance."""
    old, new, block = _common(before, after)
    if len(np.unique(block)) < 2:
        return False
    falls = np.array([(old - new)[block == block_number].mean() for block_number in np.unique(block)])
    error = falls.std(ddof=1) / np.sqrt(len(falls))
    return bool((old - new).sum() >= _GAIN * old.sum() and falls.mean() >= _SPREADS * error)


_ORDER_MOMENTS = 12  # used, spread over the clip
_FINE, _POOR, _BETTER = 0.9, 0.5, 0.1  # real trials have 0.98, and 0.5 to 0.8 in another order
_MAX_ORDERS = 5  # cameras of which all orders are tried; of more, every swap of two


@dataclass(frozen=True, eq=False)
class OrderFit:
    """How well poses fit their cameras: `current` (0–1) in the present order, `best` in the order that fits best, and
    that `order`: view v was made by camera order[v]. `by_camera` (V,) is each camera's mean with the others as given;
    NaN without a common moment."""

    current: float
    best: float
    order: tuple[int, ...]
    by_camera: Float[np.ndarray, " V"]


def fit_order(views: Sequence[Poses], moments: Moments, cameras: Cameras, *, all_orders: bool = True) -> OrderFit:
    """Return how well each view's poses fit the camera of the same number; with `all_orders`, also the best order.

    All joints with a position have the same weight, so that the result does not depend on scores.
    """
    xy = [positions_of(view) for view in views]
    weights = [weights_of(view, "none", index) for index, view in enumerate(views)]
    sizes = [TOLERANCE * sizes_of(view) for view in views]
    count = len(cameras)
    chosen = _chosen(moments)
    ideal = [[camera.undistort(pixels) for camera in cameras] for pixels in xy]
    fit = np.full((count, count, count, count), np.nan)  # view a, view b, camera of a, camera of b
    for a, b in combinations(range(count), 2):
        pairs = list(permutations(range(count), 2)) if all_orders else [(a, b)]
        for i, j in pairs:
            rig = Rig(cameras[[i, j]])
            agreements_of_moments = [
                _best(rig, ideal, weights, sizes, moments, moment, (a, b), (i, j)) for moment in chosen
            ]
            agreements_of_moments = [agreement for agreement in agreements_of_moments if agreement is not None]
            if agreements_of_moments:
                fit[a, b, i, j] = fit[b, a, j, i] = np.median(agreements_of_moments)
    orders = _orders(count) if all_orders else [tuple(range(count))]
    fits = [_fit_of(fit, order) for order in orders]
    best = int(np.nanargmax(fits)) if np.isfinite(fits).any() else 0
    current = np.array([[fit[a, b, a, b] for b in range(count)] for a in range(count)])
    is_known = np.isfinite(current)
    by_camera = np.where(is_known, current, 0).sum(axis=1) / np.where(
        is_known.any(axis=1), is_known.sum(axis=1), np.nan
    )
    return OrderFit(fits[0], fits[best], orders[best], by_camera)


def describe_misfit(views: Sequence[Poses], moments: Moments, cameras: Cameras) -> str | None:
    """Return one clause that says why the poses cannot belong to these cameras, naming them; None if they may."""
    fit = fit_order(views, moments, cameras, all_orders=False)
    if np.isnan(fit.current) or fit.current >= _FINE:
        return None
    fit = fit_order(views, moments, cameras)
    names = cameras.names
    if fit.best >= _POOR and fit.best > fit.current + _BETTER:
        wrong = [view for view, camera in enumerate(fit.order) if view != camera]
        moved = ", ".join(f"those given for {names[view]!r} fit {names[fit.order[view]]!r}" for view in wrong)
        worth = f"agreement with epipolar lines {fit.best:.2f}, not {fit.current:.2f}"
        return f"the poses are in a different order from the cameras: {moved} ({worth})"
    worst = int(np.nanargmin(fit.by_camera))
    if fit.by_camera[worst] < _POOR:
        return (
            f"the poses do not match the cameras, least of all those of {names[worst]!r}: their agreement with the "
            f"others' epipolar lines is {fit.by_camera[worst]:.2f}, expected above {_POOR}; does the calibration "
            "belong to these images at this size, and were the frames taken at the same time?"
        )
    return None


def _orders(count: int) -> list[tuple[int, ...]]:
    """Return the orders to try, the given one first."""
    straight = tuple(range(count))
    if count <= _MAX_ORDERS:
        return list(permutations(straight))
    orders = [straight]
    for a, b in combinations(straight, 2):
        swapped = list(straight)
        swapped[a], swapped[b] = b, a
        orders.append(tuple(swapped))
    return orders


def _fit_of(fit: np.ndarray, order: tuple[int, ...]) -> float:
    pairs = np.array([fit[a, b, order[a], order[b]] for a, b in combinations(range(len(order)), 2)])
    pairs = pairs[np.isfinite(pairs)]
    return float(pairs.mean()) if len(pairs) else float("nan")


def _chosen(moments: Moments) -> list[int]:
    common = [moment for moment in range(len(moments)) if sum(len(rows[moment]) > 0 for rows in moments.rows) >= 2]
    return common[:: max(1, len(common) // _ORDER_MOMENTS)][:_ORDER_MOMENTS]


def _best(
    rig: Rig,
    ideal: list[list[np.ndarray]],
    weights: Sequence[np.ndarray],
    sizes: Sequence[np.ndarray],
    moments: Moments,
    moment: int,
    views: tuple[int, int],
    cameras: tuple[int, int],
) -> float | None:
    """Return the best agreement of a person of one view with one of the other; None if one is empty."""
    rows = [moments.rows[view][moment] for view in views]
    if not len(rows[0]) or not len(rows[1]):
        return None
    detections = Detections(
        np.repeat([0, 1], [len(rows[0]), len(rows[1])]),
        np.concatenate(rows),
        np.concatenate([ideal[view][camera][row] for view, camera, row in zip(views, cameras, rows, strict=True)]),
        np.concatenate([weights[view][row] for view, row in zip(views, rows, strict=True)]),
        np.concatenate([sizes[view][row] for view, row in zip(views, rows, strict=True)]),
    )
    first, second = np.meshgrid(np.arange(len(rows[0])), len(rows[0]) + np.arange(len(rows[1])), indexing="ij")
    members = np.stack([first.ravel(), second.ravel()], axis=1)
    agreement = agreements(rig, detections, rig.triangulate(detections, members))
    both = np.take_along_axis(agreement, members, axis=1).min(axis=1)
    return float(both.max())
