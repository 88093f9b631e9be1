"""Photos a second on photos of four people: the default model, its fast setting, MoveNet multipose and MediaPipe.

    taskset -c 0,1 python benchmarks/four_people.py [--rounds N] [--mediapipe FILE.task] [--model NAME=FOLDER ...]

From file to poses on all CPUs that the process may use, in turn over several rounds. Detectors run, and the four boxes
of the highest scores are kept, so that each photo has four people; single-stage models give the people that they find.
"core ms" is CPU time per photo over all threads, the least of the rounds: unlike photos a second it hardly depends on
what else runs, and CPUs / core ms is what an idle machine gives at best. Then one line of JSON. Photos are those of
`train` in TRUSTPOSE_DATA on which four people, and nobody else, are labelled.
"""

import argparse
import json
import os
import resource
import statistics
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

import trustpose as tp
from trustpose.formats.coco import read_truth
from trustpose.geometry.crops import Boxes
from trustpose.predict.boxes import Detector
from trustpose.predict.photos import Image
from trustpose.runtime.sessions import cpu_count

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
PEOPLE, MOST = 4, 24
LEAST = 0.05  # score of boxes, so that there are four


def photos() -> list[Image]:
    truth = read_truth(DATA / "coco" / "train_gt.json")
    assert truth.truth.image_id is not None
    counts = Counter(truth.truth.image_id.tolist())
    names = zip(truth.images.id.tolist(), truth.images.file_name, strict=True)
    chosen = [str(name) for image, name in names if counts[image] == PEOPLE][:MOST]
    return [Image(DATA / "coco" / "train" / name, None, at) for at, name in enumerate(chosen)]


class Four:
    """A detector's four boxes of the highest scores."""

    def __init__(self, detector: Detector):
        self.detector = detector

    def __call__(self, pixels: np.ndarray) -> Boxes:
        found = self.detector(pixels)
        assert found.score is not None
        return Boxes(found.xyxy[:PEOPLE], found.image_id[:PEOPLE], found.score[:PEOPLE])  # sorted by score


def load(model: str | Path, **options: Any) -> Any:
    predictor = tp.load(model, min_box_score=LEAST, **options)
    if predictor.detector is not None:
        predictor.detector = Four(predictor.detector)
    return predictor


def cpu_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def once(predictor: Any, some: list[Image]) -> tuple[float, float, float]:
    """Seconds and CPU seconds per photo, people per photo."""
    started, used, people = time.perf_counter(), cpu_seconds(), 0
    for prediction in predictor.stream(some):
        if prediction.error is not None:
            raise prediction.error
        people += len(prediction.poses)
    return tuple(one / len(some) for one in (time.perf_counter() - started, cpu_seconds() - used, people))


def run(given: argparse.Namespace) -> None:
    some = photos()
    multipose = DATA / "networks" / "movenet-multipose.onnx"
    models = {"default": load("default"), "default, fast": load("default", fast=True)}
    models["MoveNet multipose"] = tp.load(multipose)
    for name, _, folders in (text.partition("=") for text in given.model):
        folder, _, detector = folders.partition("+")
        models[name] = load(folder, detector=detector or None)
    if given.mediapipe is not None:
        models["MediaPipe"] = tp.load(f"mediapipe:{given.mediapipe}")
    taken: dict[str, list[tuple[float, float, float]]] = {name: [] for name in models}
    for at in range(given.rounds + 1):
        for name, predictor in models.items():
            measured = once(predictor, some)
            if at:  # the first round opens files and caches
                taken[name].append(measured)
    result = {}
    print(f"{len(some)} photos, {cpu_count()} CPUs, load {os.getloadavg()[0]:.1f} of {os.cpu_count()} on the machine")
    print(f"{'':<24}{'photos/s':>10}{'best':>8}{'core ms':>10}{'people':>8}")
    for name, rounds in taken.items():
        seconds, cpu, people = zip(*rounds, strict=True)
        row = {"photos/s": 1 / statistics.median(seconds), "best": 1 / min(seconds), "core ms": 1000 * min(cpu)}
        result[name] = row | {"people": people[0]}
        print(f"{name:<24}{row['photos/s']:>10.1f}{row['best']:>8.1f}{row['core ms']:>10.1f}{people[0]:>8.2f}")
    print(json.dumps(result | {"load": os.getloadavg()[0], "cpus": cpu_count()}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--mediapipe", type=Path, help="MediaPipe's pose landmarker bundle")
    parser.add_argument("--model", action="append", default=[], help="another one: NAME=FOLDER or NAME=FOLDER+DETECTOR")
    run(parser.parse_args())
