"""mAPK: average precision and recall of each keypoint, counting false positives on unlabelled keypoints.

Source: Guesdon, Crispim-Junior, Tougne, "DriPE: A Dataset for Human Pose Estimation in Real-World Driving Settings"
(ICCV Workshops 2021), as used in the visibility metamodel paper (VISAPP 2022, Sec. 4.5, 5.2, Tables 3 and 4).

Established by the metamodel paper: mAPK "provides an evaluation at a keypoint level"; it counts "false positive
predictions" on keypoints that are not labelled, which OKS-based AP ignores; "similar to AP OKS, mAPK measures both
average precision (AP) and average recall (AR)"; under "non-0", keypoints predicted as non-labelled "are considered as
not predicted", which removes some false positives (AP rises) and adds false negatives (AR falls).

Our interpretation, as the DriPE paper's own formulas were not available:
- A keypoint is correct at a threshold if its OPKS (with the true person's area) reaches it; AP and AR are means over
  OPKS thresholds .50, .55, … .95, as in AP OKS.
- Per threshold, precision = correct / predicted and recall = correct / labelled. It cannot be the area under a
  precision-recall curve (the APK of Yang & Ramanan 2013): that never exceeds the recall it ends at, while Table 3 has
  AP above AR for hip, knee and ankle (hip .74 and .70).
- Some keypoints with low scores are dropped first (`score_threshold`; the caption of Figure 7 says "filtered with a
  confidence threshold"). With none dropped, AR / AP is labelled / all, for ankles on COCO 2.1, where Table 3 has 0.97;
  on a small real network a threshold of about .3 on heatmap peaks brings that ratio from shoulder to ankle to
  .84–1.02, where the paper has .95–1.01 (not so for the head: 1.5 and 1.1). The paper's own threshold is not known.

So compare configurations with each other at one threshold, not with the printed tables.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Real

THRESHOLDS = tuple(float(t) for t in np.linspace(0.5, 0.95, 10))


@dataclass(frozen=True, eq=False)
class KeypointAveragePrecision:
    """AP and AR of every keypoint (K,), 0–1, with the numbers of labelled and predicted ones.

    `AP` is NaN for a keypoint that is never predicted, `AR` for one that is never labelled; mAPK is the mean over
    keypoints.
    """

    AP: Float[np.ndarray, " K"]
    AR: Float[np.ndarray, " K"]
    labelled: Int[np.ndarray, " K"]
    predicted: Int[np.ndarray, " K"]


def keypoint_average_precision(
    opks: Float[np.ndarray, "N K"],
    labelled: Bool[np.ndarray, "N K"],
    score: Real[np.ndarray, "N K"] | None = None,
    predicted_absent: Bool[np.ndarray, "N K"] | None = None,
    score_threshold: float | None = None,
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> KeypointAveragePrecision:
    """Compute AP and AR per keypoint of poses matched to people.

    opks (N, K): each keypoint's similarity to the truth, 0–1, ignored if not labelled. labelled (N, K): v > 0, and all
    False in the row of an unmatched pose. score (N, K), any range. A keypoint counts as predicted unless
    `predicted_absent` is True (the paper's "non-0") or its score is below `score_threshold`. A predicted one is correct
    at a threshold if it is labelled and its OPKS reaches the threshold, else a false positive; a labelled one that is
    not predicted, or not close enough, is missed. An unmatched person needs a row with opks 0 and predicted_absent
    True. Raises ValueError for shapes that differ, OPKS outside 0–1, a score that is missing or NaN.
    """
    predicted = predicted_keypoints(labelled.shape, score, predicted_absent, score_threshold)
    level = (hit_levels(opks, labelled, thresholds) * predicted).sum(axis=0)
    return precision_of_counts(level, labelled.sum(axis=0), predicted.sum(axis=0), len(thresholds))


def precision_of_counts(
    level: Int[np.ndarray, " K"], labels: Int[np.ndarray, " K"], predictions: Int[np.ndarray, " K"], steps: int
) -> KeypointAveragePrecision:
    """Compute AP and AR per keypoint from sums over poses (K,): the thresholds, of `steps`, that predicted keypoints
    reach (`hit_levels`), labelled keypoints and predicted ones."""
    hits = level / steps  # (K,) means over thresholds
    precision, recall = (
        np.divide(hits, count, out=np.full(hits.shape, np.nan), where=count > 0) for count in (predictions, labels)
    )
    return KeypointAveragePrecision(precision, recall, labels, predictions)


def hit_levels(
    opks: Float[np.ndarray, "N K"], labelled: Bool[np.ndarray, "N K"], thresholds: tuple[float, ...] = THRESHOLDS
) -> Int[np.ndarray, "N K"]:
    """Return how many thresholds each keypoint's OPKS reaches (N, K), 0 if not labelled."""
    if opks.shape != labelled.shape:
        raise ValueError(f"labelled: expected the shape of opks {opks.shape}, got {labelled.shape}")
    if not ((opks >= 0) & (opks <= 1))[labelled].all():
        raise ValueError("opks: expected numbers in 0–1 where labelled, got others")
    return np.searchsorted(np.sort(thresholds), opks, side="right") * labelled


def predicted_keypoints(
    shape: tuple[int, ...], score: np.ndarray | None, predicted_absent: np.ndarray | None, score_threshold: float | None
) -> np.ndarray:
    """Return which keypoints of `shape` count as predicted, see `keypoint_average_precision`."""
    for name, column in (("score", score), ("predicted_absent", predicted_absent)):
        if column is not None and column.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {column.shape}")
    predicted = np.ones(shape, dtype=bool) if predicted_absent is None else ~predicted_absent
    if score_threshold is None:
        return predicted
    if score is None:
        raise ValueError("score: required by score_threshold, got None")
    if np.isnan(score).any():
        raise ValueError(f"score: expected numbers, got {int(np.isnan(score).sum())} NaN")
    return predicted & (score >= score_threshold)
