"""The base class of outputs of bottom-up networks: maps of a whole photo, decoded to all its people."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypedDict, get_args

import numpy as np
from jaxtyping import Int

from trustpose.codecs.fields import Support
from trustpose.codecs.people import DetectedPeople
from trustpose.io.json_reader import Fields
from trustpose.models.inputs import InputSpec, Sizes
from trustpose.models.outputs.crops import PeopleFrom
from trustpose.skeletons import Skeleton

Decoding = Literal["argmax-quarter", "dark"]


class Peaks(TypedDict):
    """Options of reading candidates from heatmaps: see `codecs.heatmaps`. min_peak: a candidate's minimum height."""

    offset: float
    sigma: float
    decoding: Decoding
    min_peak: float


@dataclass(frozen=True)
class PhotoMaps(ABC):
    """Maps of a photo, `stride` input pixels a cell; each kind adds its own fields, among them `min_score`, below which
    people are dropped."""

    kind: ClassVar[str]
    people_from: ClassVar[PeopleFrom] = "photo"
    sizes: ClassVar[Sizes] = "either"

    keypoints: int
    stride: float

    @property
    @abstractmethod
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file by the spec's field."""

    @abstractmethod
    def shapes(self, width: int, height: int) -> list[tuple[int, ...]]:
        """Return the tensors' shapes for a photo of width × height input pixels, in the order of `tensors`."""

    @abstractmethod
    def decode(self, arrays: list[np.ndarray], width: int, height: int) -> DetectedPeople:
        """Return the people of a photo of width × height input pixels, the best first, from tensors of these
        shapes."""

    @abstractmethod
    def average_flipped(
        self, arrays: list[np.ndarray], mirrored: list[np.ndarray], flip_index: Int[np.ndarray, " K"]
    ) -> list[np.ndarray]:
        """Return the means of a photo's tensors and of those of its mirror image, brought back; float32.

        flip_index: the skeleton's. Raises InputError if the maps have no mirror image among themselves.
        """

    def support(self, arrays: list[np.ndarray], people: DetectedPeople) -> Support | None:  # noqa: ARG002  # of most kinds none
        """Return features of decoded people from further maps, for a trust head; None if the head reads only the
        network's features and heatmaps at their joints."""
        return None

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""

    @abstractmethod
    def describe(self) -> str:
        """Describe the output for `trustpose models`."""

    def misfit(self, arrays: list[np.ndarray], width: int, height: int) -> str | None:
        """Describe what is wrong with the tensors of one photo of width × height input pixels; None if they are
        valid."""
        for name, shape, array in zip(self.tensors, self.shapes(width, height), arrays, strict=True):
            if array.shape != shape:
                return f"gave {name} {array.shape}, expected {shape}"
        return None

    def cells(self, width: int, height: int) -> tuple[int, int]:
        """Return the maps' height and width in cells."""
        return round(height / self.stride), round(width / self.stride)


def read_maps(top: Fields, kind: str, inputs: InputSpec, skeleton: Skeleton) -> tuple[Fields, int, float]:
    """Begin to read the field 'output' of `kind`: return it, the number of keypoints, and the stride.

    Raises InputError naming the field.
    """
    fields = top.object("output")
    fields.choice("kind", (kind,))
    return fields, fields.keypoints(skeleton), read_stride(fields, "stride", inputs)


def read_stride(fields: Fields, field: str, inputs: InputSpec, default: float | None = None) -> float:
    """Return input pixels a cell, which must divide the input's sides."""
    stride = fields.number(field, minimum=1.0, maximum=256.0, default=default)
    if inputs.height % stride or inputs.width % stride or (inputs.multiple or 0) % stride:
        raise fields.fail(field, "a divisor of the input's sides", stride)
    return stride


def read_names(fields: Fields, /, **defaults: str) -> dict[str, str]:
    """Return the names of a network's outputs by field; no two may be the same."""
    names: dict[str, str] = {}
    for field, default in defaults.items():
        name = fields.text(field, default)
        same_name = next((other_field for other_field, other_name in names.items() if other_name == name), None)
        if same_name is not None:
            raise fields.fail(field, f"another output than {same_name!r}", name)
        names[field] = name
    return names


def read_peaks(fields: Fields, offset: float, sigma: float, decoding: Decoding, min_peak: float) -> Peaks:
    """Return the options of reading candidates from peaks; the arguments are the defaults."""
    return {
        "offset": fields.number("offset", minimum=-256.0, maximum=256.0, default=offset),
        "sigma": fields.number("sigma", minimum=0.1, maximum=64.0, default=sigma),
        "decoding": fields.choice("decoding", get_args(Decoding), default=decoding),
        "min_peak": fields.number("min_peak", minimum=0.0, default=min_peak),
    }


def read_boolean(fields: Fields, field: str, *, default: bool) -> bool:
    """Return true or false."""
    return fields.boolean(field) if field in fields.value else default
