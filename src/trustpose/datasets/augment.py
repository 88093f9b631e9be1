"""Random training crops: one random affine, one warp, then occlusion and light.

All random numbers are in units of the person's box and depend on (seed, epoch, index) only, in three independent
streams (geometry, occlusion, light; drawn boxes have a fourth). So switching one off does not change the others, and a
crop from a shard equals the crop from the photo.

The affine composes, about the centre of the padded box: half body (another box), translation, scale, rotation, flip.
`geometry.crops` defines the pixel convention: the box's corners go to (0, 0) and `extent`. A flip mirrors about the
middle of the extent, like HRNet's flipped photo (x → W − x) and, for UDP's extent W − 1, the mirror of the pixels
themselves.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.datasets.occlusion import (
    Occlusion,
    Photometric,
    Target,
    change_light,
    cover_labels,
    occlude,
    outside_crop,
)
from trustpose.datasets.people import People, PersonSample
from trustpose.datasets.proposals import ProposalGenerator
from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.crops import Padding, grow_box, invert_affine, transform, warp
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


_HALF_BODY_PADDING = 1.5
_FEWEST_OF_HALF = 3


@dataclass(frozen=True)
class Augmentation:
    """Augmentation parameters, with the papers' defaults.

    scale: the box's size is multiplied by 1 + a normal of this deviation, clipped to 1 ± scale. rotation: in degrees,
    normal with this deviation, clipped at twice that, with probability `rotation_probability`. flip, half_body:
    probabilities. Half body: for a person with more than `half_body_keypoints` labels, crop only the upper (with
    probability `half_body_upper`) or lower half, if it has at least three labels. translation: in fractions of the
    padded box's sides, uniform in ± this.

    Sources: Xiao et al., Simple Baselines, ECCV 2018, section 3.1 ("scale (±30%), rotation (±40 degrees) and flip") and
    its configurations and code (normal draws, rotation 60% of the time); Sun et al., HRNet, CVPR 2019, section 4.1
    (±45°, 0.65–1.35, half body after Wang et al., MSCOCO Keypoints Challenge 2018) and its code (half body 0.3, more
    than 8 labels, upper half in Φ(0.5) = 69%). One difference: HRNet centres a half body on the mean of its joints,
    which can push some of them out of view; here it is the middle of their box.
    """

    scale: float = 0.3
    rotation: float = 40.0
    rotation_probability: float = 0.6
    flip: float = 0.5
    half_body: float = 0.3
    half_body_keypoints: int = 8
    half_body_upper: float = 0.69
    translation: float = 0.0
    photometric: Photometric = field(default_factory=Photometric)
    occlusion: Occlusion = field(default_factory=Occlusion)

    def __post_init__(self) -> None:
        if not 0 <= self.scale < 1:
            raise ValueError(f"scale: expected at least 0 and below 1, got {self.scale}")
        for name in ("rotation_probability", "flip", "half_body", "half_body_upper"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: expected a probability from 0 to 1, got {getattr(self, name)}")


NOTHING = Augmentation(scale=0.0, rotation=0.0, flip=0.0, half_body=0.0)
FLIP = Augmentation(scale=0.0, rotation=0.0, half_body=0.0)
KEYPOINT_MASKING = Augmentation(
    scale=0.0, rotation=0.0, half_body=0.0, occlusion=Occlusion(masking=0.5, covered="keep")
)
"""Keypoint masking (Ke et al., ECCV 2018, section 3.4) and flip; how often and how large is not printed."""
DEEP_POSE = Augmentation(scale=0.0, rotation=0.0, half_body=0.0, translation=0.1)
"""Random translation and flip (Toshev and Szegedy, CVPR 2014, section 3.1); by how much is not printed."""
SIMPLE_BASELINE = Augmentation(half_body=0.0)
HRNET = Augmentation(scale=0.35, rotation=45.0)
STRONG = Augmentation(
    scale=0.35,
    rotation=45.0,
    translation=0.08,
    photometric=Photometric(brightness=0.3, contrast=0.3, saturation=0.4, hue=10.0, grey=0.05, blur=0.1, jpeg=0.1),
    occlusion=Occlusion(cutout=0.3, objects=0.3, people=0.25),
)
"""Our augmentation for small networks: HRNet's geometry and all other kinds."""
GENTLE = Augmentation(
    scale=0.2,
    rotation=25.0,
    translation=0.05,
    half_body=0.0,
    photometric=Photometric(brightness=0.2, contrast=0.2, saturation=0.3, hue=5.0, grey=0.05, blur=0.1, jpeg=0.1),
    occlusion=Occlusion(cutout=0.1, objects=0.15, people=0.15),
)
"""Our augmentation for trust heads on a frozen network: varied crops of about the same difficulty as real ones."""


@dataclass(frozen=True, eq=False)
class TrainingCrops:
    """A sequence of `TrainingCrop`s of width × height pixels, one per person of `people`, redrawn every epoch.

    `padding` enlarges the box; `extent`, the image of its high corner, is (width, height) unless given
    (`HeatmapCodec.crop_extent`). `proposals` draws a box for each person, with a detector's errors, instead of the
    labelled one. Crop i of epoch e is always the same, whatever the process or the order.
    """

    people: People
    width: int = 192
    height: int = 256
    padding: Padding = 1.25
    augmentation: Augmentation = NOTHING
    seed: int = 0
    epoch: int = 0
    extent: tuple[int, int] | None = None
    proposals: ProposalGenerator | None = None
    flip_index: Int[np.ndarray, " K"] = field(init=False, repr=False)
    is_lower: Bool[np.ndarray, " K"] = field(init=False, repr=False)

    def __post_init__(self) -> None:  # once, for all crops
        object.__setattr__(self, "flip_index", self.people.skeleton.flip_index)
        object.__setattr__(self, "is_lower", self.people.skeleton.is_lower)

    def __len__(self) -> int:
        return len(self.people)

    def __iter__(self) -> Iterator[TrainingCrop]:
        return (self[index] for index in range(len(self)))

    def at_epoch(self, epoch: int) -> "TrainingCrops":
        """Return the same people with the draws of another epoch."""
        return replace(self, epoch=epoch)

    def with_augmentation(self, augmentation: Augmentation) -> "TrainingCrops":
        """Return the same people with another augmentation."""
        return replace(self, augmentation=augmentation)

    def __getitem__(self, index: int) -> TrainingCrop:
        labelled = self.people[index]
        geometry, occlusion, light, box = (
            np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, self.epoch, index, stream])))
            for stream in range(4)
        )
        sample = labelled if self.proposals is None else _drawn(labelled, self.proposals, box)
        affine, centred, is_flipped = self._affines(labelled, sample.box, geometry)
        crop = replace(make_crop(sample, affine, self.width, self.height), centred=centred)
        order = self.flip_index if is_flipped else np.arange(len(sample.v))
        crop = replace(
            crop,
            xy=crop.xy[order],
            v=crop.v[order],
            has_joint=crop.has_joint[order],
            has_visibility=crop.has_visibility[order],
        )
        crop = self._occluded(crop, sample, occlusion)
        return replace(crop, pixels=change_light(crop.pixels, self.augmentation.photometric, light))

    def _affines(
        self, sample: PersonSample, box: np.ndarray, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, bool]:
        """Return the crop's affine by `box`, the one by the labelled box (`TrainingCrop.centred`), and whether they
        mirror."""
        labelled = sample.box
        u, normal = (
            random.random(6),
            random.standard_normal(2),
        )  # always all: options must not shift draws
        a = self.augmentation
        if u[0] < a.half_body:
            half = half_body_box(
                sample.xy, sample.v, self.is_lower, bool(u[1] < a.half_body_upper), a.half_body_keypoints
            )
            box, labelled, padding = (box, labelled, self.padding) if half is None else (half, half, _HALF_BODY_PADDING)
        else:
            padding = self.padding
        extent, is_flipped = self.extent or (self.width, self.height), bool(u[5] < a.flip)
        angle = float(np.clip(normal[1], -2, 2)) * a.rotation if u[2] < a.rotation_probability else 0.0
        affine = compose_affine(
            grow_box(box, padding, self.width / self.height),
            extent,
            scale=1 + float(np.clip(normal[0] * a.scale, -a.scale, a.scale)),
            angle=angle,
            shift=(2 * u[3:5] - 1) * a.translation,
            is_flipped=is_flipped,
        )
        whole = grow_box(labelled, padding, self.width / self.height)
        return affine, compose_affine(whole, extent, angle=angle, is_flipped=is_flipped), is_flipped

    def _occluded(self, crop: TrainingCrop, sample: PersonSample, random: np.random.Generator) -> TrainingCrop:
        rule = self.augmentation.occlusion
        v, pixels, has_visibility = crop.v, crop.pixels, crop.has_visibility
        if rule.cutout or rule.objects or rule.people or rule.masking:
            growth = float(np.sqrt(abs(np.linalg.det(crop.affine[:, :2]))))
            target = Target(crop.xy, v, max(float(sample.box[3] - sample.box[1]), 1.0) * growth)
            pixels, covered = occlude(pixels, target, rule, random, lambda: self._another(random), self.people.skeleton)
            v = cover_labels(v, covered, rule.covered)
            has_visibility = has_visibility | (covered & (crop.v > 0) & (rule.covered != "keep"))
        if rule.outside == "absent":
            is_out = outside_crop(crop.xy, self.width, self.height)
            has_visibility = has_visibility | (is_out & (v > 0))
            v = np.where(is_out, 0, v)
        return replace(
            crop, pixels=pixels, v=v, has_visibility=has_visibility, xy=np.where((v > 0)[:, None], crop.xy, 0.0)
        )

    def _another(self, random: np.random.Generator) -> PersonSample:
        return self.people[int(random.integers(len(self.people)))]


def _drawn(sample: PersonSample, proposals: ProposalGenerator, random: np.random.Generator) -> PersonSample:
    """Return a person in a box drawn for it."""
    box = proposals.draw(sample.xy[None], sample.v[None] > 0, sample.box[None], random)[0, 0]
    return replace(sample, box=box, overlap=sample.overlap * float(paired_iou(box[None], sample.box[None])[0]))


def half_body_box(
    xy: Float[np.ndarray, "K 2"],
    v: Int[np.ndarray, " K"],
    lower: Bool[np.ndarray, " K"],
    is_upper: bool,
    more_than: int,
) -> Float[np.ndarray, " 4"] | None:
    """Return the box xyxy of the labelled joints of one half of a body; of the other half if this one has too few
    labels.

    None if the person has at most `more_than` labels or both halves have too few.
    """
    has = v > 0
    if np.count_nonzero(has) <= more_than:
        return None
    for is_in_half in (lower != is_upper, lower == is_upper):
        chosen = xy[has & is_in_half]
        if len(chosen) >= _FEWEST_OF_HALF:
            return np.concatenate([chosen.min(axis=0), chosen.max(axis=0)])
    return None


def compose_affine(
    box: Float[np.ndarray, " 4"],
    extent: tuple[int, int],
    *,
    scale: float = 1.0,
    angle: float = 0.0,
    shift: Float[np.ndarray, " 2"] | None = None,
    is_flipped: bool = False,
) -> Float[np.ndarray, "2 3"]:
    """Return the affine (2, 3) from photo to crop pixels for a padded box xyxy.

    The box's centre, moved by `shift` of its sides, goes to the extent's middle; the box × `scale` fills the extent;
    the photo is turned by `angle` degrees (clockwise as seen, y down), then mirrored.
    """
    size = box[2:] - box[:2]
    centre = (box[:2] + box[2:]) / 2 + (0 if shift is None else shift * size)
    c, s = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    linear = (np.array(extent) / (size * scale))[:, None] * np.array([[c, -s], [s, c]])
    if is_flipped:
        linear[0] *= -1
    return np.c_[linear, np.array(extent) / 2 - linear @ centre]
