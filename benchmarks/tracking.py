"""Trackers on clips of a moving camera with known people: who is followed, who is confused, and what it costs.

    python benchmarks/tracking.py [--split dev] [--clips N] [--model M] [--choose] [--scale]

The clips (benchmarks/tracking_clips.py) are made from photos of the split in TRUSTPOSE_DATA: the camera pans, zooms, or
looks at people who cross or at a bar that passes. The model's poses are computed once; trackers then link the same
poses, in every frame and in every third. "--flow" is `trustpose predict --track --flow`, whose poses are its own. HOTA,
IDF1 and MOTA (by OKS) are means over clips, in percent; switches are per 100 labelled people, as a sum over all clips;
in brackets the difference from "OKS" with its 95 % interval over clips drawn with replacement. Tracking's time is CPU
time per frame of this run, beside the prediction's. With --choose, thresholds and weights of joints are tried
as well, for the defaults: on `train` only. --scale only measures `track` on 12,500 and on 100,000 made-up poses.
"""

import json
import tempfile
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from coco_photos import ground_truth, results_of
from harness import parser, run, table, timed
from tracking_clips import Clip, clips

import trustpose as tp
from trustpose.evaluation.tracking import track_quality
from trustpose.files import InputError
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.poses import Poses
from trustpose.predict.photos import Image
from trustpose.predict.tracked import default_tracker, tracked_predictions
from trustpose.skeletons import COCO_17
from trustpose.tracking import (
    Distance,
    FlowOfFrames,
    Tracker,
    both_distance,
    box_distance,
    oks_distance,
    track,
    trust_distance,
)

NUMBERS = ("HOTA", "IDF1", "MOTA")
DRAWS = 2000
Options = dict[str, Any]


def without_trust(past: Poses, current: Poses) -> np.ndarray:
    return (oks_distance(past, current) + box_distance(past, current)) / 2


TRACKERS: dict[str, tuple[Options, bool]] = {  # options, and whether flow moves the last poses
    "both (default)": ({}, False),
    "both, links alike": ({"weigh": False}, False),
    "both, without trust": ({"distance": without_trust}, False),
    "both, any score begins": ({"start_score": None}, False),
    "both, all of these": ({"weigh": False, "distance": without_trust, "start_score": None}, False),
    "both, greedy": ({"matching": "greedy"}, False),
    "both, nearest of 4": ({"history": 4}, False),
    "both, mean of 4, decayed": ({"history": 4, "earlier": "decayed"}, False),
    "box IoU": ({"distance": box_distance}, False),
    "OKS": ({"distance": oks_distance}, False),
    "OKS, nearest of 4": ({"distance": oks_distance, "history": 4}, False),
    "OKS by trust": ({"distance": trust_distance}, False),
    "OKS, links alike": ({"distance": oks_distance, "weigh": False}, False),
    "OKS by trust, links alike": ({"distance": trust_distance, "weigh": False}, False),
    "both, flow": ({}, True),
    "both, flow, nearest of 4": ({"history": 4}, True),
    "box IoU, flow": ({"distance": box_distance}, True),
    "OKS, flow": ({"distance": oks_distance}, True),
    "OKS, flow, nearest of 4": ({"distance": oks_distance, "history": 4}, True),
    "OKS by trust, flow": ({"distance": trust_distance}, True),
}


def choices() -> dict[str, tuple[Options, bool]]:
    """Return trackers with other thresholds, for `--choose`."""
    named = {"both": both_distance, "OKS": oks_distance, "trust": trust_distance, "box": box_distance}
    trackers: dict[str, tuple[Options, bool]] = {}
    for (name, distance), flow, limit in product(named.items(), (False, True), (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)):
        trackers[f"{name}{' flow' * flow} {limit}"] = ({"distance": distance, "max_distance": limit}, flow)
    for memory in (5, 10, 20):
        trackers[f"both memory {memory}"] = ({"memory": memory}, False)
    for start in (None, 0.1, 0.2, 0.25, 0.35, 0.4, 0.5):
        trackers[f"both start {start}"] = ({"start_score": start}, False)
    for min_weight in (0.0, 0.05, 0.2, 0.5):
        trackers[f"both joints' least {min_weight}"] = ({"distance": with_min_weight(min_weight)}, False)
    return trackers


def with_min_weight(min_weight: float) -> Distance:
    """Return `both_distance` with another weight of joints of which nothing is expected."""

    def distance(past: Poses, current: Poses) -> np.ndarray:
        with mock.patch("trustpose.tracking.tracker._UNTRUSTED_WEIGHT", min_weight):
            return both_distance(past, current)

    return distance


def predicted(predictor: Any, clip: Clip, *, follow: bool) -> tuple[list[Poses], float]:
    """Return the poses of each frame, with tracks if they are followed, and the CPU seconds."""
    frames = [Image(pixels, image_id=number) for number, pixels in enumerate(clip.frames)]
    tracker = default_tracker(predictor)
    stream = partial(tracked_predictions, predictor, tracker=tracker, flow=True) if follow else predictor.stream
    timing = timed(lambda: [replace(prediction.poses, photos=None) for prediction in stream(frames)])
    return timing.result, timing.cpu_seconds


def flows_of(clip: Clip, frames: list[int]) -> list[np.ndarray]:
    """Return the optical flow from each frame to the next, as `FlowOfFrames` computes it of small frames."""
    motions = FlowOfFrames()
    flows = [motions(clip.frames[number]) for number in frames]
    return [flow.field for flow in flows if flow is not None]


def linked(poses: list[Poses], clip: Clip, frames: list[int], flows: list[np.ndarray] | None, options: Options) -> Any:
    """Return the poses of some frames of a clip with tracks; with `flows`, earlier poses are moved by them."""
    remaining = iter(flows or ())
    tracker = Tracker(**options, flow_function=lambda last, current: next(remaining))  # noqa: ARG005
    tracked_poses = []
    for step, frame in enumerate(frames):
        photos = None if flows is None else [(step, clip.frames[frame])]
        tracked_poses.append(tracker(poses[frame], photos, frame=np.full(len(poses[frame]), step)))
    return tracked_poses


def measured(truth: TruthFile, poses: list[Poses]) -> dict[str, float]:
    frames = [frame for frame in poses if len(frame)]
    if not frames:
        return dict.fromkeys(NUMBERS, 0.0) | {"switches": 0, "people": 1}
    quality = track_quality(truth, results_of(truth, Poses.concatenate(frames)), COCO_17.sigmas, "file")
    assert quality is not None
    numbers = {name: getattr(quality, name) or 0.0 for name in NUMBERS}
    return numbers | {"switches": quality.switches, "people": quality.people}


def truth_of(clip: Clip, frames: list[int], folder: Path) -> TruthFile:
    """Return the ground truth of some frames of a clip, read from a file as anybody's is."""
    rows = {
        name: [row for row in clip_rows if row[key] in frames]
        for (name, clip_rows), key in zip(clip.truth.items(), ("id", "image_id"), strict=True)
    }
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    path = folder / "gt.json"
    path.write_text(json.dumps(rows | {"categories": [category]}))
    return read_coco_truth(path)


def intervals(values: np.ndarray, weight: np.ndarray | None, random: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % interval of a mean over clips, or of a sum over a sum."""
    draws = random.integers(0, len(values), (DRAWS, len(values)))
    means = values[draws].mean(axis=1) if weight is None else values[draws].sum(axis=1) / weight[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def numbers_of(rows: dict[str, list[dict[str, float]]], base: str) -> dict[str, dict[str, dict[str, float]]]:
    """Each tracker's numbers over the clips, and the intervals of their differences from those of `base`."""
    random, numbers = np.random.default_rng(0), {}
    people = np.array([row["people"] for row in rows[base]])
    for name, tracker in rows.items():
        numbers[name] = {}
        for number in (*NUMBERS, "switches"):
            values, base_values = (np.array([row[number] for row in clip_rows]) for clip_rows in (tracker, rows[base]))
            weight = people if number == "switches" else None
            value = 100 * (values.mean() if weight is None else values.sum() / weight.sum())
            low, high = (100 * end for end in intervals(values - base_values, weight, random))
            numbers[name][number] = {"value": value, "low": low, "high": high}
    return numbers


def follow_clips(options, predictor: Any, trackers: dict[str, tuple[Options, bool]]) -> dict[str, Any]:
    """The numbers of every tracker on every clip, by step between frames; CPU seconds; numbers of clips and frames."""
    truth, folder = ground_truth(options.data, options.split), options.data / "coco" / options.split
    seconds = dict.fromkeys(["predict", "flow", *trackers], 0.0)
    rows: dict[int, dict[str, list[dict[str, float]]]] = {1: {}, 3: {}}
    clip_count, frame_count = 0, 0
    with tempfile.TemporaryDirectory() as temporary:
        for clip in clips(truth, folder, options.clips):
            poses, used = predicted(predictor, clip, follow=False)
            seconds["predict"] += used
            clip_count += 1
            for step, by_tracker in rows.items():
                frames = list(range(0, len(clip.frames), step))
                people = truth_of(clip, frames, Path(temporary))
                flow = timed(lambda: flows_of(clip, frames))  # noqa: B023
                if step == 1:
                    seconds["flow"] += flow.cpu_seconds
                    frame_count += len(frames)
                for name, (settings, is_moved) in trackers.items():
                    if poses[0].quality is None and settings.get("distance") is trust_distance:
                        continue
                    flows = flow.result if is_moved else None
                    tracked = timed(lambda: linked(poses, clip, frames, flows, settings))  # noqa: B023
                    seconds[name] += tracked.cpu_seconds * (step == 1)
                    by_tracker.setdefault(name, []).append(measured(people, tracked.result))
                if step == 1 and predictor.people != "photo" and not options.choose:
                    followed, _ = predicted(predictor, clip, follow=True)
                    by_tracker.setdefault("--flow", []).append(measured(people, followed))
    return {"rows": rows, "seconds": seconds, "clips": clip_count, "frames": frame_count}


def main(options):
    if options.scale:
        return scale()
    if options.choose and options.split == "dev":
        raise InputError("--choose is for train: nothing is chosen on dev")
    trackers = TRACKERS | (choices() if options.choose else {})
    measured_clips = follow_clips(options, tp.load(options.model), trackers)
    record: dict[str, Any] = {"split": options.split, "model": options.model, "clips": measured_clips["clips"]}
    for step, rows in measured_clips["rows"].items():
        which = "every frame" if step == 1 else "every third frame"
        numbers = record[which] = numbers_of(rows, "OKS")
        shown = {
            name: {key: value["value"] for key, value in row.items()}
            | {f"{key} − OKS's": f"[{value['low']:+.2f}, {value['high']:+.2f}]" for key, value in row.items()}
            for name, row in numbers.items()
        }
        table(f"{options.model}, {record['clips']} clips of {options.split}, {which}", shown, ".2f")
    milliseconds = {name: 1000 * used / measured_clips["frames"] for name, used in measured_clips["seconds"].items()}
    shown = {}
    for name, (_, is_moved) in TRACKERS.items():
        total = milliseconds[name] + (milliseconds["flow"] if is_moved else 0)
        share = f"{total / milliseconds['predict']:.1%}"
        shown[name] = {"CPU ms a frame": milliseconds[name], "with flow if it needs it, of the prediction": share}
    print(f"\nCPU ms a frame: prediction {milliseconds['predict']:.1f}; flow {milliseconds['flow']:.2f}")
    table("", shown, ".2f")
    return record | {"cpu_ms": milliseconds}


def scale(people: int = 4) -> dict[str, dict[int, float]]:
    """Print the CPU seconds of `track` on people who sway, four in each frame."""
    random, seconds = np.random.default_rng(0), {}
    for count in (12_500, 100_000):
        time = np.arange(count // people)[:, None, None, None]
        standing = random.uniform(0, 100, (people, 17, 2)) + 300 * np.arange(people)[:, None, None]
        xy = standing + 60 * np.sin(time / 30) + random.normal(0, 1, (count // people, people, 17, 2))
        image_id = np.repeat(np.arange(count // people), people)
        poses = Poses(xy.reshape(-1, 17, 2), pose_score=np.ones(count), image_id=image_id, skeleton=COCO_17)
        timing = timed(lambda: len(np.unique(track(poses).track_id)))  # noqa: B023
        used = seconds[count] = timing.cpu_seconds
        print(f"{count} poses, {timing.result} tracks: {used:.1f} s of CPU time, {count / used:.0f} poses/s")
    return {"seconds": seconds}


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    add = options_parser.add_argument
    add("--split", default="dev", help="of the photos")
    add("--clips", type=int, default=40, help="number of clips")
    add("--model", default="default", help="what finds the people")
    add("--choose", action="store_true", help="try thresholds and weights of joints as well, on train")
    add("--scale", action="store_true", help="the time of many poses only")
    run(main, options_parser)
