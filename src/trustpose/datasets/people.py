"""Training data: label arrays of all people, and the pixels around each of them, from any files.

Labels stay in the photo's own pixels; an affine maps the photo to the available pixels. So a person from a photo and
the same person from a shard have equal labels, boxes and random augmentation; only the pixels differ, by another JPEG
compression.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped, UInt8

from trustpose.poses import SEGMENT
from trustpose.skeletons import Skeleton


@dataclass(frozen=True, eq=False)
class PersonSample:
    """One labelled person with pixels, RGB.

    xy (K, 2), box xyxy (4,) and area (square pixels, NaN if unknown) are in the photo's pixels; v (K,) is COCO's.
    `affine` (2, 3), axis-aligned, maps the photo to `pixels`; it is the identity if those are the whole photo.
    area_source, has_joint, has_visibility (K,), overlap: as in `PersonLabels`.
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
    area_source: str = SEGMENT
    overlap: float = 1.0


@dataclass(frozen=True, eq=False)
class PersonLabels:
    """The labels of N people, one row each; coordinates in photo pixels, areas in square photo pixels.

    xy is 0 where v = 0. area: NaN if unknown; area_source: the source of each, as in `Truth`. has_joint (N, K): whether
    the data set labels this joint; if not, v = 0 means unknown, and v > 0 means that the position is a pseudo-label
    (`datasets.dataset_ops`), which is a target for heatmaps but not for P(labelled). has_visibility (N, K): whether v
    is COCO's; if not, v > 0 means "labelled" only, and is 2. overlap: IoU of the box with the labelled box of the
    person, below 1 for a detector's box (`datasets.detected_boxes`); 1 if not given.
    """

    xy: Float[np.ndarray, "N K 2"]
    v: Int[np.ndarray, "N K"]
    box: Float[np.ndarray, "N 4"]
    area: Float[np.ndarray, " N"]
    image_id: Int[np.ndarray, " N"]
    annotation_id: Int[np.ndarray, " N"]
    has_joint: Bool[np.ndarray, "N K"]
    has_visibility: Bool[np.ndarray, "N K"]
    area_source: Shaped[np.ndarray, " N"] | None = None
    overlap: Float[np.ndarray, " N"] | None = None

    def __post_init__(self) -> None:
        sources = np.full(len(self.v), SEGMENT) if self.area_source is None else self.area_source
        object.__setattr__(self, "area_source", np.asarray(sources, dtype=np.str_))
        if self.overlap is None:
            object.__setattr__(self, "overlap", np.ones(len(self.v)))

    @property
    def is_ternary(self) -> Bool[np.ndarray, "N K"]:
        """Keypoints whose v is COCO's 0, 1 or 2."""
        return self.has_joint & (self.has_visibility | (self.v == 0))

    def __len__(self) -> int:
        return len(self.v)

    def __getitem__(self, rows: Int[np.ndarray, " L"] | slice) -> "PersonLabels":
        """Return the labels of some people, in the order of `rows`."""
        return PersonLabels(*(getattr(self, field.name)[rows] for field in fields(self)))

    def sample(self, index: int, pixels: UInt8[np.ndarray, "H W 3"], affine: Float[np.ndarray, "2 3"]) -> PersonSample:
        """Return one person with pixels, and the affine from the photo to them."""
        return PersonSample(
            pixels=pixels,
            affine=affine,
            xy=self.xy[index],
            v=self.v[index],
            box=self.box[index],
            area=float(self.area[index]),
            image_id=int(self.image_id[index]),
            annotation_id=int(self.annotation_id[index]),
            has_joint=self.has_joint[index],
            has_visibility=self.has_visibility[index],
            area_source=str(self.area_source[index]),  # type: ignore[index]
            overlap=float(self.overlap[index]),  # type: ignore[index]
        )

    @classmethod
    def concatenate(cls, parts: Sequence["PersonLabels"]) -> "PersonLabels":
        """Concatenate the people of all parts."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))


@runtime_checkable
class PixelSource(Protocol):
    """A source of pixels: photos in a folder, or shards. It can be copied to other processes.

    identity: a text that differs for other pixels, as far as that is known without reading them.
    """

    @property
    def identity(self) -> str: ...

    def pixels(self, row: int) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "2 3"]]:
        """Return the pixels (H, W, 3), RGB, around the source's person `row`, and the axis-aligned affine from the
        photo to them. Raises InputError if a file is broken."""
        ...


@dataclass(frozen=True, eq=False)
class People:
    """A sequence of `PersonSample`s: labels (N), and for each person its pixel source, of `sources`, and its row there.

    Operations on it (`datasets.dataset_ops`) change arrays only, not how pixels are read.
    """

    skeleton: Skeleton
    labels: PersonLabels
    sources: tuple[PixelSource, ...]
    source: Int[np.ndarray, " N"]
    row: Int[np.ndarray, " N"]

    @classmethod
    def of(cls, skeleton: Skeleton, labels: PersonLabels, source: PixelSource) -> "People":
        """Return people whose pixels all come from one source, in its order."""
        return cls(skeleton, labels, (source,), np.zeros(len(labels), np.int64), np.arange(len(labels)))

    @property
    def image_id(self) -> Int[np.ndarray, " N"]:
        return self.labels.image_id

    @property
    def annotation_id(self) -> Int[np.ndarray, " N"]:
        return self.labels.annotation_id

    @cached_property
    def identity(self) -> str:
        """The SHA-256 of all labels and of the pixel sources."""
        digest = hashlib.sha256(
            repr((self.skeleton.keypoints, len(self), [source.identity for source in self.sources])).encode()
        )
        columns = [getattr(self.labels, field.name) for field in fields(self.labels)]
        for array in (*columns, self.source, self.row):
            digest.update(np.ascontiguousarray(array).tobytes())
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.labels)

    def __iter__(self) -> Iterator[PersonSample]:
        return (self[index] for index in range(len(self)))

    def pixels(self, index: int) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "2 3"]]:
        """Return pixels (H, W, 3), RGB, around a person, and the affine from the photo to them. Raises InputError."""
        return self.sources[int(self.source[index])].pixels(int(self.row[index]))

    def __getitem__(self, index: int) -> PersonSample:
        """Return the person at index 0 … N − 1. Raises IndexError beyond, InputError if a file is broken."""
        if not 0 <= index < len(self):
            raise IndexError(f"person {index} of {len(self)}")
        return self.labels.sample(index, *self.pixels(index))
