"""The output kind "surfaces": the part and coordinates of the body's surface in each pixel of a person's crop."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from trustpose.codecs.surface import PARTS, SurfaceCodec, SurfaceMaps
from trustpose.json_records import Count, Text, described
from trustpose.models.inputs import InputSpec, Sizes
from trustpose.models.outputs.crops import PeopleFrom
from trustpose.models.outputs.spec_fields import OutputFields
from trustpose.skeletons.surface_parts import MASK_PARTS

_COARSE = Annotated[int, described(f"2, or {1 + len(MASK_PARTS)}")]


@dataclass(frozen=True)
class SurfaceOutput:
    """Maps over a person's crop, or over boxes in a photo: see `codecs.surface.SurfaceMaps`.

    height, width: cells. coarse: maps of the mask, 2 or 15. mask, parts, u, v: the outputs' names; quality: of the
    expected geodesic point similarity (B, 1, height, width), 0–1; None: the network has none.
    boxes: the name of a second input (N, 5): the number of the image in the batch, and a box xyxy in its pixels, which
    the maps (N, …) span; None: they span the crop.
    """

    kind: ClassVar[str] = "surfaces"
    people_from: ClassVar[PeopleFrom] = "boxes"
    sizes: ClassVar[Sizes] = "fixed"

    height: Count
    width: Count
    coarse: _COARSE = 2
    mask: Text = "mask"
    parts: Text = "parts"
    u: Text = "u"
    v: Text = "v"
    quality: Text | None = None
    boxes: Text | None = None

    def __post_init__(self) -> None:
        if self.coarse not in (2, 1 + len(MASK_PARTS)):
            raise ValueError(f"coarse: expected 2, or {1 + len(MASK_PARTS)}, got {self.coarse}")

    @classmethod
    def read(cls, fields: OutputFields) -> "SurfaceOutput":
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        return fields.read(cls)

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        value = {name: field_value for name, field_value in asdict(self).items() if field_value is not None}
        return {"output": {"kind": self.kind} | value}

    def codec(self, inputs: InputSpec) -> SurfaceCodec:  # noqa: ARG002  # the same for any size
        """Return the codec of the maps."""
        return SurfaceCodec(self.width, self.height)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file."""
        names: dict[str, str | None] = {"mask": self.mask, "parts": self.parts, "u": self.u, "v": self.v}
        return names if self.quality is None else names | {"quality": self.quality}

    @property
    def inputs(self) -> dict[str, str]:
        """The names of further inputs of the network, by field of the spec."""
        return {} if self.boxes is None else {"output.boxes": self.boxes}

    def shapes(self) -> list[tuple[int, ...]]:
        """Return the tensors' shapes without the batch."""
        channels = [self.coarse, PARTS, PARTS, PARTS, *([] if self.quality is None else [1])]
        return [(count, self.height, self.width) for count in channels]

    def maps(self, arrays: list[np.ndarray]) -> list[SurfaceMaps]:
        """Return each crop's maps from the tensors, in the order of `tensors`."""
        names = list(self.tensors)
        crops = [dict(zip(names, crop, strict=True)) for crop in zip(*arrays, strict=True)]
        return [
            SurfaceMaps(
                *(crop[name].astype(np.float32, copy=False) for name in names[:4]),
                quality=crop["quality"][0].astype(np.float32, copy=False) if "quality" in crop else None,
            )
            for crop in crops
        ]

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        people = "one person" if self.boxes is None else "each box in a photo"
        return f"surface {self.width}×{self.height} of {people}" + (", with trust" if self.quality else "")
