"""Photos with the keypoints of their people, and random views of them, to train networks that see whole photos."""

from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.datasets.occlusion import Photometric, change_light
from trustpose.datasets.photo_boxes import BoxedPhotos, boxed_photos
from trustpose.geometry.crops import of_pixel_middles, transform
from trustpose.io.coco.truth import TruthFile

_LIGHT = Photometric(brightness=0.3, contrast=0.3, saturation=0.4, hue=10.0, grey=0.05, blur=0.05, jpeg=0.05)
_SEEN = 0.3  # share of a box that a view must show; people with less are ignored
_SMALLEST = 12.0  # pixels of a box's longer side in a view; smaller people are ignored
_MARGIN = 0.1  # that a box is enlarged by where all around it is ignored
_OFF_CENTRE = 0.25  # how far from the view's middle a chosen person may be placed, in the view's size


@dataclass(frozen=True, eq=False)
class PhotoView:
    """A square view of a photo with P people who have labels in it.

    xy (P, K, 2): view pixels; labelled (P, K): the joints that are labelled and in the view; box (P, 4): xyxy, cut at
    the view's edges. unlabelled (U, 4): boxes of people without labelled joints. ignored (H, W): pixels of which it is
    not known where joints are.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    xy: Float[np.ndarray, "P K 2"]
    labelled: Bool[np.ndarray, "P K"]
    box: Float[np.ndarray, "P 4"]
    unlabelled: Float[np.ndarray, "U 4"]
    ignored: Bool[np.ndarray, "H W"]
    image_id: int


@dataclass(frozen=True, eq=False)
class LabelledPhotos:
    """Photos with all people that have a box: xy (P, K, 2) in photo pixels and v (P, K) of each photo, in the order of
    `photos.box`.

    is_complete (I,): whether all people of a photo have a box; where they have not, only what is in or near a box
    teaches.
    """

    photos: BoxedPhotos
    xy: list[Float[np.ndarray, "_ K 2"]]
    v: list[Int[np.ndarray, "_ K"]]
    is_complete: Bool[np.ndarray, " I"]

    def __len__(self) -> int:
        return len(self.photos)

    def select(self, rows: Int[np.ndarray, " L"]) -> "LabelledPhotos":
        """Return the photos at `rows`."""
        xy, v = ([values[row] for row in rows] for values in (self.xy, self.v))
        return LabelledPhotos(self.photos.select(rows), xy, v, self.is_complete[rows])


def labelled_photos(file: TruthFile, folder: str | Path, is_complete: Bool[np.ndarray, " I"]) -> LabelledPhotos:
    """Return the photos of a COCO ground truth with their people; is_complete: by photo, in the file's order.

    Raises InputError if the folder is missing, or a photo has no name.
    """
    photos, truth = boxed_photos(file, folder), file.truth
    assert truth.box is not None and truth.iscrowd is not None and truth.image_id is not None
    rows = np.flatnonzero(np.isfinite(truth.box).all(axis=1) & ~truth.iscrowd)
    order = np.argsort(truth.image_id[rows], kind="stable")
    rows = rows[order]
    ends = [np.searchsorted(truth.image_id[rows], photos.image_id, side=side) for side in ("left", "right")]
    of_photo = [rows[low:high] for low, high in zip(*ends, strict=True)]
    xy = np.where((truth.v > 0)[..., None], truth.xy, 0.0)
    return LabelledPhotos(
        photos,
        [xy[rows_of_photo] for rows_of_photo in of_photo],
        [truth.v[rows_of_photo] for rows_of_photo in of_photo],
        is_complete,
    )


@dataclass(frozen=True, eq=False)
class PhotoViews:
    """One random square of `size` pixels per photo: scaled, turned, shifted, mirrored, relit; black outside the photo.

    View i of epoch e is always the same. scales: the range of the photo's longest side relative to the view's, drawn
    uniformly in its logarithm; rotation: degrees, uniform in ± this. A view of a part of a photo has one of its people,
    chosen at random, near its middle.
    """

    photos: LabelledPhotos
    size: int
    flip_index: Int[np.ndarray, " K"]
    scales: tuple[float, float] = (0.9, 2.5)
    rotation: float = 30.0
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.photos)

    def at_epoch(self, epoch: int) -> "PhotoViews":
        """Return the same photos with the draws of another epoch."""
        return replace(self, epoch=epoch)

    def __getitem__(self, index: int) -> PhotoView:
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, self.epoch, index])))
        pixels, shrunk = self.photos.photos.photo(index)
        affine, is_mirrored = self._affine(index, pixels.shape[1], pixels.shape[0], shrunk, random)
        placed = cv2.warpAffine(pixels, of_pixel_middles(affine), (self.size, self.size), flags=cv2.INTER_LINEAR)
        to_view = affine @ np.diag([*shrunk, 1.0])
        view = self._labels(index, to_view, is_mirrored, placed)
        return replace(view, pixels=change_light(placed, _LIGHT, random))

    def _affine(
        self, index: int, width: int, height: int, shrunk: np.ndarray, random: np.random.Generator
    ) -> tuple[Float[np.ndarray, "2 3"], bool]:
        """Draw the affine from the decoded photo's pixels to the view's, and whether it mirrors."""
        u = random.random(6)
        low, high = self.scales
        scale = self.size / max(width, height) * low * (high / low) ** u[0]
        boxes = self.photos.photos.box[index][(self.photos.v[index] > 0).any(axis=1)]
        size = np.array([width, height])
        anchor = size / 2 if not len(boxes) else boxes[int(u[1] * len(boxes))].reshape(2, 2).mean(axis=0) * shrunk
        middle = self.size * (0.5 + _OFF_CENTRE * (2 * u[2:4] - 1))
        free = self.size - scale * size  # negative where the photo is larger than the view
        shift = np.clip(middle - scale * anchor, np.minimum(free, 0), np.maximum(free, 0))
        is_mirrored = bool(u[4] < 0.5)
        angle = np.deg2rad(self.rotation * (2 * u[5] - 1))
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        linear = turn @ np.diag([-1.0 if is_mirrored else 1.0, 1.0])  # about the view's middle
        half = self.size / 2
        return np.c_[linear * scale, linear @ (shift - half) + half], is_mirrored

    def _labels(
        self, index: int, affine: Float[np.ndarray, "2 3"], is_mirrored: bool, pixels: UInt8[np.ndarray, "H W 3"]
    ) -> PhotoView:
        photos, v = self.photos.photos, self.photos.v[index]
        xy = transform(np.broadcast_to(affine, (len(v), 2, 3)), self.photos.xy[index])
        if is_mirrored:
            xy, v = xy[:, self.flip_index], v[:, self.flip_index]
        labelled = (v > 0) & ((xy >= 0) & (xy < self.size)).all(axis=2)
        corners = _corners(photos.box[index], affine)
        box = _turned(photos.box[index], affine)
        cut = np.clip(box, 0, self.size)
        area, seen = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (box, cut))
        longer = (cut[:, 2:] - cut[:, :2]).max(axis=1, initial=0)
        is_large = (seen > _SEEN * area) & (longer >= _SMALLEST)
        taught = labelled.any(axis=1) & is_large
        unlabelled = is_large & ~(v > 0).any(axis=1)
        ignored = np.zeros((self.size, self.size), np.uint8)
        if not self.photos.is_complete[index]:
            size = photos.box[index][:, 2:] - photos.box[index][:, :2]
            around = photos.box[index] + _MARGIN * np.concatenate([-size, size], axis=1)
            ignored[:] = 1
            _fill(ignored, _corners(around, affine), 0)
        _fill(ignored, corners[~taught & (seen > 0)], 1)
        _fill(ignored, _corners(photos.crowd[index], affine), 1)
        _fill(ignored, corners[taught & False], 0)
        return PhotoView(
            pixels, xy[taught], labelled[taught], cut[taught], cut[unlabelled], ignored > 0, int(photos.image_id[index])
        )


def _corners(box: Float[np.ndarray, "N 4"], affine: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "N 4 2"]:
    """Return the four corners of boxes, in order around each, moved by an affine."""
    corners = box[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
    return transform(np.broadcast_to(affine, (len(box), 2, 3)), corners)


def _turned(box: Float[np.ndarray, "N 4"], affine: Float[np.ndarray, "2 3"]) -> Float[np.ndarray, "N 4"]:
    """Return the boxes around the ellipses inside boxes, moved by an affine: turned corners would be too far out."""
    centre, half = (box[:, :2] + box[:, 2:]) / 2, (box[:, 2:] - box[:, :2]) / 2
    centre, half = centre @ affine[:, :2].T + affine[:, 2], np.sqrt(half**2 @ (affine[:, :2] ** 2).T)
    return np.concatenate([centre - half, centre + half], axis=1)


def _fill(mask: UInt8[np.ndarray, "H W"], corners: Float[np.ndarray, "N 4 2"], value: int) -> None:
    for four in corners:
        cv2.fillConvexPoly(mask, np.rint(four).astype(np.int32), value)
