"""A calibrator on disk: one NPZ file of plain arrays, the card as JSON among them. Reading it runs no code."""

from pathlib import Path

import numpy as np
import orjson

from trustpose.calibration.arrays import expect_names, expect_numbers
from trustpose.calibration.card import Card
from trustpose.calibration.distribution_shift import Domain
from trustpose.calibration.parts import CalibratorParts
from trustpose.calibration.probabilities import Recalibration
from trustpose.calibration.score_maps import maps_of_arrays
from trustpose.calibration.trees import Trees
from trustpose.files import InputError, atomic_write, json_bytes
from trustpose.formats.npz import read_npz

_RECALIBRATION = ("labelled", "occluded", "similarity", "pose")
_MOST_BYTES = 256_000_000  # isotonic curves of a million people are 80 MB, trees 1 MB


def write_calibrator(path: str | Path, calibrator: CalibratorParts) -> None:
    """Write it atomically. Raises InputError where the place cannot be written to."""
    card = json_bytes(calibrator.card.as_dict())
    arrays = {"card": np.frombuffer(card, dtype=np.uint8), "image_ids": calibrator.image_ids}
    arrays |= {f"model/{name}": column for name, column in calibrator.model.arrays().items()}
    arrays |= {f"domain/{name}": column for name, column in calibrator.domain.arrays().items()}
    if calibrator.recalibration is not None:
        arrays |= {f"recalibration/{name}": getattr(calibrator.recalibration, name) for name in _RECALIBRATION}
    with atomic_write(path) as file:
        np.savez_compressed(file, **arrays)


def read_calibrator(path: str | Path) -> CalibratorParts:
    """Read what `write_calibrator` wrote. Raises InputError where it is something else, damaged or inconsistent."""
    arrays = read_npz(path, _MOST_BYTES, "a calibrator of trustpose")
    if "card" not in arrays:
        raise InputError(f"{path}: is not a calibrator of trustpose (it has no card)")
    try:
        return _assembled(arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        reason = f"no {error}" if isinstance(error, KeyError) else _first_line(error)
        raise InputError(f"{path}: is no calibrator that this version reads ({reason})") from None


def _assembled(arrays: dict[str, np.ndarray]) -> CalibratorParts:
    card = Card.of_dict(orjson.loads(arrays.pop("card").tobytes()))
    image_ids = arrays.pop("image_ids")
    if image_ids.ndim != 1 or image_ids.dtype.kind not in "iu":
        raise ValueError("image_ids: expected whole numbers")
    domain, correction = (_taken(folder, arrays) for folder in ("domain/", "recalibration/"))
    model = _taken("model/", arrays)
    if arrays:
        raise ValueError(f"array {next(iter(arrays))[:40]!r} is unknown")
    parts = CalibratorParts(
        model=Trees.of_arrays(model) if card.method == "trees" else maps_of_arrays(card.method, model),
        recalibration=_recalibration(correction) if correction else None,
        domain=Domain.of_arrays(domain),
        card=card,
        image_ids=image_ids.astype(np.int64),
    )
    count = len(card.keypoints)
    if not isinstance(parts.model, Trees) and parts.model.keypoint_count != count:
        raise ValueError(f"the model is of {parts.model.keypoint_count} keypoints, the card of {count}")
    return parts


def _recalibration(columns: dict[str, np.ndarray]) -> Recalibration:
    """Raises KeyError or ValueError where a column is missing, unknown or not of numbers that a fit gives."""
    expect_names(columns, _RECALIBRATION)
    lengths = {"pose": 3}
    return Recalibration(
        **{name: expect_numbers(column, name, (lengths.get(name, 2),), most=1e6) for name, column in columns.items()}
    )


def _taken(folder: str, arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays of a folder by their names in it, taken out of `arrays`."""
    names = [name for name in arrays if name.startswith(folder)]
    return {name.removeprefix(folder): arrays.pop(name) for name in names}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
