"""`ModelSpec`: what a network wants and gives, read from the small JSON file beside its ONNX file."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from trustpose.codecs.coordinates import CoordinateCodec
from trustpose.codecs.heatmaps import CODECS, DECODINGS, Convention, Decoding, HeatmapCodec
from trustpose.files import InputError, read_json
from trustpose.formats.json_reader import Fields, short
from trustpose.geometry.crops import Cutting, Padding
from trustpose.models.trust_output import TrustOutput
from trustpose.skeletons import Skeleton, name_or_object

Layout = Literal["NCHW", "NHWC"]
_DTYPES = ("float32", "float16", "uint8", "int32")
# a model folder: the spec, the network to run, the weights to train on
MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS = "model.json", "model.onnx", "model.safetensors"
_KINDS = ("heatmaps", "coordinates")
_MOST_TAPS = 31
_PLAIN = {"offset": 0.0, "score_scale": 1.0, "score_offset": 0.0}  # what these are where they are left out


@dataclass(frozen=True)
class InputSpec:
    """One crop as the network wants it: (pixel × scale − mean) / std for each channel, pixels 0–255."""

    name: str
    layout: Layout
    dtype: str
    height: int
    width: int
    channels: Literal["RGB", "BGR"]
    scale: float
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True)
class HeatmapOutput:
    """Heatmaps (B, keypoints, height, width), `stride` crop pixels apart. `name` None means the first output.

    sigma, convention, temperature, offset: how the network was trained (see `codecs.heatmaps`); decoding, smoothing,
    score_scale, score_offset: how it is read.
    """

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


@dataclass(frozen=True)
class CoordinateOutput:
    """Numbers (B, …, keypoints, 3) in `order`; 0–1 across the crop where `normalised`, else crop pixels."""

    keypoints: int
    order: tuple[str, str, str]
    normalised: bool
    name: str | None = None


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to run a network on people; `onnx` is the network's file, beside the JSON.

    `network` is the zoo's name where the weights to train on lie beside it too, `trust` what its own trust head gives;
    None where it has neither. `deepen`: how many 1×1 layers it has before its heatmap layer beyond the zoo's (HPCVNet's
    4). `measured` is what its maker measured, numbers and texts by name.
    """

    onnx: Path
    name: str
    licence: str
    source: str
    input: InputSpec
    output: HeatmapOutput | CoordinateOutput
    skeleton: Skeleton
    padding: Padding
    cutting: Cutting = "affine"
    network: str | None = None
    deepen: int = 0
    trust: TrustOutput | None = None
    measured: Mapping[str, float | int | str] = field(default_factory=dict)

    @property
    def codec(self) -> HeatmapCodec | CoordinateCodec:
        """How the network's output is read."""
        output = self.output
        if isinstance(output, HeatmapOutput):
            return HeatmapCodec(
                width=output.width,
                height=output.height,
                stride=output.stride,
                sigma=output.sigma,
                decoding=output.decoding,
                convention=output.convention,
                temperature=output.temperature,
                smoothing=output.smoothing,
                offset=output.offset,
                score_scale=output.score_scale,
                score_offset=output.score_offset,
            )
        return CoordinateCodec(self.input.width, self.input.height, output.order, output.normalised)

    def with_decoding(self, decoding: str) -> "ModelSpec":
        """The same network, its heatmaps read in another of `codecs.heatmaps.DECODINGS`.

        The pixel convention stays the one that it was trained in. Raises InputError for an unknown decoding, and for a
        network that has no heatmaps.
        """
        known = [name for name in DECODINGS if name == decoding]
        if not known:
            raise InputError(f"decoding: expected one of {', '.join(DECODINGS)}, got {short(decoding)}")
        if not isinstance(self.output, HeatmapOutput):
            raise InputError(f"decoding {decoding}: {self.onnx} gives coordinates, expected heatmaps")
        return replace(self, output=replace(self.output, decoding=known[0]))

    @classmethod
    def read(cls, path: str | Path) -> "ModelSpec":
        """The spec for network.onnx (from network.json beside it), of network.json itself, or of a model folder.

        Unknown fields are refused. Raises InputError naming the file and the field.
        """
        path = Path(path)
        if path.is_dir():
            if not (path / MODEL_JSON).is_file():
                raise InputError(f"{path}: holds no {MODEL_JSON}, expected a model folder or a network's file")
            path /= MODEL_JSON
        json_path = path if path.suffix == ".json" else path.with_suffix(".json")
        if json_path != path and path.is_file() and not json_path.exists():
            raise InputError(f"{json_path}: no such file; a network needs its spec beside it")
        if json_path != path and not path.is_file():
            raise InputError(f"{path}: " + ("is a directory, expected a file" if path.is_dir() else "no such file"))
        top = Fields(read_json(json_path), str(json_path), "")
        onnx = path if json_path != path else json_path.parent / top.file_name("onnx", default=f"{path.stem}.onnx")
        top.seen.add("onnx")
        skeleton = top.skeleton("skeleton")
        top.object("output").choice("kind", _KINDS)  # before all else: other kinds also describe their input otherwise
        inputs = read_input(top.object("input"))
        crop = top.object("crop")
        aspect = crop.number("aspect", default=inputs.width / inputs.height)
        if abs(aspect - inputs.width / inputs.height) > 1e-3:
            raise crop.fail("aspect", f"the input's width / height, {inputs.width / inputs.height:g}", aspect)
        spec = cls(
            onnx=onnx,
            name=top.text("name", default=onnx.stem),
            licence=top.text("licence", default="unknown"),
            source=top.text("source", default="unknown"),
            input=inputs,
            output=_read_output(top, skeleton, inputs),
            skeleton=skeleton,
            padding=crop.number_or_pair("padding", least=0.1, most=10.0),
            cutting=crop.choice("cutting", get_args(Cutting), default="affine"),
            network=top.text("network") if "network" in top.value else None,
            deepen=top.count("deepen") if "deepen" in top.value else 0,
            trust=TrustOutput.read(top.object("trust")) if "trust" in top.value else None,
            measured=top.values("measured"),
        )
        if spec.cutting != "affine" and isinstance(spec.output, HeatmapOutput) and spec.output.convention == "unbiased":
            raise crop.fail("cutting", "affine with codec udp", spec.cutting)
        crop.close()
        top.close()
        return spec

    def to_json(self) -> dict[str, Any]:
        """What `read` reads. Raises ValueError for heatmaps read in another convention than they were trained in."""
        inputs, output = asdict(self.input), asdict(self.output)
        inputs |= {name: list(inputs[name]) for name in ("mean", "std")}
        codec: dict[str, str] = {}
        if isinstance(self.output, HeatmapOutput):
            how = (output.pop("decoding"), output.pop("convention"))
            names = [name for name, pair in CODECS.items() if pair == how]
            if not names:
                raise ValueError(f"output: decoding {how[0]} in the {how[1]} convention has no name as a codec")
            codec = {"codec": names[0]}
        else:
            output["order"] = list(output["order"])
        cutting = {"cutting": self.cutting} if self.cutting != "affine" else {}
        padding = list(self.padding) if isinstance(self.padding, tuple) else self.padding
        known = {name: getattr(self, name) for name in ("name", "licence", "source")}
        known |= {"network": self.network} if self.network is not None else {}
        known |= {"deepen": self.deepen} if self.deepen else {}
        known |= {"trust": self.trust.to_json()} if self.trust is not None else {}
        known |= {"measured": dict(self.measured)} if self.measured else {}
        return {
            "onnx": self.onnx.name,
            "input": inputs,
            "output": {"kind": _KINDS[0] if codec else _KINDS[1]}
            | {name: value for name, value in output.items() if value is not None and value != _PLAIN.get(name)},
            **codec,
            "skeleton": name_or_object(self.skeleton),
            "crop": {"padding": padding, "aspect": self.input.width / self.input.height} | cutting,
            **known,
        }


def output_kind(json_path: Path) -> str | None:
    """What the JSON of a network says it gives, `output.kind`; None where there is no file that says so."""
    if not json_path.is_file():
        return None
    try:
        value = read_json(json_path)
    except InputError:
        return None  # whoever reads it as a spec says what is wrong
    output = value.get("output") if isinstance(value, dict) else None
    return output.get("kind") if isinstance(output, dict) else None


def read_input(fields: Fields) -> InputSpec:
    """The field 'input'. Raises InputError."""
    spec = InputSpec(
        name=fields.text("name"),
        layout=fields.choice("layout", ("NCHW", "NHWC")),
        dtype=fields.choice("dtype", _DTYPES),
        height=fields.count("height"),
        width=fields.count("width"),
        channels=fields.choice("channels", ("RGB", "BGR")),
        scale=fields.scale("scale"),
        mean=fields.triple("mean", least=-1e6, most=1e6),
        std=fields.triple("std", least=1e-6, most=1e6),
    )
    fields.close()
    return spec


def _read_output(top: Fields, skeleton: Skeleton, inputs: InputSpec) -> HeatmapOutput | CoordinateOutput:
    fields = top.object("output")
    kind = fields.choice("kind", _KINDS)
    keypoints = fields.count("keypoints")
    if keypoints != len(skeleton):
        raise fields.fail("keypoints", f"{len(skeleton)}, as skeleton {skeleton.name!r} has", keypoints)
    name = fields.text("name") if "name" in fields.value else None
    if kind == "heatmaps":
        codec = top.choice("codec", tuple(CODECS), default="argmax-quarter")
        output: HeatmapOutput | CoordinateOutput = _read_heatmaps(fields, inputs, keypoints, name, codec)
    else:
        top.choice("codec", ("coordinates",), default="coordinates")
        order = fields.value.get("order")
        if not isinstance(order, list) or sorted(map(str, order)) != ["score", "x", "y"]:
            raise fields.fail("order", 'x, y and score in the network\'s order, e.g. ["y", "x", "score"]', order)
        fields.seen.add("order")
        output = CoordinateOutput(keypoints, (order[0], order[1], order[2]), fields.boolean("normalised"), name)
    fields.close()
    return output


def _read_heatmaps(fields: Fields, inputs: InputSpec, keypoints: int, name: str | None, codec: str) -> HeatmapOutput:
    decoding, convention = CODECS[codec]
    height, width = fields.count("height"), fields.count("width")
    stride = fields.number("stride", least=0.01, most=16384.0)
    if abs(height * stride - inputs.height) >= stride or abs(width * stride - inputs.width) >= stride:
        expected = f"about input size / map size ({inputs.height} / {height}, {inputs.width} / {width})"
        raise fields.fail("stride", expected, stride)
    if convention == "unbiased" and min(height, width) < 2:
        raise fields.fail("width", f"maps of at least 2 × 2 pixels with codec {codec}", width)
    if convention == "unbiased" and (height * stride, width * stride) != (inputs.height, inputs.width):
        raise fields.fail("stride", f"exactly input size / map size with codec {codec}", stride)
    sigma = fields.number("sigma", least=0.1, most=16384.0, default=2.0)
    if sigma > max(height, width):
        raise fields.fail("sigma", "the trained bumps' in map pixels, less than the map", sigma)
    temperature = None
    if decoding == "integral" and "temperature" in fields.value:
        temperature = fields.number("temperature", least=1e-3, most=1e3)
    trained = (decoding, convention, sigma, temperature)
    return HeatmapOutput(keypoints, height, width, stride, name, *trained, **_read_reading(fields, stride, convention))


def _read_reading(fields: Fields, stride: float, convention: Convention) -> dict[str, Any]:
    """The fields that say where map pixels stand and how peaks become scores, those that are there."""
    found: dict[str, Any] = {}
    if "smoothing" in fields.value:
        found["smoothing"] = fields.count("smoothing")
        if found["smoothing"] % 2 == 0 or found["smoothing"] > _MOST_TAPS:
            raise fields.fail("smoothing", f"an odd number up to {_MOST_TAPS}", found["smoothing"])
    if "offset" in fields.value and convention == "ordinary":
        found["offset"] = fields.number("offset", least=-stride, most=stride)
    if "score_scale" in fields.value:
        found["score_scale"] = fields.scale("score_scale")
    if "score_offset" in fields.value:
        found["score_offset"] = fields.number("score_offset", least=-1e6, most=1e6)
    return found
