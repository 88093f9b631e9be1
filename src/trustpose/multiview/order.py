"""Check by the people's epipolar geometry that the poses belong to these cameras, in this order.

Two detections of one person, triangulated by the right two cameras, agree with the reprojection (`association`): each
joint lies on the other's epipolar line. With the wrong cameras they do not. Of a few moments the best agreement of any
two people of two views is taken, for every pair of views and every pair of cameras that may have made them; an order's
fit is its mean over the pairs of views.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations, permutations

import numpy as np
from jaxtyping import Float

from trustpose.geometry.cameras import Cameras
from trustpose.multiview.association import TOLERANCE, Detections, Rig, agreements
from trustpose.multiview.frames import Moments
from trustpose.multiview.views import positions_of, sizes_of, weights_of
from trustpose.poses import Poses

_MOMENTS = 12  # used, spread over the clip
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
        return f"the poses stand in another order than the cameras: {moved} ({worth})"
    worst = int(np.nanargmin(fit.by_camera))
    if fit.by_camera[worst] < _POOR:
        return (
            f"the poses do not fit the cameras, least those of {names[worst]!r}: their agreement with the others' "
            f"epipolar lines is {fit.by_camera[worst]:.2f}, expected above {_POOR}; is the calibration that of these "
            "images, in this size, and are the frames of the same moments?"
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
    return common[:: max(1, len(common) // _MOMENTS)][:_MOMENTS]


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
