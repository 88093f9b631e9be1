"""What a calibrator is on disk: one NPZ file of plain arrays, with its card as JSON: training data, method,
reason, numbers.

Reading it runs no code.
"""

import warnings
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson
from jaxtyping import Int

from trustpose.calibration.arrays import check_names, checked_array
from trustpose.calibration.decisions import Decision
from trustpose.calibration.features import FeatureInputs
from trustpose.calibration.metrics import PlainValue
from trustpose.calibration.opinions import OpinionCard
from trustpose.calibration.presence import PresenceModel
from trustpose.calibration.score_maps import IsotonicMaps, LogisticMaps, Recalibration, maps_of_arrays
from trustpose.calibration.shift import Domain, OpinionDomain
from trustpose.calibration.trees import Trees
from trustpose.files import InputError, atomic_write, json_bytes
from trustpose.io.arrays import read_npz
from trustpose.io.coco.labels import TERNARY
from trustpose.json_records import naming, read_record, short
from trustpose.poses import Area, ErrorModel
from trustpose.skeletons import Skeleton, find_skeleton

FORMAT = "trustpose calibrator 2"
EARLIER_FORMAT = "trustpose calibrator 1"  # trust included P(somebody is there) if some results matched no person
LABELS = {  # of the card's numbers, in tables
    "pose.pearson": "pose r, score with OKS",
    "keypoint.pearson": "keypoint r, with OPKS",
    "keypoint.pearson_pose_mean": "average r",
    "pose.ece": "pose ECE",
    "keypoint.ece": "keypoint ECE",
    "pose.brier": "pose Brier score",
    "keypoint.brier": "keypoint Brier score",
}
_RECALIBRATION = ("labelled", "occluded", "similarity", "pose")
_MAX_BYTES = 256_000_000  # isotonic curves of a million people are 80 MB, trees 1 MB


@dataclass(frozen=True)
class FittedOn:
    """A file that a calibrator was fitted on.

    Attributes:
        file: its name.
        sha256: of its content.
        used: how many of its people or results were used.
    """

    file: str
    sha256: str
    used: int


@dataclass(frozen=True)
class Card:
    """What a calibrator was fitted on, how, and how well it works: the JSON inside its file.

    Numbers are out-of-fold, by the names of an audit ("pose.pearson"), each with its 95 % interval over photos.

    Attributes:
        method: how scores are mapped: "temperature", "platt", "isotonic" or "trees"
        why: the reason for the method, a sentence.
        keypoints: names of the K joints.
        edges: the skeleton's limbs, as pairs of joints.
        sigmas: σ of each joint, as OKS used it.
        area: the area that OKS used.
        folds: number of folds of cross-validation.
        seed: of folds and draws.
        estimator: whose results it is for; None: was not said.
        source: which fields of results it reads.
        score_range: lowest and highest keypoint score of the fitted results.
        truth: the ground truth.
        results: the results file.
        unmatched: number of fitted results that matched no person.
        before: the scores as they were.
        after: the calibrated ones.
        explained: share of variance that each method explains, by which `method` was chosen.
        skipped: the methods that were not tried, with the reason.
        change: `after` − `before`, with intervals from paired draws; empty in cards of earlier versions.
        decision: the rule for visibility labels; None: none was chosen.
        opinions: the second opinions given at fitting, whether they are used or not.
        presence: predicts presence; None where results and ground truth could not teach it.
        no_presence: then the reason.
        networks: SHA-256 of the network files whose results it is for; empty: unknown.
        visibility: what v means in the ground truth (`io.coco.labels`).
        version: of trustpose.
        format: of the file.

    Example:
        >>> card = tp.Calibrator.load("shipped:mediapipe").card
        >>> len(card.keypoints) == len(card.sigmas)
        True
    """

    method: str
    why: str
    keypoints: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    area: Area
    folds: int
    seed: int
    estimator: str | None
    source: FeatureInputs
    score_range: tuple[float, float]
    truth: FittedOn
    results: FittedOn
    unmatched: int
    before: dict[str, PlainValue]
    after: dict[str, PlainValue]
    explained: dict[str, PlainValue]
    skipped: dict[str, str] = field(default_factory=dict)
    change: dict[str, PlainValue] = field(default_factory=dict)
    decision: Decision | None = None
    opinions: tuple[OpinionCard, ...] = ()
    presence: PresenceModel | None = None
    no_presence: str = ""
    networks: tuple[str, ...] = ()
    visibility: Literal["ternary", "labelled"] = TERNARY
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
    def of_dict(cls, value: Any) -> "Card":
        """Build a card from `as_dict`'s output. Raises InputError naming the field."""
        version = value.get("format") if isinstance(value, Mapping) else None
        with naming("", "card"):
            if version not in (FORMAT, EARLIER_FORMAT):
                raise ValueError(f"format: expected {FORMAT!r}, got {short(version)}")
        card = read_record(cls, value, "", "card")
        with naming("", "card"):
            _ = card.skeleton  # raises if names, edges and sigmas do not match
        return card


@dataclass(frozen=True, eq=False)
class CalibratorParts:
    """The content of a calibrator's file.

    Attributes:
        model: maps a person's features or scores to probabilities.
        recalibration: corrects these; None: no correction.
        domain: the features of the people it was fitted on, to detect others that are unlike them.
        card: what it was fitted on, and how well it works.
        image_ids: (I,), the photos of the fitted people.
        opinions: the domain of each second opinion that it reads.
        errors: which discs of expected errors hold; None: those of the mixture, as in files of earlier versions and for
            too few people.
    """

    model: Trees | LogisticMaps | IsotonicMaps
    recalibration: Recalibration | None
    domain: Domain
    card: Card
    image_ids: Int[np.ndarray, " I"]
    opinions: tuple[OpinionDomain, ...] = ()
    errors: ErrorModel | None = None


def write_calibrator(path: str | Path, calibrator: CalibratorParts) -> None:
    """Write a calibrator's file, atomically. Raises InputError if it cannot be written."""
    card = json_bytes(calibrator.card.as_dict())
    arrays: dict[str, Any] = {"card": np.frombuffer(card, dtype=np.uint8), "image_ids": calibrator.image_ids}
    arrays |= {f"model/{name}": column for name, column in calibrator.model.arrays().items()}
    arrays |= {f"domain/{name}": column for name, column in calibrator.domain.arrays().items()}
    if calibrator.recalibration is not None:
        arrays |= {f"recalibration/{name}": getattr(calibrator.recalibration, name) for name in _RECALIBRATION}
    for number, opinion in enumerate(calibrator.opinions):
        arrays |= {f"opinion{number}/{name}": column for name, column in opinion.arrays().items()}
    if calibrator.errors is not None:
        arrays["errors"] = np.frombuffer(json_bytes(calibrator.errors.to_json()), dtype=np.uint8)
    with atomic_write(path) as file:
        np.savez_compressed(file, **arrays)


def read_calibrator(path: str | Path) -> CalibratorParts:
    """Read a file of `write_calibrator`. Raises InputError if it is another kind of file, damaged or inconsistent."""
    arrays = read_npz(path, _MAX_BYTES, "a calibrator of trustpose")
    if "card" not in arrays:
        raise InputError(f"{path}: is not a calibrator of trustpose (it has no card)")
    try:
        parts = _assembled(arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else _first_line(error)
        raise InputError(f"{path}: is not a calibrator that this version reads ({reason})") from None
    if parts.card.format == EARLIER_FORMAT and parts.card.unmatched:
        warnings.warn(
            f"{path}: was written by an earlier version, whose expected OKS and OPKS include the probability that a "
            "person is there; fit it again to get that separately, as presence",
            stacklevel=3,
        )
    return parts


def _assembled(arrays: dict[str, np.ndarray]) -> CalibratorParts:
    """Return the parts that a file's arrays hold. Raises what `read_calibrator` catches if one is not as expected."""
    card = Card.of_dict(orjson.loads(arrays.pop("card").tobytes()))
    image_ids = arrays.pop("image_ids")
    if image_ids.ndim != 1 or image_ids.dtype.kind not in "iu":
        raise ValueError("image_ids: expected whole numbers")
    errors = arrays.pop("errors", None)
    domain = _pop_folder("domain/", arrays)
    recalibration = _pop_folder("recalibration/", arrays)
    model = _pop_folder("model/", arrays)
    opinions = tuple(
        OpinionDomain.of_arrays(_pop_folder(f"opinion{number}/", arrays))
        for number in range(sum(opinion.kept for opinion in card.opinions))
    )
    if arrays:
        raise ValueError(f"array {next(iter(arrays))[:40]!r} is unknown")
    parts = CalibratorParts(
        model=Trees.of_arrays(model) if card.method == "trees" else maps_of_arrays(card.method, model),
        recalibration=_recalibration(recalibration) if recalibration else None,
        domain=Domain.of_arrays(domain),
        card=card,
        image_ids=image_ids.astype(np.int64),
        opinions=opinions,
        errors=None if errors is None else ErrorModel.of_json(orjson.loads(errors.tobytes())),
    )
    count = len(card.keypoints)
    if not isinstance(parts.model, Trees) and parts.model.keypoint_count != count:
        raise ValueError(f"the model has {parts.model.keypoint_count} keypoints, the card {count}")
    return parts


def _recalibration(columns: dict[str, np.ndarray]) -> Recalibration:
    """Build the correction. Raises KeyError or ValueError for a column that is missing, unknown or not valid."""
    check_names(columns, _RECALIBRATION)
    lengths = {"pose": 3}
    return Recalibration(
        **{name: checked_array(column, name, (lengths.get(name, 2),), maximum=1e6) for name, column in columns.items()}
    )


def _pop_folder(folder: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Remove the arrays of a folder from `arrays` and return them by their names in it."""
    names = [name for name in arrays if name.startswith(folder)]
    return {name.removeprefix(folder): arrays.pop(name) for name in names}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
