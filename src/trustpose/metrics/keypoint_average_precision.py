"""mAPK: average precision and average recall of each keypoint on its own, false positives on unlabelled ones included.

Source: Guesdon, Crispim-Junior, Tougne, "DriPE: A Dataset for Human Pose Estimation in Real-World Driving Settings"
(ICCV Workshops 2021), as used in the visibility metamodel paper (VISAPP 2022, Sec. 4.5, 5.2, Tables 3 and 4).

What is established, from the metamodel paper: mAPK "provides an evaluation at a keypoint level"; it counts "false
positive predictions" on keypoints that are not labelled, which OKS-based AP puts aside; "similar to AP OKS, mAPK
measures both average precision (AP) and average recall (AR)"; under "non-0", keypoints predicted as non-labelled "are
considered as not predicted"; that turns some false positives away (AP rises) and makes false negatives (AR falls).

What is our reading, as the DriPE paper's own formulas were not at hand:
- A keypoint is right at a threshold where its OPKS (the true person's area) reaches it; AP and AR are means over
  OPKS thresholds .50, .55, … .95, as in AP OKS.
- Per threshold, precision = right / predicted and recall = right / labelled ("counted"). It cannot be the area under a
  precision-recall curve ("ranked", the APK of Yang & Ramanan 2013): that never exceeds the recall it ends at, while
  Table 3 has AP above AR for hip, knee and ankle (hip .74 and .70).
- Some keypoints with low scores are dropped first (`score_threshold`; the caption of Figure 7 says "filtered with a
  confidence threshold"). With none dropped, AR / AP is labelled / all, for ankles on COCO 2.1, where Table 3 has 0.97;
  on a small real network a threshold of about .3 on heatmap peaks brings that ratio from shoulder to ankle to
  .84–1.02, where the paper has .95–1.01 (not so for the head: 1.5 and 1.1). The paper's own threshold is not known.

So compare configurations with each other at one threshold, not with the printed tables.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from trustpose.metrics.bootstrap import sums_by_group

Reading = Literal["counted", "ranked"]
THRESHOLDS = tuple(float(t) for t in np.linspace(0.5, 0.95, 10))


@dataclass(frozen=True, eq=False)
class KeypointAveragePrecision:
    """AP and AR of every keypoint (K,), 0–1, with how many were labelled and predicted.

    `AP` is NaN for a keypoint that is never predicted ("ranked": never labelled), `AR` for one that is never labelled;
    the means (mAPK) leave those out and are NaN where none is left.
    """

    AP: Float[np.ndarray, " K"]
    AR: Float[np.ndarray, " K"]
    labelled: Int[np.ndarray, " K"]
    predicted: Int[np.ndarray, " K"]

    @property
    def mean_AP(self) -> float:
        """Mean of AP over keypoints."""
        return _mean_of_defined(self.AP)

    @property
    def mean_AR(self) -> float:
        """Mean of AR over keypoints."""
        return _mean_of_defined(self.AR)

    def by_group(self, groups: Mapping[str, Sequence[int]]) -> dict[str, tuple[float, float]]:
        """(AP, AR) of named groups of keypoints, the mean over each group's indices: {"Head": (0, 1, 2, 3, 4), …}."""
        return {
            name: (_mean_of_defined(self.AP[list(index)]), _mean_of_defined(self.AR[list(index)]))
            for name, index in groups.items()
        }


def keypoint_average_precision(
    opks: Float[np.ndarray, "N K"],
    labelled: Bool[np.ndarray, "N K"],
    score: Real[np.ndarray, "N K"] | None = None,
    predicted_absent: Bool[np.ndarray, "N K"] | None = None,
    score_threshold: float | None = None,
    thresholds: tuple[float, ...] = THRESHOLDS,
    reading: Reading = "counted",
) -> KeypointAveragePrecision:
    """AP and AR per keypoint of poses paired with people.

    opks (N, K): each keypoint's similarity to the truth, 0–1, ignored where not labelled; labelled (N, K): v > 0, and
    all False in the row of a pose that has no person. score (N, K), any range. A keypoint counts as predicted unless
    `predicted_absent` says otherwise (the paper's "non-0") or its score is below `score_threshold`. A predicted one is
    right at a threshold where it is labelled with OPKS of the threshold or more, else a false positive; a labelled one
    that is not predicted, or not near enough, is missed. A person whom no pose found belongs in a row of opks 0 and
    predicted_absent True. `reading`: see the module's text. "ranked" needs scores, takes equal ones together and does
    not interpolate (as scikit-learn's `average_precision_score`, but recall counts the labelled ones missed too).
    Raises ValueError for shapes that differ, OPKS outside 0–1, a score that is missing or NaN, or another reading.
    """
    if reading not in ("counted", "ranked"):
        raise ValueError(f"reading: expected 'counted' or 'ranked', got {reading!r}")
    level = _hit_levels(opks, labelled, thresholds)
    predicted = _predicted(labelled.shape, score, predicted_absent, score_threshold)
    sums = np.stack([level * predicted, predicted, labelled], axis=-1).sum(axis=0, dtype=np.float64)  # (K, 3)
    precision, recall = average_precision_from_sums(sums, len(thresholds))
    if reading == "ranked":
        if score is None:
            raise ValueError("score: the ranked reading needs one, got None")
        _refuse_nan(score)
        ranked = [
            _ranked(level[chosen, k], score[chosen, k], int(labelled[:, k].sum()), len(thresholds))
            for k, chosen in enumerate(predicted.T)
        ]
        precision = np.array(ranked, dtype=np.float64)
    return KeypointAveragePrecision(precision, recall, labelled.sum(axis=0), predicted.sum(axis=0))


def keypoint_sums(
    opks: Float[np.ndarray, "N K"],
    labelled: Bool[np.ndarray, "N K"],
    group: Int[np.ndarray, " N"],
    groups: int,
    score: Real[np.ndarray, "N K"] | None = None,
    predicted_absent: Bool[np.ndarray, "N K"] | None = None,
    score_threshold: float | None = None,
    thresholds: tuple[float, ...] = THRESHOLDS,
) -> Float[np.ndarray, "G K 3"]:
    """Per group (an image, say) and keypoint: thresholds reached by predicted keypoints, predicted, labelled (G, K, 3).

    Arguments and errors as in `keypoint_average_precision`; `group` (N,) is in 0..groups−1. Sums over groups, weighted
    in any way, give the counted AP and AR by `average_precision_from_sums`.
    """
    level = _hit_levels(opks, labelled, thresholds)
    predicted = _predicted(labelled.shape, score, predicted_absent, score_threshold)
    return sums_by_group(np.stack([level * predicted, predicted, labelled], axis=-1), group, groups)


def average_precision_from_sums(
    sums: Real[np.ndarray, "*B K 3"], threshold_count: int = len(THRESHOLDS)
) -> tuple[Float[np.ndarray, "*B K"], Float[np.ndarray, "*B K"]]:
    """Counted (AP, AR) (…, K) from sums (…, K, 3) made with that many thresholds; NaN where 0/0."""
    hits = sums[..., 0] / threshold_count
    nothing = np.full(hits.shape, np.nan)
    precision = np.divide(hits, sums[..., 1], out=nothing.copy(), where=sums[..., 1] > 0)
    return precision, np.divide(hits, sums[..., 2], out=nothing, where=sums[..., 2] > 0)


def _hit_levels(opks: np.ndarray, labelled: np.ndarray, thresholds: tuple[float, ...]) -> np.ndarray:
    """How many thresholds each keypoint's OPKS reaches (N, K), 0 where not labelled."""
    if opks.shape != labelled.shape:
        raise ValueError(f"labelled: expected the shape of opks {opks.shape}, got {labelled.shape}")
    if not ((opks >= 0) & (opks <= 1))[labelled].all():
        raise ValueError("opks: expected numbers in 0–1 where labelled, got others")
    return np.searchsorted(np.sort(thresholds), opks, side="right") * labelled


def _predicted(
    shape: tuple[int, ...], score: np.ndarray | None, predicted_absent: np.ndarray | None, score_threshold: float | None
) -> np.ndarray:
    for name, column in (("score", score), ("predicted_absent", predicted_absent)):
        if column is not None and column.shape != shape:
            raise ValueError(f"{name}: expected shape {shape}, got {column.shape}")
    predicted = np.ones(shape, dtype=bool) if predicted_absent is None else ~predicted_absent
    if score_threshold is None:
        return predicted
    if score is None:
        raise ValueError("score: score_threshold needs one, got None")
    _refuse_nan(score)
    return predicted & (score >= score_threshold)


def _refuse_nan(score: np.ndarray) -> None:
    if np.isnan(score).any():
        raise ValueError(f"score: expected numbers, got {int(np.isnan(score).sum())} NaN")


def _ranked(level: np.ndarray, score: np.ndarray, labelled: int, threshold_count: int) -> float:
    """Area under precision over recall, highest scores first, averaged over thresholds, for one keypoint."""
    if labelled == 0:
        return float("nan")
    if len(level) == 0:
        return 0.0
    order = np.argsort(score)[::-1]
    ends = np.flatnonzero(np.append(np.diff(score[order]) != 0, True))  # equal scores pass together
    areas = []
    for index in range(1, threshold_count + 1):
        hits = np.cumsum(level[order] >= index)[ends]
        areas.append((np.diff(hits, prepend=0) * hits / (ends + 1)).sum() / labelled)
    return float(np.mean(areas))


def _mean_of_defined(values: np.ndarray) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")
