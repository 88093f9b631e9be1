"""`ModelSpec`: a model's inputs and outputs, read from the JSON next to its ONNX file; and where models are found.

A pose network with its trust head and a person detector are bundled with the package.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

from trustpose.files import InputError, read_json
from trustpose.geometry.crops import Cutting, Padding
from trustpose.grouping.suppression import Suppression
from trustpose.json_records import (
    Count,
    FileName,
    Number,
    NumberOrText,
    OpenRecord,
    Text,
    described,
    naming,
    read_record,
    read_value,
    short,
    within,
)
from trustpose.models.inputs import InputSpec
from trustpose.models.outputs.crops import CoordinateOutput, CropCodec, PeopleFrom, SimCCOutput
from trustpose.models.outputs.dense import BoxListOutput, BoxOutput, HeatmapOutput
from trustpose.models.outputs.kinds import BOX_KINDS, CROP_KINDS, KINDS, PHOTO_MAPS, CropOutputs, Output, PeopleOutput
from trustpose.models.outputs.spec_fields import OutputFields
from trustpose.models.outputs.surfaces import SurfaceOutput
from trustpose.models.outputs.trust import TrustOutput
from trustpose.names import did_you_mean, expected_one_of
from trustpose.skeletons import SKELETONS, Skeleton, name_or_object, read_skeleton, skeleton_of_object


@dataclass(frozen=True)
class FastSetting:
    """The field 'fast' of a spec.

    network, detector: names of model folders next to the model's own; detector None: the default one. costs: measured
    numbers of the faster models, each with the model's own number, numbers and texts by name.
    """

    network: FileName
    detector: FileName | None = None
    costs: Mapping[str, NumberOrText] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the field's JSON."""
        value: dict[str, Any] = {"network": self.network}
        value |= {"detector": self.detector} if self.detector is not None else {}
        return value | ({"costs": dict(self.costs)} if self.costs else {})

    def describe(self) -> str:
        """Describe the costs in one line."""
        return ", ".join(f"{name} {value}" for name, value in self.costs.items()) or "costs not measured"


__all__ = [
    "MODEL_JSON",
    "MODEL_ONNX",
    "MODEL_WEIGHTS",
    "BoxListOutput",
    "BoxOutput",
    "CoordinateOutput",
    "HeatmapOutput",
    "InputSpec",
    "ModelSpec",
    "PeopleOutput",
    "SimCCOutput",
]

# a model folder: the spec, the network to run, the weights for training; where the model has them a trust head that is
# a graph of its own, a pose residual network, and DeepCut's pairwise terms
MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS, MODEL_TRUST = "model.json", "model.onnx", "model.safetensors", "trust.onnx"
MODEL_RESIDUAL, MODEL_PAIRWISE = "residual.onnx", "pairwise.npz"
MODEL_PARTS = (MODEL_TRUST, MODEL_RESIDUAL, MODEL_PAIRWISE)  # read in prediction, beside the network
DEFAULT = "default"
_SHIPPED = Path(__file__).parent
_CHECKOUT = _SHIPPED.parents[2]
NO_KEYPOINTS = Skeleton("none", (), ())
"""The skeleton of a model that only detects boxes."""
K = TypeVar("K", bound=Output)
_SKELETON = f"one of {', '.join(SKELETONS)}, or the name of a JSON file next to this one"


@dataclass(frozen=True)
class ModelSpec:
    """All that is needed to run a network, and where it is from: the content of a model folder's `model.json`.

    Attributes:
        onnx: the network's file, next to the JSON.
        name: of the model.
        licence: of its weights.
        source: where it is from.
        input: size, colours and normalisation of its input.
        output: what it gives and how that becomes keypoints; decides which kind of model it is.
        skeleton: its K joints; none for a detector of boxes.
        padding: how much larger than the person's box a crop is.
        cutting: how a crop is cut, as the network was trained: "affine" or "whole-pixels" (`geometry.crops`).
        flip_padding: padding of the mirrored crops of a flip test; None: the same.
        network: the zoo's name, if the weights for training are in the folder too.
        deepen: number of 1×1 layers before its heatmap layer beyond the zoo's (HPCVNet's 4).
        localisation: AlphaPose's transformer around it; None: none.
        trust: its own trust head; None: it has none.
        suppression: of poses in a detector's boxes, unless the user asks for another.
        fast: smaller models that stand in for it where speed counts.
        measured: its author's measurements, numbers and texts by name.

    Example:
        >>> spec = tp.load("default").spec
        >>> len(spec.skeleton), spec.people
        (17, 'boxes')
    """

    onnx: Path
    name: str
    licence: str
    source: str
    input: InputSpec
    output: Output
    skeleton: Skeleton = NO_KEYPOINTS
    padding: Padding = 1.0
    cutting: Cutting = "affine"
    flip_padding: float | None = None
    network: str | None = None
    deepen: int = 0
    localisation: str | None = None
    trust: TrustOutput | None = None
    suppression: Suppression | None = None
    fast: FastSetting | None = None
    measured: Mapping[str, float | int | str] = field(default_factory=dict)

    @property
    def training_weights(self) -> Path:
        """The file with the weights for training, which may not exist: next to the network, or for bundled models in
        the repository's weights/."""
        weights = self.onnx.with_name(MODEL_WEIGHTS)
        is_bundled = self.onnx.parent.parent == _SHIPPED and not weights.is_file()
        return _CHECKOUT / "weights" / self.onnx.parent.name / MODEL_WEIGHTS if is_bundled else weights

    @property
    def people(self) -> PeopleFrom:
        """ "photo" if it finds people by itself, "boxes" if it needs their boxes."""
        return self.output.people_from

    def expect(self, *kinds: type[K]) -> K:
        """Return the output if it is of one of these kinds. Raises InputError naming its kind."""
        if isinstance(self.output, kinds):
            return self.output
        kinds_expected = " or ".join(kind.kind for kind in kinds)
        raise InputError(f"{self.onnx}: gives {self.output.kind}, expected a network that gives {kinds_expected}")

    @property
    def crop_output(self) -> CropOutputs:
        """The output of a network on one person's crop. Raises InputError for another model."""
        return self.expect(*CROP_KINDS)

    @property
    def codec(self) -> CropCodec:
        """The codec for the output of one person's crop. Raises InputError for another model."""
        return self.crop_output.codec(self.input)

    def with_decoding(self, decoding: str) -> "ModelSpec":
        """Return the same network with another of `codecs.heatmaps.DECODINGS` for its heatmaps.

        Raises InputError for an unknown decoding, and for a network without heatmaps.
        """
        return replace(self, output=self.crop_output.with_decoding(decoding))

    def fast_folders(self) -> tuple[Path, Path | None]:
        """Return the folders of the faster network and its detector, None for the usual one. Raises InputError if there
        is no such setting."""
        if self.fast is None:
            raise InputError(f"{self.onnx.parent}: has no fast setting; its JSON would name one in the field 'fast'")
        folder = self.onnx.parent.parent
        return folder / self.fast.network, None if self.fast.detector is None else folder / self.fast.detector

    @classmethod
    def read(cls, path: str | Path) -> "ModelSpec":
        """Read the spec of a model of any kind; `path` is as for `find_model`.

        Unknown fields are refused. Raises InputError naming the file and the field.
        """
        files = find_model(path)
        value, json = read_json(files.json), str(files.json)
        kind = KINDS[_kind(value, json)]
        file = read_record(_file_of(kind), value, json)
        onnx = files.onnx or files.json.parent / (
            f"{files.json.stem}.onnx" if file.onnx is None else read_value(FileName, file.onnx, json, "onnx")
        )
        skeleton = _skeleton(file.skeleton, files.json) if isinstance(file, _PoseFile) else NO_KEYPOINTS
        inputs = InputSpec.read(file.input, json, kind.sizes)
        with naming(json, "input"):
            if inputs.resize != "letterbox" and kind is not BoxListOutput:
                raise ValueError(f"resize: expected letterbox with output kind {kind.kind}, got {inputs.resize!r}")
        output_value = {name: item for name, item in file.output.items() if name != "kind"}
        codec = file.codec if isinstance(file, _CropFile) else ""
        spec = cls(
            onnx=onnx,
            name=file.name or onnx.stem,
            licence=file.licence,
            source=file.source,
            input=inputs,
            output=kind.read(OutputFields(json, output_value, inputs, skeleton, codec)),
            skeleton=skeleton,
            measured=file.measured,
        )
        if isinstance(file, _PhotoMapsFile):
            is_separate = not isinstance(file, _CropFile)
            trust = None if file.trust is None else TrustOutput.read(file.trust, json, is_separate=is_separate)
            spec = replace(spec, network=file.network, trust=trust)
        if isinstance(file, _SurfaceFile):
            _check_aspect(spec, file.crop, json)
            return replace(spec, network=file.network, padding=file.crop.padding)
        return _with_crop(spec, file, json) if isinstance(file, _CropFile) else spec

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that `read` reads. Raises ValueError if decoding and convention have no common codec name."""
        value: dict[str, Any] = {"onnx": self.onnx.name, "input": self.input.to_json(), **self.output.to_json()}
        if len(self.skeleton):
            value["skeleton"] = name_or_object(self.skeleton)
        if isinstance(self.output, (*CROP_KINDS, SurfaceOutput)):
            padding = list(self.padding) if isinstance(self.padding, tuple) else self.padding
            value["crop"] = {"padding": padding, "aspect": self.input.width / self.input.height}
            value["crop"] |= {"cutting": self.cutting} if self.cutting != "affine" else {}
            value["crop"] |= {"flip_padding": self.flip_padding} if self.flip_padding is not None else {}
        value |= {name: getattr(self, name) for name in ("name", "licence", "source")}
        value |= {"network": self.network} if self.network is not None else {}
        value |= {name: getattr(self, name) for name in ("deepen", "localisation") if getattr(self, name)}
        value |= {"trust": self.trust.to_json()} if self.trust is not None else {}
        value |= {"suppression": asdict(self.suppression)} if self.suppression is not None else {}
        value |= {"fast": self.fast.to_json()} if self.fast is not None else {}
        return value | ({"measured": dict(self.measured)} if self.measured else {})


@dataclass(frozen=True)
class _Output(OpenRecord):
    """The field of a spec that says of which kind the model is."""

    output: Mapping[str, Any]


@dataclass(frozen=True)
class _Kind(OpenRecord):
    """The kind in the field 'output'."""

    kind: str

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"kind: {expected_one_of(KINDS, self.kind)}")


def _kind(value: Any, path: str) -> str:
    """Return the kind that a spec names. Raises InputError if it names none."""
    return read_record(_Kind, read_record(_Output, value, path).output, path, "output").kind


_Padding = Annotated[float, within(0.1, 10)]


@dataclass(frozen=True)
class _Crop:
    """The field 'crop' of a spec."""

    padding: Annotated[
        _Padding | tuple[_Padding, _Padding],
        described("a number from 0.1 to 10, or two, across and down"),
    ]
    aspect: Number | None = None
    cutting: Cutting = "affine"
    flip_padding: _Padding | None = None


@dataclass(frozen=True, kw_only=True)
class _File:
    """The JSON of a spec: the fields of a model of any kind, all that a detector of boxes has."""

    input: Mapping[str, Any]
    output: Mapping[str, Any]
    onnx: str | None = None  # of no account where the user names the network's file
    name: Text | None = None
    licence: Text = "unknown"
    source: Text = "unknown"
    measured: Mapping[str, NumberOrText] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class _PoseFile(_File):
    """The JSON of a network that finds poses."""

    skeleton: Annotated[Any, described(_SKELETON)]


@dataclass(frozen=True, kw_only=True)
class _PhotoMapsFile(_PoseFile):
    """The JSON of a network whose maps group to the people of a photo."""

    network: Text | None = None
    trust: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class _CropFile(_PhotoMapsFile):
    """The JSON of a network on one person's crop."""

    crop: _Crop
    codec: Text = ""
    deepen: Count = 0
    localisation: Text | None = None
    suppression: Suppression | None = None
    fast: FastSetting | None = None


@dataclass(frozen=True)
class _SurfaceCrop:
    """The field 'crop' of a spec of surfaces."""

    padding: _Padding
    aspect: Number | None = None


@dataclass(frozen=True, kw_only=True)
class _SurfaceFile(_File):
    """The JSON of a network that finds the surface of the person in a crop."""

    crop: _SurfaceCrop
    network: Text | None = None


def _file_of(kind: type[Output]) -> type[_File]:
    """Return the record of the JSON of a model of this kind."""
    if kind is SurfaceOutput:
        return _SurfaceFile
    if kind in CROP_KINDS:
        return _CropFile
    if kind in PHOTO_MAPS:
        return _PhotoMapsFile
    return _File if kind in BOX_KINDS else _PoseFile


def _skeleton(value: Any, json: Path) -> Skeleton:
    """Return a skeleton, given by its name, the bare name of a JSON file next to the spec, or the content of one."""
    if isinstance(value, Mapping):
        return skeleton_of_object(value, json, "skeleton")
    if isinstance(value, str) and value in SKELETONS:
        return SKELETONS[value]
    if not isinstance(value, str) or not value.lower().endswith(".json"):
        raise InputError(f"{json}: field 'skeleton': expected {_SKELETON}, got {short(value)}")
    return read_skeleton(json.parent / read_value(FileName, value, json, "skeleton"))


def _check_aspect(spec: ModelSpec, crop: _Crop | _SurfaceCrop, path: str) -> None:
    """Raise InputError unless crops have the input's proportions."""
    proportions = spec.input.width / spec.input.height
    with naming(path, "crop"):
        if crop.aspect is not None and abs(crop.aspect - proportions) > 1e-3:
            raise ValueError(f"aspect: expected the input's width / height, {proportions:g}, got {crop.aspect:g}")


def _with_crop(spec: ModelSpec, file: _CropFile, path: str) -> ModelSpec:
    """Return the spec with the fields for networks on one person's crop. Raises InputError if they do not fit it."""
    crop = file.crop
    _check_aspect(spec, crop, path)
    with naming(path, "crop"):
        if crop.cutting != "affine" and spec.crop_output.is_unbiased:
            raise ValueError(f"cutting: expected affine with codec udp, got {crop.cutting!r}")
        is_one_padding = isinstance(spec.output, HeatmapOutput) and isinstance(crop.padding, float)
        if crop.flip_padding is not None and not is_one_padding:
            expected = "expected none, it is for heatmaps of crops with one padding"
            raise ValueError(f"flip_padding: {expected}, got {crop.flip_padding:g}")
    return replace(
        spec,
        padding=crop.padding,
        cutting=crop.cutting,
        flip_padding=crop.flip_padding,
        deepen=file.deepen,
        localisation=file.localisation,
        suppression=file.suppression,
        fast=file.fast,
    )


def output_kind(path: str | Path) -> str | None:
    """Return the kind of the model at `path`, one of `outputs.KINDS`; None if there is none, or its JSON has no valid
    kind; reading it as a `ModelSpec` then raises the error."""
    try:
        value = read_json(find_model(path).json)
    except InputError:
        return None
    output = value.get("output") if isinstance(value, dict) else None
    kind = output.get("kind") if isinstance(output, dict) else None
    return kind if isinstance(kind, str) and kind in KINDS else None


def default_folder() -> Path:
    """Return the model folder of the default pose network. Raises InputError if this installation lacks it."""
    return shipped_folder(DEFAULT)


def detector_folder() -> Path:
    """Return the model folder of the default detector. Raises InputError as above."""
    return shipped_folder("default-detector")


def shipped_folder(name: str) -> Path:
    """Return the folder of a bundled model. Raises InputError if this installation lacks it."""
    folder = _SHIPPED / name
    if not (folder / MODEL_JSON).is_file():
        raise InputError(f"{folder}: is missing in this installation of trustpose, install it again")
    return folder


def shipped_folders() -> list[Path]:
    """Return the bundled model folders."""
    return sorted(path.parent for path in _SHIPPED.glob(f"*/{MODEL_JSON}"))


@dataclass(frozen=True)
class ModelFiles:
    """The files of a model: its JSON, and its ONNX file if the user named that (otherwise the JSON names it)."""

    json: Path
    onnx: Path | None = None


def find_model(name: str | Path) -> ModelFiles:
    """Return the files of the model `name`. The JSON need not exist, so that a missing file's error can name it.

    In this order: "default", the bundled pose network; a folder with model.json; NETWORK.json; NETWORK.onnx with
    NETWORK.json next to it; the name of another bundled model. Raises InputError if there is no such folder or file.
    """
    path = Path(name)
    if str(name) == DEFAULT or (str(name) in [folder.name for folder in shipped_folders()] and not path.exists()):
        return ModelFiles(shipped_folder(str(name)) / MODEL_JSON)
    if path.is_dir():
        if not (path / MODEL_JSON).is_file():
            raise InputError(f"{path}: holds no {MODEL_JSON}, expected a model folder or a network's file")
        return ModelFiles(path / MODEL_JSON)
    if path.suffix == ".json":
        return ModelFiles(path)
    json = path.with_suffix(".json")
    if path.is_file() and not json.exists():
        raise InputError(f"{json}: no such file; a network needs its spec beside it")
    if not path.is_file():
        hint = did_you_mean(name, [folder.name for folder in shipped_folders()])
        raise InputError(f"{path}: no such file{hint}")
    return ModelFiles(json, path)
