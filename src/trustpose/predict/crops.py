"""The crops of a photo's people, as a network and its trust head read them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped, UInt8

from trustpose.geometry.crops import (
    Padding,
    affine_to_crop,
    box_share,
    cut_out,
    cut_whole_pixels,
    grow_box,
    invert_affine,
    transform,
)
from trustpose.models.spec import ModelSpec
from trustpose.poses import box_size


@dataclass(frozen=True, eq=False)
class Crops:
    """pixels (n, H, W, 3). box_share (n, 2): the person's box, as shares of the crop's sides. places (n, K, 2), in crop
    pixels: where a trust head reads, NaN for the network's own peaks. to_image (n, 2, 3): affines back to the image."""

    pixels: Shaped[np.ndarray, "n H W 3"]
    box_share: Float[np.ndarray, "n 2"]
    places: Float[np.ndarray, "n K 2"]
    to_image: Float[np.ndarray, "n 2 3"]

    def __len__(self) -> int:
        return len(self.pixels)


def cut_crops(
    spec: ModelSpec,
    pixels: UInt8[np.ndarray, "h w 3"] | None,
    xyxy: Float[np.ndarray, "P 4"],
    paddings: Sequence[Padding],
    places: Float[np.ndarray, "P K 2"] | None = None,
) -> Crops:
    """Cut people with boxes `xyxy` out of a photo, once with each padding: n = P × paddings, all of the first first.

    places: in image pixels. `pixels` may be None without boxes.
    """
    wanted, each = spec.input, len(paddings)
    grown = np.concatenate([grow_box(xyxy, one, wanted.width / wanted.height) for one in paddings])
    affine = affine_to_crop(grown, *spec.codec.crop_extent(wanted.width, wanted.height))  # (n, 2, 3)
    is_affine = spec.cutting == "affine"
    crops = np.empty((len(grown), wanted.height, wanted.width, 3), np.uint8 if is_affine else np.float32)
    if pixels is not None:
        for row in range(len(grown)):
            cut, place = (cut_out, affine[row]) if is_affine else (cut_whole_pixels, grown[row])
            crops[row] = cut(pixels, place, wanted.width, wanted.height)
    share = box_share(np.tile(box_size(xyxy), (each, 1)), affine, wanted.width, wanted.height)  # (n, 2)
    on_crops = np.full((len(grown), len(spec.skeleton), 2), np.nan)
    if places is not None:
        on_crops = transform(affine, np.tile(places, (each, 1, 1)))
    return Crops(crops, share, on_crops, invert_affine(affine))
