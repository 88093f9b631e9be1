"""What another score for the same poses is worth: AP gained, and the share of the headroom that it closes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.audit.categories import evaluate_groups, mean_draws, mean_summary, measure_by_category
from trustpose.audit.comparison import comparable
from trustpose.audit.record import Audit
from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile, TruthFile
from trustpose.metrics.bootstrap import REPLICATES, interval
from trustpose.poses import Area, Poses


@dataclass(frozen=True)
class Rescoring:
    """AP by one score and by another, of the same poses, and by the true OKS.

    `gain` is `better` − `own`; `closed` the share of the headroom, `oracle` − `own`, that it is, None without headroom.
    `intervals` has the 95 % intervals of "gain" and "closed": every draw of images is made for all three scores, so
    that what the draw does to all of them cancels; NaN where no draw leaves headroom.
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
    own: Float[np.ndarray, " N"],
    better: Float[np.ndarray, " N"],
    *,
    category_id: Int[np.ndarray, " N"] | None = None,
    sigmas: Float[np.ndarray, " L"] | None = None,
    area: Area = "file",
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Rescoring:
    """Rank the same N poses by `own` (N,) and by `better` (N,), 1000 draws of images for the intervals (0: none).

    Where the ground truth was read with all its categories, `category_id` is that of each pose, and each AP the mean
    over categories. The draws, and `sigmas`, are those of an `audit`, with the same seed. Raises InputError where there
    are no sigmas or nobody counts.
    """
    if category_id is None:
        if truth.categories is not None:
            raise ValueError("category_id: expected that of each pose, as the ground truth has several")
        category_id = np.full(len(poses), truth.category_id)
    measured, groups = measure_by_category(
        *(truth, ResultsFile(poses, own, category_id, "", "")),
        sigmas=truth.sigmas(sigmas),
        area=area,
        replicates=replicates,
        seed=seed,
    )
    ap, draws = [], []
    for score in (own, better, measured.oracle_score()):
        evaluations = evaluate_groups(measured, groups, score)
        ap.append(mean_summary([one.summary() for one in evaluations]).AP)
        draws.append(mean_draws(measured, groups, evaluations, ("all",))["AP"])
    if -1 in ap:
        raise InputError(f"{truth.path}: nobody in it counts for AP")
    return _worth((ap[0], ap[1], ap[2]), (draws[0], draws[1], draws[2]))


def rescoring_of(before: Audit, after: Audit) -> Rescoring:
    """The same from audits of the same poses by their own scores and by better ones, on the draws they share.

    Raises ValueError where the poses or the draws differ, or nobody counts for AP.
    """
    own, better, oracle = before.number("ap.AP"), after.number("ap.AP"), before.number("oracle_ap.AP")
    if own is None or better is None or oracle is None:
        raise ValueError("rescoring_of: expected audits with AP, nobody counts for it")
    if not same_poses(before, after):
        raise ValueError("rescoring_of: expected two audits of the same poses")
    draws, others = before.details.draws, after.details.draws
    if not comparable((before, after)) or draws.seed != others.seed:
        raise ValueError("rescoring_of: expected audits of the same people in the same draws")
    return _worth((own, better, oracle), (draws.values["ap.AP"], others.values["ap.AP"], draws.values["oracle_ap.AP"]))


def same_poses(one: Audit, other: Audit) -> bool:
    """Whether two audits are of the same poses in the same order, whatever their scores."""
    a, b = one.details.poses, other.details.poses
    assert a.image_id is not None and b.image_id is not None
    return np.array_equal(a.xy, b.xy) and np.array_equal(a.image_id, b.image_id)


def _worth(ap: tuple[float, float, float], draws: tuple[np.ndarray, np.ndarray, np.ndarray]) -> Rescoring:
    """From AP by own, better and oracle scores, and the same in every draw, each (B,)."""
    gain, headroom = ap[1] - ap[0], ap[2] - ap[0]
    intervals: dict[str, tuple[float, float]] = {}
    if len(draws[0]):
        gains, room = draws[1] - draws[0], draws[2] - draws[0]
        shares = np.divide(gains, room, out=np.full_like(gains, np.nan), where=room > 0)
        intervals = {"gain": interval(gains), "closed": interval(shares)}
    return Rescoring(*ap, gain=gain, closed=gain / headroom if headroom > 0 else None, intervals=intervals)
