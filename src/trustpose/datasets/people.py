"""People to train on: one labelled person and the pixels around them, whichever files they come from.

Labels stay in the photo's own pixels; `PersonSample.affine` says where the pixels at hand lie in the photo. So a
person drawn from a photo and the same person drawn from a shard have equal labels, equal boxes and equal random
augmentation, and only their pixels went through another JPEG.
"""

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.file_names import find_shown
from trustpose.files import InputError
from trustpose.formats.coco import TruthFile
from trustpose.formats.photos import read_image
from trustpose.poses import Truth
from trustpose.skeletons import Skeleton

_PORTRAIT = 3 / 4  # width / height of the crops of every top-down network here; what a cut is measured by


@dataclass(frozen=True, eq=False)
class PersonSample:
    """One labelled person with pixels, RGB.

    xy (K, 2), box xyxy (4,) and area (square pixels, NaN where unknown) are in the photo's pixels; v (K,) is COCO's.
    `affine` (2, 3), axis-aligned, leads from the photo to `pixels`; it is the identity where those are the whole photo.
    has_joint (K,): the data set speaks of this joint at all; where it does not, v = 0 says nothing, and v > 0 that the
    place is somebody else's (`datasets.pseudo_labels`), good for heatmaps and for no statement about labels.
    has_visibility (K,): v is COCO's; where not, v > 0 says "labelled" only, and 2 stands for it.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    affine: Float[np.ndarray, "2 3"]
    xy: Float[np.ndarray, "K 2"]
    v: Int[np.ndarray, " K"]
    box: Float[np.ndarray, " 4"]
    area: float
    image_id: int
    annotation_id: int
    has_joint: Bool[np.ndarray, " K"]
    has_visibility: Bool[np.ndarray, " K"]

    @property
    def xy_pixels(self) -> Float[np.ndarray, "K 2"]:
        """The keypoints (K, 2) in `pixels`, whatever part of the photo those are."""
        return self.xy * np.diagonal(self.affine) + self.affine[:, 2]


class People(ABC):
    """A sequence of `PersonSample`s that can be copied to other processes. What trainings read, from photos or shards.

    skeleton: what the K keypoints are; image_id, annotation_id (N,): known without reading pixels, to split by.
    """

    skeleton: Skeleton
    image_id: Int[np.ndarray, " N"]
    annotation_id: Int[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.image_id)

    @abstractmethod
    def __getitem__(self, index: int) -> PersonSample:
        """The person at a place from 0 to N − 1. Raises IndexError beyond, InputError where a file is broken."""

    def __iter__(self) -> Iterator[PersonSample]:
        return (self[index] for index in range(len(self)))

    def _check(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(f"person {index} of {len(self)}")
        return int(index)


@dataclass(frozen=True)
class Cut:
    """How much of a photo is kept around a person, and how large.

    The box's height after it was widened or heightened to 3:4 is the unit. A square of `margin` units a side about the
    box's centre is kept, as far as the photo goes, and shrunk (averaging) until the unit is `size` pixels;
    smaller people keep their pixels. Raises ValueError where a number is out of range.
    """

    size: int = 256
    margin: float = 1.5

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ValueError(f"size: expected at least 16 pixels, got {self.size}")
        if not (np.isfinite(self.margin) and self.margin >= 1):
            raise ValueError(f"margin: expected a finite number of at least 1, got {self.margin}")


def cut_sample(sample: PersonSample, cut: Cut) -> PersonSample:
    """The same person, labels untouched, with only the pixels that `cut` keeps."""
    scale, shift = np.diagonal(sample.affine), sample.affine[:, 2]
    box = sample.box.reshape(2, 2) * scale + shift  # in the pixels at hand
    width, height = np.maximum(box[1] - box[0], 1.0)
    unit = max(height, width / _PORTRAIT)
    centre, reach = box.mean(axis=0), cut.margin * unit / 2
    size = np.array(sample.pixels.shape[1::-1])
    low = np.clip(np.floor(centre - reach), 0, size - 1).astype(np.int64)
    high = np.clip(np.ceil(centre + reach) + 1, low + 1, size).astype(np.int64)
    pixels = sample.pixels[low[1] : high[1], low[0] : high[0]]
    factor = np.ones(2)
    if unit > cut.size:
        small = np.maximum(np.rint((high - low) * (cut.size / unit)), 1).astype(np.int64)
        factor = small / (high - low)  # the sides' own, so that rounding them moves no label
        pixels = cv2.resize(pixels, small.tolist(), interpolation=cv2.INTER_AREA)
    moved = (shift - low + 0.5) * factor - 0.5  # resizing keeps pixel edges, coordinates count from centres
    return replace(sample, pixels=np.ascontiguousarray(pixels), affine=np.c_[np.diag(scale * factor), moved])


@dataclass(eq=False)
class PhotoPeople(People):
    """The people of ground truth with photos in a folder, in the order of the file.

    `truth`'s rows need a box and image_id; `file_name` maps image id to the photo's name, `photo_size` to (width,
    height) where the file gives it. `cut`: what is kept of each photo; None is the whole. The last `keep` photos stay
    decoded, so that people who stand beside each other cost one decoding.
    """

    truth: Truth
    folder: Path
    skeleton: Skeleton
    file_name: dict[int, str]
    photo_size: dict[int, tuple[int, int]] = field(default_factory=dict)
    has_joint: Bool[np.ndarray, "N K"] | None = None
    has_visibility: bool = True
    cut: Cut | None = None
    keep: int = 4

    def __post_init__(self) -> None:
        if self.truth.image_id is None or self.truth.box is None:
            raise ValueError("truth: expected image_id and box to be filled, one of them is None")
        self.image_id = self.truth.image_id
        ids = self.truth.annotation_id
        self.annotation_id = np.arange(len(self.image_id)) if ids is None else ids
        self._photos: OrderedDict[int, np.ndarray] = OrderedDict()

    def __getitem__(self, index: int) -> PersonSample:
        at = self._check(index)
        truth, count = self.truth, self.truth.keypoint_count
        assert truth.box is not None
        sample = PersonSample(
            pixels=self._photo(int(self.image_id[at])),
            affine=np.eye(2, 3),
            xy=np.where((truth.v[at] > 0)[:, None], truth.xy[at], 0.0).astype(np.float64),
            v=truth.v[at].astype(np.int64),
            box=truth.box[at].astype(np.float64),
            area=float("nan") if truth.area is None else float(truth.area[at]),
            image_id=int(self.image_id[at]),
            annotation_id=int(self.annotation_id[at]),
            has_joint=np.ones(count, dtype=np.bool_) if self.has_joint is None else self.has_joint[at],
            has_visibility=np.full(count, self.has_visibility),
        )
        return sample if self.cut is None else cut_sample(sample, self.cut)

    def photo_paths(self) -> list[Path]:
        """The photos, each once, in the order of the people."""
        return [find_shown(self.folder, self.file_name[image]) for image in dict.fromkeys(self.image_id.tolist())]

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_photos": OrderedDict()}  # decoded photos stay behind

    def _photo(self, image: int) -> np.ndarray:
        pixels = self._photos.pop(image, None)  # each step whole, as threads share the photos: a thief decodes again
        if pixels is None:
            pixels = self._decoded(image)
        if self.keep:
            self._photos[image] = pixels
            while len(self._photos) > self.keep:
                with suppress(KeyError):  # another thread was faster
                    self._photos.popitem(last=False)
        return pixels

    def _decoded(self, image: int) -> np.ndarray:
        path = find_shown(self.folder, self.file_name[image])
        pixels = read_image(path)
        found, expected = pixels.shape[1::-1], self.photo_size.get(image)
        if expected is not None and expected != found:
            given = f"{expected[0]} × {expected[1]}"
            raise InputError(f"{path}: is {found[0]} × {found[1]} pixels, but its labels are for one of {given}")
        return pixels


def coco_people(
    file: TruthFile, folder: str | Path, *, cut: Cut | None = None, min_keypoints: int = 1, keep: int = 4
) -> PhotoPeople:
    """The people of a COCO ground truth file who have at least `min_keypoints` labels and are no crowd.

    Raises InputError where the folder is missing, or a person has no box or its photo no name; photos are read later.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such directory, expected the folder of the photos")
    truth, images = file.truth, file.images
    assert truth.iscrowd is not None and truth.image_id is not None and truth.annotation_id is not None
    rows = np.flatnonzero((np.count_nonzero(truth.v > 0, axis=1) >= min_keypoints) & ~truth.iscrowd)
    if not len(rows):
        raise InputError(f"{file.path}: no person has {min_keypoints} labelled keypoints or more")
    people = truth[rows]
    boxless = np.arange(len(rows)) if people.box is None else np.flatnonzero(~np.isfinite(people.box).all(axis=1))
    if len(boxless):
        raise InputError(
            f"{file.path}: annotation {rows[boxless[0]]}: field 'bbox': expected one, top-down crops go by it"
        )
    used = set(np.unique(people.image_id).tolist())  # type: ignore[arg-type]
    names: dict[int, str] = {}
    for at, (image, name) in enumerate(zip(images.id.tolist(), images.file_name, strict=True)):
        if image in used and name is None:
            raise InputError(f"{file.path}: image {at}: field 'file_name': expected the photo's name, got nothing")
        if image in used and name is not None:
            names[image] = name
    sizes = zip(images.id.tolist(), images.width.tolist(), images.height.tolist(), strict=True)
    return PhotoPeople(
        truth=people,
        folder=folder,
        skeleton=file.skeleton or Skeleton(Path(file.path).stem, file.keypoint_names, ()),
        file_name=names,
        photo_size={image: (width, height) for image, width, height in sizes if image in used and width and height},
        cut=cut,
        keep=keep,
    )
