"""Speeds and accelerations with their errors: how errors of successive frames go together, and what intervals hold.

    python benchmarks/measures_over_time.py [--photos N] [--frames N] [--split dev] [--fit]

  clips      the bundled model on clips with known truth (`moving_clips.py`: a camera that moves over photos), from
             `dev`; coverage of intervals of .5, .8, .9 and .95 of angular velocities and accelerations, of the speeds
             of joints and of the centre of mass, for windows of 2, 6 and 12 frames; beside intervals of independent
             errors ("independent"). Smoothed: the same after `tp.smooth`. "95 %" are intervals from drawing clips
  --fit      prints the table of `measures.error_over_time` instead, from clips of `train`

Frames of the clips are counted as 1/30 s.
"""

import argparse
import pprint
import warnings
from dataclasses import replace

import numpy as np
from coco_photos import ground_truth
from harness import parser, run, table
from moving_clips import HEIGHT, WIDTH, Clip, clips_of

from trustpose.geometry.measures import Measure, built_in_measures, read
from trustpose.images import Images
from trustpose.measures.error_over_time import LAGS, SHARES
from trustpose.measures.measure import measure
from trustpose.measures.motions import ACCELERATION, named_motions, parts_of, path_of
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17
from trustpose.tracking import smooth

FPS = 30.0
LEVELS = (0.5, 0.8, 0.9, 0.95)
WINDOWS = (2, 6, 12)
JOINTS = tuple(f"{side}_{joint}" for side in ("left", "right") for joint in ("wrist", "elbow", "shoulder", "knee"))
ANGLES = tuple(item for item in built_in_measures(COCO_17) if item.kind in ("angle", "tilt"))
POINTS = tuple(item for joint in COCO_17.keypoints[5:] for item in path_of((joint,)))


def without_smoothing(clip: Clip) -> tuple[Poses, np.ndarray | None]:
    return clip.poses, None


def smoothed(clip: Clip) -> tuple[Poses, np.ndarray | None]:
    record = smooth(clip.poses)
    rows = np.arange(len(clip.poses))
    return record.poses[rows], record.std[rows]


def truth_of(clip: Clip, poses: Poses, joints: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The labelled joints in the frame of each pose, and whether all these joints are labelled and in the picture."""
    person, frame = poses.track_id - 1, poses.image_id
    truth = clip.truth[person, frame]
    inside = clip.labelled[person] & (truth >= 0).all(axis=2) & (truth < [WIDTH, HEIGHT]).all(axis=2)
    return truth, inside[:, joints].all(axis=1)


def fitted(clips: list[Clip]) -> dict[str, list[list[list[float]]]]:
    """Quantiles of differences of errors, in units of the root of the sum of their squared sd."""
    tables = {}
    for name, method in (("as found", without_smoothing), ("smoothed", smoothed)):
        read_clips = [(clip, *method(clip)) for clip in clips]
        for group, measures in (("measure", ANGLES), ("point", POINTS)):
            numbers: dict[tuple[str, int], list[np.ndarray]] = {}
            for clip, poses, std in read_clips:
                measured = measure(poses, measures, smoothed_std=std)
                for column, item in enumerate(measures):
                    _collect(numbers, clip, poses, item, measured.value[:, column], measured.sd[:, column])
            for order in ("first", "second"):
                rows = [np.quantile(np.concatenate(numbers[order, lag]), SHARES).round(3).tolist() for lag in LAGS]
                tables[f"{name}, {group}, {order}"] = rows
    return tables


def _collect(numbers: dict, clip: Clip, poses: Poses, item: Measure, value: np.ndarray, sd: np.ndarray) -> None:
    reading = read(item, COCO_17, poses.xy)
    truth, labelled = truth_of(clip, poses, reading.joints)
    error = item.difference(value, read(item, COCO_17, truth).value)
    counted = labelled & np.isfinite(error) & np.isfinite(sd)
    people, frames = clip.truth.shape[:2]
    errors, deviation = (np.full((people, frames), np.nan) for _ in range(2))
    at = (poses.track_id - 1)[counted], poses.image_id[counted]
    errors[at], deviation[at] = error[counted], sd[counted]
    for lag in LAGS:
        first, middle, last = (errors[:, start : frames - 2 * lag + start] for start in (0, lag, 2 * lag))
        one, two, three = (deviation[:, start : frames - 2 * lag + start] for start in (0, lag, 2 * lag))
        second = np.abs(last - 2 * middle + first) / np.sqrt(one**2 + 4 * two**2 + three**2)
        step = np.abs(errors[:, lag:] - errors[:, :-lag]) / np.hypot(deviation[:, lag:], deviation[:, :-lag])
        numbers.setdefault(("first", lag), []).append(step[np.isfinite(step)])
        numbers.setdefault(("second", lag), []).append(second[np.isfinite(second)])


def held(clips: list[Clip]) -> dict[str, dict[str, object]]:
    """Coverage of intervals by kind and window, as found and smoothed, beside intervals of independent errors."""
    names = named_motions(COCO_17)
    kinds = {
        "angular velocity": [f"{item.name}_velocity" for item in ANGLES],
        "angular acceleration": [f"{item.name}_acceleration" for item in ANGLES],
        "speed of joints": [f"{joint}_speed" for joint in JOINTS],
        "speed of the centre of mass": ["centre_of_mass_speed"],
    }
    rows: dict[str, dict[str, object]] = {}
    for kind, wanted in kinds.items():
        chosen = [names[name] for name in wanted if name in names]
        for method_name, method in (("as found", without_smoothing), ("smoothed", smoothed)):
            for window in WINDOWS:
                inside, independent, widths = [], [], []
                for clip in clips:
                    poses, std = method(clip)
                    images = Images(np.arange(clip.truth.shape[1]), time=np.arange(clip.truth.shape[1]) / FPS)
                    options = {"images": images, "window": window / FPS}
                    ours = measure(poses, chosen, smoothed_std=std, levels=LEVELS, **options)
                    truth, _ = truth_of(clip, poses, np.arange(17))
                    labels = measure(replace(poses, xy=truth, missing=None), chosen, intervals=False, **options)
                    parts = measure(poses, parts_of(tuple(chosen)), smoothed_std=std)
                    for column, item in enumerate(chosen):
                        joints = np.array([COCO_17.index(joint) for joint in item.joints])
                        _, labelled = truth_of(clip, poses, joints)
                        counted = labelled & ours.readable[:, column] & np.isfinite(labels.value[:, column])
                        true = labels.value[counted, column]
                        low, high = ours.low[counted, column], ours.high[counted, column]
                        inside.append((low <= true[:, None]) & (true[:, None] <= high))
                        widths.append((high - low)[:, 2] / 2)
                        sd = parts[item.parts[0].name].sd[counted] * FPS / window * np.sqrt(2)
                        if item.kind == ACCELERATION:
                            sd = parts[item.parts[0].name].sd[counted] * np.sqrt(6) / (window / 2 / FPS) ** 2
                        half = np.array([0.6745, 1.2816, 1.6449, 1.96]) * sd[:, None]
                        independent.append(np.abs(true - ours.value[counted, column])[:, None] <= half)
                share = np.concatenate(inside).mean(axis=0)
                plain = np.concatenate(independent).mean(axis=0)
                rows[f"{kind}, {method_name}, {window} frames"] = {
                    "n": sum(map(len, inside)),
                    **{f"{level:g}": round(float(part), 3) for level, part in zip(LEVELS, share, strict=True)},
                    "independent .9": round(float(plain[2]), 3),
                    "half-width of 90 %": round(float(np.median(np.concatenate(widths))), 1),
                }
    return rows


def main(chosen: argparse.Namespace) -> dict[str, object]:
    warnings.simplefilter("ignore")
    split = "train" if chosen.fit else chosen.split
    clips = clips_of("default", ground_truth(chosen.data, split), chosen.data, split, chosen.photos, chosen.frames)
    if chosen.fit:
        tables = fitted(clips)
        print(pprint.pformat(tables, width=110))
        return {"clips": len(clips), **tables}
    rows = held(clips)
    table(f"{len(clips)} clips of {split}", rows)
    return {"clips": len(clips), "held": rows}


if __name__ == "__main__":
    options = parser(__doc__, "data")
    options.add_argument("--photos", type=int, default=40)
    options.add_argument("--frames", type=int, default=45)
    options.add_argument("--split", default="dev")
    options.add_argument("--fit", action="store_true", help="print the table of measures.error_over_time")
    run(main, options)
