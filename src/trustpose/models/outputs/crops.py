"""Outputs of networks for one person's crop: their base class, and the kinds "coordinates" and "simcc".

The kind "heatmaps" is in `dense_outputs`.
"""

from abc import ABC, abstractmethod
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Int

from trustpose.codecs import DecodedKeypoints, Outputs
from trustpose.codecs.coordinates import CoordinateCodec
from trustpose.codecs.simcc import Score, SimCCCodec
from trustpose.files import InputError
from trustpose.geometry.crops import Grid
from trustpose.io.json_reader import Fields
from trustpose.models.inputs import InputSpec, Sizes
from trustpose.skeletons import Skeleton

PeopleFrom = Literal["photo", "boxes", "either"]
"""A model's input for people: none, it finds them in the photo; their boxes; or either."""


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

    keypoints: int

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

    keypoints: int
    order: tuple[str, str, str]
    normalised: bool
    name: str | None = None

    @classmethod
    def read(cls, top: Fields, inputs: InputSpec, skeleton: Skeleton) -> "CoordinateOutput":  # noqa: ARG003
        """Read the fields 'output' and 'codec' of a spec. Raises InputError naming the field."""
        fields = top.object("output")
        fields.choice("kind", (cls.kind,))
        keypoints = fields.keypoints(skeleton)
        name = fields.text("name") if "name" in fields.value else None
        top.choice("codec", ("coordinates",), default="coordinates")
        order = fields.value.get("order")
        if not isinstance(order, list) or sorted(map(str, order)) != ["score", "x", "y"]:
            raise fields.fail("order", 'x, y and score in the network\'s order, e.g. ["y", "x", "score"]', order)
        fields.seen.add("order")
        output = cls(keypoints, (order[0], order[1], order[2]), fields.boolean("normalised"), name)
        fields.close()
        return output

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

    keypoints: int
    x: str = "simcc_x"
    y: str = "simcc_y"
    split: float = 2.0
    sigma: tuple[float, float] = (4.9, 5.66)
    normalised: bool = False
    subbin: bool = False
    score: Score = "lower"
    flip_shift: int | None = None

    @classmethod
    def read(cls, top: Fields, inputs: InputSpec, skeleton: Skeleton) -> "SimCCOutput":
        """Read the fields 'output' and 'codec' of a spec. Raises InputError naming the field."""
        fields = top.object("output")
        fields.choice("kind", (cls.kind,))
        keypoints = fields.keypoints(skeleton)
        codec = top.choice("codec", _SIMCC, default=_SIMCC[0])
        split = fields.number("split", minimum=0.1, maximum=16.0, default=2.0)
        sigma = cls.sigma
        if "sigma" in fields.value:
            pair = fields.number_or_pair("sigma", minimum=0.1, maximum=16384.0)
            sigma = pair if isinstance(pair, tuple) else (pair, pair)
        shift = None
        if "flip_shift" in fields.value:
            shift = int(fields.number("flip_shift", minimum=0.0, maximum=min(inputs.width * split - 1, 64.0)))
            if shift != fields.value["flip_shift"]:
                raise fields.fail("flip_shift", "a whole number of bins", fields.value["flip_shift"])
        output = cls(
            keypoints,
            x=fields.text("x", default="simcc_x"),
            y=fields.text("y", default="simcc_y"),
            split=split,
            sigma=sigma,
            normalised=fields.boolean("normalised") if "normalised" in fields.value else False,
            subbin=codec == _SIMCC[1],
            score=fields.choice("score", ("lower", "mean"), default="lower"),
            flip_shift=shift,
        )
        if output.x == output.y:
            raise fields.fail("y", "another output than in 'x'", output.y)
        fields.close()
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


_SIMCC = ("simcc", "simcc-dark")
