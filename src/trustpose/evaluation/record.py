"""The record of an audit: every number with the name it has in the JSON; None if it cannot be computed."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np

from trustpose.evaluation.details import Details
from trustpose.evaluation.display import AuditDisplay
from trustpose.files import shown
from trustpose.metrics.average_precision import AveragePrecision
from trustpose.metrics.localisation import PixelTrust
from trustpose.poses import Area

Number = float | None


@dataclass(frozen=True)
class PoseTrust:
    """The pose score against OKS, over the n poses whose person has labels; ECE is None for scores outside 0–1."""

    pearson: Number
    spearman: Number
    n: int
    ece: Number
    ece_equal_mass: Number


@dataclass(frozen=True)
class KeypointTrust:
    """Keypoint scores against OPKS, unlabelled keypoints counting 0, over n = poses × K keypoints.

    `pearson_pose_mean` correlates the average score of a pose with its average OPKS (HPCVNet poster, second table).
    """

    pearson: Number
    pearson_pose_mean: Number
    ece: Number
    ece_equal_mass: Number
    brier: Number
    n: int
    source: str


@dataclass(frozen=True)
class LabelledVisibility:
    """Separating labelled from unlabelled keypoints (HPCVNet poster); `threshold`: the best one for a raw score."""

    precision: Number
    recall: Number
    f1: Number
    accuracy: Number
    threshold: Number


@dataclass(frozen=True)
class F1:
    """One class's F1."""

    f1: Number


@dataclass(frozen=True)
class TernaryVisibility:
    """F1 of absent, occluded and visible and their support-weighted total (metamodel paper, Tables 1, 2, 7, 8)."""

    absent: F1
    occluded: F1
    visible: F1
    total: F1


@dataclass(frozen=True)
class RankedClass:
    """How well a score ranks a class above the others, over all thresholds."""

    average_precision: Number
    auroc: Number


@dataclass(frozen=True)
class OccludedKeypoints:
    """P(occluded) at every threshold. `average_precision` and `auroc` are among the n labelled keypoints, of which
    `share` is occluded, a random score's average precision; `given_labelled` ranks them by P(occluded) / (P(occluded) +
    P(visible)) instead. `best_f1`, among all keypoints as the ternary F1, is of "occluded from a threshold on", the
    threshold chosen on other photos than it is reported on; `threshold` is the best on all."""

    average_precision: Number
    auroc: Number
    given_labelled: RankedClass
    best_f1: Number
    threshold: Number
    share: Number
    n: int


@dataclass(frozen=True)
class VisibilityTrust:
    """How well visibility is predicted, as two classes and as three, and the occluded class at every threshold."""

    labelled: LabelledVisibility
    ternary: TernaryVisibility
    occluded: OccludedKeypoints


@dataclass(frozen=True)
class PresenceTrust:
    """The results' `presence` against whether each is the one box for a person that the labellers boxed
    (`metrics.classification`), over the n results in photos whose people all have boxes."""

    auroc: Number
    ece: Number
    brier: Number
    n: int


@dataclass(frozen=True)
class OcclusionBenchmark:
    """AP of the n people with a given number of labelled keypoints, all others ignored (OKS-Net, Fig. 6 and 12)."""

    AP: Number
    oracle_AP: Number
    n: int


@dataclass(frozen=True)
class CrowdLevel:
    """AP of the n people in the photos of one of CrowdPose's crowding levels, evaluated alone."""

    AP: Number
    n: int


@dataclass(frozen=True)
class CategoryPrecision:
    """The ten numbers of COCO evaluation over one category with n people that count; `oracle_AP` with the true OKS as
    score."""

    AP: Number
    AP50: Number
    AP75: Number
    APm: Number
    APl: Number
    AR: Number
    AR50: Number
    AR75: Number
    ARm: Number
    ARl: Number
    oracle_AP: Number
    n: int


@dataclass(frozen=True)
class KeypointType:
    """One keypoint of the skeleton: number of labels, their mean OPKS, ECE and Pearson of its score, AP and AR over
    keypoints (mAPK)."""

    n: int
    mean_opks: Number
    pearson: Number
    ece: Number
    AP: Number
    AR: Number


@dataclass(frozen=True)
class Errors:
    """Number of keypoints by kind of error (Ronchi & Perona), and the AP gained by correcting each kind."""

    good: int
    jitter: int
    inversion: int
    swap: int
    miss: int
    ap_gain: dict[str, Number]


@dataclass(frozen=True)
class PartRate:
    """The share of correct predictions of one joint or limb among the n labels that count."""

    rate: Number
    n: int


@dataclass(frozen=True)
class Curve:
    """Shares at each fraction of the reference length: `total`, and of each group of joints or limbs."""

    fractions: tuple[float, ...]
    total: tuple[Number, ...]
    groups: dict[str, tuple[Number, ...]]


@dataclass(frozen=True)
class Localisation:
    """One metric: a joint or limb is correct within `fraction` of `reference`.

    `total` pools the joints of all groups, `all` those outside too (MPII's pelvis and thorax), `mean` is the mean of
    the groups, `auc` the mean height of the total's curve. `error` is the mean error of all joints in reference
    lengths, None for limbs, and where a joint has no prediction. `groups` join left and right; `parts` are all joints
    or limbs by name. `people` count; `without_result` of them have no result and are wrong throughout;
    `without_reference` others are left out, as they have no reference length.
    """

    title: str
    fraction: float
    reference: str
    total: Number
    all: Number
    mean: Number
    auc: Number
    error: Number
    groups: dict[str, Number]
    parts: dict[str, PartRate]
    people: int
    without_result: int
    without_reference: int
    curve: Curve

    @property
    def headline(self) -> str:
        """The number that the metric is known by: "error" of NME, "total" of the others."""
        return "error" if self.title == "NME" else "total"


@dataclass(frozen=True)
class JointTracking:
    """One joint in PoseTrack's numbers, 0 to 1."""

    MOTA: Number
    MOTP: Number
    precision: Number
    recall: Number
    AP: Number


@dataclass(frozen=True)
class PoseTrack:
    """PoseTrack's numbers, as its code poseval computes them: means over joints, 0 to 1; switches of all joints; and
    each joint's by name."""

    MOTA: Number
    MOTP: Number
    precision: Number
    recall: Number
    AP: Number
    switches: int
    joints: dict[str, JointTracking]


@dataclass(frozen=True)
class Tracking:
    """How well people are tracked, by OKS: HOTA with its parts, IDF1 with precision and recall, and CLEAR MOT at OKS
    0.5, with the numbers that it counts, and how many poses are of no track; `posetrack` is None without head boxes."""

    HOTA: Number
    DetA: Number
    AssA: Number
    LocA: Number
    IDF1: Number
    IDP: Number
    IDR: Number
    MOTA: Number
    MOTP: Number
    switches: int
    fragments: int
    misses: int
    false_alarms: int
    people: int
    poses: int
    untracked: int
    frames: int
    clips: int
    posetrack: PoseTrack | None


@dataclass(frozen=True)
class ThresholdPrecision:
    """AP at one OKS threshold, ranked by the score and by the true OKS (OKS-Net, tables XII and XIII)."""

    AP: Number
    oracle_AP: Number


@dataclass(frozen=True)
class CompetingScores:
    """Histograms of the poses within OKS 0.1 of people whom several are near: of each person's closest pose, and of the
    others. `overlap` is the sum of the smaller of both heights, the red bars of OKS-Net's figure 11."""

    edges: tuple[float, ...]
    closest: tuple[int, ...]
    others: tuple[int, ...]
    overlap: int


@dataclass(frozen=True)
class ScoringErrors:
    """Scoring errors (Ronchi & Perona, section 3.2) by the score, and by the optimal one: people whose closest pose
    another pose within OKS 0.5 outranks, and histograms. The optimal score reorders `reordered_images` of `images`."""

    errors: int
    errors_by_optimal_score: int
    reordered_images: int
    images: int
    score: CompetingScores
    optimal_score: CompetingScores


@dataclass(frozen=True)
class KeypointPrecision:
    """mAPK of one group of joints (metamodel paper, tables 3 and 4): with all keypoints, and without those that the
    estimator takes for absent."""

    AP: Number
    AR: Number
    non_0_AP: Number
    non_0_AR: Number


@dataclass(frozen=True)
class Comparison:
    """`difference` of a number of results file `file` minus that of `against`; `metric` is its dotted name. `low` and
    `high` are its 95 % interval over paired draws of photos; None without draws."""

    file: str
    against: str
    metric: str
    difference: float
    low: Number
    high: Number


@dataclass(frozen=True)
class AuditNumbers:
    """How good poses are, and how reliable their scores: the first part of an `Audit`."""

    ap: AveragePrecision
    oracle_ap: AveragePrecision
    headroom: Number
    pose: PoseTrust
    keypoint: KeypointTrust
    visibility: VisibilityTrust

    def number(self, name: str) -> Number:
        """Return a number by its dotted name, as in `intervals`: "ap.AP", "visibility.ternary.total.f1", "headroom".

        Raises KeyError if there is no such number.
        """
        first, *parts = name.split(".")
        if first not in self.__dataclass_fields__:
            raise KeyError(first)
        value: Any = getattr(self, first)
        value = cast(Any, value.as_dict() if isinstance(value, AveragePrecision) else plain(value))
        for part in parts:
            value = None if value is None else value[part]  # a section that this audit does not have
        return value


@dataclass(frozen=True, repr=False)
class Audit(AuditNumbers, AuditDisplay):
    """How good one results file's poses are and how reliable its scores; `as_dict()` is the audit JSON.

    `score_field` ranks, `pose_field` is compared with OKS. `intervals` maps a number's dotted name ("pose.pearson") to
    its 95 % interval from resampling images. `crowd` has CrowdPose's levels "easy", "medium" and "hard", empty if
    photos have no crowd index; `categories` has each category by name if all were read, and `ap` and `oracle_ap` are
    then their means. `compare` has the differences from other audits, filled by `comparison.with_comparisons`.
    `tracking` is None unless both files have track ids. `localisation` has PCK and its relatives by name, those asked
    for or the data set's own; `tables` those of `evaluation.precision` that were asked for. `details` has arrays
    behind the numbers.
    """

    presence: PresenceTrust
    pixels: PixelTrust
    errors: Errors
    occlusion: dict[str, OcclusionBenchmark]
    crowd: dict[str, CrowdLevel]
    categories: dict[str, CategoryPrecision]
    keypoint_types: dict[str, KeypointType]
    intervals: dict[str, tuple[float, float]]
    area: Area
    score_field: str
    pose_field: str
    inputs: dict[str, Any]
    notes: tuple[str, ...]
    compare: tuple[Comparison, ...] = ()
    tracking: Tracking | None = None
    localisation: dict[str, Localisation] = field(default_factory=dict)
    tables: dict[str, Any] = field(default_factory=dict)
    details: Details = field(repr=False, kw_only=True)

    def as_dict(self) -> dict[str, Any]:
        """Return the audit JSON: DESIGN.md's keys and those of the further sections; None for NaN or -1."""
        values = {name: plain(getattr(self, name)) for name in self.__dataclass_fields__ if name != "details"}
        values["ap"], values["oracle_ap"] = self.ap.as_dict(), self.oracle_ap.as_dict()
        return values

    def __repr__(self) -> str:
        """Return one line: the file, how many poses, and the numbers that are read first; `as_dict()` has all."""
        results, first = self.inputs["results"], {"AP": "ap.AP", "headroom": "headroom", "pose r": "pose.pearson"}
        first |= {"pose ECE": "pose.ece", "keypoint r": "keypoint.pearson", "keypoint ECE": "keypoint.ece"}
        values = {label: self.number(name) for label, name in first.items()}
        numbers = ", ".join(f"{label} {'–' if value is None else f'{value:.3f}'}" for label, value in values.items())
        return f"Audit({shown(str(results['file']))}: {results['results']} poses; {numbers})"


def known(value: float) -> Number:
    """Return a number, or None for NaN, which means that it could not be computed."""
    return None if math.isnan(value) else float(value)


def plain(value: Any) -> Any:
    """Convert dataclasses, tuples and numpy numbers to JSON types."""
    if hasattr(value, "__dataclass_fields__"):
        return plain(asdict(value))
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
