"""What a network's own trust head gives: the field "trust" of a spec, and the arrays that come out of it."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError
from trustpose.formats.json_reader import Fields
from trustpose.poses import AREAS, Area

POSE_FIELDS = ("quality", "visibility", "pose_quality")
TRUST_FIELDS = (*POSE_FIELDS, "labelled")
_SUM_TOLERANCE = 1e-3  # of three probabilities computed in half precision


@dataclass(frozen=True)
class TrustOutput:
    """Which outputs of the network hold trust, and what it was fitted on.

    outputs: the output's name for each field that the head fills, among "quality" (B, K), "visibility" (B, K, 3),
    "pose_quality" (B,) and "labelled" (B, K), P(v > 0), which a graph may give but no field of `Poses` takes: one
    number does not say how much of the rest is occluded, and trustpose does not guess. head: its name, options: what it
    was built with, maps: the tensors of the network that it reads (of an ONNX file). area: the convention of its OKS.
    fitted_on: what it was trained and calibrated on, texts and numbers by name. parameters: the head's. box: the input
    (B, 2) of the graph for people's boxes, their widths and heights as shares of the crops'; None where none is read.
    xy: its input (B, K, 2) for the places to read at, in pixels of the heatmaps or bins, NaN for the network's own
    peaks; None where the graph always finds those itself.
    """

    outputs: Mapping[str, str]
    head: str
    area: Area
    parameters: int
    fitted_on: Mapping[str, float | int | str] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    maps: Mapping[str, str] = field(default_factory=dict)
    box: str | None = None
    xy: str | None = None

    @classmethod
    def read(cls, trust: Fields) -> "TrustOutput":
        """The field 'trust' of a spec; unknown fields are refused. Raises InputError naming the field."""
        outputs = _texts(trust, "outputs")
        unknown = [name for name in outputs if name not in TRUST_FIELDS]
        if unknown or not outputs:
            raise trust.fail("outputs", f"names of outputs for some of {', '.join(TRUST_FIELDS)}", outputs)
        if len(set(outputs.values())) < len(outputs):
            raise trust.fail("outputs", "another output for each field", outputs)
        read = cls(
            outputs=outputs,
            head=trust.text("head"),
            area=trust.choice("area", AREAS),
            parameters=_parameters(trust),
            fitted_on=trust.values("fitted_on"),
            options=_object(trust, "options"),
            maps=_texts(trust, "maps"),
            box=trust.text("box") if "box" in trust.value else None,
            xy=trust.text("xy") if "xy" in trust.value else None,
        )
        if read.xy is not None and read.xy == read.box:
            raise trust.fail("xy", "another input than in 'box'", read.xy)
        trust.close()
        return read

    @property
    def inputs(self) -> dict[str, str]:
        """The graph's inputs beside the pixels, by the fields that name them, "box" and "xy"."""
        return {name: value for name, value in (("box", self.box), ("xy", self.xy)) if value is not None}

    def to_json(self) -> dict[str, Any]:
        """What `read` reads."""
        found = {one.name: _plain(getattr(self, one.name)) for one in fields(self)}
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True, eq=False)
class TrustArrays:
    """What a head says about B crops; what it does not say is None.

    quality (B, K): expected OPKS, 0–1. visibility (B, K, 3): P(absent), P(occluded), P(visible), summing to 1.
    pose_quality (B,): expected OKS, 0–1.
    """

    quality: Float[np.ndarray, "B K"] | None = None
    visibility: Float[np.ndarray, "B K 3"] | None = None
    pose_quality: Float[np.ndarray, " B"] | None = None

    @classmethod
    def of(cls, given: Mapping[str, np.ndarray], count: int, keypoints: int, path: object) -> "TrustArrays":
        """The arrays by field, float32, checked; "labelled" is left aside. Raises InputError naming `path` and the
        field where a shape is wrong, a number is not 0–1, or three probabilities do not sum to 1."""
        checked: dict[str, np.ndarray] = {}
        for name in (name for name in POSE_FIELDS if name in given):
            shape = (count, *trust_shape(name, keypoints))
            array = given[name].astype(np.float32, copy=False)
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
        """The fields that are not None, by name."""
        values = {one.name: getattr(self, one.name) for one in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def average_flipped(self, flipped: "TrustArrays", flip_index: Int[np.ndarray, " K"]) -> "TrustArrays":
        """Means of what is said about crops and about their mirror images, left and right put back.

        Source: OKS-Net paper, section IV-A ("averaging the predicted OKS of original and flipped input").
        """
        means = {}
        for name, value in self.filled().items():
            other = flipped.filled()[name]
            means[name] = (value + (other if name == "pose_quality" else other[:, flip_index])) / 2
        return replace(self, **means)


def trust_shape(name: str, keypoints: int) -> tuple[int, ...]:
    """The shape of a field of trust but for the people: (K,), (K, 3) or ()."""
    return {"visibility": (keypoints, 3), "pose_quality": ()}.get(name, (keypoints,))


def _texts(trust: Fields, name: str) -> dict[str, str]:
    value = _object(trust, name)
    if not all(isinstance(one, str) and one for one in value.values()):
        raise trust.fail(name, "an object of texts", value)
    return value


def _object(trust: Fields, name: str) -> dict[str, Any]:
    trust.seen.add(name)
    value = trust.value.get(name, {})
    if not isinstance(value, dict):
        raise trust.fail(name, "an object", value)
    return value


def _parameters(trust: Fields) -> int:
    value = trust.number("parameters")
    if value < 0 or value != int(value):
        raise trust.fail("parameters", "how many the head has, a whole number", trust.value["parameters"])
    return int(value)


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
