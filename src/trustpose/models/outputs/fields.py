"""The output kind "fields": keypoint heatmaps and part affinity fields of a photo, with the options of grouping."""

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from trustpose.codecs import Candidates, Outputs
from trustpose.codecs.fields import FieldCodec, Support, limb_support
from trustpose.codecs.heatmaps import HeatmapCodec, flip_back
from trustpose.codecs.people import DetectedPeople
from trustpose.files import InputError
from trustpose.grouping.paf import MATCHINGS, LimbGrouping, Matching, Order
from trustpose.json_records import Count, Number, Text, short, within
from trustpose.models.outputs.photo_maps import Decoding, Least, LimbMaps, Offset, Sigma
from trustpose.models.outputs.spec_fields import OutputFields, expect_permutation
from trustpose.names import expected_one_of

MAX_CANDIDATES = 100  # candidates of one joint


@dataclass(frozen=True)
class FieldOutput(LimbMaps):
    """Heatmaps (1, keypoints, h, w) and fields (1, 2 × limbs, h, w), `stride` input pixels a cell from `offset` on.

    heatmaps, fields: the outputs' names. background: one more heatmap, the last, is that of no keypoint. limbs: pairs
    of joints; field_order: the number of each limb's pair of maps, None: as they stand. decoding, sigma: of heatmaps
    (see `codecs.heatmaps`); min_peak: of a candidate. min_value, min_share: see `codecs.fields`. long_penalty: whether
    links longer than half of the input's height have a lower score. The others: see `grouping.paf`.
    """

    kind: ClassVar[str] = "fields"

    heatmaps: Text = "heatmaps"
    fields: Text = "fields"
    background: bool = False
    offset: Offset = 0.0
    sigma: Sigma = 1.0
    decoding: Decoding = "dark"
    min_peak: Least = 0.1
    min_value: Annotated[float, within(0, 1)] = 0.05
    min_share: Annotated[float, within(0, 0.99)] = 0.8
    long_penalty: bool = True
    matching: Matching = "greedy"
    order: Order = "limbs"
    redundant: tuple[int, ...] = ()
    min_parts: Count = 4
    min_score: Number = 0.4
    field_order: tuple[int, ...] | None = None

    def check(self, fields: OutputFields) -> None:
        """Raise ValueError, naming the field, for what does not fit the spec's input or skeleton."""
        super().check(fields)
        if not set(self.redundant) <= set(range(len(self.limbs))):
            expected = f"numbers of limbs from 0 to {len(self.limbs) - 1}"
            raise ValueError(f"redundant: expected {expected}, got {short(list(self.redundant))}")
        if self.field_order is not None:
            expect_permutation("field_order", self.field_order, len(self.limbs))

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        value = asdict(self) | {"limbs": [list(limb) for limb in self.limbs], "redundant": list(self.redundant)}
        order = value.pop("field_order")
        return {"output": {"kind": self.kind} | value | ({} if order is None else {"field_order": list(order)})}

    def with_matching(self, matching: str) -> "FieldOutput":
        """Return the same maps with another of `grouping.paf.MATCHINGS`. Raises InputError for an unknown one."""
        matchings = [name for name in MATCHINGS if name == matching]
        if not matchings:
            raise InputError(f"grouping: {expected_one_of(MATCHINGS, matching)}")
        return replace(self, matching=matchings[0])

    def heatmap_codec(self, width: int, height: int) -> HeatmapCodec:
        """Return the codec of heatmaps of width × height cells."""
        return HeatmapCodec(width, height, self.stride, self.sigma, self.decoding, offset=self.offset)

    def field_codec(self, width: int, height: int) -> FieldCodec:
        """Return the codec of fields of width × height cells."""
        grid = self.heatmap_codec(width, height).grid
        return FieldCodec(self.limbs, grid, min_value=self.min_value, min_share=self.min_share)

    @property
    def grouping(self) -> LimbGrouping:
        """The grouping of candidates by their links."""
        options = (self.matching, self.order, frozenset(self.redundant), self.min_parts, self.min_score)
        return LimbGrouping(self.limbs, *options)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file."""
        return {"heatmaps": self.heatmaps, "fields": self.fields}

    def shapes(self, width: int, height: int) -> list[tuple[int, ...]]:
        """Return the tensors' shapes for a photo of width × height input pixels."""
        size = self.cells(width, height)
        return [(1, self.keypoints + self.background, *size), (1, 2 * len(self.limbs), *size)]

    def outputs(self, arrays: list[np.ndarray]) -> Outputs:
        """Convert the tensors, in the order of `tensors`, to `Outputs`, without the background, fields in the limbs'
        order."""
        heatmaps, fields = (array.astype(np.float32, copy=False) for array in arrays)
        if self.field_order is not None:
            pairs = fields.reshape(1, len(self.limbs), 2, *fields.shape[2:])[:, self.field_order]
            fields = pairs.reshape(fields.shape)
        heatmaps = heatmaps[:, : self.keypoints]
        grid = self.heatmap_codec(*heatmaps.shape[:1:-1]).grid
        return Outputs([heatmaps], extra={"fields": fields}, grids={"heatmaps": grid, "fields": grid})

    def candidates(self, outputs: Outputs, height: int) -> Candidates:
        """Return the candidates of all people with their links along limbs; height: the input's, in pixels."""
        cells = outputs.heatmaps[-1].shape[3], outputs.heatmaps[-1].shape[2]
        peaks = self.heatmap_codec(*cells).candidates(outputs, min_score=self.min_peak, max_per_map=MAX_CANDIDATES)
        return self.field_codec(*cells).links(peaks, outputs["fields"], float(height) if self.long_penalty else None)

    def decode(self, arrays: list[np.ndarray], width: int, height: int) -> DetectedPeople:
        """Return the people of a photo, the best first: keypoints with their heatmaps' heights as score, and people's
        scores as `LimbGrouping.group` has them. Joints without a candidate are `missing`."""
        candidates = self.candidates(self.outputs(arrays), height)
        assert candidates.links is not None and candidates.link_score is not None
        limb = self.field_codec(*self.cells(width, height)[::-1]).limb_of(candidates)
        score = candidates.score.astype(np.float64)
        groups = self.grouping.group(
            candidates.joint, score, candidates.links, limb, candidates.link_score, self.keypoints
        )
        return DetectedPeople(groups.take(candidates.xy), groups.take(score), None, groups.score, groups.missing)

    def support(self, arrays: list[np.ndarray], people: DetectedPeople) -> Support:
        """Return features of decoded people from the fields along all limbs."""
        fields = self.outputs(arrays)["fields"]
        assert people.missing is not None
        values = self.field_codec(fields.shape[3], fields.shape[2]).values(people.xy, people.missing, fields)
        return limb_support(values, np.array(self.limbs), self.keypoints)

    def average_flipped(
        self, arrays: list[np.ndarray], mirrored: list[np.ndarray], flip_index: Int[np.ndarray, " K"]
    ) -> list[np.ndarray]:
        """Return the means of both views' heatmaps and fields; see `PhotoMaps.average_flipped`."""
        joints = np.append(flip_index, self.keypoints) if self.background else flip_index
        channel, sign = self._mirrored_fields(flip_index)
        shift = self.heatmap_codec(*arrays[0].shape[:1:-1]).flip_shift
        back = flip_back(mirrored[0], joints, shift), flip_back(mirrored[1], channel, shift) * sign[:, None, None]
        return [
            ((maps + mirrored_maps) / 2).astype(np.float32) for maps, mirrored_maps in zip(arrays, back, strict=True)
        ]

    def _mirrored_fields(
        self, flip_index: Int[np.ndarray, " K"]
    ) -> tuple[Int[np.ndarray, " C"], Float[np.ndarray, " C"]]:
        """Return for each map of the file's fields the number of the one that mirroring makes it, and the sign."""
        stands = range(len(self.limbs)) if self.field_order is None else self.field_order
        number_of_limb = dict(zip(self.limbs, stands, strict=True))
        channel, sign = np.zeros((len(self.limbs), 2), np.int64), np.ones((len(self.limbs), 2), np.float32)
        for (start, end), number in number_of_limb.items():
            mirrored_limb = int(flip_index[start]), int(flip_index[end])
            is_same_way = mirrored_limb in number_of_limb
            if not is_same_way and mirrored_limb[::-1] not in number_of_limb:
                raise InputError(f"limbs: expected the mirror image of {[start, end]}, too, for a flip test")
            pair = number_of_limb[mirrored_limb if is_same_way else mirrored_limb[::-1]]
            channel[number] = 2 * pair, 2 * pair + 1
            sign[number] = (-1, 1) if is_same_way else (1, -1)
        return channel.reshape(-1), sign.reshape(-1)

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return f"people of a photo, by part affinity fields of {len(self.limbs)} limbs"
