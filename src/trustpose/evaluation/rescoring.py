"""Measure the effect of another score for the same poses: AP gained, and the share of the headroom closed."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.evaluation.batch import Batch
from trustpose.evaluation.comparison import comparable
from trustpose.evaluation.precision import ScorePrecision
from trustpose.evaluation.record import Audit
from trustpose.evaluation.resampling import Resampling
from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile
from trustpose.metrics.bootstrap import DRAWS, interval
from trustpose.poses import Area, Poses


@dataclass(frozen=True)
class Rescoring:
    """AP of the same poses by their own score, by a better one, and by the true OKS.

    `gain` is `better` − `own`; `closed` is the gain as a share of the headroom, `oracle` − `own`; None without
    headroom. `intervals` has the 95 % intervals of "gain" and "closed" from paired draws of images for all three
    scores; NaN if no draw has headroom.
    """

    own: float
    better: float
    oracle: float
    gain: float
    closed: float | None
    intervals: dict[str, tuple[float, float]]


def rescoring(
    truth: TruthFile,
    poses: Poses,
    original: Float[np.ndarray, " N"],
    better: Float[np.ndarray, " N"],
    *,
    category_id: Int[np.ndarray, " N"] | None = None,
    sigmas: Float[np.ndarray, " L"] | None = None,
    area: Area = "file",
    draws: int = DRAWS,
    seed: int = 0,
) -> Rescoring:
    """Compare the ranking of the same N poses by `original` (N,) and by `better` (N,), with 1000 draws of images (0:
    none).

    If the ground truth was read with all its categories, `category_id` is that of each pose, and each AP is the mean
    over categories. With the same seed, the draws and `sigmas` are those of an `audit`. Raises InputError if there are
    no sigmas or no person counts.
    """
    if category_id is None:
        if truth.categories is not None:
            raise ValueError("category_id: expected one per pose, as the ground truth has several")
        category_id = np.full(len(poses), truth.category_id)
    batch = Batch(truth, ResultsFile(poses, original, category_id, "", ""), sigmas=truth.sigmas(sigmas), area=area)
    resampling = Resampling(batch.image_id, draws, seed)
    ap, ap_draws = [], []
    for score in (original, better, batch.oracle_score):
        precision = ScorePrecision()
        precision.add(batch, score)
        ap.append(precision.mean().AP)
        ap_draws.append(precision.draws(resampling, ("all",))["AP"])
    if -1 in ap:
        raise InputError(f"{truth.path}: no person counts for AP")
    return _worth((ap[0], ap[1], ap[2]), (ap_draws[0], ap_draws[1], ap_draws[2]))


def rescoring_of(before: Audit, after: Audit) -> Rescoring:
    """Compute a `Rescoring` from two audits of the same poses with different scores, on their common draws.

    Raises ValueError if the poses or the draws differ, or no person counts for AP.
    """
    original, better, oracle = before.number("ap.AP"), after.number("ap.AP"), before.number("oracle_ap.AP")
    if original is None or better is None or oracle is None:
        raise ValueError("rescoring_of: expected audits with AP, no person counts for it")
    if not same_poses(before, after):
        raise ValueError("rescoring_of: expected two audits of the same poses")
    draws, other_draws = before.details.draws, after.details.draws
    if not comparable((before, after)) or draws.seed != other_draws.seed:
        raise ValueError("rescoring_of: expected audits of the same people in the same draws")
    return _worth(
        (original, better, oracle), (draws.values["ap.AP"], other_draws.values["ap.AP"], draws.values["oracle_ap.AP"])
    )


def same_poses(first: Audit, second: Audit) -> bool:
    """Return whether two audits have the same poses in the same order, whatever their scores."""
    a, b = first.details.poses, second.details.poses
    assert a.image_id is not None and b.image_id is not None
    return np.array_equal(a.xy, b.xy) and np.array_equal(a.image_id, b.image_id)


def _worth(ap: tuple[float, float, float], draws: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Rescoring:
    """Build a `Rescoring` from AP by own, better and oracle scores, and their draws, each (B,)."""
    gain, headroom = ap[1] - ap[0], ap[2] - ap[0]
    intervals: dict[str, tuple[float, float]] = {}
    if len(draws[0]):
        gains, room = draws[1] - draws[0], draws[2] - draws[0]
        shares = np.divide(gains, room, out=np.full_like(gains, np.nan), where=room > 0)
        intervals = {"gain": interval(gains), "closed": interval(shares)}
    return Rescoring(*ap, gain=gain, closed=gain / headroom if headroom > 0 else None, intervals=intervals)
