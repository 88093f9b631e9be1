"""A calibrator's card: fingerprints of its training data, the method, the reason for its choice, and its numbers."""

import math
from dataclasses import asdict, dataclass, field
from typing import Any

from trustpose.calibration.decisions import Decision
from trustpose.calibration.features import FeatureInputs
from trustpose.calibration.metrics import is_value
from trustpose.calibration.opinion_card import OpinionCard
from trustpose.calibration.presence import PresenceModel
from trustpose.formats.coco.visibility import LABELLED, TERNARY
from trustpose.poses import AREAS
from trustpose.skeletons import Skeleton, find_skeleton

FORMAT = "trustpose calibrator 2"
EARLIER = "trustpose calibrator 1"  # its trust included P(somebody is there) where results matched no person
Number = list[float] | None
LABELS = {  # of a card's numbers, for people
    "pose.pearson": "pose r, score with OKS",
    "keypoint.pearson": "keypoint r, with OPKS",
    "keypoint.pearson_pose_mean": "average r",
    "pose.ece": "pose ECE",
    "keypoint.ece": "keypoint ECE",
    "pose.brier": "pose Brier score",
    "keypoint.brier": "keypoint Brier score",
}


@dataclass(frozen=True)
class FittedOn:
    """A file by name and SHA-256, and how many of its people or results were used."""

    file: str
    sha256: str
    used: int


@dataclass(frozen=True)
class Card:
    """`before` and `after` are out-of-fold numbers by the audit's names, each with its 95 % interval. `change` holds
    their differences, with intervals from paired draws (empty in cards of earlier versions). `explained` maps each
    method tried to the share of variance used to select `method`, `skipped` the others to the reason. `decision` is the
    rule for visibility labels, if one was chosen; `opinions` are the second opinions given at fitting, read or not;
    `presence` predicts presence, where results and ground truth could teach it, else `no_presence` says why not;
    `unmatched` results matched no person; `networks` the SHA-256 of the network files whose results it is for, if
    known; `visibility` what v means in the
    ground truth (`formats.coco.visibility`)."""

    method: str
    why: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    area: str
    folds: int
    seed: int
    estimator: str | None
    source: FeatureInputs
    score_range: tuple[float, float]
    truth: FittedOn
    results: FittedOn
    unmatched: int
    before: dict[str, Number]
    after: dict[str, Number]
    explained: dict[str, Number]
    skipped: dict[str, str] = field(default_factory=dict)
    change: dict[str, Number] = field(default_factory=dict)
    decision: Decision | None = None
    opinions: tuple[OpinionCard, ...] = ()
    presence: PresenceModel | None = None
    no_presence: str = ""
    networks: tuple[str, ...] = ()
    visibility: str = TERNARY
    version: str = ""
    format: str = FORMAT

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton, with the sigmas used for OKS."""
        registered = find_skeleton(self.keypoints)
        name = "of the ground truth" if registered is None else registered.name
        return Skeleton(name, self.keypoints, self.edges, "given at fitting", self.sigmas)

    def as_dict(self) -> dict[str, Any]:
        """Return the card as JSON values."""
        return asdict(self)

    @classmethod
    def of_dict(cls, value: dict[str, Any]) -> "Card":
        """Build a card from `as_dict`'s output. Raises KeyError, TypeError or ValueError if it is incomplete or
        wrong."""
        if not isinstance(value, dict) or value.get("format") not in (FORMAT, EARLIER):
            value = value if isinstance(value, dict) else {}
            raise ValueError(f"format: expected {FORMAT!r}, got {str(value.get('format'))[:40]!r}")
        (low, high), decision = value["score_range"], value.get("decision")
        edges = tuple((int(a), int(b)) for a, b in value["edges"])
        card = cls(
            **value
            | {
                "keypoints": tuple(map(str, value["keypoints"])),
                "edges": edges,
                "sigmas": tuple(map(float, value["sigmas"])),
                "source": FeatureInputs(bool(value["source"]["box"]), bool(value["source"]["box_score"])),
                "score_range": (float(low), float(high)),
                "truth": FittedOn(**value["truth"]),
                "results": FittedOn(**value["results"]),
                "networks": tuple(value.get("networks", ())),
                "opinions": tuple(OpinionCard.of_dict(opinion) for opinion in value.get("opinions", ())),
                "decision": None if decision is None else Decision.of_dict(decision),
                "presence": None if value.get("presence") is None else PresenceModel.of_json(value["presence"]),
            }
        )
        _ = card.skeleton  # raises if names, edges and sigmas do not match
        card._check()
        return card

    def _check(self) -> None:
        """Raise ValueError, naming the field, for values that would fail later, when printed or compared."""
        texts = {"no_presence": self.no_presence, "why": self.why, "version": self.version, "method": self.method}
        texts |= {"truth.file": self.truth.file, "truth.sha256": self.truth.sha256}
        texts |= {"results.file": self.results.file, "results.sha256": self.results.sha256}
        texts |= {f"networks.{index}": network for index, network in enumerate(self.networks)}
        texts |= {} if self.estimator is None else {"estimator": self.estimator}
        texts |= {f"skipped.{name}": reason for name, reason in self.skipped.items()}
        counts = {"folds": self.folds, "seed": self.seed, "unmatched": self.unmatched}
        counts |= {"truth.used": self.truth.used, "results.used": self.results.used}
        for name, text in texts.items():
            if not isinstance(text, str):
                raise ValueError(f"card: field '{name}': expected a text")
        for name, count in counts.items():
            if type(count) is not int or not -(2**63) <= count < 2**64:
                raise ValueError(f"card: field '{name}': expected a whole number")
        for name in ("before", "after", "explained"):
            if not all(map(is_value, getattr(self, name).values())):
                raise ValueError(f"card: field '{name}': expected a number and its interval for each name")
        if self.visibility not in (TERNARY, LABELLED):
            raise ValueError(f"card: field 'visibility': expected {TERNARY} or {LABELLED}")
        if self.area not in AREAS:
            raise ValueError(f"card: field 'area': expected one of {', '.join(AREAS)}")
        if not all(map(math.isfinite, self.score_range)):
            raise ValueError("card: field 'score_range': expected two finite numbers")
