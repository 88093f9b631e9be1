"""Trackers on clips of a moving camera with known people: who is followed, who is confused, and what it costs.

    python benchmarks/tracking.py [--split dev] [--clips N] [--model M] [--choose] [--scale]

The clips (benchmarks/tracking_clips.py) are made from photos of the split in TRUSTPOSE_DATA: the camera pans, zooms, or
looks at people who cross or at a bar that passes. The model's poses are computed once; trackers then link the same
poses, in every frame and in every third. "--flow" is `trustpose predict --track --flow`, whose poses are its own. HOTA,
IDF1 and MOTA (by OKS) are means over clips, in percent; switches are per 100 labelled people, as a sum over all clips;
in brackets the difference from "OKS" with its 95 % interval over clips drawn with replacement. Tracking's time is CPU
time per frame of this run, beside the prediction's. With --choose, thresholds and weights of joints are tried
as well, for the defaults: on `train` only. --scale only measures `track` on 12,500 and on 100,000 made-up poses. The
last line is JSON.
"""

import argparse
import json
import os
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from tracking_clips import Clip, clips

import trustpose as tp
from trustpose.evaluation.track_quality import track_quality
from trustpose.formats.coco import ResultsFile, TruthFile, read_truth
from trustpose.poses import Poses
from trustpose.predict.photos import Image
from trustpose.predict.tracked import FrameTracker
from trustpose.skeletons import COCO_17
from trustpose.tracking import (
    Distance,
    Flow,
    FlowOfFrames,
    Tracker,
    both_distance,
    box_distance,
    distances,
    oks_distance,
    track,
    trust_distance,
)

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
NUMBERS = ("HOTA", "IDF1", "MOTA")
DRAWS = 2000
Options = dict[str, Any]


def without_trust(past: Poses, now: Poses) -> np.ndarray:
    return (oks_distance(past, now) + box_distance(past, now)) / 2


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
    distances = {"both": both_distance, "OKS": oks_distance, "trust": trust_distance, "box": box_distance}
    found: dict[str, tuple[Options, bool]] = {}
    for (name, distance), flow in [(one, flow) for one in distances.items() for flow in (False, True)]:
        for most in (0.5, 0.7, 0.8, 0.9, 0.95, 0.99):
            found[f"{name}{' flow' * flow} {most}"] = ({"distance": distance, "max_distance": most}, flow)
    for memory in (5, 10, 20):
        found[f"both memory {memory}"] = ({"memory": memory}, False)
    for start in (None, 0.1, 0.2, 0.25, 0.35, 0.4, 0.5):
        found[f"both start {start}"] = ({"start_score": start}, False)
    for least in (0.0, 0.05, 0.2, 0.5):
        found[f"both joints' least {least}"] = ({"distance": with_least(least)}, False)
    return found


def with_least(least: float) -> Distance:
    """Return `both_distance` with another weight of joints of which nothing is expected."""

    def distance(past: Poses, now: Poses) -> np.ndarray:
        with mock.patch.object(distances, "_UNTRUSTED_WEIGHT", least):
            return both_distance(past, now)

    return distance


def predicted(predictor: Any, clip: Clip, *, follow: bool) -> tuple[list[Poses], float]:
    """Return the poses of each frame, with tracks if they are followed, and the CPU seconds."""
    frames = [Image(pixels, image_id=at) for at, pixels in enumerate(clip.frames)]
    started = time.process_time()
    stream = FrameTracker(predictor, flow=True).stream if follow else predictor.stream
    poses = [replace(one.poses, photos=None) for one in stream(frames)]
    return poses, time.process_time() - started


def flows_of(clip: Clip, frames: list[int]) -> list[Flow | None]:
    motions = FlowOfFrames()
    return [motions(clip.frames[at]) for at in frames]


def linked(poses: list[Poses], flows: list[Flow | None], options: Options) -> list[Poses]:
    tracker = Tracker(**options)
    return [tracker(one, flow) for one, flow in zip(poses, flows, strict=True)]


def measured(truth: TruthFile, poses: list[Poses]) -> dict[str, float]:
    some = [one for one in poses if len(one)]
    if not some:
        return dict.fromkeys(NUMBERS, 0.0) | {"switches": 0, "people": 1}
    together = Poses.concatenate(some)
    results = ResultsFile(together, together.ranking_score, np.ones(len(together), np.int64), "results", "")
    found = track_quality(truth, results, COCO_17.sigmas, "file")
    assert found is not None
    numbers = {name: getattr(found, name) or 0.0 for name in NUMBERS}
    return numbers | {"switches": found.switches, "people": found.people}


def truth_of(clip: Clip, frames: list[int], folder: Path) -> TruthFile:
    """Return the ground truth of some frames of a clip, read from a file as anybody's is."""
    kept = {
        name: [row for row in rows if row[key] in frames]
        for (name, rows), key in zip(clip.truth.items(), ("id", "image_id"), strict=True)
    }
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    path = folder / "gt.json"
    path.write_text(json.dumps(kept | {"categories": [category]}))
    return read_truth(path)


def intervals(values: np.ndarray, weight: np.ndarray | None, random: np.random.Generator) -> tuple[float, float]:
    """Return the 95 % interval of a mean over clips, or of a sum over a sum."""
    draws = random.integers(0, len(values), (DRAWS, len(values)))
    means = values[draws].mean(axis=1) if weight is None else values[draws].sum(axis=1) / weight[draws].sum(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)


def table(rows: dict[str, list[dict[str, float]]], base: str) -> dict[str, Any]:
    """Print a table of trackers; return its numbers."""
    random, found = np.random.default_rng(0), {}
    people = np.array([one["people"] for one in rows[base]])
    for name, clips_ in rows.items():
        numbers, text = {}, f"{name:28}"
        for number in (*NUMBERS, "switches"):
            values, others = (np.array([one[number] for one in some]) for some in (clips_, rows[base]))
            weight = people if number == "switches" else None
            value = 100 * (values.mean() if weight is None else values.sum() / weight.sum())
            low, high = (100 * one for one in intervals(values - others, weight, random))
            numbers[number] = {"value": value, "low": low, "high": high}
            text += f"{value:8.2f}" + (" " * 16 if name == base else f" [{low:+6.2f},{high:+6.2f}]")
        found[name] = numbers
        print(text)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="dev")
    parser.add_argument("--clips", type=int, default=40)
    parser.add_argument("--model", default="default")
    parser.add_argument("--choose", action="store_true")
    parser.add_argument("--scale", action="store_true")
    arguments = parser.parse_args()
    if arguments.scale:
        scale()
        return
    if arguments.choose and arguments.split == "dev":
        parser.error("--choose is for train: nothing is chosen on dev")
    trackers = TRACKERS | (choices() if arguments.choose else {})
    predictor = tp.load(arguments.model)
    truth, folder = read_truth(DATA / "coco" / f"{arguments.split}_gt.json"), DATA / "coco" / arguments.split
    seconds = dict.fromkeys(["predict", "flow", *trackers], 0.0)
    found: dict[int, dict[str, list[dict[str, float]]]] = {1: {}, 3: {}}
    kinds, frames_seen = [], 0
    with tempfile.TemporaryDirectory() as temporary:
        for clip in clips(truth, folder, arguments.clips):
            poses, used = predicted(predictor, clip, follow=False)
            seconds["predict"] += used
            kinds.append(clip.kind)
            for step, rows in found.items():
                at = list(range(0, len(clip.frames), step))
                people = truth_of(clip, at, Path(temporary))
                started = time.process_time()
                flows = flows_of(clip, at)
                if step == 1:
                    seconds["flow"] += time.process_time() - started
                    frames_seen += len(at)
                none = [None] * len(at)
                for name, (options, is_moved) in trackers.items():
                    if poses[0].quality is None and options.get("distance") is trust_distance:
                        continue
                    started = time.process_time()
                    tracked = linked([poses[one] for one in at], flows if is_moved else none, options)
                    seconds[name] += (time.process_time() - started) * (step == 1)
                    rows.setdefault(name, []).append(measured(people, tracked))
                if step == 1 and predictor.people != "photo" and not arguments.choose:
                    followed, _ = predicted(predictor, clip, follow=True)
                    rows.setdefault("--flow", []).append(measured(people, followed))
    report(arguments, found, kinds, seconds, frames_seen)


def report(
    arguments: argparse.Namespace, found: dict[int, Any], kinds: list[str], seconds: dict[str, float], frames: int
) -> None:
    written: dict[str, Any] = {"split": arguments.split, "model": arguments.model, "clips": len(kinds)}
    for step, rows in found.items():
        which = "every frame" if step == 1 else "every third frame"
        print(f"\n{arguments.model}, {len(kinds)} clips of {arguments.split}, {which}")
        print(f"{'':28}" + "".join(f"{name:>8}{'':16}" for name in (*NUMBERS, "switches")))
        written[which] = table(rows, "OKS")
        print(
            "switches by kind: "
            + "; ".join(_by_kind(name, some, kinds) for name, some in rows.items() if name in TRACKERS)
        )
    each = {name: 1000 * used / frames for name, used in seconds.items()}
    print(f"\nCPU ms a frame: prediction {each['predict']:.1f}; flow {each['flow']:.2f}")
    for name in TRACKERS:
        total = each[name] + (each["flow"] if TRACKERS[name][1] else 0)
        print(f"  {name:28}{each[name]:6.2f}, with flow if it needs it {total / each['predict']:.1%} of the prediction")
    print(json.dumps(written | {"cpu_ms": each}))


def scale(people: int = 4) -> None:
    """Print the CPU seconds of `track` on people who sway, four in each frame."""
    random, found = np.random.default_rng(0), {}
    for count in (12_500, 100_000):
        time_ = np.arange(count // people)[:, None, None, None]
        standing = random.uniform(0, 100, (people, 17, 2)) + 300 * np.arange(people)[:, None, None]
        xy = standing + 60 * np.sin(time_ / 30) + random.normal(0, 1, (count // people, people, 17, 2))
        image_id = np.repeat(np.arange(count // people), people)
        poses = Poses(xy.reshape(-1, 17, 2), pose_score=np.ones(count), image_id=image_id, skeleton=COCO_17)
        started = time.process_time()
        tracks = len(np.unique(track(poses).track_id))
        found[count] = time.process_time() - started
        print(f"{count} poses, {tracks} tracks: {found[count]:.1f} s of CPU time, {count / found[count]:.0f} poses/s")
    print(json.dumps({"seconds": found}))


def _by_kind(name: str, rows: list[dict[str, float]], kinds: list[str]) -> str:
    sums = {
        kind: sum(row["switches"] for row, one in zip(rows, kinds, strict=True) if one == kind)
        for kind in dict.fromkeys(kinds)
    }
    return f"{name} " + " ".join(f"{kind} {count:g}" for kind, count in sums.items())


if __name__ == "__main__":
    main()
