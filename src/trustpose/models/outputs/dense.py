"""Dense outputs, with values for every location of the input: the kind "heatmaps", maps over one person's crop; and
those of detectors for a whole photo, "boxes", as maps, and "box-list", as lists before NMS."""

from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar

import numpy as np

from trustpose.codecs import Outputs
from trustpose.codecs.boxes import BoxListCodec, CentreCodec
from trustpose.codecs.heatmaps import CODECS, DECODINGS, Convention, Decoding, HeatmapCodec
from trustpose.files import InputError
from trustpose.json_records import Count, Number, Text, described, is_number, naming, within
from trustpose.models.inputs import InputSpec, Scale, Sizes, with_fraction
from trustpose.models.outputs.crops import CropOutput, PeopleFrom
from trustpose.models.outputs.spec_fields import OutputFields
from trustpose.names import expected_one_of

_MOST_TAPS = 31
_PLAIN = {"offset": 0.0, "score_scale": 1.0, "score_offset": 0.0, "background": False}  # their defaults
MinScore = Annotated[float, within(1e-6, 1)]
_OVERLAP = 0.6  # PaddleDetection's for PicoDet


@dataclass(frozen=True)
class HeatmapOutput(CropOutput):
    """Heatmaps (B, keypoints, height, width), `stride` crop pixels apart, and with `background` one more, the last,
    that of no keypoint. `name` None means the first output.

    height, width: for the input's usual size. A network with variable input size, also for whole photos, gives maps of
    the input's size / `stride`. sigma, convention, temperature, offset: from training (see `codecs.heatmaps`);
    decoding, smoothing, score_scale, score_offset: for decoding.
    """

    kind: ClassVar[str] = "heatmaps"
    sizes: ClassVar[Sizes] = "either"

    keypoints: Count
    height: Count
    width: Count
    stride: Annotated[float, within(0.01, 16384)]
    name: Text | None = None
    decoding: Decoding = "argmax-quarter"
    convention: Convention = "ordinary"
    sigma: Annotated[float, within(0.1, 16384)] = 2.0
    temperature: Annotated[float, within(1e-3, 1e3)] | None = None
    smoothing: Annotated[int, within(1, _MOST_TAPS), described(f"an odd number up to {_MOST_TAPS}")] | None = None
    offset: Number = 0.0
    score_scale: Scale = 1.0
    score_offset: Annotated[float, within(-1e6, 1e6)] = 0.0
    background: bool = False

    @classmethod
    def read(cls, fields: OutputFields) -> "HeatmapOutput":
        """Read the fields 'output' and 'codec' of a spec. Raises InputError naming the field."""
        inputs = fields.inputs
        decoding, convention = CODECS[fields.expect_codec("argmax-quarter", *CODECS)]
        derived: dict[str, Any] = {"decoding": decoding, "convention": convention}
        if decoding != "integral":
            derived["temperature"] = None
        if convention == "unbiased":
            derived["offset"] = 0.0
        defaults = {}
        with naming(fields.path, "input"):
            if inputs.multiple is not None:
                for side, length in (("height", inputs.height), ("width", inputs.width)):
                    if length % inputs.multiple:
                        text = f'"multiple of {inputs.multiple}, M usual", where M is one'
                        raise ValueError(f"{side}: expected {text}, got {length}")
                stride = fields.value.get("stride")
                if is_number(stride) and stride > 0:
                    defaults = {"height": round(inputs.height / stride), "width": round(inputs.width / stride)}
        fields = replace(fields, value=with_fraction(fields.value, "score_scale"))
        output = fields.read(cls, defaults, **derived)
        with naming(fields.path, "output"):
            output._check(inputs)
        return output

    def _check(self, inputs: InputSpec) -> None:
        """Raise ValueError, naming the field, if the maps do not fit the input, or a number the maps."""
        height, width, stride = self.height, self.width, self.stride
        if inputs.multiple is not None and inputs.multiple % stride:
            raise ValueError(
                f"stride: expected a number that divides the input's multiple, {inputs.multiple}, got {stride:g}"
            )
        if abs(height * stride - inputs.height) >= stride or abs(width * stride - inputs.width) >= stride:
            sizes = f"({inputs.height} / {height}, {inputs.width} / {width})"
            raise ValueError(f"stride: expected about input size / map size {sizes}, got {stride:g}")
        if self.is_unbiased and min(height, width) < 2:
            raise ValueError(f"width: expected maps of at least 2 × 2 pixels with codec udp, got {width}")
        if self.is_unbiased and (height * stride, width * stride) != (inputs.height, inputs.width):
            raise ValueError(f"stride: expected exactly input size / map size with codec udp, got {stride:g}")
        if self.sigma > max(height, width):
            raise ValueError(f"sigma: expected the trained bumps' in map pixels, less than the map, got {self.sigma:g}")
        if self.smoothing is not None and self.smoothing % 2 == 0:
            raise ValueError(f"smoothing: expected an odd number up to {_MOST_TAPS}, got {self.smoothing}")
        if abs(self.offset) > stride:
            raise ValueError(f"offset: expected a number from {-stride:g} to {stride:g}, got {self.offset:g}")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that `read` reads. Raises ValueError if decoding and convention have no common codec name."""
        value = asdict(self)
        codec = (value.pop("decoding"), value.pop("convention"))
        names = [name for name, pair in CODECS.items() if pair == codec]
        if not names:
            raise ValueError(f"output: decoding {codec[0]} in the {codec[1]} convention has no name as a codec")
        fields = {
            name: field_value
            for name, field_value in value.items()
            if field_value is not None and field_value != _PLAIN.get(name)
        }
        return {"output": {"kind": self.kind} | fields, "codec": names[0]}

    def codec(self, inputs: InputSpec) -> HeatmapCodec:  # noqa: ARG002  # the map's size is sufficient
        """Return the codec for decoding the maps and for their training targets."""
        return self._codec

    @property
    def _codec(self) -> HeatmapCodec:
        return HeatmapCodec(
            width=self.width,
            height=self.height,
            stride=self.stride,
            sigma=self.sigma,
            decoding=self.decoding,
            convention=self.convention,
            temperature=self.temperature,
            smoothing=self.smoothing,
            offset=self.offset,
            score_scale=self.score_scale,
            score_offset=self.score_offset,
        )

    @property
    def is_unbiased(self) -> bool:
        return self.convention == "unbiased"

    def with_decoding(self, decoding: str) -> "HeatmapOutput":
        """Return the same maps with another of `codecs.heatmaps.DECODINGS`; the pixel convention stays that of
        training. Raises InputError for an unknown decoding."""
        decodings = [name for name in DECODINGS if name == decoding]
        if not decodings:
            raise InputError(f"decoding: {expected_one_of(DECODINGS, decoding)}")
        return replace(self, decoding=decodings[0])

    @property
    def tensors(self) -> dict[str, str | None]:
        return {"name": self.name}

    def shapes(self, inputs: InputSpec) -> list[tuple[int, ...]]:
        maps = self.keypoints + self.background
        if inputs.multiple is None:
            return [(maps, self.height, self.width)]
        return [(maps, round(inputs.height / self.stride), round(inputs.width / self.stride))]

    def outputs(self, arrays: list[np.ndarray]) -> Outputs:
        maps = arrays[0].astype(np.float32, copy=False)[:, : self.keypoints]
        return Outputs(heatmaps=[maps], grids={"heatmaps": self._codec.grid_of(*maps.shape[:1:-1])})

    def arrays(self, outputs: Outputs) -> list[Any]:
        return list(outputs.heatmaps[-1:])

    def describe(self) -> str:
        return f"heatmaps {self.width}×{self.height} of one person, {self.decoding}"


@dataclass(frozen=True)
class BoxOutput:
    """Boxes of the people of a whole photo as maps of centres and sides (1, 5, h, w): see `codecs.boxes`.

    `stride`: input pixels per map pixel; boxes below `min_score` are dropped. `name` None: the first output.
    """

    kind: ClassVar[str] = "boxes"
    people_from: ClassVar[PeopleFrom] = "photo"
    sizes: ClassVar[Sizes] = "free"

    stride: Count
    min_score: MinScore
    name: Text | None = None

    @classmethod
    def read(cls, fields: OutputFields) -> "BoxOutput":
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        output, multiple = fields.read(cls), fields.inputs.multiple or 0
        with naming(fields.path, "output"):
            if multiple % output.stride:
                expected = f"a number that divides the input's multiple, {multiple}"
                raise ValueError(f"stride: expected {expected}, got {output.stride}")
        return output

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        return {
            "output": {"kind": self.kind}
            | {name: field_value for name, field_value in asdict(self).items() if field_value is not None}
        }

    def codec(self, inputs: InputSpec) -> CentreCodec:  # noqa: ARG002  # the same for any size
        """Return the codec for a photo's maps."""
        return CentreCodec(self.stride, self.min_score)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensor's name in the network's file; None: the first output."""
        return {"name": self.name}

    def misfit(self, arrays: list[np.ndarray], width: int, height: int) -> str | None:
        """Describe what is wrong with the tensors of one photo of width × height input pixels; None if they are
        valid."""
        expected = (1, 5, height // self.stride, width // self.stride)
        return None if arrays[0].shape == expected else f"gave an output {arrays[0].shape}, expected {expected}"

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return "boxes of the people of a photo"


@dataclass(frozen=True)
class BoxListOutput:
    """Scores (1, classes, N) and boxes (1, N, 4), x0 y0 x1 y1 in input pixels: see `codecs.boxes`.

    scores, boxes: the outputs' names. `person`: the index of the class person. Boxes below `min_score` are dropped, and
    NMS keeps the highest of boxes that overlap by more than `overlap` (IoU).
    """

    kind: ClassVar[str] = "box-list"
    people_from: ClassVar[PeopleFrom] = "photo"
    sizes: ClassVar[Sizes] = "either"

    scores: Text
    boxes: Text
    min_score: MinScore
    overlap: Annotated[float, within(0, 1)] = _OVERLAP
    person: Annotated[int, within(0, 9999), described("a whole number, 0 for the first class")] = 0

    @classmethod
    def read(cls, fields: OutputFields) -> "BoxListOutput":
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        return fields.read(cls)

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        value = {"kind": self.kind, "scores": self.scores, "boxes": self.boxes, "min_score": self.min_score}
        return {"output": value | {"overlap": self.overlap, "person": self.person}}

    def codec(self, inputs: InputSpec) -> BoxListCodec:  # noqa: ARG002  # the same for any size
        """Return the codec for a photo's lists."""
        return BoxListCodec(self.min_score, self.overlap, self.person)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file."""
        return {"scores": self.scores, "boxes": self.boxes}

    def misfit(self, arrays: list[np.ndarray], width: int, height: int) -> str | None:  # noqa: ARG002
        """Describe what is wrong with the tensors of one photo of width × height input pixels; None if they are
        valid."""
        scores, boxes = (array.shape for array in arrays)
        if len(scores) != 3 or scores[0] != 1 or scores[1] <= self.person:
            return f"gave scores {scores}, expected (1, classes, N) with more than {self.person} classes"
        if boxes != (1, scores[2], 4):
            return f"gave boxes {boxes}, expected (1, {scores[2]}, 4), a box for each score"
        return None

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return f"boxes of the people of a photo, NMS at IoU {self.overlap:g}"
