"""What a calibrator says of itself: fingerprints of what it was fitted on, how, why so, and how well."""

from dataclasses import asdict, dataclass, field
from typing import Any

from trustpose.calibration.features import Source
from trustpose.skeletons import Skeleton, find_skeleton

FORMAT = "trustpose calibrator 1"
Number = list[float] | None


@dataclass(frozen=True)
class FittedOn:
    """A file by name and SHA-256, and how many people or results of it were used."""

    file: str
    sha256: str
    used: int


@dataclass(frozen=True)
class Card:
    """`before` and `after` are out-of-fold numbers by the audit's names, each with its 95 % interval; `explained` maps
    each method tried to the share of variance that `method` was chosen by, `skipped` the others to what kept them."""

    method: str
    why: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    area: str
    folds: int
    seed: int
    estimator: str | None
    source: Source
    score_range: tuple[float, float]
    truth: FittedOn
    results: FittedOn
    unmatched: int
    before: dict[str, Number]
    after: dict[str, Number]
    explained: dict[str, Number]
    skipped: dict[str, str] = field(default_factory=dict)
    version: str = ""
    format: str = FORMAT

    @property
    def skeleton(self) -> Skeleton:
        """The skeleton, with the sigmas that OKS was measured with."""
        known = find_skeleton(self.keypoints)
        name = "of the ground truth" if known is None else known.name
        return Skeleton(name, self.keypoints, self.edges, "given at fitting", self.sigmas)

    def as_dict(self) -> dict[str, Any]:
        """What is saved, as JSON."""
        return asdict(self)

    @classmethod
    def of_dict(cls, value: dict[str, Any]) -> "Card":
        """The opposite of `as_dict`. Raises KeyError, TypeError or ValueError where something is missing or wrong."""
        if value.get("format") != FORMAT:
            raise ValueError(f"format: expected {FORMAT!r}, got {str(value.get('format'))[:40]!r}")
        low, high = value["score_range"]
        edges = tuple((int(a), int(b)) for a, b in value["edges"])
        card = cls(
            **value
            | {
                "keypoints": tuple(map(str, value["keypoints"])),
                "edges": edges,
                "sigmas": tuple(map(float, value["sigmas"])),
                "source": Source(bool(value["source"]["box"]), bool(value["source"]["box_score"])),
                "score_range": (float(low), float(high)),
                "truth": FittedOn(**value["truth"]),
                "results": FittedOn(**value["results"]),
            }
        )
        _ = card.skeleton  # raises where names, edges and sigmas do not fit
        return card
