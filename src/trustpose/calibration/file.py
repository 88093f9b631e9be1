"""A calibrator on disk: one NPZ file of plain arrays with the card as JSON. Reading it runs no code."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import orjson

from trustpose.calibration.arrays import expect_names, expect_numbers
from trustpose.calibration.card import EARLIER, Card
from trustpose.calibration.distribution_shift import Domain
from trustpose.calibration.opinion_shift import OpinionDomain
from trustpose.calibration.parts import CalibratorParts
from trustpose.calibration.probabilities import Recalibration
from trustpose.calibration.score_maps import maps_of_arrays
from trustpose.calibration.trees import Trees
from trustpose.files import InputError, atomic_write, json_bytes
from trustpose.formats.npz import read_npz
from trustpose.poses import ErrorModel

_RECALIBRATION = ("labelled", "occluded", "similarity", "pose")
_MAX_BYTES = 256_000_000  # isotonic curves of a million people are 80 MB, trees 1 MB


def write_calibrator(path: str | Path, calibrator: CalibratorParts) -> None:
    """Write it atomically. Raises InputError if the file cannot be written."""
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
    if parts.card.format == EARLIER and parts.card.unmatched:
        warnings.warn(
            f"{path}: is of an earlier version, whose expected OKS and OPKS include the probability that a person is "
            "there; fit it again to have that apart, as presence",
            stacklevel=3,
        )
    return parts


def _assembled(arrays: dict[str, np.ndarray]) -> CalibratorParts:
    card = Card.of_dict(orjson.loads(arrays.pop("card").tobytes()))
    image_ids = arrays.pop("image_ids")
    if image_ids.ndim != 1 or image_ids.dtype.kind not in "iu":
        raise ValueError("image_ids: expected whole numbers")
    errors = arrays.pop("errors", None)
    domain, correction = (_pop_folder(folder, arrays) for folder in ("domain/", "recalibration/"))
    model = _pop_folder("model/", arrays)
    kept_count = sum(opinion.kept for opinion in card.opinions)
    opinions = tuple(OpinionDomain.of_arrays(_pop_folder(f"opinion{number}/", arrays)) for number in range(kept_count))
    if arrays:
        raise ValueError(f"array {next(iter(arrays))[:40]!r} is unknown")
    parts = CalibratorParts(
        model=Trees.of_arrays(model) if card.method == "trees" else maps_of_arrays(card.method, model),
        recalibration=_recalibration(correction) if correction else None,
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
    expect_names(columns, _RECALIBRATION)
    lengths = {"pose": 3}
    return Recalibration(
        **{name: expect_numbers(column, name, (lengths.get(name, 2),), maximum=1e6) for name, column in columns.items()}
    )


def _pop_folder(folder: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Remove the arrays of a folder from `arrays` and return them by their names in it."""
    names = [name for name in arrays if name.startswith(folder)]
    return {name.removeprefix(folder): arrays.pop(name) for name in names}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
