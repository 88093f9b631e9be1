"""Photos a second on photos of four people: the default model, its fast setting, MoveNet multipose and MediaPipe.

    taskset -c 0,1 python benchmarks/four_people.py [--rounds N] [--mediapipe FILE.task] [--dev N]

From file to poses on all CPUs that the process may use, in turn over several rounds. Detectors run, and the four boxes
of the highest scores are kept, so that each photo has four people; single-stage models give the people that they find.
"core ms" is CPU time per photo over all threads, the least of the rounds: unlike photos a second it hardly depends on
what else runs, and CPUs / core ms is what an idle machine gives at best. Photos are those of `train` in TRUSTPOSE_DATA
on which four people, and nobody else, are labelled. With `--dev`, instead, as many photos of `dev`, and each model as
it comes: the people that it finds.
"""

import os
import statistics
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from coco_photos import ground_truth, photos_of, predict_all
from harness import in_turns, parser, run, table

import trustpose as tp
from trustpose.geometry.crops import Boxes
from trustpose.predict.boxes import Detector
from trustpose.predict.photos import Image
from trustpose.threads import cpu_count

PEOPLE, MOST_PHOTOS = 4, 24
LEAST_SCORE = 0.05  # of boxes, so that there are four


def find_photos(data: Path) -> list[Image]:
    truth = ground_truth(data, "train")
    counts = Counter(truth.truth.image_id.tolist())
    chosen = [image for image in truth.images.id.tolist() if counts[image] == PEOPLE][:MOST_PHOTOS]
    return photos_of(truth, data / "coco" / "train", chosen)


class FourBoxes:
    """A detector's four boxes of the highest scores."""

    def __init__(self, detector: Detector):
        self.detector = detector

    def __call__(self, pixels: np.ndarray) -> Boxes:
        boxes = self.detector(pixels)
        assert boxes.score is not None
        return Boxes(boxes.xyxy[:PEOPLE], boxes.image_id[:PEOPLE], boxes.score[:PEOPLE])  # sorted by score


def first_of_dev(data: Path, count: int) -> list[Image]:
    truth = ground_truth(data, "dev")
    return photos_of(truth, data / "coco" / "dev")[:count]


def load_default(**options: Any) -> Any:
    predictor = tp.load("default", min_box_score=LEAST_SCORE, **options)
    predictor.detector = FourBoxes(predictor.detector)
    return predictor


def main(options):
    if options.dev:
        photos, default = first_of_dev(options.data, options.dev), partial(tp.load, "default")
    else:
        photos, default = find_photos(options.data), load_default
    models = {"default": default(), "default, fast": default(fast=True)}
    models["MoveNet multipose"] = tp.load(options.data / "networks" / "movenet-multipose.onnx")
    if options.mediapipe is not None:
        models["MediaPipe"] = tp.load(f"mediapipe:{options.mediapipe}")
    work = {name: partial(predict_all, predictor, photos) for name, predictor in models.items()}
    rows = {
        name: {
            "photos/s": len(photos) / statistics.median(timing.seconds for timing in timings),
            "best": len(photos) / min(timing.seconds for timing in timings),
            "core ms": 1000 * min(timing.cpu_seconds for timing in timings) / len(photos),
            "people": len(timings[0].result) / len(photos),
        }
        for name, timings in in_turns(work, options.rounds).items()
    }
    load_average = os.getloadavg()[0]
    print(f"{len(photos)} photos, {cpu_count()} CPUs, load {load_average:.1f} of {os.cpu_count()} on the machine")
    table("", rows, ".1f", people=".2f")
    return rows | {"load": load_average, "cpus": cpu_count()}


if __name__ == "__main__":
    options_parser = parser(__doc__, "rounds", "mediapipe", "data")
    options_parser.add_argument("--dev", type=int, help="so many photos of dev, as the models come")
    run(main, options_parser)
