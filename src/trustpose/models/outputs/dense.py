"""Dense outputs, with values for every location of the input: the kind "heatmaps", maps over one person's crop; and
those of detectors for a whole photo, "boxes", as maps, and "box-list", as lists before NMS."""

from dataclasses import asdict, dataclass, replace
from typing import Any, ClassVar

import numpy as np

from trustpose.codecs import Outputs
from trustpose.codecs.boxes import BoxListCodec, CentreCodec
from trustpose.codecs.heatmaps import CODECS, DECODINGS, Convention, Decoding, HeatmapCodec
from trustpose.files import InputError
from trustpose.io.json_reader import Fields
from trustpose.models.inputs import InputSpec, Sizes
from trustpose.models.outputs.crops import CropOutput, PeopleFrom
from trustpose.names import expected_one_of
from trustpose.skeletons import Skeleton

_MOST_TAPS = 31
_PLAIN = {"offset": 0.0, "score_scale": 1.0, "score_offset": 0.0, "background": False}  # their defaults
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

    keypoints: int
    height: int
    width: int
    stride: float
    name: str | None = None
    decoding: Decoding = "argmax-quarter"
    convention: Convention = "ordinary"
    sigma: float = 2.0
    temperature: float | None = None
    smoothing: int | None = None
    offset: float = 0.0
    score_scale: float = 1.0
    score_offset: float = 0.0
    background: bool = False

    @classmethod
    def read(cls, top: Fields, inputs: InputSpec, skeleton: Skeleton) -> "HeatmapOutput":
        """Read the fields 'output' and 'codec' of a spec. Raises InputError naming the field."""
        fields = top.object("output")
        fields.choice("kind", (cls.kind,))
        keypoints = fields.keypoints(skeleton)
        name = fields.text("name") if "name" in fields.value else None
        decoding, convention = CODECS[top.choice("codec", tuple(CODECS), default="argmax-quarter")]
        for side, length in (("height", inputs.height), ("width", inputs.width)):
            if inputs.multiple is not None and length % inputs.multiple:
                text = f'"multiple of {inputs.multiple}, M usual", where M is one'
                raise top.object("input").fail(side, text, top.object("input").value[side])
        height, width, stride = _read_size(fields, inputs, convention)
        sigma = fields.number("sigma", minimum=0.1, maximum=16384.0, default=2.0)
        if sigma > max(height, width):
            raise fields.fail("sigma", "the trained bumps' in map pixels, less than the map", sigma)
        temperature = None
        if decoding == "integral" and "temperature" in fields.value:
            temperature = fields.number("temperature", minimum=1e-3, maximum=1e3)
        trained = (decoding, convention, sigma, temperature)
        decoded = _read_decoding(fields, stride, convention)
        fields.close()
        return cls(keypoints, height, width, stride, name, *trained, **decoded)

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


def _read_size(fields: Fields, inputs: InputSpec, convention: Convention) -> tuple[int, int, float]:
    """Return height and width of the maps, and their stride, which determines both for a variable input size."""
    stride = fields.number("stride", minimum=0.01, maximum=16384.0)
    usual: tuple[int | None, int | None] = None, None
    if inputs.multiple is not None:
        if inputs.multiple % stride:
            raise fields.fail("stride", f"a number that divides the input's multiple, {inputs.multiple}", stride)
        usual = round(inputs.height / stride), round(inputs.width / stride)
    height, width = fields.count("height", default=usual[0]), fields.count("width", default=usual[1])
    if abs(height * stride - inputs.height) >= stride or abs(width * stride - inputs.width) >= stride:
        expected = f"about input size / map size ({inputs.height} / {height}, {inputs.width} / {width})"
        raise fields.fail("stride", expected, stride)
    if convention == "unbiased" and min(height, width) < 2:
        raise fields.fail("width", "maps of at least 2 × 2 pixels with codec udp", width)
    if convention == "unbiased" and (height * stride, width * stride) != (inputs.height, inputs.width):
        raise fields.fail("stride", "exactly input size / map size with codec udp", stride)
    return height, width, stride


def _read_decoding(fields: Fields, stride: float, convention: Convention) -> dict[str, Any]:
    """Return the optional fields that are given: for positions of map pixels, scores of peaks, maps left out."""
    options: dict[str, Any] = {}
    if "smoothing" in fields.value:
        options["smoothing"] = fields.count("smoothing")
        if options["smoothing"] % 2 == 0 or options["smoothing"] > _MOST_TAPS:
            raise fields.fail("smoothing", f"an odd number up to {_MOST_TAPS}", options["smoothing"])
    if "offset" in fields.value and convention == "ordinary":
        options["offset"] = fields.number("offset", minimum=-stride, maximum=stride)
    if "score_scale" in fields.value:
        options["score_scale"] = fields.scale("score_scale")
    if "score_offset" in fields.value:
        options["score_offset"] = fields.number("score_offset", minimum=-1e6, maximum=1e6)
    if "background" in fields.value:
        options["background"] = fields.boolean("background")
    return options


@dataclass(frozen=True)
class BoxOutput:
    """Boxes of the people of a whole photo as maps of centres and sides (1, 5, h, w): see `codecs.boxes`.

    `stride`: input pixels per map pixel; boxes below `min_score` are dropped. `name` None: the first output.
    """

    kind: ClassVar[str] = "boxes"
    people_from: ClassVar[PeopleFrom] = "photo"
    sizes: ClassVar[Sizes] = "free"

    stride: int
    min_score: float
    name: str | None = None

    @classmethod
    def read(cls, top: Fields, inputs: InputSpec, skeleton: Skeleton) -> "BoxOutput":  # noqa: ARG003
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        fields = top.object("output")
        fields.choice("kind", (cls.kind,))
        stride = fields.count("stride")
        if (inputs.multiple or 0) % stride:
            raise fields.fail("stride", f"a number that divides the input's multiple, {inputs.multiple}", stride)
        name = fields.text("name") if "name" in fields.value else None
        output = cls(stride, fields.number("min_score", minimum=1e-6, maximum=1.0), name)
        fields.close()
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

    scores: str
    boxes: str
    min_score: float
    overlap: float = _OVERLAP
    person: int = 0

    @classmethod
    def read(cls, top: Fields, inputs: InputSpec, skeleton: Skeleton) -> "BoxListOutput":  # noqa: ARG003
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        fields = top.object("output")
        fields.choice("kind", (cls.kind,))
        scores, boxes = fields.text("scores"), fields.text("boxes")
        if scores == boxes:
            raise fields.fail("boxes", "another output than 'scores'", boxes)
        min_score = fields.number("min_score", minimum=1e-6, maximum=1.0)
        overlap = fields.number("overlap", minimum=0.0, maximum=1.0, default=_OVERLAP)
        person = fields.value.get("person", 0)
        if type(person) is not int or not 0 <= person < 10_000:
            raise fields.fail("person", "a whole number, 0 for the first class", person)
        fields.seen.add("person")
        fields.close()
        return cls(scores, boxes, min_score, overlap, person)

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
