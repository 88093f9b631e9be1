"""Batches of crops with all inputs of the losses: pixels, target heatmaps, labels, areas."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from trustpose.codecs.heatmaps import CODECS, HeatmapCodec
from trustpose.datasets import augment
from trustpose.datasets.augment import Augmentation, TrainingCrop, TrainingCrops
from trustpose.datasets.people import People
from trustpose.files import InputError
from trustpose.networks.zoo import stride_of
from trustpose.poses import Area
from trustpose.training.recipe import Recipe

AUGMENTATIONS: dict[str, Augmentation] = {
    "nothing": augment.NOTHING,
    "flip": augment.FLIP,
    "keypoint-masking": augment.KEYPOINT_MASKING,
    "deep-pose": augment.DEEP_POSE,
    "simple-baseline": augment.SIMPLE_BASELINE,
    "hrnet": augment.HRNET,
    "strong": augment.STRONG,
    "gentle": augment.GENTLE,
}
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's RGB pixels, 0–1
_SIGMA = 2 / 256  # as a fraction of the crop's height, in map pixels: 2 at 256 × 192, 3 at 384 × 288

Batch = dict[str, Tensor]


@dataclass(frozen=True, eq=False)
class CropLabels:
    """The labels of a batch of B people, on its device. Coordinates in crop pixels, area in square crop pixels.

    is_known (B, K): the data set labels this joint; is_ternary (B, K): and its v is COCO's, 0, 1 or 2. v is 0 for
    unknown joints: a teacher's joints are in a batch's heatmaps only, and OKS uses annotated joints only. overlap: see
    `datasets.people.PersonLabels`.
    """

    xy: Float[Tensor, "B K 2"]
    v: Int[Tensor, "B K"]
    area: Float[Tensor, " B"]
    is_known: Bool[Tensor, "B K"]
    is_ternary: Bool[Tensor, "B K"]
    overlap: Float[Tensor, " B"]

    @classmethod
    def of(cls, batch: Mapping[str, Any]) -> "CropLabels":
        return cls(*(batch[name] for name in LABELS))


LABELS = tuple(field.name for field in fields(CropLabels))


def codec_of(recipe: Recipe) -> HeatmapCodec:
    """Return the recipe's codec for its crops. Raises InputError for crop sizes that are not a multiple of the
    stride."""
    stride = stride_of(recipe.network)
    for name, length in (("height", recipe.height), ("width", recipe.width)):
        if length < stride or length % stride:
            raise InputError(f"{name}: expected a multiple of {stride}, got {length}")
    decoding, convention = CODECS[recipe.data.codec]
    is_integral = recipe.train.objective == "integral"
    if is_integral and decoding != "integral":
        raise InputError(f"data.codec: expected integral with train.objective integral, got {recipe.data.codec}")
    return HeatmapCodec(
        width=recipe.width // stride,
        height=recipe.height // stride,
        stride=float(stride),
        sigma=_SIGMA * recipe.height if recipe.data.sigma is None else recipe.data.sigma,
        decoding=decoding,
        convention=convention,
        temperature=1.0 if is_integral else None,
    )


def training_crops(people: People, recipe: Recipe, codec: HeatmapCodec) -> TrainingCrops:
    """Return the recipe's crops of these people; `at_epoch` redraws them."""
    return TrainingCrops(
        people,
        width=recipe.width,
        height=recipe.height,
        padding=recipe.data.padding,
        augmentation=AUGMENTATIONS[recipe.data.augmentation],
        seed=recipe.train.seed,
        extent=codec.crop_extent(recipe.width, recipe.height),
    )


def collate(crops: list[TrainingCrop], codec: HeatmapCodec, area: Area) -> Batch:
    """Build a batch: pixels (B, H, W, 3) RGB; heatmaps (B, K, h, w) and weights (B, K) of the codec; box (B, 2), as
    heads read it; `CropLabels`; ids (B,).

    Raises InputError as `labels_of` does.
    """
    labels, has_place = labels_of(crops, area), np.stack([crop.v for crop in crops]) > 0
    arrays = labels | {
        "pixels": np.stack([crop.pixels for crop in crops]),
        "heatmaps": codec.encode(labels["xy"], has_place),
        "weights": codec.weights(labels["xy"], has_place),
    }
    return {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}


def labels_of(crops: list[TrainingCrop], area: Area) -> dict[str, np.ndarray]:
    """Return the columns of `CropLabels`, box (B, 2), as heads read it, image_id and annotation_id (B,).

    Raises InputError if a person has no area of that convention.
    """
    areas = np.array([crop.area_by(area) for crop in crops])
    if not np.isfinite(areas).all():
        person = crops[int(np.argmin(np.isfinite(areas)))]
        person_name = f"annotation {person.annotation_id} of image {person.image_id}"
        if np.isfinite(person.area):
            raise InputError(f"train.area: the area of {person_name} is {person.area_source}, not {area}; use file")
        raise InputError(f"train.area: {person_name} has no {area} area; use box*0.53")
    is_known = np.stack([crop.has_joint for crop in crops])
    v = np.where(is_known, np.stack([crop.v for crop in crops]), 0)
    return {
        "xy": np.stack([crop.xy for crop in crops]).astype(np.float32),
        "v": v,
        "area": areas.astype(np.float32),
        "is_known": is_known,
        "is_ternary": is_known & (np.stack([crop.has_visibility for crop in crops]) | (v == 0)),
        "overlap": np.array([crop.overlap for crop in crops], dtype=np.float32),
        "box": np.stack([crop.box_share for crop in crops]).astype(np.float32),
        "image_id": np.array([crop.image_id for crop in crops]),
        "annotation_id": np.array([crop.annotation_id for crop in crops]),
    }


def normalise(pixels: UInt8[Tensor, "B H W 3"]) -> Float[Tensor, "B 3 H W"]:
    """Return (pixel / 255 − mean) / std, the networks' input; in memory the channels stay last."""
    mean, std = (torch.tensor(numbers, device=pixels.device).reshape(3, 1, 1) for numbers in (MEAN, STD))
    return (pixels.permute(0, 3, 1, 2).float() / 255 - mean) / std
