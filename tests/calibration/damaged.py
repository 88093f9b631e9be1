"""Damaged calibrator files: other arrays, and fields of the card that no fit writes."""

import json
from pathlib import Path

import numpy as np

from trustpose.calibration.calibrator import Calibrator


def saved_with(calibrator: Calibrator, folder: Path, **changed: np.ndarray | None) -> Path:
    """A calibrator's file with arrays replaced, or left out where None."""
    calibrator.save(folder / "good.cal")
    with np.load(folder / "good.cal") as file:
        arrays = {name: file[name] for name in file.files} | changed
    with (folder / "bad.cal").open("wb") as file:
        np.savez(file, **{name: column for name, column in arrays.items() if column is not None})
    return folder / "bad.cal"


def card_with(calibrator: Calibrator, **changed) -> np.ndarray:
    """The calibrator's card with other fields, as in its file."""
    return np.frombuffer(json.dumps(calibrator.card.as_dict() | changed).encode(), dtype=np.uint8)


_OPINION = {"name": "n", "file": "f", "sha256": "", "model": None, "people": 1, "trust": False, "kept": False}
_OPINION |= {"before": {}, "after": {}, "change": {}}
WRONG_FIELDS = [
    *(("folds", value) for value in ("5", 2.5, 10**30)),
    *(("why", value) for value in (1, None)),
    *(
        ("truth", value)
        for value in ({"file": 1, "sha256": "", "used": 1}, {"file": "a", "sha256": "", "used": None}, 1)
    ),
    *(("before", value) for value in ({"r": "high"}, {"r": [1]}, [1], None)),
    *(("edges", value) for value in ([[0, 99]], [[0]], "ab")),
    *(("sigmas", value) for value in ([0.1] * 16, ["a"] * 17, [float("inf")] * 17, [-1.0] * 17)),
    *(("score_range", value) for value in ([0], [0, "x"], [0, None])),
    *(("skipped", value) for value in ({"isotonic": 1}, ["isotonic"])),
    *(("area", value) for value in ("moon", 1)),
    ("source", {}),
    *(("opinions", value) for value in ([{}], [1], 5, [_OPINION | {"kept": 1}], [_OPINION | {"before": {"ap": None}}])),
    ("opinions", [_OPINION | {"kept": True}]),  # its domain is missing
    ("estimator", 3),
]


def npy(descr: str, shape: str, body: bytes = b"") -> bytes:
    """An NPY file with that dtype and shape in its header, whatever its body."""
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + body
