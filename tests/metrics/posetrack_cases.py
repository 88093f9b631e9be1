"""PoseTrack 2018 sequences made from the labels of three real frames, and a tracker's results on them: people who
drift and hide, joints that are off or not found, false alarms, switches, frames without labels or without poses.

`python -m tests.metrics.posetrack_cases DATA FOLDER` writes them also as poseval reads them: FOLDER/gt/ and FOLDER/pr/.
"""

import copy
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

FRAMES = 16


def write_sequences(data: Path, folder: Path, seed: int = 0) -> None:
    """Write gt.json, results.json, and gt/ and pr/ with one file for each sequence."""
    random = np.random.RandomState(seed)  # its numbers never change
    whole: dict[str, Any] = {"images": [], "annotations": []}
    results: list[dict[str, Any]] = []
    for path in sorted((data / "layouts/posetrack18/annotations/val").glob("*.json")):
        real = json.loads(path.read_text())
        truth: dict[str, Any] = {"images": [], "annotations": [], "categories": real["categories"]}
        copied = copy.deepcopy(truth)
        for image, people, poses in _sequence(real, random):
            truth["images"].append(image)
            copied["images"].append({"id": image["id"], "file_name": image["file_name"]})
            truth["annotations"] += people
            for keypoints, scores, track in poses:
                row = {"image_id": image["id"], "category_id": 1, "track_id": track}
                placed = np.c_[keypoints, (keypoints != 0).any(axis=1)]
                copied["annotations"].append({**row, "keypoints": placed.ravel().tolist(), "scores": scores.tolist()})
                own = np.c_[keypoints, np.where(placed[:, 2] > 0, scores, 0)]
                results.append({**row, "keypoints": own.ravel().tolist(), "score": float(scores.mean())})
        for part, name in ((truth, "gt"), (copied, "pr")):
            for index, row in enumerate(part["annotations"]):
                row["id"] = truth["images"][0]["id"] * 1000 + index
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name / path.name).write_text(json.dumps(part))
        whole["images"] += truth["images"]
        whole["annotations"] += truth["annotations"]
        whole["categories"] = real["categories"]
    (folder / "gt.json").write_text(json.dumps(whole))
    (folder / "results.json").write_text(json.dumps(results))


def _sequence(real: dict[str, Any], random: np.random.RandomState) -> Iterator[tuple[dict[str, Any], list, list]]:
    """Yield each frame's image, its labelled people, and its poses: joints (17, 2), scores and the track's id."""
    people = real["annotations"] + [
        {**annotation, "track_id": annotation["track_id"] + 50, "shift": 350.0}
        for annotation in real["annotations"][:3]
    ]
    track = {person["track_id"]: index for index, person in enumerate(people)}
    drift = {person["track_id"]: random.normal(0, 6, 2) for person in people}
    fresh = 100
    for number in range(FRAMES):
        image = {**real["images"][0], "is_labeled": number % 6 != 5}
        image |= {"id": image["id"] + number, "frame_id": image["id"] + number}
        image["file_name"] = f"{Path(image['file_name']).parent}/{number:06d}.jpg"
        if random.rand() < 0.3:
            image = {name: value for name, value in image.items() if not name.startswith("ignore_regions")}
        if random.rand() < 0.2:
            first, second = random.choice(list(track), 2, replace=False).tolist()
            track[first], track[second] = track[second], track[first]
        if random.rand() < 0.2:
            track[random.choice(list(track)).item()] = fresh
            fresh += 1
        labelled, poses = [], []
        is_blind = random.rand() < 0.08
        for person in people:
            row, pose = _person(person, drift[person["track_id"]] * number, random)
            if image["is_labeled"] and random.rand() < 0.93:
                labelled.append({**row, "image_id": image["id"]})
            if random.rand() >= 0.12 and not is_blind:
                poses.append((*pose, track[person["track_id"]]))
        if random.rand() < 0.4:
            poses.append((random.uniform(0, 1080, (17, 2)), random.rand(17), fresh))
            fresh += 1
        yield image, labelled, poses


def _person(person: dict[str, Any], moved: np.ndarray, random: np.random.RandomState) -> tuple[dict[str, Any], tuple]:
    """Return a person's labels, some of them hidden, and a pose."""
    keypoints = np.array(person["keypoints"], float).reshape(17, 3)
    there = (keypoints != 0).any(axis=1)
    moved = moved + np.array([person.get("shift", 0.0), 0.0])
    keypoints[there, :2] += moved
    head = np.array(person["bbox_head"], float) + np.array([*moved, 0, 0])
    pose = keypoints[:, :2] + random.normal(0, 0.3 * 0.6 * np.hypot(*head[2:]), (17, 2))
    pose[~there | (random.rand(17) < 0.15)] = 0
    keypoints[there & (random.rand(17) < 0.1)] = 0
    box = np.array(person["bbox"], float) + np.array([*moved, 0, 0])
    row = {name: value for name, value in person.items() if name != "shift"}
    row |= {"keypoints": keypoints.ravel().tolist(), "bbox_head": head.tolist(), "bbox": box.tolist()}
    return row, (pose, random.rand(17))


if __name__ == "__main__":
    write_sequences(Path(sys.argv[1]), Path(sys.argv[2]))
