"""A calibrator on disk: one NPZ file of plain arrays, the card as JSON among them. Reading it runs no code."""

import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import orjson

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.card import Card
from trustpose.calibration.chances import Recalibration
from trustpose.calibration.domain import Domain
from trustpose.calibration.score_maps import maps_of_arrays
from trustpose.calibration.trees import Trees
from trustpose.files import InputError, atomic_write, read_bytes

_RECALIBRATION = ("labelled", "occluded", "similarity", "pose")


def write_calibrator(path: str | Path, calibrator: Calibrator) -> None:
    """Write it atomically. Raises InputError where the place cannot be written to."""
    card = orjson.dumps(calibrator.card.as_dict())
    arrays = {"card": np.frombuffer(card, dtype=np.uint8), "image_ids": calibrator.image_ids}
    arrays |= {f"model/{name}": column for name, column in calibrator.model.arrays().items()}
    arrays |= {f"domain/{name}": column for name, column in calibrator.domain.arrays().items()}
    if calibrator.recalibration is not None:
        arrays |= {f"recalibration/{name}": getattr(calibrator.recalibration, name) for name in _RECALIBRATION}
    with atomic_write(path) as file:
        np.savez_compressed(file, **arrays)


def read_calibrator(path: str | Path) -> Calibrator:
    """Read what `write_calibrator` wrote. Raises InputError where it is something else, damaged or inconsistent."""
    if not read_bytes(path, "a calibrator").startswith(b"PK"):
        raise InputError(f"{path}: is not a calibrator of trustpose (it is no NPZ file)")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except (
        OSError,
        ValueError,
        EOFError,
        zipfile.BadZipFile,
        zlib.error,
        AttributeError,
        NotImplementedError,
    ) as error:
        raise InputError(f"{path}: is not a calibrator of trustpose ({_first_line(error)})") from None
    if "card" not in arrays:
        raise InputError(f"{path}: is not a calibrator of trustpose (it has no card)")
    try:
        return _assembled(arrays)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise InputError(f"{path}: is no calibrator that this version reads ({_first_line(error)})") from None


def _assembled(arrays: Mapping[str, np.ndarray]) -> Calibrator:
    card = Card.of_dict(orjson.loads(arrays["card"].tobytes()))
    model = _below("model/", arrays)
    correction = _below("recalibration/", arrays)
    calibrator = Calibrator(
        model=Trees.of_arrays(model) if card.method == "trees" else maps_of_arrays(card.method, model),
        recalibration=Recalibration(**{name: correction[name] for name in _RECALIBRATION}) if correction else None,
        domain=Domain.of_arrays(_below("domain/", arrays)),
        card=card,
        image_ids=arrays["image_ids"],
    )
    _check(calibrator)
    return calibrator


def _check(calibrator: Calibrator) -> None:
    """What would otherwise show in the middle of applying."""
    count = len(calibrator.card.keypoints)
    if not isinstance(calibrator.model, Trees) and calibrator.model.keypoint_count != count:
        raise ValueError(f"the model is of {calibrator.model.keypoint_count} keypoints, the card of {count}")
    correction = calibrator.recalibration
    if correction is not None:
        for name in _RECALIBRATION:
            column = getattr(correction, name)
            if column.shape != ((3,) if name == "pose" else (2,)) or not np.isfinite(column).all():
                raise ValueError(f"recalibration/{name}: expected finite slopes and an offset, got {column.shape}")
    if calibrator.image_ids.ndim != 1 or calibrator.image_ids.dtype.kind not in "iu":
        raise ValueError("image_ids: expected whole numbers")


def _below(folder: str, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {name.removeprefix(folder): column for name, column in arrays.items() if name.startswith(folder)}


def _first_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
