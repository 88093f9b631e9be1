"""`tp.estimate`: accuracy without labels, from trust: mean OKS, AP, OPKS by keypoint, with intervals."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from trustpose.calibration.accuracy import AccuracyShift, Estimate, ExpectedAccuracy
from trustpose.calibration.calibrator import Calibrator
from trustpose.files import InputError
from trustpose.geometry.expected_error import area_of_person, quality_if_labelled
from trustpose.io.read_poses import PosesSource, poses_of
from trustpose.measures.measure import skeleton_of_poses
from trustpose.notebook import html_line, html_table
from trustpose.poses import Poses

THRESHOLDS = (0.5, 0.75, 0.9)
"""Of the shares of people with a higher OKS."""
_SIZES = {"small": 32.0**2, "medium": 96.0**2, "large": np.inf}  # COCO's, square pixels
_CROWDS = {"1": 1, "2–4": 4, "5 or more": np.inf}  # people in the photo
_FAR = 0.05  # distance from the fitted people that is worth a sentence


@dataclass(frozen=True)
class GroupEstimate(Estimate):
    """The mean OKS of a group of people, and how many they are."""

    people: int


@dataclass(frozen=True, repr=False)
class EstimatedAccuracy:
    """Accuracy that is expected of poses without labels; each number with its 95 % interval.

    Attributes:
        people: number of people that are expected to be there.
        mean_oks: mean OKS.
        above: share of people with a higher OKS, by the threshold: "0.5", "0.75", "0.9".
        ap: COCO's average precision.
        keypoint: mean OPKS of labelled keypoints, by joint.
        groups: mean OKS by the person's size in the picture ("size": "small", "medium", "large" as in COCO) and by the
            number of people in the photo ("people": "1", "2–4", "5 or more").
        shift: how unlike the people are to those that the trust was fitted on.
        notes: what to know of the numbers.

    Example:
        >>> accuracy = tp.estimate("results.json", calibrator=tp.Calibrator.fit("gt.json", "results.json"))
        >>> accuracy.mean_oks.low < accuracy.mean_oks.value < accuracy.mean_oks.high
        True
    """

    people: float
    mean_oks: Estimate
    above: dict[str, Estimate]
    ap: Estimate
    keypoint: dict[str, Estimate]
    groups: dict[str, dict[str, GroupEstimate]]
    shift: AccuracyShift
    notes: tuple[str, ...] = ()

    def __repr__(self) -> str:
        """One line: how many people, mean OKS and AP."""
        oks, ap = (f"{item.value:.3f} ({item.low:.3f}–{item.high:.3f})" for item in (self.mean_oks, self.ap))
        return f"EstimatedAccuracy({self.people:,.0f} people, mean OKS {oks}, AP {ap})"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of the numbers."""
        cells = [[name, *(f"{number:.3f}" for number in item)] for name, *item in self.rows()]
        return html_line(repr(self)) + html_table(("", "value", "low", "high"), cells)

    def rows(self) -> list[tuple[str, float, float, float]]:
        """Return name, value, low and high of each number."""
        named = {"mean OKS": self.mean_oks} | {f"OKS above {name}": item for name, item in self.above.items()}
        named |= {"AP": self.ap} | {f"OPKS, {name.replace('_', ' ')}": item for name, item in self.keypoint.items()}
        for group, parts in self.groups.items():
            named |= {f"mean OKS, {group} {name} ({item.people:,})": item for name, item in parts.items()}
        return [(name, item.value, item.low, item.high) for name, item in named.items()]

    def to_json(self) -> dict[str, Any]:
        """Return the numbers as JSON values, by the names of the attributes."""
        return asdict(self) | {"notes": list(self.notes)}


def estimate(poses: PosesSource, *, calibrator: Calibrator | str | Path | None = None) -> EstimatedAccuracy:
    """Estimate how accurate poses are, without labels.

    The mean OKS is the mean of the expected OKS; AP follows from how OKS of held-out people lay around it. Intervals
    cover chance, the calibration, and people unlike those that the trust was fitted on: they grow with the distance
    from them. AP counts people whom nobody found by the share that was missed at fitting.

    Args:
        poses: N poses with trust, from a model or a calibrator; or the path of their results file.
        calibrator: adds trust first; or its path, or "shipped:NAME".

    Returns:
        The numbers, with intervals.

    Raises:
        InputError: if a file cannot be read; for poses without trust, or whose trust comes without what held-out people
            say of its accuracy; for no poses.
        TypeError: for anything but poses or a path.

    Source:
        trustpose; the mean of calibrated scores as an estimate of accuracy is as in Guillory et al., Predicting with
        confidence on unseen distributions, ICCV 2021.

    Example:
        >>> calibrator = tp.Calibrator.fit("gt.json", "results.json")
        >>> tp.estimate("results.json", calibrator=calibrator)
        EstimatedAccuracy(60 people, mean OKS ..., AP ...)
    """
    source = str(poses) if isinstance(poses, (str, Path)) else "poses"
    poses = poses_of(poses)
    if isinstance(calibrator, (str, Path)):
        calibrator = Calibrator.load(calibrator)
    return accuracy_of(poses, source, calibrator)


def accuracy_of(poses: Poses, source: str | Path, calibrator: Calibrator | None = None) -> EstimatedAccuracy:
    """Return what `estimate` does, of poses that were read from a source, which messages name."""
    if calibrator is not None:
        try:
            poses = calibrator(poses)
        except InputError as error:
            raise InputError(f"{source}: {error}") from None
    if not len(poses):
        raise InputError(f"{source}: there are no poses")
    quality = quality_if_labelled(poses)
    if quality is None or poses.pose_quality is None or poses.visibility is None:
        raise InputError(
            f"{source}: no trust (keypoint_quality, pose_quality), expected results of `trustpose predict` or "
            "`calibrate apply`, or a calibrator (--calibrator)"
        )
    errors = None if poses.error_model is None else poses.error_model.accuracy
    if errors is None:
        raise InputError(
            f"{source}: nothing is known of how far its expected OKS is off on the whole, expected the "
            "NAME.errors.json that `trustpose predict` and `calibrate apply` write beside results, or a calibrator "
            "(--calibrator)"
        )
    skeleton = skeleton_of_poses(poses, source)
    missing = [name for name in errors.joints if name not in skeleton.keypoints]
    if missing or len(errors.joints) != len(skeleton):
        raise InputError(f"{source}: the skeleton {skeleton.name} is not the one that the trust was fitted on")
    weight = np.ones(len(poses)) if poses.presence is None else np.nan_to_num(poses.presence, nan=1.0)
    accuracy = ExpectedAccuracy(errors, poses, skeleton, weight)
    recall = 1.0 if poses.presence is None else errors.recall  # whoever gave boxes, gave them of everybody
    image = np.zeros(len(poses), np.int64) if poses.image_id is None else poses.image_id
    labelled = 1 - poses.visibility[..., 0]
    keypoint = {
        joint: accuracy.keypoint(number, quality[:, number], labelled[:, number]).interval(accuracy.shift)
        for number, joint in enumerate(skeleton.keypoints)
    }
    return EstimatedAccuracy(
        float(weight.sum()),
        accuracy.mean_oks().interval(accuracy.shift),
        {f"{threshold:g}": accuracy.share_above(threshold).interval(accuracy.shift) for threshold in THRESHOLDS},
        accuracy.average_precision(poses.ranking_score, image, recall=recall).interval(accuracy.shift),
        keypoint,
        _groups(accuracy, poses, weight, image),
        accuracy.shift,
        _notes(accuracy, None if poses.presence is None else recall),
    )


def _groups(
    accuracy: ExpectedAccuracy, poses: Poses, weight: Float[np.ndarray, " N"], image: np.ndarray
) -> dict[str, dict[str, GroupEstimate]]:
    _, photo, count = np.unique(image, return_inverse=True, return_counts=True)
    of_person = {"size": (area_of_person(poses), _SIZES), "people": (count[photo], _CROWDS)}
    groups: dict[str, dict[str, GroupEstimate]] = {}
    for name, (values, borders) in of_person.items():
        group = np.searchsorted(np.array(list(borders.values())), values)
        groups[name] = {}
        for number, label in enumerate(borders):
            rows = np.flatnonzero((group == number) & (weight > 0))
            if len(rows):
                mean = accuracy.mean_oks(rows).interval(accuracy.shift)
                groups[name][label] = GroupEstimate(mean.value, mean.low, mean.high, len(rows))
    return groups


def _notes(accuracy: ExpectedAccuracy, recall: float | None) -> tuple[str, ...]:
    notes = []
    if recall is not None:
        notes.append(
            f"AP counts on {recall:.0%} of the labelled people being found, as when the trust was fitted; people whom "
            "the detector misses do not show here"
        )
    shift = accuracy.shift
    if shift.quality > _FAR or shift.shape > _FAR:
        notes.append(
            f"these people are unlike those that the trust was fitted on (distance of expected OPKS "
            f"{shift.quality:.2f} of 1, of the shapes of poses {shift.shape:.2f}): the intervals are wider for it"
        )
    return tuple(notes)
