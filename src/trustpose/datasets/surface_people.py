"""People with labelled surfaces and their photos, as training crops."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8

from trustpose.codecs.surface import UVMirror, mirror_points
from trustpose.datasets.augment import NOTHING, Augmentation, compose_affine
from trustpose.datasets.label_files import published
from trustpose.datasets.occlusion import change_light
from trustpose.files import InputError
from trustpose.geometry.crops import cut_out, grow_box, invert_affine, of_pixel_middles, transform, warp
from trustpose.io.coco.surface_labels import read_surface_truth
from trustpose.io.photos import read_image
from trustpose.poses.surfaces import MASK_SIDE, SurfaceTruth
from trustpose.skeletons.surface_parts import MIRRORED_MASKS

SURFACE_LAYOUTS = (  # labels, photos
    ("surfaces.json", "images"),
    ("annotations/densepose_coco_2014_train.json", "train2014"),
    ("annotations/densepose_train2014.json", "train2014"),
)
NO_MASK = -1


@dataclass(frozen=True, eq=False)
class SurfaceCrop:
    """One person's crop.

    pixels: RGB. region: xyxy, crop pixels, what maps span: the crop, or the person's box in it. box: the same in image
    pixels, where the crop is not turned or mirrored. xy (P, 2): positions of the labelled points across the region,
    0–1. part (P,), uv (P, 2): as in `SurfaceTruth`; uv is NaN where a mirror image is unknown. mask (h, w): over the
    region, 0 to 14, -1 everywhere without masks.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    region: Float[np.ndarray, " 4"]
    box: Float[np.ndarray, " 4"]
    xy: Float[np.ndarray, "P 2"]
    part: Int[np.ndarray, " P"]
    uv: Float[np.ndarray, "P 2"]
    mask: Int[np.ndarray, "h w"]
    image_id: int
    annotation_id: int


@dataclass(frozen=True, eq=False)
class SurfaceCrops:
    """Crops of width × height pixels of people with labelled points, one each, redrawn every epoch.

    cells: width and height of the maps, for masks. mirror: how U and V change in a mirrored photo; None: unknown.
    whole: crops are of whole photos, and maps span the person's box, its upright hull in a photo that is turned. Crop i
    of epoch e is always the same.
    """

    truth: SurfaceTruth
    folder: Path
    width: int
    height: int
    cells: tuple[int, int]
    padding: float = 1.25
    whole: bool = False
    augmentation: Augmentation = NOTHING
    mirror: UVMirror | None = None
    seed: int = 0
    epoch: int = 0

    def __len__(self) -> int:
        return len(self.truth)

    def at_epoch(self, epoch: int) -> "SurfaceCrops":
        """Return the same people with the draws of another epoch."""
        return replace(self, epoch=epoch)

    def photo(self, row: int) -> UInt8[np.ndarray, "H W 3"]:
        """Return the photo of a person, RGB. Raises InputError."""
        image_id = int(self.truth.image_id[row])
        names = {} if self.truth.images is None else self.truth.images.names()
        if image_id not in names:
            raise InputError(f"{self.folder}: the labels have no file_name for image {image_id}")
        return read_image(self.folder / Path(names[image_id]).name)

    def __getitem__(self, index: int) -> SurfaceCrop:
        random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, self.epoch, index])))
        u, normal = random.random(6), random.standard_normal(2)  # always all: options must not shift draws
        change, truth = self.augmentation, self.truth
        photo, person = self.photo(index), truth.box[index]
        window = np.array([0.0, 0, photo.shape[1], photo.shape[0]]) if self.whole else person
        window = grow_box(window, self.padding, self.width / self.height)
        angle = float(np.clip(normal[1], -2, 2)) * change.rotation if u[2] < change.rotation_probability else 0.0
        is_flipped = bool(u[5] < change.flip)
        affine = compose_affine(
            window,
            (self.width, self.height),
            scale=1 + float(np.clip(normal[0] * change.scale, -change.scale, change.scale)),
            angle=angle,
            shift=(2 * u[3:5] - 1) * change.translation,
            is_flipped=is_flipped,
        )
        cut = warp if angle or is_flipped else cut_out
        pixels = cut(photo, of_pixel_middles(affine), self.width, self.height)
        region = np.array([0.0, 0, self.width, self.height])
        if self.whole:
            corners = transform(affine, person[[[0, 1], [2, 1], [0, 3], [2, 3]]])
            region = np.concatenate([corners.min(axis=0), corners.max(axis=0)])
        points = truth.points_of(index)
        part, uv = truth.part[points], truth.uv[points]
        if is_flipped:
            part, uv = mirror_points(part, uv, self.mirror)
        return SurfaceCrop(
            pixels=change_light(pixels, change.photometric, random),
            region=region,
            box=person if self.whole else window,
            xy=(transform(affine, truth.xy()[points]) - region[:2]) / np.maximum(region[2:] - region[:2], 1),
            part=part,
            uv=uv,
            mask=self._mask(index, affine, region, is_flipped),
            image_id=int(truth.image_id[index]),
            annotation_id=int(truth.annotation_id[index]),
        )

    def _mask(
        self, row: int, affine: Float[np.ndarray, "2 3"], region: Float[np.ndarray, " 4"], is_flipped: bool
    ) -> Int[np.ndarray, "h w"]:
        """Return the mask's label in the middle of each cell."""
        width, height = self.cells
        labels = self.truth.mask(row)
        if labels is None:
            return np.full((height, width), NO_MASK)
        across, down = (np.arange(width) + 0.5) / width, (np.arange(height) + 0.5) / height
        middles = np.stack(np.meshgrid(across, down), axis=-1).reshape(-1, 2) * (region[2:] - region[:2]) + region[:2]
        box = self.truth.box[row]
        share = (transform(invert_affine(affine), middles) - box[:2]) / np.maximum(box[2:] - box[:2], 1)
        column, line = np.floor(share * MASK_SIDE).astype(np.int64).T
        is_inside = ((share >= 0) & (share < 1)).all(axis=1)
        mask = np.where(is_inside, labels[line.clip(0, MASK_SIDE - 1), column.clip(0, MASK_SIDE - 1)], 0)
        return (MIRRORED_MASKS[mask] if is_flipped else mask).reshape(height, width).astype(np.int64)


def open_surface_people(folder: Path) -> tuple[SurfaceTruth, Path]:
    """Return the people with labelled points of a folder in one of `SURFACE_LAYOUTS`, and its folder of photos.

    Raises InputError.
    """
    for labels, photos in SURFACE_LAYOUTS:
        if (folder / labels).is_file():
            if not (folder / photos).is_dir():
                raise InputError(
                    f"{folder / photos}: no such directory, expected the photos of {labels}{published('COCO')}"
                )
            truth = read_surface_truth(folder / labels)
            return truth[np.unique(truth.person)], folder / photos
    expected = " or ".join(f"{labels} with {photos}/" for labels, photos in SURFACE_LAYOUTS)
    raise InputError(f"{folder}: holds no labelled surfaces, expected {expected}{published('DensePose-COCO')}")
