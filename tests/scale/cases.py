"""Photos with coloured people, a network that finds them, and a run's blocks predicted in this process."""

import hashlib
import json
from collections.abc import Iterable
from pathlib import Path

import cv2
import pyarrow.parquet as parquet

from tests.tiny_onnx import photo_of_people, write_network
from trustpose.predict.fingerprints import model_fingerprint
from trustpose.predict.options import PredictOptions
from trustpose.scale.folder import RunFolder, Total
from trustpose.scale.reading import blocks
from trustpose.scale.stages import BlockPredictor
from trustpose.scale.storage import StoragePath
from trustpose.scale.units import Inputs, Unit

WHOLE = PredictOptions(detector="whole", threads=1)
BROKEN = "broken_0003.jpg"


def write_photos(folder: Path, count: int) -> Path:
    """Photos 1, 2, … of one person each, but number 3, which is cut off."""
    folder.mkdir()
    for number in range(1, count + 1):
        photo, _, _ = photo_of_people(1, seed=number)
        content = cv2.imencode(".png", photo[..., ::-1])[1].tobytes()
        name = BROKEN if number == 3 else f"photo_{number:04d}.png"
        (folder / name).write_bytes(content[:200] if number == 3 else content)
    return folder


def model_in(folder: Path) -> str:
    """The network's file."""
    write_network(folder)
    return str(folder / "colours.onnx")


def run_here(inputs: Inputs, model: str, out: Path, options: PredictOptions = WHOLE) -> Total:
    """Predict every block and write its file, without Ray."""
    predict = BlockPredictor(model, options, model_fingerprint(model))
    folder, total = RunFolder(StoragePath.of(out)), Total()
    for unit in inputs.units:
        for block in blocks(Unit.from_json(unit.to_json())):
            content, counts = predict(block)
            folder.commit(block.name, content)
            total.add(counts)
    return total


def rows(out: Path) -> list[dict]:
    """All poses of a run, by image and place in it."""
    found = parquet.read_table(out / "poses").to_pylist()
    return sorted(found, key=lambda row: (row["image_id"], row["bbox"] or []))


def digest(some: Iterable[dict]) -> str:
    """Of the rows' values."""
    return hashlib.sha256(json.dumps(list(some), sort_keys=True).encode()).hexdigest()
