"""Photos with the boxes of all their people, and random views of them, to train person detectors."""

from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.datasets.occlusion import Photometric, change_light
from trustpose.files import InputError, find_shown
from trustpose.io.coco.truth import TruthFile
from trustpose.io.photos import read_image

_LIGHT = Photometric(brightness=0.3, contrast=0.3, saturation=0.4, hue=10.0, grey=0.05, blur=0.05, jpeg=0.05)
_SEEN = 0.3  # share of a box that a view must show; boxes with less are ignored
_SMALLEST = 8.0  # pixels of a box's longer side in a view; smaller boxes are ignored
_LARGEST_DECODED = 640  # longest side of the decoded photos in the cache


@dataclass(frozen=True, eq=False)
class View:
    """A square of a photo, or of four. box (N, 4) xyxy in its pixels; ignored (H, W): neither person nor background."""

    pixels: UInt8[np.ndarray, "H W 3"]
    box: Float[np.ndarray, "N 4"]
    ignored: Bool[np.ndarray, "H W"]
    image_id: int


@dataclass(eq=False)
class BoxedPhotos:
    """Photos with the boxes of all their people, in the order of the file: image_id (I,), boxes xyxy of each, with
    crowds.

    Decoded photos, shrunk to 640 pixels, are cached in `room` bytes. `stretched`: they are made square, as a detector
    sees them that stretches photos to its input.
    """

    folder: Path
    image_id: Int[np.ndarray, " I"]
    file_name: list[str]
    box: list[Float[np.ndarray, "_ 4"]]
    crowd: list[Float[np.ndarray, "_ 4"]]
    stretched: bool = False
    room: int = 2_000_000_000
    _decoded: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.image_id)

    def select(self, rows: Int[np.ndarray, " L"]) -> "BoxedPhotos":
        """Return the photos at `rows`, with their cached pixels and the whole cache size."""
        lists = {name: [getattr(self, name)[row] for row in rows] for name in ("file_name", "box", "crowd")}
        decoded = {index: self._decoded[row] for index, row in enumerate(rows.tolist()) if row in self._decoded}
        room = self.room + _bytes(self._decoded) - _bytes(decoded)
        return replace(self, image_id=self.image_id[rows], room=room, _decoded=decoded, **lists)

    def photo(self, index: int) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, " 2"]]:
        """Return the pixels, RGB, possibly shrunk, and the scale factors of x and y. Raises InputError if the file is
        broken."""
        if index in self._decoded:
            return self._decoded[index]
        path = find_shown(self.folder, self.file_name[index])
        pixels = read_image(path)
        width_height = np.array(pixels.shape[1::-1])
        shrunk = width_height.max() if self.stretched else width_height
        size = np.maximum(np.rint(shrunk * min(1.0, _LARGEST_DECODED / width_height.max())), 1).astype(int)
        if (size != width_height).any():
            is_smaller = (size <= width_height).all()
            interpolation = cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
            pixels = cv2.resize(pixels, np.broadcast_to(size, 2).tolist(), interpolation=interpolation)
        scale = size / width_height
        if self.room >= pixels.nbytes:
            self.room -= pixels.nbytes
            self._decoded[index] = pixels, scale
        return pixels, scale


def _bytes(decoded: dict[int, tuple[np.ndarray, np.ndarray]]) -> int:
    return sum(pixels.nbytes for pixels, _ in decoded.values())


def boxed_photos(file: TruthFile, folder: str | Path, complete: set[int] | None = None) -> BoxedPhotos:
    """Return the photos of a COCO ground truth, with the boxes of all people; if given, only those in `complete`.

    Raises InputError if the folder is missing or a photo has no name.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such directory, expected the folder with the photos")
    truth = file.truth
    if truth.box is None or truth.image_id is None or truth.iscrowd is None:
        raise InputError(f"{file.path}: field 'bbox': expected one for each person")
    names = file.images.names()
    photos = [(image, names.get(image)) for image in file.images.id.tolist() if complete is None or image in complete]
    if not photos or any(name is None for _, name in photos):
        raise InputError(f"{file.path}: images: field 'file_name': expected the photos' names")
    is_box = np.isfinite(truth.box).all(axis=1)
    rows = {image: np.flatnonzero((truth.image_id == image) & is_box) for image, _ in photos}
    return BoxedPhotos(
        folder=folder,
        image_id=np.array([image for image, _ in photos]),
        file_name=[str(name) for _, name in photos],
        box=[truth.box[rows[image]][~truth.iscrowd[rows[image]]] for image, _ in photos],
        crowd=[truth.box[rows[image]][truth.iscrowd[rows[image]]] for image, _ in photos],
    )


@dataclass(frozen=True, eq=False)
class TrainingViews:
    """One random square of `size` pixels per photo: scaled, shifted, mirrored, relit; sometimes of four photos.

    View i of epoch e is always the same. `mosaic`: the probability of four photos in one; `scales`: the range of the
    photo's longest side relative to the view's.
    """

    photos: BoxedPhotos
    size: int = 384
    mosaic: float = 0.5
    scales: tuple[float, float] = (0.5, 1.9)
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.photos)

    def at_epoch(self, epoch: int) -> "TrainingViews":
        """Return the same photos with the draws of another epoch."""
        return replace(self, epoch=epoch)

    def __getitem__(self, index: int) -> View:
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, self.epoch, index])))
        if random.random() < self.mosaic:
            view = self._four(index, random)
        else:
            view = _placed(self.photos, index, self.size, self.scales, random)
        return replace(view, pixels=change_light(view.pixels, _LIGHT, random))

    def _four(self, index: int, random: np.random.Generator) -> View:
        half = self.size // 2
        photos = [index, *random.integers(len(self.photos), size=3).tolist()]
        parts = [_placed(self.photos, photo, half, self.scales, random) for photo in photos]
        corners = np.array([[0, 0], [half, 0], [0, half], [half, half]])
        pixels, ignored = (
            np.concatenate([np.concatenate(rows[:2], axis=1), np.concatenate(rows[2:], axis=1)])
            for rows in ([part.pixels for part in parts], [part.ignored for part in parts])
        )
        box = np.concatenate([part.box + np.tile(corner, 2) for part, corner in zip(parts, corners, strict=True)])
        return View(pixels, box, ignored, parts[0].image_id)


def _placed(
    photos: BoxedPhotos, index: int, size: int, scales: tuple[float, float], random: np.random.Generator
) -> View:
    """Place a photo at random scale and position in a square, mirrored half the time; black outside the photo."""
    pixels, shrunk = photos.photo(index)
    u = random.random(4)
    longest = max(pixels.shape[:2])
    scale = size / longest * scales[0] * (scales[1] / scales[0]) ** u[0]
    free = size - scale * np.array(pixels.shape[1::-1])  # negative if the photo is larger than the square
    shift = free * u[1:3]
    is_mirrored = u[3] < 0.5
    linear = np.array([-scale if is_mirrored else scale, scale])
    shift = np.array([size - shift[0] if is_mirrored else shift[0], shift[1]])
    of_pixels = shift - [scale * is_mirrored, 0]  # mirroring swaps a pixel's left and right edge
    placed = cv2.warpAffine(pixels, np.c_[np.diag(linear), of_pixels], (size, size), flags=cv2.INTER_LINEAR)

    def moved(box: np.ndarray) -> np.ndarray:
        ends = box.reshape(-1, 2, 2) * shrunk * linear + shift
        return np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1)

    box, crowd = moved(photos.box[index]), moved(photos.crowd[index])
    cut = np.clip(box, 0, size)
    area, seen = ((b[:, 2:] - b[:, :2]).prod(axis=1) for b in (box, cut))
    longer = (cut[:, 2:] - cut[:, :2]).max(axis=1, initial=0)
    counts = (seen > _SEEN * area) & (longer >= _SMALLEST)
    ignored = np.zeros((size, size), dtype=np.bool_)
    for x0, y0, x1, y1 in np.concatenate([cut[~counts & (seen > 0)], np.clip(crowd, 0, size)]).round().astype(int):
        ignored[y0:y1, x0:x1] = True
    return View(placed, cut[counts], ignored, int(photos.image_id[index]))
