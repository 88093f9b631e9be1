"""People with photos in a folder: COCO's, LSPET's and any other ground truth's."""

from collections import OrderedDict
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.datasets.people import People, PersonLabels, PersonSample
from trustpose.files import InputError, find_shown
from trustpose.io.coco.truth import TruthFile
from trustpose.io.photos import read_image
from trustpose.poses import Truth
from trustpose.skeletons import Skeleton

_PORTRAIT = 3 / 4  # width / height of all top-down crops; the unit of a cut


@dataclass(frozen=True)
class Cut:
    """The part of a photo that is kept around a person, and its size.

    The unit is the box's height after extending the box to 3:4. A square with sides of `margin` units about the box's
    centre is kept, within the photo, and shrunk (averaging) until the unit is `size` pixels; smaller people are not
    resized. Raises ValueError if a number is out of range.
    """

    size: int = 256
    margin: float = 1.5

    def __post_init__(self) -> None:
        if self.size < 16:
            raise ValueError(f"size: expected at least 16 pixels, got {self.size}")
        if not (np.isfinite(self.margin) and self.margin >= 1):
            raise ValueError(f"margin: expected a finite number of at least 1, got {self.margin}")


def cut_sample(sample: PersonSample, cut: Cut) -> PersonSample:
    """Return the same person with unchanged labels and only the pixels that `cut` keeps."""
    pixels, affine = cut_pixels(sample.pixels, sample.affine, sample.box, cut)
    return replace(sample, pixels=pixels, affine=affine)


def cut_pixels(
    pixels: UInt8[np.ndarray, "H W 3"], affine: Float[np.ndarray, "2 3"], box: Float[np.ndarray, " 4"], cut: Cut
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "2 3"]]:
    """Return the pixels that `cut` keeps around a box xyxy in photo pixels, and the affine from the photo to them;
    `affine` maps the photo to `pixels`."""
    scale, shift = np.diagonal(affine), affine[:, 2]
    box = box.reshape(2, 2) * scale + shift  # in the given pixels
    width, height = np.maximum(box[1] - box[0], 1.0)
    unit = max(height, width / _PORTRAIT)
    centre, reach = box.mean(axis=0), cut.margin * unit / 2
    size = np.array(pixels.shape[1::-1])
    low = np.clip(np.floor(centre - reach), 0, size - 1).astype(np.int64)
    high = np.clip(np.ceil(centre + reach) + 1, low + 1, size).astype(np.int64)
    pixels = pixels[low[1] : high[1], low[0] : high[0]]
    factor = np.ones(2)
    if unit > cut.size:
        small = np.maximum(np.rint((high - low) * (cut.size / unit)), 1).astype(np.int64)
        factor = small / (high - low)  # per side, so that rounding the size moves no label
        pixels = cv2.resize(pixels, small.tolist(), interpolation=cv2.INTER_AREA)
    moved = (shift - low + 0.5) * factor - 0.5  # resizing preserves pixel edges, coordinates refer to centres
    return np.ascontiguousarray(pixels), np.c_[np.diag(scale * factor), moved]


@dataclass(eq=False)
class PhotoPixels:
    """The pixels of people in photos of a folder: image_id (N,) and box (N, 4) xyxy of each.

    `file_name` maps image id to the photo's name, `photo_size` to (width, height) if known. `cut`: the part of each
    photo to keep; None for all of it. The last `keep` photos stay decoded, so that consecutive people of one photo need
    one decoding.
    """

    folder: Path
    image_id: Int[np.ndarray, " N"]
    box: Float[np.ndarray, "N 4"]
    file_name: dict[int, str]
    photo_size: dict[int, tuple[int, int]] = field(default_factory=dict)
    cut: Cut | None = None
    keep: int = 4

    def __post_init__(self) -> None:
        self._photos: OrderedDict[int, np.ndarray] = OrderedDict()

    @property
    def identity(self) -> str:
        """Labels identify the photos; this identifies the part that is kept."""
        return repr(self.cut)

    def pixels(self, row: int) -> tuple[UInt8[np.ndarray, "H W 3"], Float[np.ndarray, "2 3"]]:
        """Return a person's photo, or what `cut` keeps of it. Raises InputError if it is broken or of another size."""
        photo, affine = self._photo(int(self.image_id[row])), np.eye(2, 3)
        return (photo, affine) if self.cut is None else cut_pixels(photo, affine, self.box[row], self.cut)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_photos": OrderedDict()}  # do not copy decoded photos

    def _photo(self, image: int) -> np.ndarray:
        pixels = self._photos.pop(image, None)  # atomic steps, as threads share the photos
        if pixels is None:
            pixels = self._decoded(image)
        if self.keep:
            self._photos[image] = pixels
            while len(self._photos) > self.keep:
                with suppress(KeyError):  # another thread removed it
                    self._photos.popitem(last=False)
        return pixels

    def _decoded(self, image: int) -> np.ndarray:
        path = find_shown(self.folder, self.file_name[image])
        pixels = read_image(path)
        size, expected_size = pixels.shape[1::-1], self.photo_size.get(image)
        if expected_size is not None and expected_size != size:
            expected_text = f"{expected_size[0]} × {expected_size[1]}"
            raise InputError(f"{path}: is {size[0]} × {size[1]} pixels, but its labels are for one of {expected_text}")
        return pixels


def photo_people(
    truth: Truth,
    skeleton: Skeleton,
    folder: Path,
    file_name: dict[int, str],
    *,
    photo_size: dict[int, tuple[int, int]] | None = None,
    has_joint: Bool[np.ndarray, "N K"] | None = None,
    has_visibility: bool = True,
    cut: Cut | None = None,
    keep: int = 4,
) -> People:
    """Return the people of a ground truth with photos in a folder, in the order of the file; see `PhotoPixels`.

    has_joint (N, K): see `PersonLabels`; all if None. Raises ValueError if `truth` lacks image_id or box.
    """
    if truth.image_id is None or truth.box is None:
        raise ValueError("truth: expected image_id and box to be filled, one of them is None")
    count = len(truth.image_id)
    labels = PersonLabels(
        xy=np.where((truth.v > 0)[..., None], truth.xy, 0.0).astype(np.float64),
        v=truth.v.astype(np.int64),
        box=truth.box.astype(np.float64),
        area=np.full(count, np.nan) if truth.area is None else truth.area.astype(np.float64),
        image_id=truth.image_id,
        annotation_id=np.arange(count) if truth.annotation_id is None else truth.annotation_id,
        has_joint=np.ones(truth.v.shape, dtype=np.bool_) if has_joint is None else has_joint,
        has_visibility=np.full(truth.v.shape, has_visibility),
        area_source=truth.area_source,
    )
    source = PhotoPixels(folder, labels.image_id, labels.box, file_name, photo_size or {}, cut, keep)
    return People.of(skeleton, labels, source)


def photo_paths(people: People) -> list[Path]:
    """Return the photo files of the people, each once, in the order of the people."""
    paths: dict[Path, None] = {}
    for index, image in dict.fromkeys(zip(people.source.tolist(), people.image_id.tolist(), strict=True)):
        source = people.sources[index]
        if isinstance(source, PhotoPixels):
            paths[find_shown(source.folder, source.file_name[image])] = None
    return list(paths)


def coco_people(
    file: TruthFile, folder: str | Path, *, cut: Cut | None = None, min_keypoints: int = 1, keep: int = 4
) -> People:
    """Return the people of a COCO ground truth file with at least `min_keypoints` labels, without crowds.

    Raises InputError if the folder is missing, or a person has no box or its photo no name; photos are read later.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such directory, expected the folder with the photos")
    truth, images = file.truth, file.images
    assert truth.iscrowd is not None and truth.image_id is not None and truth.annotation_id is not None
    rows = np.flatnonzero((np.count_nonzero(truth.v > 0, axis=1) >= min_keypoints) & ~truth.iscrowd)
    if not len(rows):
        raise InputError(f"{file.path}: no person has {min_keypoints} labelled keypoints or more")
    people = truth[rows]
    boxless = np.arange(len(rows)) if people.box is None else np.flatnonzero(~np.isfinite(people.box).all(axis=1))
    if len(boxless):
        raise InputError(
            f"{file.path}: annotation {rows[boxless[0]]}: field 'bbox': expected one, top-down crops need it"
        )
    used = set(np.unique(people.image_id).tolist())  # type: ignore[arg-type]
    names = {image: name for image, name in images.names().items() if image in used}
    for index, image in enumerate(images.id.tolist()):
        if image in used and image not in names:
            raise InputError(f"{file.path}: image {index}: field 'file_name': expected the photo's name, got nothing")
    sizes = zip(images.id.tolist(), images.sizes(images.id).tolist(), strict=True)
    return photo_people(
        people,
        file.skeleton or Skeleton(Path(file.path).stem, file.keypoint_names, ()),
        folder,
        names,
        photo_size={image: (width, height) for image, (width, height) in sizes if image in used and width and height},
        has_visibility=file.has_visibility,
        cut=cut,
        keep=keep,
    )
