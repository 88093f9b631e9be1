"""The output kind "parts": DeepCut's part score maps of a photo, and the programme that groups their candidates."""

import warnings
from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from trustpose.codecs.part_maps import MAX_PER_PART, MIN_SCORE, REACH, PartCodec, PartMaps
from trustpose.codecs.people import DetectedPeople
from trustpose.geometry.crops import Grid
from trustpose.grouping.deepcut import deepcut_people
from trustpose.grouping.deepcut_terms import PairwiseTerms, shipped_terms
from trustpose.json_records import Count, FileName, Text, within
from trustpose.models.outputs.photo_maps import Least, Offset, PhotoMaps
from trustpose.models.outputs.spec_fields import OutputFields
from trustpose.skeletons import COCO_17

CANDIDATES, MIN_PARTS, TIME_LIMIT = 120, 3, 5.0


@dataclass(frozen=True)
class PartOutput(PhotoMaps):
    """Maps as in `codecs.part_maps`, `stride` input pixels a cell from `offset` on: parts (1, keypoints, h, w), 0–1,
    refinements (1, 2 × keypoints, h, w), x then y from the cell to each joint, and scales (1, 1, h, w), both in input
    pixels.

    parts, refinements, scales: the outputs' names. reach: see `codecs.part_maps`. min_peak, most_per_part: of
    candidates; candidates: the likeliest of a photo, at most. min_parts: people with fewer joints are dropped.
    time_limit: seconds a photo; a solution that is not proven optimal by then is used, with a warning. pairwise: the
    file of the pairwise terms beside the network's (`grouping.deepcut_terms`); None: those shipped for COCO's joints.
    """

    kind: ClassVar[str] = "parts"

    parts: Text = "parts"
    refinements: Text = "refinements"
    scales: Text = "scales"
    offset: Offset = 0.0
    reach: Annotated[float, within(0, 10)] = REACH
    min_peak: Annotated[float, within(1e-6, 1)] = MIN_SCORE
    most_per_part: Count = MAX_PER_PART
    candidates: Count = CANDIDATES
    min_parts: Count = MIN_PARTS
    min_score: Least = 0.0
    time_limit: Annotated[float, within(1e-3, 1e6)] = TIME_LIMIT
    pairwise: FileName | None = None

    def check(self, fields: OutputFields) -> None:
        """Raise ValueError, naming the field, for what does not fit the spec's input or skeleton."""
        super().check(fields)
        if self.pairwise is None and fields.skeleton.keypoints != COCO_17.keypoints:
            name = fields.skeleton.name
            raise ValueError(f"pairwise: expected a file, the shipped terms are for coco17's joints, not {name}'s")

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        value = {name: field for name, field in asdict(self).items() if field is not None}
        return {"output": {"kind": self.kind} | value}

    @property
    def codec(self) -> PartCodec:
        """The codec of the maps."""
        return PartCodec(Grid((self.stride, self.stride), self.offset), self.reach)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file."""
        return {"parts": self.parts, "refinements": self.refinements, "scales": self.scales}

    @property
    def files(self) -> tuple[str, ...]:
        """The file of the pairwise terms, if they are not the shipped ones."""
        return () if self.pairwise is None else (self.pairwise,)

    @property
    def joint_tensor(self) -> str:
        """The name of the tensor that shows joints."""
        return self.parts

    def joint_maps(self, arrays: list[np.ndarray]) -> Float[np.ndarray, "K h w"]:
        """Return the score maps."""
        return arrays[0][0]

    def shapes(self, width: int, height: int) -> list[tuple[int, ...]]:
        """Return the tensors' shapes for a photo of width × height input pixels."""
        size = self.cells(width, height)
        return [(1, count, *size) for count in (self.keypoints, 2 * self.keypoints, 1)]

    def decode(
        self,
        arrays: list[np.ndarray],
        width: int,  # noqa: ARG002  # the maps' size is sufficient
        height: int,  # noqa: ARG002
        terms: PairwiseTerms | None = None,
    ) -> DetectedPeople:
        """Return the people of a photo, the best first; a keypoint's score is its part's, a person's the mean over all
        joints, 0 for a joint without.

        terms: pairwise; None: those shipped for COCO's joints.
        """
        parts, refinements, scales = (array[0].astype(np.float32, copy=False) for array in arrays)
        maps = PartMaps(parts, refinements.reshape(len(parts), 2, *refinements.shape[1:]), scales[0])
        detected = self.codec.candidates(maps, min_score=self.min_peak, max_per_part=self.most_per_part)
        rows = np.argsort(-detected.score, kind="stable")[: self.candidates]
        terms = shipped_terms(COCO_17) if terms is None else terms
        people, partition = deepcut_people(
            detected.xy[rows],
            np.minimum(detected.score[rows], 1.0),
            detected.joint[rows],
            np.maximum(detected.scale[rows], self.stride),
            terms,
            time_limit=self.time_limit,
        )
        if partition.gap > 0:
            warnings.warn(f"DeepCut: not proven optimal within {self.time_limit:g} s a photo", stacklevel=2)
        person_score = people.score.mean(axis=1)
        is_kept = ((~people.missing).sum(axis=1) >= self.min_parts) & (person_score >= self.min_score)
        order = np.argsort(-person_score, kind="stable")
        order = order[is_kept[order]]
        xy = np.where(people.missing[..., None], 0.0, people.xy)
        return DetectedPeople(xy[order], people.score[order], None, person_score[order], people.missing[order])

    def average_flipped(
        self, arrays: list[np.ndarray], mirrored: list[np.ndarray], flip_index: Int[np.ndarray, " K"]
    ) -> list[np.ndarray]:
        """Return the means of both views' score maps and scales, and those of refinements weighted by the scores; see
        `PhotoMaps.average_flipped`."""
        parts, refinements, scales = arrays
        back_parts, back_scales = mirrored[0][:, flip_index, :, ::-1], mirrored[2][..., ::-1]
        size = refinements.shape[2:]
        back = mirrored[1].reshape(1, self.keypoints, 2, *size)[:, flip_index, ..., ::-1].copy()
        back[:, :, 0] = self.stride - 1 - 2 * self.offset - back[:, :, 0]  # a mirrored cell stands this much aside
        total = parts + back_parts
        share = np.where(total > 0, parts / np.where(total > 0, total, 1), 0.5)[:, :, None]
        mean = share * refinements.reshape(back.shape) + (1 - share) * back
        maps = (total / 2, mean.reshape(refinements.shape), (scales + back_scales) / 2)
        return [array.astype(np.float32) for array in maps]

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return "people of a photo, by part maps and DeepCut"
