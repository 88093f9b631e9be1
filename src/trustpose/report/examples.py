"""Choose the poses of an audit that a gallery shows: where the score is most wrong, and each kind of error.

All poses with a person are ranked twice, by score and by true OKS, best first. The trust gap of a pose is its score
rank minus its OKS rank, as a share of all poses: the largest are the most overtrusted, the smallest the most
undertrusted. Ranks do not depend on the score's scale, so files of any estimator are comparable. Errors are those of
`metrics.diagnosis` with respect to the person that the pose belongs to.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.evaluation.record import Audit
from trustpose.metrics.diagnosis import KeypointError, keypoint_errors

MIN_LABELS = 3  # with one or two, OKS says little about the pose
_OF_SCORE = 0.5  # of a keypoint: among poses as bad, those with the highest score come first


@dataclass(frozen=True)
class Kind:
    """A kind of example: its title, what its keypoints did in a few words, and their error, None for a wrong score."""

    title: str
    words: str = ""
    error: KeypointError | None = None


KINDS = (
    Kind("Most overtrusted: high score, bad pose"),
    Kind("Left and right confused (inversion)", "Left taken for right, or right for left", KeypointError.INVERSION),
    Kind("On somebody else (swap)", "On another person", KeypointError.SWAP),
    Kind("Nowhere near (miss)", "Nowhere near", KeypointError.MISS),
    Kind("Most undertrusted: low score, good pose"),
)


@dataclass(frozen=True)
class Examples:
    """Rows of `details.measured` for each of `KINDS`, the most instructive first, and what is known of all n rows:
    `score_rank`, `oks_rank` (n,), the share of the others ranked below, and `errors` (n, K), `KeypointError`."""

    orders: tuple[Int[np.ndarray, " P"], ...]
    score_rank: Float[np.ndarray, " n"]
    oks_rank: Float[np.ndarray, " n"]
    errors: Int[np.ndarray, "n K"]


def examples(audit: Audit) -> Examples:
    """Choose among all poses with a person. People with fewer than three labelled keypoints come only where there are
    no others."""
    details = audit.details
    score_rank, oks_rank = trust_gap(details.pose_score[details.measured], details.oks[details.measured])
    gap, errors = score_rank - oks_rank, _errors(audit)
    has_enough = details.labelled.sum(axis=1) >= min(MIN_LABELS, details.labelled.shape[1])
    orders = []
    for kind in KINDS[1:-1]:
        is_wrong = errors == kind.error
        cost = np.where(is_wrong, 1 - details.opks, 0.0).sum(axis=1)  # a mirrored joint close by costs little
        orders.append(_best(cost + _OF_SCORE * score_rank, is_wrong.any(axis=1), has_enough))
    return Examples(
        (_best(gap, gap > 0, has_enough), *orders, _best(-gap, gap < 0, has_enough)), score_rank, oks_rank, errors
    )


def trust_gap(
    score: Float[np.ndarray, " n"], oks: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Compute the rank of each pose by score and by OKS (n,), as the share of the others ranked below it, 0–1; ties get
    their middle rank. The trust gap is the first minus the second."""
    return _share_below(score), _share_below(oks)


def _share_below(values: np.ndarray) -> np.ndarray:
    _, level, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count + 1) / 2
    return middle[level] / max(len(values) - 1, 1)


def _best(
    value: Float[np.ndarray, " n"], is_one: Bool[np.ndarray, " n"], has_enough: Bool[np.ndarray, " n"]
) -> Int[np.ndarray, " P"]:
    order = np.argsort(-value, kind="stable")
    order = order[is_one[order]]
    enough = order[has_enough[order]]
    return enough if len(enough) else order


def _errors(audit: Audit) -> Int[np.ndarray, "n K"]:
    details = audit.details
    flip_index = np.arange(len(details.keypoint_names))
    for left_joint, right_joint in details.flip_pairs:
        flip_index[left_joint], flip_index[right_joint] = right_joint, left_joint
    errors = keypoint_errors(
        details.poses, details.truth, details.person, sigmas=details.sigmas, flip_index=flip_index, area=audit.area
    )
    return errors[details.measured]
