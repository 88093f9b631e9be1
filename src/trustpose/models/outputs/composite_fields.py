"""The output kind "composite-fields": PifPaf's intensity and association fields of a photo, and how people grow."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from trustpose.codecs.composite_fields import ASSOCIATION, INTENSITY, MIN_CONFIDENCE, CompositeCodec
from trustpose.codecs.people import DetectedPeople
from trustpose.files import InputError
from trustpose.geometry.crops import Grid
from trustpose.grouping.pifpaf import CompositeGrouping
from trustpose.json_records import Count, Number, Text, within
from trustpose.models.outputs.photo_maps import Least, LimbMaps, Offset


@dataclass(frozen=True)
class CompositeOutput(LimbMaps):
    """Fields as in `codecs.composite_fields`, `stride` input pixels a cell from `offset` on: intensity (1, 5 ×
    keypoints, h, w) and association (1, 7 × limbs, h, w), confidences 0–1, all else in cells.

    intensity, association: the outputs' names. limbs: pairs of joints. min_confidence: of a cell that is used. The
    others: see `grouping.pifpaf`.
    """

    kind: ClassVar[str] = "composite-fields"

    intensity: Text = "intensity"
    association: Text = "association"
    offset: Offset = 0.0
    min_confidence: Annotated[float, within(0, 1)] = MIN_CONFIDENCE
    min_seed: Least = 0.2
    min_link: Least = 0.01
    suppression: Least = 1.0
    reverse: bool = True
    min_parts: Count = 1
    min_score: Number = 0.0

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        return {"output": {"kind": self.kind} | asdict(self) | {"limbs": [list(limb) for limb in self.limbs]}}

    @property
    def codec(self) -> CompositeCodec:
        """The codec of the fields."""
        return CompositeCodec(self.limbs, Grid((self.stride, self.stride), self.offset))

    @property
    def grouping(self) -> CompositeGrouping:
        """The decoder of people; joints less than a cell apart are the same, however small."""
        thresholds = {"min_seed": self.min_seed, "min_link": self.min_link, "suppression": self.suppression}
        return CompositeGrouping(
            self.limbs, **thresholds, min_radius=self.stride, reverse=self.reverse, min_parts=self.min_parts
        )

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file."""
        return {"intensity": self.intensity, "association": self.association}

    @property
    def joint_tensor(self) -> str:
        """The name of the tensor that shows joints."""
        return self.intensity

    def shapes(self, width: int, height: int) -> list[tuple[int, ...]]:
        """Return the tensors' shapes for a photo of width × height input pixels."""
        size = self.cells(width, height)
        return [(1, INTENSITY * self.keypoints, *size), (1, ASSOCIATION * len(self.limbs), *size)]

    def joint_maps(self, arrays: list[np.ndarray]) -> Float[np.ndarray, "K h w"]:
        """Return the confidences of the intensity field."""
        return arrays[0][0, ::INTENSITY]

    def decode(self, arrays: list[np.ndarray], width: int, height: int) -> DetectedPeople:
        """Return the people of a photo, the best first, scored as `CompositeGrouping.group` does."""
        intensity, association = (array[0].astype(np.float32, copy=False) for array in arrays)
        size = intensity.shape[1:]
        votes = self.codec.votes(intensity.reshape(-1, INTENSITY, *size), self.min_confidence)
        associations = self.codec.associations(association.reshape(-1, ASSOCIATION, *size), self.min_confidence)
        confidence = self.codec.accumulate(votes, self.keypoints, width, height)
        people = self.grouping.group(votes, associations, confidence)
        rows = np.flatnonzero(people.person_score >= self.min_score)
        return DetectedPeople(
            people.xy[rows], people.score[rows], None, people.person_score[rows], people.missing[rows]
        )

    def average_flipped(
        self, arrays: list[np.ndarray], mirrored: list[np.ndarray], flip_index: Int[np.ndarray, " K"]
    ) -> list[np.ndarray]:
        """Return the means of both views' confidences, and those of vectors, spreads and sizes weighted by them, as a
        view that sees no joint has no vector to it either; see `PhotoMaps.average_flipped`."""
        size = arrays[0].shape[2:]
        shift = (self.stride - 1 - 2 * self.offset) / self.stride  # cells: a mirrored cell stands this much aside
        joints = mirrored[0].reshape(-1, INTENSITY, *size)[flip_index, ..., ::-1].copy()
        joints[:, 1] = shift - joints[:, 1]
        limbs = mirrored[1].reshape(-1, ASSOCIATION, *size)[..., ::-1].copy()
        limbs[:, [1, 4]] = shift - limbs[:, [1, 4]]
        number_of_limb = {limb: number for number, limb in enumerate(self.limbs)}
        back = np.empty_like(limbs)
        for number, (start, end) in enumerate(self.limbs):
            mirrored_limb = int(flip_index[start]), int(flip_index[end])
            if mirrored_limb in number_of_limb:
                back[number] = limbs[number_of_limb[mirrored_limb]]
            elif mirrored_limb[::-1] in number_of_limb:
                back[number] = limbs[number_of_limb[mirrored_limb[::-1]]][[0, 4, 5, 6, 1, 2, 3]]
            else:
                raise InputError(f"limbs: expected the mirror image of {[start, end]}, too, for a flip test")
        return [
            _weighted_mean(maps.reshape(mirror.shape), mirror).reshape(maps.shape)
            for maps, mirror in zip(arrays, (joints, back), strict=True)
        ]

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return f"people of a photo, by composite fields of {len(self.limbs)} limbs"


def _weighted_mean(
    first: Float[np.ndarray, "N C h w"], second: Float[np.ndarray, "N C h w"]
) -> Float[np.ndarray, "N C h w"]:
    """Return the mean of fields, confidence first, the other maps weighted by it."""
    total = first[:, :1] + second[:, :1]
    share = np.where(total > 0, first[:, :1] / np.where(total > 0, total, 1), 0.5)
    mean = share * first + (1 - share) * second
    mean[:, 0] = total[:, 0] / 2
    return mean.astype(np.float32)
