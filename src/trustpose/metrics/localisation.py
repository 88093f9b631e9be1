"""Are joints in the right place: PCK, PCKh, PDJ and their relatives, average precision of keypoints, and errors
in pixels.

PCK and its relatives are one rule with different reference lengths: a joint is correct if its distance to the
labelled place is at most a fraction of the reference length.

- PCK, percentage of correct keypoints: max(h, w) of the person's box (Yang & Ramanan, PAMI 2013), or the
  torso diameter, as usual on LSP (Wei et al., Convolutional Pose Machines, CVPR 2016, section 4.2: PCK@0.2).
- PCKh: the head size, @0.5 (Andriluka et al., CVPR 2014).
- PDJ, percentage of detected joints: the torso diameter, as a curve over fractions (Sapp & Taskar, MODEC, CVPR 2013;
  Toshev & Szegedy, DeepPose, CVPR 2014, section 4.1).
- FCK, the lecture's name for the FLIC table of Tompson et al., Efficient Object Localization Using Convolutional
  Networks, CVPR 2015 (there "PCK @ 0.05"): the torso diameter and 0.05.

What counts: a joint that is labelled, of a person whose reference length is known. An unlabelled joint never counts.
A labelled joint whose prediction is NaN or infinite, or which the estimator dropped, is wrong at every fraction; so
leaving out difficult joints never helps. "At most" includes equality, as in MPII's toolkit; mmpose excludes it.

Reference lengths: what a joint's error is divided by before it is called small or large. Each function returns one
length per person, in pixels, NaN where the labels it needs are missing; a person without a reference length counts
nowhere. Joints are those of the ground truth, never predicted ones.

mAPK: average precision and recall of each keypoint, counting false positives on unlabelled keypoints. Source:
Guesdon, Crispim-Junior, Tougne, "DriPE: A Dataset for Human Pose Estimation in Real-World Driving Settings" (ICCV
Workshops 2021), as used in the visibility metamodel paper (VISAPP 2022, Sec. 4.5, 5.2, Tables 3 and 4).

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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int, Real

from trustpose.metrics.bootstrap import replicate_sums, sums_by_group
from trustpose.poses import ExpectedError
from trustpose.skeletons import Skeleton

_TABLE = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")


def normalised_distance(
    xy: Float[np.ndarray, "N K 2"],
    true_xy: Float[np.ndarray, "N K 2"],
    labelled: Bool[np.ndarray, "N K"],
    reference: Float[np.ndarray, " N"],
) -> Float[np.ndarray, "N K"]:
    """Return each joint's distance to its label / the person's reference length (pixels, both).

    NaN where nothing counts: the joint is unlabelled, or the reference is NaN, infinite or not above 0. Infinity where
    a joint that counts has no finite prediction.
    """
    counts = labelled & (np.isfinite(reference) & (reference > 0))[:, None]
    true_xy = np.where(counts[..., None], true_xy, 0.0)
    xy = np.where(np.isfinite(xy).all(axis=2, keepdims=True), xy, np.inf)
    distance = np.hypot(xy[..., 0] - true_xy[..., 0], xy[..., 1] - true_xy[..., 1])
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(counts, distance / reference[:, None], np.nan)


@dataclass(frozen=True, eq=False)
class CorrectJoints:
    """How many of the joints that count are correct at each of T fractions: `correct` (T, K) of `count` (K,)."""

    fractions: Float[np.ndarray, " T"]
    correct: Int[np.ndarray, "T K"]
    count: Int[np.ndarray, " K"]

    @property
    def rate(self) -> Float[np.ndarray, "T K"]:
        """Share of correct joints, 0–1; NaN for a joint that is never labelled."""
        return _share(self.correct, self.count)

    def pooled(self, joints: Sequence[int] | None = None) -> Float[np.ndarray, " T"]:
        """Return the share (T,) over all labelled joints together (of those given by index): MPII's "total"."""
        of = slice(None) if joints is None else list(joints)
        return _share(self.correct[:, of].sum(axis=1), self.count[of].sum())

    def mean(self, joints: Sequence[int] | None = None) -> Float[np.ndarray, " T"]:
        """Return the mean (T,) of the joints' own shares; joints that are never labelled are left out."""
        rate = self.rate[:, slice(None) if joints is None else list(joints)]
        has_rate = ~np.isnan(rate)
        return _share(np.where(has_rate, rate, 0.0).sum(axis=1), has_rate.sum(axis=1))

    def joined(self, groups: Mapping[str, Sequence[int]]) -> dict[str, Float[np.ndarray, " T"]]:
        """Return `mean` of each group of joints (`left_right_groups`), as papers join left and right."""
        return {name: self.mean(joints) for name, joints in groups.items()}


def correct_joints(
    distance: Float[np.ndarray, "N K"], fractions: float | Sequence[float] | Float[np.ndarray, " T"]
) -> CorrectJoints:
    """Count the joints within each fraction of their reference length, from `normalised_distance`.

    Raises ValueError for a fraction that is negative or not a number.
    """
    limits = np.atleast_1d(np.asarray(fractions, dtype=np.float64))
    if limits.ndim != 1 or not (limits >= 0).all():
        raise ValueError(f"fractions: expected numbers of at least 0, got {fractions}")
    columns = np.sort(distance, axis=0).T  # NaN last
    count = np.count_nonzero(~np.isnan(distance), axis=0).astype(np.int64)
    correct = np.zeros((len(limits), len(count)), dtype=np.int64)
    for joint, (column, row_count) in enumerate(zip(columns, count, strict=True)):
        correct[:, joint] = np.searchsorted(column[:row_count], limits, side="right")
    return CorrectJoints(limits, correct, count)


def pck(
    xy: Float[np.ndarray, "N K 2"],
    true_xy: Float[np.ndarray, "N K 2"],
    labelled: Bool[np.ndarray, "N K"],
    reference: Float[np.ndarray, " N"],
    fraction: float,
) -> Float[np.ndarray, " K"]:
    """Return each joint's share (K,) of correct predictions at one fraction of the reference length, 0–1, NaN for a
    joint that never counts. PCK, PCKh, PDJ or FCK by the reference length: see the module."""
    return correct_joints(normalised_distance(xy, true_xy, labelled, reference), fraction).rate[0]


def area_under_curve(fractions: Float[np.ndarray, " T"], rate: Float[np.ndarray, " T"]) -> float:
    """Return the mean height of a curve of shares over its fractions, by the trapezoidal rule, 0–1.

    MPII's toolkit prints it for the pooled PCKh at 0, 0.01 … 0.5. Raises ValueError unless the fractions ascend.
    """
    steps = np.diff(fractions)
    if len(fractions) < 2 or not (steps > 0).all():
        raise ValueError(f"fractions: expected two or more in ascending order, got {fractions}")
    return float((steps * (rate[1:] + rate[:-1]) / 2).sum() / (fractions[-1] - fractions[0]))


def left_right_groups(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Return joints by name, left and right together: {"shoulder": (12, 13), …, "neck": (8,)}, in skeleton order."""
    mirror = dict(skeleton.flip_pairs) | {right_joint: left_joint for left_joint, right_joint in skeleton.flip_pairs}
    groups: dict[str, tuple[int, ...]] = {}
    for joint, name in enumerate(skeleton.keypoints):
        mirrored = mirror.get(joint)
        if mirrored is None:
            groups[name] = (joint,)
        elif joint < mirrored:
            joined = name.replace("left_", "", 1).replace("right_", "", 1)
            groups[name if joined in skeleton.keypoints else joined] = (joint, mirrored)
    return groups


def table_groups(skeleton: Skeleton) -> dict[str, tuple[int, ...]]:
    """Return the columns of the usual tables: `left_right_groups`, but the neck and the top of the head together as the
    head, and without pelvis and thorax, where the skeleton has a top of the head.

    So MPII's toolkit and the tables on LSP have it: head, shoulder, elbow, wrist, hip, knee, ankle. MPII's total pools
    these fourteen joints.
    """
    groups = left_right_groups(skeleton)
    neck = next((name for name in ("upper_neck", "neck") if name in groups), None)
    if neck is None or "head_top" not in groups:
        return groups
    head = (*groups[neck], *groups["head_top"])
    left_out = (neck, "head_top", "pelvis", "thorax")
    groups = {"head": head} | {name: joints for name, joints in groups.items() if name not in left_out}
    return {name: groups.pop(name) for name in _TABLE if name in groups} | groups


def replicate_correct(
    counts: Int[np.ndarray, "B I"],
    distance: Float[np.ndarray, "N K"],
    fraction: float,
    image: Int[np.ndarray, " N"],
) -> tuple[Float[np.ndarray, "B K"], Float[np.ndarray, "B K"]]:
    """Return the number of correct joints and of joints that count in every draw of `bootstrap.resample_counts`.

    image: each row's image, 0 … I − 1; to draw people, every person has a number of its own.
    """
    both = np.stack([distance <= fraction, ~np.isnan(distance)], axis=1).astype(np.int8)  # (N, 2, K)
    sums = replicate_sums(counts, sums_by_group(both, image, counts.shape[1]))
    return sums[:, 0], sums[:, 1]


def _share(correct: np.ndarray | float, count: np.ndarray | float) -> np.ndarray:
    correct, count = np.broadcast_arrays(np.asarray(correct, np.float64), np.asarray(count, np.float64))
    return np.divide(correct, count, out=np.full(correct.shape, np.nan), where=count > 0)


HEAD_FACTOR = 0.6
_TORSO = ("left_shoulder", "right_hip")
_EYE_CORNERS = {"face68": ("face_36", "face_45"), "face70": ("face_36", "face_45"), "face98": ("wflw_60", "wflw_72")}


def head_size(box: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """Return MPII's head size: 0.6 × the diagonal of the labelled head rectangle, xyxy in pixels.

    Andriluka et al., 2D Human Pose Estimation: New Benchmark and State of the Art Analysis, CVPR 2014; the
    factor is `SC_BIAS` of the evaluation toolkit published with it. NaN for a rectangle with a NaN or without a size.
    """
    return _positive(HEAD_FACTOR * np.hypot(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]))


def box_side(box: Float[np.ndarray, "N 4"]) -> Float[np.ndarray, " N"]:
    """Return the longer side of each box xyxy, max(h, w).

    Yang & Ramanan, Articulated Human Detection with Flexible Mixtures of Parts, PAMI 2013: PCK with the box
    of the labelled joints; with the data set's own box where it has one, as in PoseTrack, Penn Action and JHMDB.
    """
    return _positive(np.maximum(box[:, 2] - box[:, 0], box[:, 3] - box[:, 1]))


def joints_box(xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"]) -> Float[np.ndarray, "N 4"]:
    """Return the box xyxy (N, 4) around the labelled joints, without a margin; NaN without any."""
    low = np.where(labelled[..., None], xy, np.inf).min(axis=1, initial=np.inf)
    high = np.where(labelled[..., None], xy, -np.inf).max(axis=1, initial=-np.inf)
    box = np.concatenate([low, high], axis=1)
    return np.where(labelled.any(axis=1, keepdims=True), box, np.nan)


def joint_distance(
    xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"], first_joint: int, second_joint: int
) -> Float[np.ndarray, " N"]:
    """Return the distance (N,) of two labelled joints, by their indices; NaN where either is unlabelled."""
    length = np.linalg.norm(xy[:, first_joint] - xy[:, second_joint], axis=1)
    return _positive(np.where(labelled[:, first_joint] & labelled[:, second_joint], length, np.nan))


def eye_corner_distance(
    xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"], skeleton: Skeleton
) -> Float[np.ndarray, " N"]:
    """Return the distance (N,) of the outer corners of a face's eyes.

    300-W (Sagonas et al., 2013) and WFLW (Wu et al., Look at Boundary, CVPR 2018) divide errors by it. Raises
    ValueError for a skeleton that is no face."""
    if skeleton.name not in _EYE_CORNERS:
        expected = ", ".join(_EYE_CORNERS)
        raise ValueError(f"skeleton {skeleton.name!r} has no corners of the eyes, expected one of {expected}")
    corners = (skeleton.index(name) for name in _EYE_CORNERS[skeleton.name])
    return joint_distance(xy, labelled, *corners)


def torso_diameter(
    xy: Float[np.ndarray, "N K 2"],
    labelled: Bool[np.ndarray, "N K"],
    skeleton: Skeleton,
    *,
    either_diagonal: bool = False,
) -> Float[np.ndarray, " N"]:
    """Return the distance (N,) of the left shoulder and the right hip.

    Toshev & Szegedy, DeepPose, CVPR 2014, section 3.2 names this pair, and section 4.1 uses the torso diameter for PDJ.
    `either_diagonal` takes the right shoulder and the left hip where the first pair is not labelled: no paper does, it
    is for data sets with many unlabelled joints. Raises ValueError if the skeleton lacks a joint.
    """
    pairs = [_TORSO, ("right_shoulder", "left_hip")] if either_diagonal else [_TORSO]
    lacking = [name for pair in pairs for name in pair if name not in skeleton.keypoints]
    if lacking:
        raise ValueError(f"skeleton {skeleton.name!r} lacks {', '.join(lacking)}, which the torso diameter needs")
    lengths = [joint_distance(xy, labelled, skeleton.index(start), skeleton.index(end)) for start, end in pairs]
    return lengths[0] if len(lengths) == 1 else np.where(np.isnan(lengths[0]), lengths[1], lengths[0])


def _positive(length: Float[np.ndarray, " N"]) -> Float[np.ndarray, " N"]:
    """Return lengths, NaN where they are not finite and above 0: nothing can be divided by them."""
    return np.where(np.isfinite(length) & (length > 0), length, np.nan)


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


SHARES = (0.50, 0.80, 0.95)
QUALITY_RANGES = (0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 1.0)
_FARTHEST = 1e9  # times the expected median, to keep an overflowed distance a number


@dataclass(frozen=True)
class DiscCoverage:
    """The share of n keypoints within the discs that should hold 50, 80 or 95 % ("50", "80", "95")."""

    coverage: dict[str, float | None]
    n: int


@dataclass(frozen=True)
class PixelTrust:
    """Errors of labelled keypoints against `Poses.expected_error`, in pixels.

    Attributes:
        coverage: share of errors inside the disc that should hold 50, 80 or 95 %, by "50", "80" and "95".
        median_ratio: median of error / expected median; below 1, errors are smaller than expected.
        n: number of keypoints.
        joints: coverage of each kind of joint, left and right together.
        by_quality: coverage of each range of expected OPKS (given that the keypoint is labelled).
        discs: whose discs: "fitted", of the file's error model, or "mixture", of the mixture of Gaussians alone.
    """

    coverage: dict[str, float | None]
    median_ratio: float | None
    n: int
    joints: dict[str, DiscCoverage] = field(default_factory=dict)
    by_quality: dict[str, DiscCoverage] = field(default_factory=dict)
    discs: str | None = None


def errors_of_labelled(
    distance: Float[np.ndarray, " L"], error: ExpectedError
) -> tuple[Float[np.ndarray, " L"], Float[np.ndarray, " L"]]:
    """Return for L keypoints the probability that the error is at most what it is, 0–1, uniformly distributed if the
    expectation is right, and the error / its expected median. `error` has shape (L,), distances are pixels."""
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        ratio = distance / error.median
        return error.probability_within(distance), np.clip(ratio, 0, _FARTHEST)


def share_name(share: float) -> str:
    """Return the name of a disc, its percentage."""
    return str(round(100 * share))
