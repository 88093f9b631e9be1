"""One training sample: a person cut from a photo by an affine, with its labels."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.datasets.people import PersonSample
from trustpose.geometry.crops import invert_affine, transform, warp
from trustpose.names import expected_one_of
from trustpose.poses import AREAS, SEGMENT, Area


@dataclass(frozen=True, eq=False)
class TrainingCrop:
    """One training sample. Coordinates are in crop pixels, areas in square crop pixels.

    affine (2, 3) maps the photo to the crop. xy (K, 2) and v (K,) follow `occlusion`'s rule; xy is 0 where v = 0.
    has_joint, has_visibility (K,): as in `PersonLabels`; v of a keypoint hidden by the augmentation is known. area: NaN
    if unknown; area_source: its source; box_size (2,): the box's width and height, before any rotation; overlap: as in
    `PersonLabels`. centred (2, 3): from the photo to this crop as it would be by the labelled box alone, turned and
    mirrored as `affine`, but neither scaled nor shifted; None if `make_crop` made it.
    """

    pixels: UInt8[np.ndarray, "H W 3"]
    affine: Float[np.ndarray, "2 3"]
    xy: Float[np.ndarray, "K 2"]
    v: Int[np.ndarray, " K"]
    has_joint: Bool[np.ndarray, " K"]
    has_visibility: Bool[np.ndarray, " K"]
    area: float
    box_size: Float[np.ndarray, " 2"]
    image_id: int
    annotation_id: int
    area_source: str = SEGMENT
    overlap: float = 1.0
    centred: Float[np.ndarray, "2 3"] | None = None

    @property
    def box_share(self) -> Float[np.ndarray, " 2"]:
        """The box's width and height as fractions of the crop's."""
        return self.box_size / self.pixels.shape[1::-1]

    def area_by(self, convention: Area) -> float:
        """Return the area for OKS, by `Truth.area_by`'s names. Raises ValueError for another name."""
        if convention not in AREAS:
            raise ValueError(f"area: {expected_one_of(AREAS, convention)}")
        box_area = float(self.box_size.prod())
        segment = self.area if self.area_source == SEGMENT else float("nan")
        return {"segment": segment, "file": self.area, "box": box_area, "box*0.53": box_area * 0.53}[convention]


def make_crop(sample: PersonSample, affine: Float[np.ndarray, "2 3"], width: int, height: int) -> TrainingCrop:
    """Cut the crop (height, width, 3) of a person under any affine from the photo, with labels in the sample's order.

    Bilinear, black outside the available pixels.
    """
    growth = abs(float(np.linalg.det(affine[:, :2])))
    return TrainingCrop(
        pixels=warp(sample.pixels, _after(affine, invert_affine(sample.affine)), width, height),
        affine=affine,
        xy=transform(affine, sample.xy),
        v=sample.v,
        has_joint=sample.has_joint,
        has_visibility=sample.has_visibility,
        area=sample.area * growth,
        box_size=(sample.box[2:] - sample.box[:2]) * np.sqrt(growth),
        image_id=sample.image_id,
        annotation_id=sample.annotation_id,
        area_source=sample.area_source,
        overlap=sample.overlap,
    )


def _after(second: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Compose two affines (2, 3): `first`, then `second`."""
    return np.c_[second[:, :2] @ first[:, :2], second[:, :2] @ first[:, 2] + second[:, 2]]
