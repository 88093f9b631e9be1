"""People made up for tests: dots of known colours at their joints, in memory, in photos and in COCO files."""

import json
from dataclasses import dataclass, fields
from pathlib import Path

import cv2
import numpy as np

from trustpose.datasets.people import People, PersonLabels, PersonSample
from trustpose.skeletons import COCO_17, Skeleton

JOINTS = Skeleton(
    name="six",
    keypoints=("head", "left_wrist", "right_wrist", "pelvis", "left_ankle", "right_ankle"),
    edges=((0, 3), (1, 0), (2, 0), (3, 4), (3, 5)),
)
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 0], [0, 255, 255], [255, 0, 255]], np.uint8)


@dataclass(eq=False)
class ListedPixels:
    """The pixels of people held in memory."""

    samples: list[PersonSample]
    identity: str = "in memory"

    def pixels(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        return self.samples[row].pixels, self.samples[row].affine


def listed_people(samples: list[PersonSample], skeleton: Skeleton = JOINTS) -> People:
    """People held in memory."""
    columns = {
        field.name: np.array([getattr(sample, field.name) for sample in samples]) for field in fields(PersonLabels)
    }
    return People.of(skeleton, PersonLabels(**columns), ListedPixels(samples))


def person(pixels, xy, v=None, box=None, affine=None, number=0) -> PersonSample:
    """A sample; the box is the keypoints' unless given."""
    xy = np.asarray(xy, dtype=np.float64)
    v = np.full(len(xy), 2) if v is None else np.asarray(v)
    box = np.concatenate([xy.min(axis=0), xy.max(axis=0)]) if box is None else np.asarray(box, dtype=np.float64)
    flags = np.ones(len(xy), dtype=np.bool_)
    affine = np.eye(2, 3) if affine is None else affine
    return PersonSample(pixels, affine, xy, v, box, 5000.0, 7, number, flags, flags)


def dotted(seed: int, width: int = 400, height: int = 500, radius: int = 6) -> PersonSample:
    """A black photo with one dot of its own colour at each of six joints, none touching another."""
    random = np.random.default_rng(seed)
    cells = random.permutation(30)[:6]
    xy = np.c_[cells % 5, cells // 5] * [60, 66] + [70, 70] + random.integers(-10, 11, (6, 2))
    photo = np.zeros((height, width, 3), np.uint8)
    for position, colour in zip(xy.tolist(), COLOURS.tolist(), strict=True):
        cv2.circle(photo, position, radius, colour, -1)
    return person(photo, xy, number=seed)


def find_dot(pixels: np.ndarray, colour: np.ndarray) -> np.ndarray:
    """The middle (2,) of what has this colour: every channel that it has bright, every other dark."""
    is_on = np.where(colour > 0, pixels > 120, pixels < 60).all(axis=2)
    y, x = np.nonzero(is_on)
    return np.array([x.mean(), y.mean()]) if len(x) else np.full(2, np.nan)


def write_coco(folder: Path, photos: int = 4, seed: int = 0) -> tuple[Path, Path]:
    """(ground truth, photo folder): smooth coloured photos, three people each: small, large, and with only a box."""
    random = np.random.default_rng(seed)
    (folder / "photos").mkdir(parents=True)
    images, annotations = [], []
    for image in range(1, photos + 1):
        width, height = (int(side) for side in random.integers(420, 640, 2))
        small = random.integers(0, 256, (height // 24, width // 24, 3), np.uint8)
        photo = cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)
        name = f"{image:04d}.png"
        cv2.imwrite(str(folder / "photos" / name), photo)
        images.append({"id": image, "file_name": name, "width": width, "height": height})
        for index, tall in enumerate((60, 410, 120)):
            low = random.uniform(0, [width - tall / 2 - 1, height - tall - 1])
            xy = low + random.uniform(0, [tall / 2, tall], (17, 2))
            v = random.choice([0, 1, 2], 17, p=[0.2, 0.2, 0.6]) * (index < 2)
            annotations.append(
                {
                    "id": image * 10 + index,
                    "image_id": image,
                    "category_id": 1,
                    "iscrowd": 0,
                    "area": tall * tall / 3,
                    "bbox": [*low.tolist(), tall / 2, tall],
                    "keypoints": np.c_[xy * (v > 0)[:, None], v].ravel().tolist(),
                    "num_keypoints": int((v > 0).sum()),
                }
            )
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    truth = {"images": images, "annotations": annotations, "categories": [category]}
    (folder / "gt.json").write_text(json.dumps(truth))
    return folder / "gt.json", folder / "photos"


def equal_labels(person_sample: PersonSample, other_person_sample: PersonSample, within: float = 1e-9) -> bool:
    """Whether two samples have equal labels, lengths within so many photo pixels."""
    columns = ("v", "image_id", "annotation_id", "has_joint", "has_visibility")
    same = all(np.array_equal(getattr(person_sample, name), getattr(other_person_sample, name)) for name in columns)
    near = (
        np.abs(person_sample.xy - other_person_sample.xy).max() <= within
        and np.abs(person_sample.box - other_person_sample.box).max() <= within
    )
    return same and bool(near) and bool(np.isclose(person_sample.area, other_person_sample.area, equal_nan=True))


def write_training_folder(folder: Path, photos: int) -> Path:
    """train_gt.json and train/ in `folder`, as `trustpose train --data` reads them; gives the folder."""
    truth, where = write_coco(folder, photos=photos)
    truth.rename(folder / "train_gt.json")
    where.rename(folder / "train")
    return folder
