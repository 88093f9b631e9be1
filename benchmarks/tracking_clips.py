"""Clips of a moving camera made from photos with labels, so that who is where is known in every frame.

The camera pans, zooms, and shakes over a photo: an affine map for each frame. People cut from other photos, in ellipses
with soft edges, walk through and cross; a bar may sweep over the picture.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from trustpose.io.coco.truth import TruthFile
from trustpose.io.photos import read_image

WIDTH, HEIGHT, FRAMES = 480, 360, 24
KINDS = ("pan", "zoom", "crossing", "bar")
_TALL, _WHOLE, _SEEN = 90, 13, 3  # pixels of a scored person's box; labelled keypoints of a cut-out, and of one in view


@dataclass(frozen=True)
class Clip:
    """Frames (F, H, W, 3) RGB and the ground truth as COCO has it, with `track_id`."""

    name: str
    kind: str
    frames: np.ndarray
    truth: dict


@dataclass(frozen=True)
class _Person:
    """A labelled person in a photo: keypoints (17, 3), xyxy box, area, whether they are scored."""

    keypoints: np.ndarray
    box: np.ndarray
    area: float
    is_scored: bool


def clips(truth: TruthFile, folder, count: int, seed: int = 0) -> Iterator[Clip]:
    """Yield `count` clips of photos with one to five people tall enough, in a fixed order, their kinds in turn."""
    random = np.random.RandomState(seed)
    people = _people(truth)
    names = truth.images.names()
    scored = {image: sum(person.is_scored for person in group) for image, group in people.items()}
    good = [image for image, group in people.items() if 1 <= scored[image] <= 5 and len(group) <= 8]
    whole = [(image, person) for image, group in people.items() for person in group if _is_cut_out(person)]
    for number, image in enumerate(np.array(sorted(good))[random.permutation(len(good))][:count].tolist()):
        kind = KINDS[number % len(KINDS)]
        chosen = [whole[row] for row in random.permutation(len(whole)) if whole[row][0] != image][:2]
        cuts = [(_cut(read_image(folder / names[source]), person)) for source, person in chosen]
        pixels = read_image(folder / names[image])
        yield _clip(f"{kind}-{image}", kind, pixels, people[image], cuts if kind == "crossing" else [], random)


def _people(truth: TruthFile) -> dict[int, list[_Person]]:
    people: dict[int, list[_Person]] = {}
    labels = truth.truth
    for row, image in enumerate(labels.image_id.tolist()):
        keypoints, box = np.c_[labels.xy[row], labels.v[row]], labels.box[row]
        is_scored = labels.num_keypoints[row] >= 6 and box[3] - box[1] >= _TALL
        people.setdefault(image, []).append(_Person(keypoints, box, float(labels.area[row]), bool(is_scored)))
    return people


def _is_cut_out(person: _Person) -> bool:
    width, height = person.box[2:] - person.box[:2]
    return (person.keypoints[:, 2] > 0).sum() >= _WHOLE and height >= 150 and width < 0.8 * height


def _cut(pixels: np.ndarray, person: _Person) -> tuple[np.ndarray, np.ndarray, _Person]:
    """Return a person's pixels, their opacity, and the person in these pixels, 0.75 of a frame tall."""
    low, high = person.box[:2], person.box[2:]
    around = np.array([low - 0.08 * (high - low), high + 0.08 * (high - low)])
    (x0, y0), (x1, y1) = np.clip(around, 0, pixels.shape[1::-1]).round().astype(int)
    scale = 0.75 * HEIGHT / (y1 - y0)
    patch = cv2.resize(pixels[y0:y1, x0:x1], None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
    height, width = patch.shape[:2]
    y, x = np.mgrid[:height, :width]
    off = ((x - width / 2) / (width / 2)) ** 4 + ((y - height / 2) / (height / 2)) ** 4
    moved = _moved(person, np.array([[scale, 0, -x0 * scale], [0, scale, -y0 * scale]]))
    return patch, np.clip((1.05 - off) / 0.25, 0, 1)[..., None], moved


def _moved(person: _Person, affine: np.ndarray) -> _Person:
    keypoints = person.keypoints.copy()
    keypoints[:, :2] = keypoints[:, :2] @ affine[:, :2].T + affine[:, 2]
    corners = np.c_[person.box[[0, 2, 2, 0]], person.box[[1, 1, 3, 3]]] @ affine[:, :2].T + affine[:, 2]
    area = person.area * abs(np.linalg.det(affine[:, :2]))
    return _Person(keypoints, np.r_[corners.min(axis=0), corners.max(axis=0)], area, person.is_scored)


def _camera(kind: str, width: int, height: int, random: np.random.RandomState) -> list[np.ndarray]:
    """Return the affine map (2, 3) from the photo to each frame."""
    fit = max(WIDTH / width, HEIGHT / height)  # the photo fills the frame
    time = np.linspace(0, 1, FRAMES)
    near, far = {"pan": (1.5, 1.6), "zoom": (1.05, 2.0), "crossing": (1.1, 1.2), "bar": (1.1, 1.35)}[kind]
    scale = fit * (near + (far - near) * np.sin(np.pi * time) ** 2)
    turn = np.deg2rad(random.uniform(2, 5)) * np.sin(2 * np.pi * time + random.uniform(0, 6))
    sweep = np.sin(2 * np.pi * time * (1.0 if kind == "pan" else 0.5)) * (1.0 if kind == "pan" else 0.4)
    shake = np.cumsum(random.normal(0, 0.02, (FRAMES, 2)), axis=0)
    room = np.maximum(np.array([width, height]) - np.array([WIDTH, HEIGHT]) / scale[:, None], 0) / 2
    way = np.array([1.0, random.uniform(-0.4, 0.4)])
    centre = np.array([width, height]) / 2 + room * np.clip(sweep[:, None] * way + shake, -1, 1)
    maps = []
    for frame in range(FRAMES):
        cos, sin = np.cos(turn[frame]), np.sin(turn[frame])
        rotation = scale[frame] * np.array([[cos, -sin], [sin, cos]])
        maps.append(np.c_[rotation, np.array([WIDTH, HEIGHT]) / 2 - rotation @ centre[frame]])
    return maps


def _clip(name: str, kind: str, pixels: np.ndarray, people: list[_Person], cuts: list, random) -> Clip:
    frames = np.empty((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    annotations: list[dict] = []
    colour = random.randint(0, 255, 3)
    for number, affine in enumerate(_camera(kind, pixels.shape[1], pixels.shape[0], random)):
        frame = cv2.warpAffine(pixels, affine, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REFLECT)
        visible = [(track, _moved(person, affine)) for track, person in enumerate(people)]
        for walker, (patch, opacity, person) in enumerate(cuts):
            part = number / (FRAMES - 1) if walker == 0 else 1 - number / (FRAMES - 1)
            x = (WIDTH + patch.shape[1] * 0.2) * part - patch.shape[1] * 0.6
            y = HEIGHT - patch.shape[0] * (0.98 - 0.05 * walker) + 3 * np.sin(number)
            _paste(frame, patch, opacity, round(x), round(y))
            shift = np.array([[1.0, 0, round(x)], [0, 1, round(y)]])
            visible.append((len(people) + walker, _moved(person, shift)))
        if kind == "bar":
            x = int((WIDTH + 120) * number / (FRAMES - 1)) - 120
            frame[:, max(x, 0) : max(x + 110, 0)] = colour
        frames[number] = frame
        annotations += [row for track, person in visible if (row := _row(number, track, person)) is not None]
    for number, row in enumerate(annotations, 1):
        row["id"] = number
    size = {"width": WIDTH, "height": HEIGHT, "clip": name}
    images = [{"id": number, **size, "time": number / 25} for number in range(FRAMES)]
    return Clip(name, kind, frames, {"images": images, "annotations": annotations})


def _paste(frame: np.ndarray, patch: np.ndarray, opacity: np.ndarray, x: int, y: int) -> None:
    x0, y0 = max(x, 0), max(y, 0)
    x1, y1 = min(x + patch.shape[1], WIDTH), min(y + patch.shape[0], HEIGHT)
    if x1 <= x0 or y1 <= y0:
        return
    rows, columns = slice(y0 - y, y1 - y), slice(x0 - x, x1 - x)
    part = opacity[rows, columns]
    frame[y0:y1, x0:x1] = (part * patch[rows, columns] + (1 - part) * frame[y0:y1, x0:x1]).round()


def _row(frame: int, track: int, person: _Person) -> dict | None:
    """Return a person's annotation in a frame; None for one out of view."""
    low, high = np.clip(person.box[:2], 0, [WIDTH, HEIGHT]), np.clip(person.box[2:], 0, [WIDTH, HEIGHT])
    if (high - low < 4).any():
        return None
    keypoints = person.keypoints.copy()
    inside = ((keypoints[:, :2] >= 0) & (keypoints[:, :2] < [WIDTH, HEIGHT])).all(axis=1) & (keypoints[:, 2] > 0)
    is_scored = person.is_scored and inside.sum() >= _SEEN
    keypoints[~(inside & is_scored)] = 0
    return {
        "image_id": frame, "category_id": 1, "iscrowd": 0, "track_id": track, "area": person.area,
        "bbox": [*low.tolist(), *(high - low).tolist()], "keypoints": keypoints.ravel().tolist(),
        "num_keypoints": int((keypoints[:, 2] > 0).sum()),
    }  # fmt: skip
