"""`Audit`, the record of an audit: every number with the name that it has in the JSON.

`section_records` has the records of its sections.
"""

import math
from dataclasses import asdict, dataclass, field
from typing import Any, cast

import numpy as np

from trustpose.evaluation.details import Details
from trustpose.evaluation.display import AuditDisplay
from trustpose.evaluation.section_records import (
    CategoryPrecision,
    CrowdLevel,
    Errors,
    KeypointTrust,
    KeypointType,
    Localisation,
    Number,
    OcclusionBenchmark,
    PoseTrust,
    PresenceTrust,
    Tracking,
    VisibilityTrust,
)
from trustpose.files import shown
from trustpose.metrics.average_precision import AveragePrecision
from trustpose.metrics.localisation import PixelTrust
from trustpose.poses import Area


@dataclass(frozen=True)
class Comparison:
    """The difference of one number between two results files on the same ground truth.

    Attributes:
        file: name of the results file.
        against: name of the other.
        metric: the number's dotted name, such as "pose.pearson".
        difference: the number of `file` minus that of `against`.
        low, high: 95 % interval over paired draws of photos; None without draws.
    """

    file: str
    against: str
    metric: str
    difference: float
    low: Number
    high: Number


@dataclass(frozen=True)
class AuditNumbers:
    """The first sections of an `Audit`: how good poses are, and how reliable their scores.

    Attributes:
        ap: the ten numbers of COCO evaluation by the file's score.
        oracle_ap: the same with the true OKS as score.
        headroom: `oracle_ap.AP` − `ap.AP`: what a better score could gain.
        pose: the pose score against OKS.
        keypoint: keypoint scores against OPKS.
        visibility: predicted visibility against the labels'.
    """

    ap: AveragePrecision
    oracle_ap: AveragePrecision
    headroom: Number
    pose: PoseTrust
    keypoint: KeypointTrust
    visibility: VisibilityTrust

    def number(self, name: str) -> Number:
        """Return a number by its dotted name, as in `intervals`: "ap.AP", "visibility.ternary.total.f1", "headroom".

        Raises KeyError if there is no number of that name.
        """
        section_name, *keys = name.split(".")
        if section_name not in self.__dataclass_fields__:
            raise KeyError(section_name)
        section = getattr(self, section_name)
        value = cast(Any, section.as_dict() if isinstance(section, AveragePrecision) else json_value(section))
        for key in keys:
            value = None if value is None else value[key]  # None: a section that this audit does not have
        return value


@dataclass(frozen=True, repr=False)
class Audit(AuditNumbers, AuditDisplay):
    """How good the poses of a results file are, and how reliable its scores: what `tp.audit` returns.

    Attributes:
        ap, oracle_ap, headroom, pose, keypoint, visibility: see `AuditNumbers`.
        presence: `presence` against whether there is a person.
        pixels: errors in pixels against `Poses.expected_error`.
        errors: keypoints by kind of error.
        occlusion: AP by the number of labelled keypoints, "0-5" to "15-17".
        crowd: AP by CrowdPose's levels "easy", "medium" and "hard"; empty if photos have no crowd index.
        categories: each category by its name if all were read; `ap` and `oracle_ap` are then their means.
        keypoint_types: each keypoint of the skeleton by its name.
        intervals: by a number's dotted name, "pose.pearson", its 95 % interval from draws of photos, (low, high).
        area: the area that OKS uses: "segment", "box" or "box*0.53".
        score_field: field of a result by which poses are ranked.
        pose_field: field that is compared with OKS.
        inputs: name, SHA-256 and number of rows of both files.
        notes: sentences on what could not be computed, and why.
        compare: differences from other audits, filled by `tp.compare`.
        tracking: how well people are tracked; None unless both files have track ids.
        localisation: PCK and its relatives by name: those that were asked for, or the data set's usual ones.
        tables: the tables of papers that were asked for (`evaluation.precision`).
        details: arrays behind the numbers, for plots and comparisons; not part of the JSON.

    Example:
        >>> audit = tp.audit("gt.json", "results.json", draws=20)
        >>> sorted(audit.intervals)[:2]
        ['ap.AP', 'ap.AP50']
        >>> audit.number("ap.AP") == audit.ap.AP == audit.as_dict()["ap"]["AP"]
        True
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
        """Return what `trustpose audit --json` writes: every field but `details`, with None for what is NaN or -1."""
        values = {name: json_value(getattr(self, name)) for name in self.__dataclass_fields__ if name != "details"}
        return values | {"ap": self.ap.as_dict(), "oracle_ap": self.oracle_ap.as_dict()}

    def __repr__(self) -> str:
        """Return one line: the file, how many poses, and the numbers that are read first; `as_dict()` has all."""
        values = {
            "AP": self.ap.as_dict()["AP"],
            "headroom": self.headroom,
            "pose r": self.pose.pearson,
            "pose ECE": self.pose.ece,
            "keypoint r": self.keypoint.pearson,
            "keypoint ECE": self.keypoint.ece,
        }
        numbers = ", ".join(f"{label} {'–' if value is None else f'{value:.3f}'}" for label, value in values.items())
        results = self.inputs["results"]
        return f"Audit({shown(str(results['file']))}: {results['results']} poses; {numbers})"


def json_value(value: Any) -> Any:
    """Convert records, tuples and numpy's numbers to what JSON has: objects, lists and numbers; None for NaN."""
    if hasattr(value, "__dataclass_fields__"):
        return json_value(asdict(value))
    if isinstance(value, dict):
        return {key: json_value(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [json_value(entry) for entry in value]
    if isinstance(value, np.generic):
        return json_value(value.item())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
