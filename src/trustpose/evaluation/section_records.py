"""The records of an audit's sections, in the order of the fields of `Audit`, with the names that the JSON has.

A number that cannot be computed is None: there are no people or scores for it, or they are all alike.
"""

import math
from dataclasses import dataclass

Number = float | None  # None: it cannot be computed


def none_if_nan(value: float) -> Number:
    """Return a number; None for NaN, which stands for one that cannot be computed."""
    return None if math.isnan(value) else float(value)


@dataclass(frozen=True)
class PoseTrust:
    """How well a pose's score says how good the pose is: the score against OKS, over poses matched to labelled people.

    Attributes:
        pearson: Pearson's r, −1 to 1.
        spearman: Spearman's rank correlation, −1 to 1.
        n: number of poses.
        ece: expected calibration error over 15 bins of equal width, 0–1; None for scores outside 0–1.
        ece_equal_mass: the same over bins with equal numbers of poses.
    """

    pearson: Number
    spearman: Number
    n: int
    ece: Number
    ece_equal_mass: Number


@dataclass(frozen=True)
class KeypointTrust:
    """How well a keypoint's score says how good the keypoint is: the score against OPKS, 0 for an unlabelled keypoint.

    Attributes:
        pearson: Pearson's r over keypoints, −1 to 1.
        pearson_pose_mean: r of the mean score of a pose's keypoints with their mean OPKS (HPCVNet poster, table 2).
        ece: expected calibration error over 15 bins of equal width, 0–1; None for scores outside 0–1.
        ece_equal_mass: the same over bins with equal numbers of keypoints.
        brier: mean squared difference of score and OPKS, 0–1.
        n: number of keypoints: poses × K.
        source: the field that was compared, "keypoint_quality" or the third number of `keypoints`.
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
    """How well labelled keypoints are told from those without a label, as two classes (HPCVNet poster).

    Attributes:
        precision, recall, f1, accuracy: of "labelled", 0–1.
        threshold: the raw score from which a keypoint counts as labelled, the best on these people; None where the
            file has `visibility`.
    """

    precision: Number
    recall: Number
    f1: Number
    accuracy: Number
    threshold: Number


@dataclass(frozen=True)
class F1:
    """The F1 of one class, an object in the JSON.

    Attributes:
        f1: 0–1.
    """

    f1: Number


@dataclass(frozen=True)
class TernaryVisibility:
    """How well absent, occluded and visible keypoints are told apart (metamodel paper, tables 1, 2, 7 and 8).

    Attributes:
        absent, occluded, visible: the F1 of each class.
        total: their mean, weighted by how many keypoints each class has.
    """

    absent: F1
    occluded: F1
    visible: F1
    total: F1


@dataclass(frozen=True)
class RankedClass:
    """How well a score ranks the keypoints of a class above the others, over all thresholds.

    Attributes:
        average_precision: area under precision over recall, 0–1.
        auroc: probability that a keypoint of the class has the higher score of a pair, 0–1; .5 is chance.
    """

    average_precision: Number
    auroc: Number


@dataclass(frozen=True)
class OccludedKeypoints:
    """How well P(occluded) says which keypoints are occluded, at every threshold.

    Attributes:
        average_precision, auroc: as of `RankedClass`, among labelled keypoints.
        given_labelled: the same for the ranking by P(occluded) / (P(occluded) + P(visible)).
        best_f1: F1 of "occluded from a threshold on" among all keypoints, as the ternary F1; the threshold is chosen on
            other photos than it is reported on.
        threshold: the best threshold on all photos.
        share: share of the labelled keypoints that are occluded: the average precision of a random score.
        n: number of labelled keypoints.
    """

    average_precision: Number
    auroc: Number
    given_labelled: RankedClass
    best_f1: Number
    threshold: Number
    share: Number
    n: int


@dataclass(frozen=True)
class VisibilityTrust:
    """How well visibility is predicted.

    Attributes:
        labelled: as two classes, labelled or not.
        ternary: as three classes: absent, occluded and visible.
        occluded: the occluded class at every threshold.
    """

    labelled: LabelledVisibility
    ternary: TernaryVisibility
    occluded: OccludedKeypoints


@dataclass(frozen=True)
class PresenceTrust:
    """How well `presence` says whether a result is the one box for a person that the labellers boxed
    (`metrics.classification`), over results in photos whose people all have boxes.

    Attributes:
        auroc: probability that such a result has the higher presence of a pair, 0–1.
        ece: expected calibration error over 15 bins of equal width, 0–1.
        brier: mean squared difference of presence and outcome, 0–1.
        n: number of results.
    """

    auroc: Number
    ece: Number
    brier: Number
    n: int


@dataclass(frozen=True)
class OcclusionBenchmark:
    """AP of people with a certain number of labelled keypoints; all others are ignored (OKS-Net, figures 6 and 12).

    Attributes:
        AP: by the file's score, 0–1.
        oracle_AP: by the true OKS as score.
        n: number of people.
    """

    AP: Number
    oracle_AP: Number
    n: int


@dataclass(frozen=True)
class CrowdLevel:
    """AP of the photos of one of CrowdPose's crowding levels, evaluated alone.

    Attributes:
        AP: 0–1.
        n: number of people.
    """

    AP: Number
    n: int


@dataclass(frozen=True)
class CategoryPrecision:
    """The ten numbers of COCO evaluation over one category.

    Attributes:
        AP, AP50, AP75, APm, APl: average precision, 0–1: over all OKS thresholds, at .5, at .75, of medium and of large
            people.
        AR, AR50, AR75, ARm, ARl: average recall, in the same way.
        oracle_AP: AP with the true OKS as score.
        n: number of people that count.
    """

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
    """One keypoint of the skeleton.

    Attributes:
        n: number of labels.
        mean_opks: mean OPKS of labelled keypoints, 0–1.
        pearson: r of its score with its OPKS, −1 to 1.
        ece: expected calibration error of its score, 0–1; None for scores outside 0–1.
        AP, AR: over keypoints instead of people (mAPK), 0–1.
    """

    n: int
    mean_opks: Number
    pearson: Number
    ece: Number
    AP: Number
    AR: Number


@dataclass(frozen=True)
class Errors:
    """Number of keypoints of each kind of error (Ronchi and Perona), and the AP that correcting each kind would gain.

    Attributes:
        good: close to the label.
        jitter: near it.
        inversion: on another joint of the same person.
        swap: on a joint of another person.
        miss: on none.
        ap_gain: AP after correcting a kind minus AP, by the kind's name.
    """

    good: int
    jitter: int
    inversion: int
    swap: int
    miss: int
    ap_gain: dict[str, Number]


@dataclass(frozen=True)
class PartRate:
    """The share of correct predictions of one joint or limb.

    Attributes:
        rate: 0–1.
        n: number of labels that count.
    """

    rate: Number
    n: int


@dataclass(frozen=True)
class Curve:
    """Shares of correct predictions at each distance, as a fraction of the reference length.

    Attributes:
        fractions: of the reference length, ascending.
        total: share at each fraction, of all groups' joints or limbs.
        groups: the same of each group of joints or limbs, by its name.
    """

    fractions: tuple[float, ...]
    total: tuple[Number, ...]
    groups: dict[str, tuple[Number, ...]]


@dataclass(frozen=True)
class Localisation:
    """PCK or one of its relatives: a joint or limb is correct within a fraction of a reference length.

    Attributes:
        title: name of the metric, such as "PCKh".
        fraction: of the reference length, within which a prediction is correct.
        reference: what the reference length is, such as "the torso diameter, left shoulder to right hip".
        total: share of correct predictions over the joints of all groups, 0–1.
        all: the same with the joints that are in no group (MPII's pelvis and thorax).
        mean: mean of the groups' shares.
        auc: mean height of the total's curve, 0–1.
        error: mean error of all joints in reference lengths; None for limbs, and where a joint has no prediction.
        groups: share of each group, left and right together, by its name.
        parts: each joint or limb by its name.
        people: number of people that count.
        without_result: how many of them have no result; they are wrong throughout.
        without_reference: number of further people, left out, as they have no reference length.
        curve: shares at every fraction.
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
    """PoseTrack's numbers of one joint.

    Attributes:
        MOTA: multiple object tracking accuracy, at most 1.
        MOTP, precision, recall, AP: 0–1.
    """

    MOTA: Number
    MOTP: Number
    precision: Number
    recall: Number
    AP: Number


@dataclass(frozen=True)
class PoseTrack:
    """PoseTrack's numbers, as its code poseval computes them.

    Attributes:
        MOTA, MOTP, precision, recall, AP: means over joints; see `JointTracking`.
        switches: how often a person's track id changes, over all joints.
        joints: each joint by its name.
    """

    MOTA: Number
    MOTP: Number
    precision: Number
    recall: Number
    AP: Number
    switches: int
    joints: dict[str, JointTracking]


@dataclass(frozen=True)
class Tracking:
    """How well people are tracked, by OKS.

    Attributes:
        HOTA: higher order tracking accuracy, 0–1, the root of detection times association averaged over OKS thresholds.
        DetA, AssA, LocA: its parts: detection, association, localisation.
        IDF1, IDP, IDR: F1, precision and recall of identities, 0–1.
        MOTA, MOTP: CLEAR MOT at OKS .5: accuracy, at most 1, and mean OKS of matches.
        switches: how often a person's track id changes.
        fragments: how often a person's track is interrupted.
        misses: labelled people in a frame without a pose.
        false_alarms: poses without a person.
        people, poses: labelled people and poses in all frames.
        untracked: poses that are of no track.
        frames, clips: how many there are.
        posetrack: PoseTrack's numbers; None without boxes of heads.
    """

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
    """AP at one OKS threshold (OKS-Net, tables XII and XIII).

    Attributes:
        AP: ranked by the file's score, 0–1.
        oracle_AP: ranked by the true OKS.
    """

    AP: Number
    oracle_AP: Number


@dataclass(frozen=True)
class CompetingScores:
    """Histograms of the scores of poses that compete for a person: those within OKS .1, where there are several.

    Attributes:
        edges: of the bins.
        closest: number of poses in each bin that are closest to their person.
        others: number of the other poses in each bin.
        overlap: sum over bins of the smaller number, the red bars of OKS-Net's figure 11.
    """

    edges: tuple[float, ...]
    closest: tuple[int, ...]
    others: tuple[int, ...]
    overlap: int


@dataclass(frozen=True)
class ScoringErrors:
    """Scoring errors (Ronchi and Perona, section 3.2): people whose closest pose another pose within OKS .5 outranks.

    Attributes:
        errors: number of such people by the file's score.
        errors_by_optimal_score: the same by the optimal score.
        reordered_images: number of images in which the optimal score changes the order of the poses.
        images: number of images.
        score, optimal_score: histograms of competing poses by each score.
    """

    errors: int
    errors_by_optimal_score: int
    reordered_images: int
    images: int
    score: CompetingScores
    optimal_score: CompetingScores


@dataclass(frozen=True)
class KeypointPrecision:
    """AP and AR over the keypoints of a group of joints (mAPK; metamodel paper, tables 3 and 4).

    Attributes:
        AP, AR: with all keypoints, 0–1.
        non_0_AP, non_0_AR: without those that the estimator takes for absent.
    """

    AP: Number
    AR: Number
    non_0_AP: Number
    non_0_AR: Number
