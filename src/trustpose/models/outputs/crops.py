"""Outputs of networks for one person's crop: their base class, and the kinds "coordinates" and "simcc".

The kind "heatmaps" is in `dense_outputs`.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from trustpose.codecs import DecodedKeypoints, Outputs
from trustpose.codecs.coordinates import CoordinateCodec
from trustpose.codecs.simcc import Score, SimCCCodec
from trustpose.files import InputError
from trustpose.geometry.crops import Grid
from trustpose.json_records import Count, Text, described, is_number, naming, within
from trustpose.models.inputs import InputSpec, Sizes
from trustpose.models.outputs.spec_fields import OutputFields

PeopleFrom = Literal["photo", "boxes", "either"]
"""A model's input for people: none, it finds them in the photo; their boxes; or either."""
_SIMCC = ("simcc", "simcc-dark")
_ORDER = 'x, y and score in the network\'s order, e.g. ["y", "x", "score"]'
_Sigma = Annotated[float, within(0.1, 16384)]


@runtime_checkable
class CropCodec(Protocol):
    """The interface of the codecs for one person's crop."""

    def crop_extent(self, width: int, height: int) -> tuple[int, int]: ...

    def decode(self, outputs: Outputs) -> DecodedKeypoints: ...

    def average_flipped(self, outputs: Outputs, mirrored: Outputs, flip_index: Int[np.ndarray, " K"]) -> Outputs: ...


@dataclass(frozen=True)
class CropOutput(ABC):
    """The base class of output records for crops; each adds its own fields."""

    kind: ClassVar[str]
    people_from: ClassVar[PeopleFrom] = "boxes"
    sizes: ClassVar[Sizes] = "fixed"
    is_shaped: ClassVar[bool] = True
    """Whether tensors must have the shapes in `shapes`, or only the same number of values."""
    is_from_tokens: ClassVar[bool] = False
    """Whether its last layers read one token per keypoint instead of a map."""

    keypoints: Count

    @abstractmethod
    def codec(self, inputs: InputSpec) -> CropCodec:
        """Return the codec of the tensors."""

    @abstractmethod
    def to_json(self) -> dict[str, Any]:
        """Return the fields of a spec that `read` reads."""

    @property
    @abstractmethod
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file by the spec's field; None: the first output."""

    @abstractmethod
    def shapes(self, inputs: InputSpec) -> list[tuple[int, ...]]:
        """Return the tensors' shapes without the batch, for pixels of the size in `inputs`."""

    @abstractmethod
    def outputs(self, arrays: list[np.ndarray]) -> Outputs:
        """Convert the tensors, in the order of `tensors`, to `Outputs`."""

    @abstractmethod
    def arrays(self, outputs: Outputs) -> list[Any]:
        """Convert `Outputs` back to tensors; fewer if one is absent."""

    @abstractmethod
    def describe(self) -> str:
        """Describe the output for `trustpose models`."""

    @property
    def is_unbiased(self) -> bool:
        """Whether sizes are counted between pixel centres (`codecs.heatmaps`), which also requires affine crops."""
        return False

    def with_decoding(self, decoding: str) -> "CropOutput":
        """Return the output with another of `codecs.heatmaps.DECODINGS`. Raises InputError if it has none."""
        raise InputError(f"decoding {decoding}: this network gives {self.kind}, expected heatmaps")


@dataclass(frozen=True)
class CoordinateOutput(CropOutput):
    """Numbers (B, …, keypoints, 3) in `order`; 0–1 across the crop if `normalised`, else crop pixels."""

    kind: ClassVar[str] = "coordinates"
    is_shaped: ClassVar[bool] = False

    keypoints: Count
    order: Annotated[tuple[str, str, str], described(_ORDER)]
    normalised: bool
    name: Text | None = None

    def __post_init__(self) -> None:
        if sorted(self.order) != ["score", "x", "y"]:
            raise ValueError(f"order: expected {_ORDER}, got {list(self.order)}")

    @classmethod
    def read(cls, fields: OutputFields) -> "CoordinateOutput":
        """Read the fields 'output' and 'codec' of a spec. Raises InputError naming the field."""
        fields.expect_codec("coordinates")
        return fields.read(cls)

    def to_json(self) -> dict[str, Any]:
        value = asdict(self) | {"order": list(self.order)}
        return {
            "output": {"kind": self.kind}
            | {name: field_value for name, field_value in value.items() if field_value is not None}
        }

    def codec(self, inputs: InputSpec) -> CoordinateCodec:
        return CoordinateCodec(inputs.width, inputs.height, self.order, self.normalised)

    @property
    def tensors(self) -> dict[str, str | None]:
        return {"name": self.name}

    def shapes(self, inputs: InputSpec) -> list[tuple[int, ...]]:  # noqa: ARG002
        return [(self.keypoints, 3)]

    def outputs(self, arrays: list[np.ndarray]) -> Outputs:
        return Outputs(heatmaps=[], coordinates=arrays[0])

    def arrays(self, outputs: Outputs) -> list[Any]:
        return [] if outputs.coordinates is None else [outputs.coordinates]

    def describe(self) -> str:
        return "coordinates of one person"


@dataclass(frozen=True)
class SimCCOutput(CropOutput):
    """Logits over the columns (B, keypoints, width × split) and the rows (B, keypoints, height × split) of a crop.

    x, y: the outputs' names. sigma, normalised: from training; subbin, score, flip_shift: for decoding (see
    `codecs.simcc`).
    """

    kind: ClassVar[str] = "simcc"
    is_from_tokens: ClassVar[bool] = True

    keypoints: Count
    x: Text = "simcc_x"
    y: Text = "simcc_y"
    split: Annotated[float, within(0.1, 16)] = 2.0
    sigma: Annotated[tuple[_Sigma, _Sigma], described("a number from 0.1 to 16384, or two, across and down")] = (
        4.9,
        5.66,
    )
    normalised: bool = False
    subbin: bool = False
    score: Score = "lower"
    flip_shift: Annotated[int, within(0), described("a whole number of bins")] | None = None

    @classmethod
    def read(cls, fields: OutputFields) -> "SimCCOutput":
        """Read the fields 'output' and 'codec' of a spec. Raises InputError naming the field."""
        sigma = fields.value.get("sigma")
        pair = {"sigma": [sigma, sigma]} if is_number(sigma) else {}
        fields = replace(fields, value={**fields.value, **pair})
        output = fields.read(cls, subbin=fields.expect_codec(*_SIMCC) == _SIMCC[1])
        most = min(fields.inputs.width * output.split - 1, 64.0)
        with naming(fields.path, "output"):
            if output.flip_shift is not None and output.flip_shift > most:
                raise ValueError(f"flip_shift: expected a whole number from 0 to {most:g}, got {output.flip_shift}")
        return output

    def to_json(self) -> dict[str, Any]:
        value = asdict(self) | {"sigma": list(self.sigma)}
        codec = _SIMCC[self.subbin]
        del value["subbin"]
        fields = {name: field_value for name, field_value in value.items() if field_value is not None}
        return {"output": {"kind": self.kind} | fields, "codec": codec}

    def codec(self, inputs: InputSpec) -> SimCCCodec:
        options = {
            "normalised": self.normalised,
            "subbin": self.subbin,
            "score": self.score,
            "flip_shift": self.flip_shift,
        }
        return SimCCCodec(inputs.width, inputs.height, self.split, self.sigma, **options)

    @property
    def tensors(self) -> dict[str, str | None]:
        return {"x": self.x, "y": self.y}

    def shapes(self, inputs: InputSpec) -> list[tuple[int, ...]]:
        return [(self.keypoints, bins) for bins in self.codec(inputs).bins]

    def outputs(self, arrays: list[np.ndarray]) -> Outputs:
        columns, rows = (array.astype(np.float32, copy=False) for array in arrays)
        bin_ = 1 / self.split
        return Outputs(heatmaps=[], simcc=(columns, rows), grids={"simcc": Grid((bin_, bin_))})

    def arrays(self, outputs: Outputs) -> list[Any]:
        return [] if outputs.simcc is None else list(outputs.simcc)

    def describe(self) -> str:
        refinement = ", read between the bins" if self.subbin else ""
        return f"SimCC logits of one person, {self.split:g} bins a pixel{refinement}"
