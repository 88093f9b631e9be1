"""The output kind "fields": keypoint heatmaps and part affinity fields of a photo, with how they become people."""

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from trustpose.codecs import Candidates, Outputs
from trustpose.codecs.fields import FieldCodec
from trustpose.codecs.heatmaps import HeatmapCodec, flip_back
from trustpose.codecs.limb_support import Support, limb_support
from trustpose.codecs.people import FoundPeople
from trustpose.files import InputError
from trustpose.formats.json_reader import Fields
from trustpose.grouping.paf import MATCHINGS, ORDERS, LimbGrouping, Matching, Order
from trustpose.models.inputs import InputSpec
from trustpose.models.photo_maps import Decoding, PhotoMaps, read_boolean, read_maps, read_names, read_peaks
from trustpose.names import expected_one_of
from trustpose.skeletons import Skeleton

MOST = 100  # candidates of one joint


@dataclass(frozen=True)
class FieldOutput(PhotoMaps):
    """Heatmaps (1, keypoints, h, w) and fields (1, 2 × limbs, h, w), `stride` input pixels a cell from `offset` on.

    heatmaps, fields: the outputs' names. background: one more heatmap, the last, is that of no keypoint. limbs: pairs
    of joints; field_order: the number of each limb's pair of maps, None: as they stand. decoding, sigma: of heatmaps
    (see `codecs.heatmaps`); min_peak: of a candidate. min_value, min_share: see `codecs.fields`. long_penalty: whether
    links longer than half of the input's height have a lower score. The others: see `grouping.paf`.
    """

    kind: ClassVar[str] = "fields"

    limbs: tuple[tuple[int, int], ...]
    heatmaps: str = "heatmaps"
    fields: str = "fields"
    background: bool = False
    offset: float = 0.0
    sigma: float = 1.0
    decoding: Decoding = "dark"
    min_peak: float = 0.1
    min_value: float = 0.05
    min_share: float = 0.8
    long_penalty: bool = True
    matching: Matching = "greedy"
    order: Order = "limbs"
    redundant: tuple[int, ...] = ()
    min_parts: int = 4
    min_score: float = 0.4
    field_order: tuple[int, ...] | None = None

    @classmethod
    def read(cls, top: Fields, inputs: InputSpec, skeleton: Skeleton) -> "FieldOutput":
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        wanted, keypoints, stride = read_maps(top, cls.kind, inputs, skeleton)
        limbs = _read_limbs(wanted, skeleton)
        output = cls(
            keypoints,
            stride,
            limbs,
            **read_names(wanted, heatmaps=cls.heatmaps, fields=cls.fields),
            background=read_boolean(wanted, "background", default=cls.background),
            **read_peaks(wanted, cls.offset, cls.sigma, cls.decoding, cls.min_peak),
            min_value=wanted.number("min_value", least=0.0, most=1.0, default=cls.min_value),
            min_share=wanted.number("min_share", least=0.0, most=0.99, default=cls.min_share),
            long_penalty=read_boolean(wanted, "long_penalty", default=cls.long_penalty),
            matching=wanted.choice("matching", MATCHINGS, default=cls.matching),
            order=wanted.choice("order", ORDERS, default=cls.order),
            redundant=_read_redundant(wanted, len(limbs)),
            min_parts=wanted.count("min_parts", default=cls.min_parts),
            min_score=wanted.number("min_score", default=cls.min_score),
            field_order=_read_field_order(wanted, len(limbs)),
        )
        wanted.close()
        return output

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        value = asdict(self) | {"limbs": [list(limb) for limb in self.limbs], "redundant": list(self.redundant)}
        order = value.pop("field_order")
        return {"output": {"kind": self.kind} | value | ({} if order is None else {"field_order": list(order)})}

    def with_matching(self, matching: str) -> "FieldOutput":
        """Return the same maps with another of `grouping.paf.MATCHINGS`. Raises InputError for an unknown one."""
        known = [name for name in MATCHINGS if name == matching]
        if not known:
            raise InputError(f"grouping: {expected_one_of(MATCHINGS, matching)}")
        return replace(self, matching=known[0])

    def heatmap_codec(self, width: int, height: int) -> HeatmapCodec:
        """Return the codec of heatmaps of width × height cells."""
        return HeatmapCodec(width, height, self.stride, self.sigma, self.decoding, offset=self.offset)

    def field_codec(self, width: int, height: int) -> FieldCodec:
        """Return the codec of fields of width × height cells."""
        grid = self.heatmap_codec(width, height).grid
        return FieldCodec(self.limbs, grid, min_value=self.min_value, min_share=self.min_share)

    @property
    def grouping(self) -> LimbGrouping:
        """How links become people."""
        how = (self.matching, self.order, frozenset(self.redundant), self.min_parts, self.min_score)
        return LimbGrouping(self.limbs, *how)

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
        return Outputs([heatmaps], others={"fields": fields}, grids={"heatmaps": grid, "fields": grid})

    def candidates(self, outputs: Outputs, height: int) -> Candidates:
        """Return the candidates of all people with their links along limbs; height: the input's, in pixels."""
        cells = outputs.heatmaps[-1].shape[3], outputs.heatmaps[-1].shape[2]
        found = self.heatmap_codec(*cells).candidates(outputs, min_score=self.min_peak, most=MOST)
        return self.field_codec(*cells).links(found, outputs["fields"], float(height) if self.long_penalty else None)

    def decode(self, arrays: list[np.ndarray], width: int, height: int) -> FoundPeople:
        """Return the people of a photo, the best first: keypoints with their heatmaps' heights as score, and people's
        scores as `LimbGrouping.group` has them. Joints without a candidate are `missing`."""
        found = self.candidates(self.outputs(arrays), height)
        assert found.links is not None and found.link_score is not None
        limb = self.field_codec(*self.cells(width, height)[::-1]).limb_of(found)
        score = found.score.astype(np.float64)
        groups = self.grouping.group(found.joint, score, found.links, limb, found.link_score, self.keypoints)
        return FoundPeople(groups.take(found.xy), groups.take(score), None, groups.score, groups.missing)

    def support(self, arrays: list[np.ndarray], found: FoundPeople) -> Support:
        """Return what the fields say along all limbs."""
        fields = self.outputs(arrays)["fields"]
        assert found.missing is not None
        values = self.field_codec(fields.shape[3], fields.shape[2]).values(found.xy, found.missing, fields)
        return limb_support(values, np.array(self.limbs), self.keypoints)

    def average_flipped(
        self, arrays: list[np.ndarray], mirrored: list[np.ndarray], flip_index: Int[np.ndarray, " K"]
    ) -> list[np.ndarray]:
        """Return the means of both views' heatmaps and fields; see `PhotoMaps.average_flipped`."""
        joints = np.append(flip_index, self.keypoints) if self.background else flip_index
        channel, sign = self._mirrored_fields(flip_index)
        shift = self.heatmap_codec(*arrays[0].shape[:1:-1]).flip_shift
        back = flip_back(mirrored[0], joints, shift), flip_back(mirrored[1], channel, shift) * sign[:, None, None]
        return [((own + other) / 2).astype(np.float32) for own, other in zip(arrays, back, strict=True)]

    def _mirrored_fields(
        self, flip_index: Int[np.ndarray, " K"]
    ) -> tuple[Int[np.ndarray, " C"], Float[np.ndarray, " C"]]:
        """Return for each map of the file's fields the number of the one that mirroring makes it, and the sign."""
        stands = range(len(self.limbs)) if self.field_order is None else self.field_order
        place = dict(zip(self.limbs, stands, strict=True))
        channel, sign = np.zeros((len(self.limbs), 2), np.int64), np.ones((len(self.limbs), 2), np.float32)
        for (start, end), at in place.items():
            other = int(flip_index[start]), int(flip_index[end])
            is_same_way = other in place
            if not is_same_way and other[::-1] not in place:
                raise InputError(f"limbs: expected the mirror image of {[start, end]}, too, for a flip test")
            pair = place[other if is_same_way else other[::-1]]
            channel[at] = 2 * pair, 2 * pair + 1
            sign[at] = (-1, 1) if is_same_way else (1, -1)
        return channel.reshape(-1), sign.reshape(-1)

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return f"people of a photo, by part affinity fields of {len(self.limbs)} limbs"


def _read_limbs(wanted: Fields, skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
    """Return pairs of different joints, each once in either direction; those of the skeleton if there are none."""
    wanted.seen.add("limbs")
    value = wanted.value.get("limbs", [list(edge) for edge in skeleton.edges])
    expected = f"pairs of different joints from 0 to {len(skeleton) - 1}, each once"
    if not isinstance(value, list) or not value:
        raise wanted.fail("limbs", expected, value)
    seen: set[frozenset[int]] = set()
    for pair in value:
        is_pair = isinstance(pair, list) and len(pair) == 2 and all(type(end) is int for end in pair)
        if not is_pair or not all(0 <= end < len(skeleton) for end in pair) or pair[0] == pair[1]:
            raise wanted.fail("limbs", expected, pair)
        if frozenset(pair) in seen:
            raise wanted.fail("limbs", expected, pair)
        seen.add(frozenset(pair))
    return tuple((pair[0], pair[1]) for pair in value)


def _read_redundant(wanted: Fields, limbs: int) -> tuple[int, ...]:
    """Return the numbers of limbs that found no person."""
    wanted.seen.add("redundant")
    value = wanted.value.get("redundant", [])
    if not isinstance(value, list) or any(type(one) is not int or not 0 <= one < limbs for one in value):
        raise wanted.fail("redundant", f"numbers of limbs from 0 to {limbs - 1}", value)
    return tuple(value)


def _read_field_order(wanted: Fields, limbs: int) -> tuple[int, ...] | None:
    """Return the numbers of all limbs in some order."""
    wanted.seen.add("field_order")
    value = wanted.value.get("field_order")
    if value is None:
        return None
    if not isinstance(value, list) or any(type(one) is not int for one in value) or sorted(value) != list(range(limbs)):
        raise wanted.fail("field_order", f"the numbers 0 to {limbs - 1}, each once", value)
    return tuple(value)
