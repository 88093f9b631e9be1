"""Photos with made-up faults, and the poses that networks see in them.

    python benchmarks/photo_shifts.py --out FOLDER [--split train|dev] [--photos N] [--only NAME …] [--kinds KIND …]

Writes FOLDER/SPLIT/NAME/KIND.json, the results of a network on photos in labelled boxes, for each network (the bundled
default with its trust; SimplePose and MoveNet thunder of TRUSTPOSE_DATA) and kind of fault; "none" are the photos as
they are. Of `train` only photos of val2017, which no network has seen: all of them without a fault, the first N of them
with one. Files that are there are kept.

Each fault is mild ("blurred, mild") or strong:

  blurred    by a Gaussian of 1.5 or 3 pixels
  shrunk     to a third or a fifth, and back
  dark       a half or a quarter as bright, with noise of 5 or 15 grey levels
  noisy      by 20 or 40 grey levels
  JPEG       at quality 15 or 6
  rotated    by 12° or 25°, labels and boxes with it
  cut        at a side, to 75 or 55 % of the width; joints outside are not labelled
  flip test  a network's option, not a fault of photos: maps of the mirrored crop are averaged in
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from coco_photos import ground_truth, in_photos, predict_all
from harness import Cell, parser, run, table

from trustpose.io.coco.truth import TruthFile
from trustpose.io.photos import read_image
from trustpose.io.tables import write_table
from trustpose.predict.boxes import boxes_from_truth
from trustpose.predict.load import load
from trustpose.predict.photos import Image

NETWORKS = {
    "default": "default",
    "SimplePose": "networks/simplepose.onnx",
    "MoveNet thunder": "networks/movenet-thunder.onnx",
}


def _blurred(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    return cv2.GaussianBlur(pixels, (0, 0), strength)


def _shrunk(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    size = pixels.shape[1::-1]
    small = cv2.resize(pixels, None, fx=1 / strength, fy=1 / strength, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, size, interpolation=cv2.INTER_LINEAR)


def _noisy(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return np.clip(pixels + random.normal(0, strength, pixels.shape), 0, 255).round().astype(np.uint8)


def _dark(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:
    return _noisy((pixels * strength).astype(np.float64), 25 - 40 * strength, random)  # type: ignore[arg-type]


def _jpeg(pixels: np.ndarray, strength: float, random: np.random.Generator) -> np.ndarray:  # noqa: ARG001
    _, coded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, int(strength)])
    return cv2.imdecode(coded, cv2.IMREAD_COLOR)


FAULTS: dict[str, tuple[Callable[[np.ndarray, float, np.random.Generator], np.ndarray], float, float]] = {
    "blurred": (_blurred, 1.5, 3),
    "shrunk": (_shrunk, 3, 5),
    "dark": (_dark, 0.5, 0.25),
    "noisy": (_noisy, 20, 40),
    "JPEG": (_jpeg, 15, 6),
}
MOVES = {"rotated": (12.0, 25.0), "cut": (0.75, 0.55)}
STRONG = (*FAULTS, *MOVES)
KINDS = ("none", *(f"{name}{mild}" for name in STRONG for mild in ("", ", mild")), "flip test")


def pixels_with(kind: str, pixels: np.ndarray, image_id: int) -> np.ndarray:
    """Return the pixels of a photo with a fault, the same for the same photo."""
    name, is_mild = kind.removesuffix(", mild"), kind.endswith(", mild")
    if name in FAULTS:
        change, mild, strong = FAULTS[name]
        return change(pixels, mild if is_mild else strong, np.random.default_rng(image_id))
    if name in MOVES:
        height, width = pixels.shape[:2]
        move, size = _move(name, MOVES[name][0 if is_mild else 1], width, height, image_id)
        return cv2.warpAffine(pixels, move, size, borderMode=cv2.BORDER_CONSTANT, borderValue=(104, 116, 124))
    return pixels


def _move(name: str, strength: float, width: int, height: int, image_id: int) -> tuple[np.ndarray, tuple[int, int]]:
    """Return the matrix (2, 3) from the photo's pixels to the moved one's, and the moved one's size."""
    is_odd = image_id % 2
    if name == "rotated":
        matrix = cv2.getRotationMatrix2D((width / 2, height / 2), strength if is_odd else -strength, 1)
        return matrix, (width, height)
    kept = round(strength * width)
    return np.array([[1, 0, 0 if is_odd else kept - width], [0, 1, 0]], float), (kept, height)


def truth_with(kind: str, truth: TruthFile) -> TruthFile:
    """Return the labels of photos with a fault: moved with the photo, without joints and people that left it."""
    name, is_mild = kind.removesuffix(", mild"), kind.endswith(", mild")
    if name not in MOVES:
        return truth
    people = truth.truth
    xy, v, box = people.xy.copy(), people.v.copy(), people.box.copy()
    new_sizes = {}
    sizes = truth.images.sizes(truth.images.id).tolist()
    for image_id, photo_size in zip(truth.images.id.tolist(), sizes, strict=True):
        matrix, size = _move(name, MOVES[name][0 if is_mild else 1], *photo_size, image_id)
        new_sizes[image_id] = size
        rows = np.flatnonzero(people.image_id == image_id)
        xy[rows] = xy[rows] @ matrix[:, :2].T + matrix[:, 2]
        corners = box[rows][:, [[0, 1], [2, 1], [2, 3], [0, 3]]] @ matrix[:, :2].T + matrix[:, 2]  # (n, 4, 2)
        low, high = (np.clip(end, 0, size) for end in (corners.min(axis=1), corners.max(axis=1)))
        if name == "rotated":  # the box of a turned person is about as large as before
            middle, half = corners.mean(axis=1), (box[rows][:, 2:] - box[rows][:, :2]) / 2
            angle = np.deg2rad(MOVES[name][0 if is_mild else 1])
            half = half @ np.array([[np.cos(angle), np.sin(angle)], [np.sin(angle), np.cos(angle)]]) * 0.9
            low, high = (np.clip(middle + sign * half, 0, size) for sign in (-1, 1))
        box[rows] = np.concatenate([low, high], axis=1)
        outside = ((xy[rows] < 0) | (xy[rows] >= size)).any(axis=2)
        v[rows] = np.where(outside, 0, v[rows])
    xy[v == 0] = 0
    stays = ((box[:, 2:] - box[:, :2]) > 8).all(axis=1) & ((v > 0).sum(axis=1) >= np.minimum(people.num_keypoints, 3))
    share = (box[:, 2:] - box[:, :2]).prod(axis=1) / np.maximum((people.box[:, 2:] - people.box[:, :2]).prod(axis=1), 1)
    area = people.area if name == "rotated" else people.area * np.minimum(share, 1)
    moved = replace(people, xy=xy, v=v, box=box, area=area, num_keypoints=None)[np.flatnonzero(stays)]
    width, height = (np.array([new_sizes[number][side] for number in truth.images.id.tolist()]) for side in range(2))
    return replace(truth, truth=moved, images=replace(truth.images, width=width, height=height))


def photos_with(kind: str, truth: TruthFile, folder: Path) -> Iterator[Image]:
    """Yield the photos with a fault that have labelled people, with the boxes of these people."""
    moved = truth_with(kind, truth)
    boxes = boxes_from_truth(moved.truth).of_images(moved.images.id)
    for name, image_id, people in zip(moved.images.file_name, moved.images.id.tolist(), boxes, strict=True):
        if len(people):
            yield Image(pixels_with(kind, read_image(folder / str(name)), image_id), people, image_id)


def photos_of_split(data: Path, split: str, kind: str, photos: int) -> TruthFile:
    """Return the labels of the photos of a split that `main` predicts with this fault, as they are without it."""
    truth = ground_truth(data, split)
    ids = np.sort(truth.images.id)
    if split == "train":
        ids = np.intersect1d(ids, ground_truth(data, "val2017").images.id)
        ids = ids if kind == "none" else ids[:photos]
    return in_photos(truth, ids)


def results_path(folder: Path, split: str, name: str, kind: str) -> Path:
    """Return where `main` writes a network's results."""
    return folder / split / name / f"{kind.replace(', ', '-').replace(' ', '-')}.json"


def main(options):
    people: dict[str, dict[str, Cell]] = {}
    for name in options.only or NETWORKS:
        for kind in options.kinds or KINDS:
            out = results_path(options.out, options.split, name, kind)
            if out.exists():
                continue
            network = NETWORKS[name]
            predictor = load(network if name == "default" else options.data / network, flip=kind == "flip test")
            truth = photos_of_split(options.data, options.split, kind, options.photos)
            poses = predict_all(predictor, photos_with(kind, truth, options.data / "coco" / options.split))
            out.parent.mkdir(parents=True, exist_ok=True)
            write_table(out, poses)
            people[f"{name}, {kind}"] = {"people": len(poses)}
            print(f"{name}, {kind}: {len(poses)} people", flush=True)
    table("predicted", people)
    return people


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    options_parser.add_argument("--out", type=Path, required=True, help="folder of the results")
    options_parser.add_argument("--split", choices=("train", "dev"), default="train", help="whose photos")
    options_parser.add_argument("--photos", type=int, default=700, help="of train, with a fault")
    options_parser.add_argument("--only", action="append", choices=NETWORKS, help="only these networks")
    options_parser.add_argument("--kinds", action="append", choices=KINDS, help="only these faults")
    run(main, options_parser)
