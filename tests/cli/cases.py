"""Run a command in this process; small files for it; JSON values with random faults."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import trustpose as tp
from trustpose.cli import main


def run(*arguments: str | Path) -> int:
    """Exit code of the command, in this process."""
    with pytest.raises(SystemExit) as done:
        main([str(argument) for argument in arguments])
    return int(done.value.code or 0)


def small_files(folder: Path) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Results and ground truth of four people in three photos."""
    random = np.random.default_rng(0)
    images = [{"id": i, "file_name": f"{i}.jpg", "width": 100, "height": 100} for i in (1, 2, 3)]
    annotations, results = [], []
    for i, image in enumerate((1, 1, 2, 3)):
        xy, v = random.uniform(0, 90, (17, 2)).round(1), random.integers(0, 3, 17)
        annotations.append({
            "id": i + 1, "image_id": image, "category_id": 1, "iscrowd": 0, "area": 4000.0, "bbox": [0, 0, 90, 90],
            "keypoints": np.c_[xy * (v > 0)[:, None], v].ravel().tolist(), "num_keypoints": int((v > 0).sum()),
        })  # fmt: skip
        found = np.c_[(xy + random.normal(0, 4, (17, 2))).round(2), random.random(17).round(3)]
        results.append({
            "image_id": image, "category_id": 1, "annotation_id": i + 1, "bbox": [0, 0, 90, 90], "bbox_score": 0.9,
            "keypoints": found.ravel().tolist(), "score": 0.1 * i + 0.2,
        })  # fmt: skip
    names = list(tp.SKELETONS["coco17"].keypoints)
    categories = [{"id": 1, "name": "person", "keypoints": names, "skeleton": [[1, 2]]}]
    truth = {"images": images, "annotations": annotations, "categories": categories}
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "results.json").write_text(json.dumps(results))
    return results, truth


WRONG = [None, True, -1, 0, 1.5, 2**63, 2**70, "", "x", "1", [], [1], [[1]], {}, {"a": 1}, 1e308, -1e308, "\ud800"]


def mutated(random: np.random.Generator, value: Any) -> Any:
    """A copy of a JSON value with one random fault."""
    if isinstance(value, (list, dict)) and len(value) and random.random() < 0.85:
        keys = list(range(len(value))) if isinstance(value, list) else list(value)
        key = keys[random.integers(len(keys))]
        copy = value.copy()
        action = random.random()
        if action < 0.1:
            del copy[key]
        elif action < 0.2 and isinstance(copy, list):
            copy.insert(int(key), copy[key])
        else:
            copy[key] = mutated(random, value[key])
        return copy
    return WRONG[random.integers(len(WRONG))]


def as_bytes(random: np.random.Generator, value: Any) -> bytes:
    """The mutated value as a file, which may itself be damaged."""
    content = json.dumps(value, allow_nan=True).encode()
    damage = random.random()
    if damage < 0.1:
        return content[: random.integers(0, len(content))]
    if damage < 0.15:
        return content.replace(b"0.", random.choice([b"NaN", b"Infinity", b"-Infinity", b"1e999"]), 1)
    if damage < 0.2:
        index = random.integers(0, len(content))
        return content[:index] + random.bytes(3) + content[index:]
    if damage < 0.22:
        return content.decode().encode("utf-16")
    return content
