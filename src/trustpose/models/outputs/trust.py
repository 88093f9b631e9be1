"""The output of a network's own trust head: the field "trust" of a spec, and the arrays."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from types import MappingProxyType
from typing import Annotated, Any

import numpy as np
from jaxtyping import Float, Float32, Int
from msgspec import Meta

from trustpose.calibration.presence import PresenceModel
from trustpose.files import InputError
from trustpose.json_records import FileName, Number, NumberOrText, Text, described, naming, read_record, short
from trustpose.poses import Area, ErrorModel

POSE_FIELDS = ("quality", "visibility", "pose_quality")
READ_FIELDS = (*POSE_FIELDS, "presence")  # that prediction reads for each crop
TRUST_FIELDS = (*READ_FIELDS, "labelled")
LINE_FIELDS = ("quality", "pose_quality")  # whose logits a spec may correct by slope and offset
LINES = ("flip", "detected", "detected_flip")
Lines = Mapping[str, Annotated[tuple[Number, Number], described("two numbers, slope and offset")]]
ERROR_FIELDS = ("errors", "errors_flip")
MIN_PROBABILITY = 1e-6  # for logits
_SUM_TOLERANCE = 1e-3  # of three probabilities computed in half precision


@dataclass(frozen=True)
class TrustOutput:
    """The outputs of a network's trust head, and the data that it was fitted on.

    outputs: the output's name for each field of the head, among "quality" (B, K), "visibility" (B, K, 3),
    "pose_quality" (B,), "presence" (B,), see `TrustArrays`, and "labelled" (B, K), P(v > 0), which a graph may have but
    which fills no field of `Poses`, as it does not separate occluded from visible. head: its name, options: its
    builder's arguments, maps: the tensors of the network that it reads (of an ONNX file). area: the convention of its
    OKS. fitted_on: its training and calibration data, texts and numbers by name. parameters: the head's. box: the
    graph's input (B, 2) for widths and heights of people's boxes as fractions of the crops'; None if it has none. xy:
    its input (B, K, 2) for the positions to read at, in pixels of the heatmaps or bins, NaN for the network's own
    peaks; None if the graph always finds them itself. presence: of a person in a detected box, from all people of a
    photo, the head's "presence" among them; None: the head's alone is the presence. file: a graph of the head alone,
    beside the network's, which reads people grouped from a photo's maps (`codecs.group_tokens`) and the network's
    output `maps["features"]`; None for a head in the network's graph. flip: slope and offset of the logit of "quality"
    and "pose_quality" after a flip test's averages, which are of better poses than one view's; {} for none. detected,
    detected_flip: the same in a detector's boxes, which are cut worse than a labeller's, without and with a flip test
    (there, after `flip`). errors, errors_flip: which discs of expected errors held for people that the head had not
    seen, without and with a flip test; None, as in specs of earlier versions: the mixture of Rayleigh distributions of
    `geometry.expected_error` alone.
    """

    outputs: Mapping[str, Text]
    head: Text
    area: Area
    parameters: Annotated[int, Meta(ge=0), described("how many the head has, a whole number")]
    fitted_on: Mapping[str, NumberOrText] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    maps: Mapping[str, Text] = field(default_factory=dict)
    box: Text | None = None
    xy: Text | None = None
    presence: PresenceModel | None = None
    file: FileName | None = None
    flip: Lines = field(default_factory=dict)
    detected: Lines = field(default_factory=dict)
    detected_flip: Lines = field(default_factory=dict)
    errors: ErrorModel | None = None
    errors_flip: ErrorModel | None = None

    def __post_init__(self) -> None:
        unknown = [name for name in self.outputs if name not in TRUST_FIELDS]
        if unknown or not self.outputs:
            raise ValueError(f"outputs: expected names of outputs for some of {', '.join(TRUST_FIELDS)}, got {unknown}")
        if len(set(self.outputs.values())) < len(self.outputs):
            raise ValueError(f"outputs: expected another output for each field, got {short(dict(self.outputs))}")
        if self.xy is not None and self.xy == self.box:
            raise ValueError(f"xy: expected another input than in 'box', got {self.xy!r}")
        for lines in LINES:
            for name in getattr(self, lines):
                if name not in LINE_FIELDS or name not in self.outputs:
                    raise ValueError(f"{lines}.{name}: expected one of {', '.join(LINE_FIELDS)} that 'outputs' has")

    @classmethod
    def read(cls, value: Mapping[str, Any], path: str, *, is_separate: bool) -> "TrustOutput":
        """Read the field 'trust' of the spec in `path`: of a head in the network's graph, or, for networks with maps of
        all people, in a file of its own. Raises InputError naming the field."""
        value = dict(value)
        with naming(path, "trust"):
            if "min_presence" in value:
                remedy = "leave it out, or write 'presence' by tools/fit_presence.py"
                raise ValueError(f"min_presence: expected nothing, as it is a field of an earlier version; {remedy}")
        errors = {name: value.pop(name) for name in ERROR_FIELDS if name in value}
        models = {name: ErrorModel.of_json(errors[name], path, f"trust.{name}") for name in errors}
        trust = read_record(cls, value, path, "trust", **models)
        with naming(path, "trust"):
            if not is_separate and trust.file is not None:
                raise ValueError(f"file: expected none, a crop's head is in the network's graph, got {trust.file!r}")
            if is_separate and (trust.file is None or set(trust.maps) != {"features"} or trust.inputs):
                expected = "the head's own graph, with maps {\"features\": the network's output}, and no box or xy"
                raise ValueError(f"file: expected {expected}, got {trust.file!r}")
        return trust

    @property
    def inputs(self) -> dict[str, str]:
        """The graph's inputs other than the pixels, by their fields, "box" and "xy"."""
        return {name: value for name, value in (("box", self.box), ("xy", self.xy)) if value is not None}

    def error_model(self, *, flip: bool) -> ErrorModel | None:
        """Return the discs of poses without or with a flip test."""
        return self.errors_flip if flip and self.errors_flip is not None else self.errors

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that `read` reads."""
        value = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        value["presence"] = None if self.presence is None else self.presence.to_json()
        for name in LINES:
            value[name] = {field: list(line) for field, line in getattr(self, name).items()} or None
        value |= {name: None if (errors := getattr(self, name)) is None else errors.to_json() for name in ERROR_FIELDS}
        return {name: value for name, value in value.items() if value is not None}


@dataclass(frozen=True, eq=False)
class TrustArrays:
    """A head's predictions for B crops; absent fields are None.

    quality (B, K): expected OPKS, 0–1. visibility (B, K, 3): P(absent), P(occluded), P(visible), summing to 1.
    pose_quality (B,): expected OKS, 0–1. presence (B,): P(the box holds a person), 0–1, from the crop alone; the others
    are given that it does.
    """

    quality: Float[np.ndarray, "B K"] | None = None
    visibility: Float[np.ndarray, "B K 3"] | None = None
    pose_quality: Float[np.ndarray, " B"] | None = None
    presence: Float[np.ndarray, " B"] | None = None

    @classmethod
    def of(cls, outputs: Mapping[str, np.ndarray], count: int, keypoints: int, path: object) -> "TrustArrays":
        """Return the checked arrays by field, float32, without "labelled". Raises InputError naming `path` and the
        field if a shape is wrong, a number is not 0–1, or three probabilities do not sum to 1."""
        checked: dict[str, np.ndarray] = {}
        for name in (name for name in READ_FIELDS if name in outputs):
            shape = (count, *trust_shape(name, keypoints))
            array = outputs[name].astype(np.float32, copy=False)
            if array.shape != shape:
                raise InputError(f"{path}: gave {name} {array.shape}, its spec's 'trust' says {shape}")
            if not ((array >= 0) & (array <= 1 + 1e-6)).all():  # NaN too
                raise InputError(f"{path}: gave {name} that is not from 0 to 1, as its spec's 'trust' says")
            checked[name] = array.clip(0, 1)
        visibility = checked.get("visibility")
        if visibility is not None and (np.abs(visibility.sum(axis=2) - 1) > _SUM_TOLERANCE).any():
            raise InputError(f"{path}: gave visibility that does not sum to 1, as its spec's 'trust' says")
        return cls(**checked)

    def filled(self) -> dict[str, np.ndarray]:
        """Return the fields that are not None, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def average_flipped(
        self,
        flipped: "TrustArrays",
        flip_index: Int[np.ndarray, " K"],
        lines: Lines = MappingProxyType({}),
    ) -> "TrustArrays":
        """Average predictions for crops and for their mirror images, with left and right joints swapped back; then
        apply `lines`, `TrustOutput.flip`.

        Source: OKS-Net paper, section IV-A ("averaging the predicted OKS of original and flipped input").
        """
        means = {}
        for name, value in self.filled().items():
            mirrored = flipped.filled()[name]
            means[name] = (value + (mirrored if value.ndim == 1 else mirrored[:, flip_index])) / 2
        return replace(self, **on_lines(means, lines))


def on_lines(values: Mapping[str, np.ndarray], lines: Lines) -> dict[str, np.ndarray]:
    """Return the values, those that `lines` names corrected."""
    return {**values, **{name: _on_line(values[name], line) for name, line in lines.items() if name in values}}


def _on_line(values: Float[np.ndarray, "*B"], line: tuple[float, float]) -> Float[np.ndarray, "*B"]:
    """Return probabilities whose logits are slope × logit + offset."""
    odds = values.astype(np.float64).clip(MIN_PROBABILITY, 1 - MIN_PROBABILITY)
    logit = line[0] * np.log(odds / (1 - odds)) + line[1]
    return (1 / (1 + np.exp(-logit))).astype(values.dtype)


def trust_shape(name: str, keypoints: int) -> tuple[int, ...]:
    """Return the shape of a trust field without the people: (K,), (K, 3) or ()."""
    return {"visibility": (keypoints, 3), "pose_quality": (), "presence": ()}.get(name, (keypoints,))


def pose_fields(trust: Mapping[str, np.ndarray], *, is_detected: bool) -> dict[str, np.ndarray]:
    """Return the fields of `Poses` from a head's for N boxes; `presence` only if a detector found them."""
    return {name: value for name, value in trust.items() if name in POSE_FIELDS or (is_detected and name == "presence")}


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value


def head_inputs(
    reads: Mapping[str, bool], count: int, keypoints: int, box: np.ndarray | None, xy: np.ndarray | None
) -> dict[str, Float32[np.ndarray, "B ..."]]:
    """Return the trust head's additional inputs for `count` crops, "box" (B, 2) and "xy" (B, K, 2).

    `reads`: which of the two it accepts, and whether it needs them. Raises ValueError if a needed one is missing, for
    an `xy` that it does not accept, and for a wrong shape.
    """
    if xy is not None and "xy" not in reads:
        raise ValueError("xy: this network's trust head reads at its own peaks only, expected None")
    inputs: dict[str, np.ndarray] = {}
    for name, is_needed in reads.items():
        value, shape, description = (box, (2,), "people's boxes, expected their shares (B, 2)")
        if name == "xy":
            value, shape, description = (
                xy,
                (keypoints, 2),
                "at given positions, expected (B, K, 2) in pixels of the map",
            )
        if value is None and is_needed:
            raise ValueError(f"{name}: this network's trust reads {description}, got None")
        if value is not None and value.shape != (count, *shape):
            raise ValueError(f"{name}: expected {(count, *shape)}, got {value.shape}")
        if value is not None:
            inputs[name] = value.astype(np.float32)
    return inputs
