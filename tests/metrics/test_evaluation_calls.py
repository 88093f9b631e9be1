"""The work of an evaluation is done in numpy's loops: Python's calls do not grow with the photos."""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType

import numpy as np

import trustpose
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.average_precision import evaluate

SOURCES = tuple(str(Path(package.__file__).parent) for package in (trustpose, np))


def write_copies(folder: Path, photos: int) -> tuple[Path, Path]:
    """A ground truth and results in which every photo has the same three people and nine results."""
    random = np.random.default_rng(0)
    xy, v = random.integers(0, 300, (3, 17, 2)), random.integers(0, 3, (3, 17))
    noise = random.integers(-9, 10, (9, 17, 2))
    people = [
        {
            "category_id": 1,
            "keypoints": np.c_[xy[i], v[i]].ravel().tolist(),
            "num_keypoints": int((v[i] > 0).sum()),
            "bbox": [0, 0, 300, 300],
            "area": 4000 * (i + 1),
            "iscrowd": 0,
        }
        for i in range(3)
    ]
    results = [
        {
            "category_id": 1,
            "keypoints": np.c_[xy[i % 3] + noise[i], np.ones(17)].ravel().tolist(),
            "score": 1 - i / 10,
        }
        for i in range(9)
    ]
    ids = range(1, photos + 1)
    truth = {
        "images": [{"id": i, "file_name": f"{i}.jpg", "width": 640, "height": 640} for i in ids],
        "annotations": [person | {"image_id": i, "id": 3 * i + n} for i in ids for n, person in enumerate(people)],
        "categories": [{"id": 1, "name": "person", "keypoints": [f"joint {k}" for k in range(17)]}],
    }
    files = folder / f"gt-{photos}.json", folder / f"results-{photos}.json"
    files[0].write_text(json.dumps(truth))
    files[1].write_text(json.dumps([row | {"image_id": i} for i in ids for row in results]))
    return files


def count_calls(work: Callable[[], object]) -> Counter[str]:
    """Calls of our functions and numpy's, by name; not those of the tests' shape checks, which wrap them."""
    calls: Counter[str] = Counter()

    def note(frame: FrameType, event: str, _: object) -> None:
        if event == "call" and frame.f_code.co_filename.startswith(SOURCES):
            calls[frame.f_code.co_qualname] += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return calls


def test_calls_do_not_grow_with_the_photos(tmp_path: Path) -> None:
    calls = []
    for photos in (10, 10, 60):  # the first fills caches; all fit into one block of every loop
        gt, results = write_copies(tmp_path, photos)

        def numbers(gt: Path = gt, results: Path = results) -> None:
            truth = read_coco_truth(gt)
            poses = read_results(results, truth=truth)
            evaluate(poses.poses, truth.truth, poses.score, sigmas=np.full(17, 0.05), area="file").summary()

        calls.append(count_calls(numbers))
    assert sum(calls[1].values()) > 100
    assert calls[2] == calls[1], calls[2] - calls[1]
