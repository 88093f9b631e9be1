"""Small files as each tool writes them, after its documentation, of two photos with known people."""

import csv
import json
import pickle
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from trustpose.poses import Poses
from trustpose.skeletons import COCO_17, Skeleton

PHOTOS = {"000000000785.jpg": (785, 640, 425), "COCO_val2014_000000040083.jpg": (40083, 333, 500)}


def people(count: int = 2, seed: int = 0, skeleton: Skeleton = COCO_17) -> Poses:
    """People of the first photo, coordinates with two decimals, boxes around them; limbs are short, as a body's."""
    random = np.random.default_rng(seed)
    xy = random.uniform(20, 400, (count, len(skeleton), 2)).round(2)
    for start, end in skeleton.edges:
        xy[:, end] = np.clip(xy[:, start] + random.uniform(-30, 30, (count, 2)), 20, 400).round(2)
    low, high = xy.min(axis=1), xy.max(axis=1)
    return Poses(
        xy=xy,
        score=random.uniform(0.01, 0.99, xy.shape[:2]).round(4),
        pose_score=random.uniform(0.1, 0.9, count).round(4),
        box=np.concatenate([low - 5, high + 5], axis=1).round(2),
    )


def triplets(poses: Poses) -> list[list[float]]:
    """x, y, score of each keypoint in one flat list a person."""
    assert poses.score is not None
    return np.concatenate([poses.xy, poses.score[..., None]], axis=2).reshape(len(poses), -1).tolist()


def mmpose_instances(poses: Poses) -> list[dict[str, Any]]:
    """As mmpose's inferencer writes them: the box is wrapped in one more list."""
    assert poses.score is not None and poses.box is not None and poses.pose_score is not None
    columns = [column.tolist() for column in (poses.xy, poses.score, poses.box, poses.pose_score)]
    return [
        {"keypoints": xy, "keypoint_scores": score, "bbox": [box], "bbox_score": whole}
        for xy, score, box, whole in zip(*columns, strict=True)
    ]


def ultralytics_detections(poses: Poses) -> list[dict[str, Any]]:
    """As `Results.to_json()` prints them."""
    assert poses.score is not None and poses.box is not None and poses.pose_score is not None
    columns = (poses.xy, poses.score, poses.box, poses.pose_score)
    return [
        {
            "name": "person",
            "class": 0,
            "confidence": float(whole),
            "box": dict(zip(("x1", "y1", "x2", "y2"), box.tolist(), strict=True)),
            "keypoints": {"x": xy[:, 0].tolist(), "y": xy[:, 1].tolist(), "visible": score.tolist()},
        }
        for xy, score, box, whole in zip(*columns, strict=True)
    ]


def ultralytics_labels(poses: Poses, width: int, height: int, *, with_confidence: bool = True) -> str:
    """As `save_txt=True` writes them, `%g` as its documentation's examples have them."""
    assert poses.score is not None and poses.box is not None and poses.pose_score is not None
    lines = []
    for xy, score, (x0, y0, x1, y1), whole in zip(poses.xy, poses.score, poses.box, poses.pose_score, strict=True):
        box = [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]
        points = np.concatenate([xy / (width, height), score[:, None]], axis=1).ravel()
        numbers = [*box, *points, *([whole] if with_confidence else [])]
        lines.append("0 " + " ".join(f"{number:.6g}" for number in numbers))
    return "\n".join(lines) + "\n"


def openpose_frame(poses: Poses, field: str = "pose_keypoints_2d") -> dict[str, Any]:
    """As `--write_json` writes a frame."""
    rest = {"face_keypoints_2d": [], "hand_left_keypoints_2d": [], "hand_right_keypoints_2d": []}
    return {"version": 1.3, "people": [{"person_id": [-1], field: flat, **rest} for flat in triplets(poses)]}


def alphapose_results(poses: Poses, photo: str) -> list[dict[str, Any]]:
    """As `alphapose-results.json` has them, of a tracked video or folder."""
    assert poses.box is not None and poses.pose_score is not None
    size = poses.box[:, 2:] - poses.box[:, :2]
    boxes = np.concatenate([poses.box[:, :2], size], axis=1).round(2).tolist()
    return [
        {
            "image_id": photo,
            "category_id": 1,
            "keypoints": flat,
            "score": float(whole) + 2.5,
            "box": box,
            "idx": [float(number)],
        }
        for number, (flat, whole, box) in enumerate(zip(triplets(poses), poses.pose_score, boxes, strict=True), 1)
    ]


DEEPLABCUT_MULTI = """\
scorer,DLC_resnet50_run,DLC_resnet50_run,DLC_resnet50_run,DLC_resnet50_run,DLC_resnet50_run,DLC_resnet50_run,\
DLC_resnet50_run,DLC_resnet50_run,DLC_resnet50_run,DLC_resnet50_run,DLC_resnet50_run,DLC_resnet50_run,DLC_resnet50_run,\
DLC_resnet50_run,DLC_resnet50_run
individuals,mouse1,mouse1,mouse1,mouse1,mouse1,mouse1,mouse2,mouse2,mouse2,mouse2,mouse2,mouse2,single,single,single
bodyparts,snout,snout,snout,tail,tail,tail,snout,snout,snout,tail,tail,tail,corner,corner,corner
coords,x,y,likelihood,x,y,likelihood,x,y,likelihood,x,y,likelihood,x,y,likelihood
0,63.42,27.44,0.97,2.62,80.7,0.5,60.45,72.49,0.25,92.64,80.95,1.0,48.61,88.17,0.9
1,85.03,4.29,0.75,18.21,85.59,0.125,,,,,,,36.06,57.01,0.9
2,61.31,38.6,0.5,,,,68.47,39.11,0.5,71.71,52.48,0.75,40.0,50.0,0.9
"""
DEEPLABCUT_SINGLE = """\
scorer,DLC,DLC,DLC,DLC,DLC,DLC
bodyparts,snout,snout,snout,tail,tail,tail
coords,x,y,likelihood,x,y,likelihood
0,88.25,23.26,0.5,9.23,82.6,0.75
1,24.46,86.9,0.25,33.94,15.73,1.0
"""


def write_hdf5(path: Path, text: str, layout: str) -> Path:
    """A DeepLabCut CSV as pandas stores it in HDF5, in the layout "table" or "fixed" of pandas 1.5 to 3.0."""
    lines = list(csv.reader(text.splitlines()))
    count = next(index for index, line in enumerate(lines) if line[0] == "coords") + 1
    keys = list(zip(*[line[1:] for line in lines[:count]], strict=True))
    values = np.array([[cell or "nan" for cell in line[1:]] for line in lines[count:]], dtype=np.float64)
    names = [line[0] for line in lines[count:]]
    kind = "integer" if all(name.isdecimal() for name in names) else "string"
    index = np.array(names, dtype=np.int64) if kind == "integer" else np.array([name.encode() for name in names])
    with h5py.File(path, "w") as file:
        frame = file.create_group("df_with_missing")
        if layout == "table":
            rows = np.zeros(len(index), [("index", index.dtype), ("values_block_0", "<f8", (len(keys),))])
            rows["index"], rows["values_block_0"] = index, values
            frame["table"] = rows
            frame["table"].attrs["index_kind"] = np.bytes_(kind)
            frame["table"].attrs["values_block_0_kind"] = np.bytes_(pickle.dumps(keys, 0))
        else:
            write_levels(frame, "block0_items", keys)
            frame["block0_values"], frame["axis1"] = values, index
            frame["block0_values"].attrs["transposed"] = np.uint8(1)
            frame["axis1"].attrs["kind"] = np.bytes_(kind)
            frame.attrs["axis1_variety"] = np.bytes_("regular")
        frame.attrs["pandas_type"] = np.bytes_("frame_table" if layout == "table" else "frame")
    return path


def write_levels(frame: h5py.Group, name: str, keys: Sequence[tuple[str, ...]]) -> None:
    """A pandas index of several levels in the layout "fixed": each level's names, and which of them each key has."""
    frame.attrs[f"{name}_variety"] = np.bytes_("multi")
    frame.attrs[f"{name}_nlevels"] = np.int64(len(keys[0]))
    for level, names in enumerate(zip(*keys, strict=True)):
        known = sorted(set(names))
        frame[f"{name}_level{level}"] = np.array([one.encode() for one in known])
        frame[f"{name}_level{level}"].attrs["kind"] = np.bytes_("string")
        frame[f"{name}_label{level}"] = np.array([known.index(name) for name in names], dtype=np.int8)


def ground_truth(keypoints: tuple[str, ...] = COCO_17.keypoints) -> dict[str, Any]:
    """A ground truth of both photos without labelled people."""
    images = [{"id": i, "file_name": name, "width": w, "height": h} for name, (i, w, h) in PHOTOS.items()]
    return {
        "images": images,
        "annotations": [],
        "categories": [{"id": 1, "name": "person", "keypoints": list(keypoints), "skeleton": []}],
    }


def write(path: Path, value: Any) -> Path:
    """A file of the JSON value, or of the text; its folders are made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path
