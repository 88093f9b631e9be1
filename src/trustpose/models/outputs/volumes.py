"""The output kind "volumes": a volume of heatmaps over one person's crop and its depth for each keypoint."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np

from trustpose.codecs import Outputs
from trustpose.codecs.volumes import EXTENT, VolumeCodec, VolumeDecoding
from trustpose.geometry.crops import Grid
from trustpose.json_records import Count, Text, naming, within
from trustpose.models.inputs import InputSpec
from trustpose.models.outputs.crops import CropOutput
from trustpose.models.outputs.spec_fields import OutputFields


@dataclass(frozen=True)
class VolumeOutput(CropOutput):
    """Maps (B, keypoints × depth, height, width), those of one keypoint one after the other; see `codecs.volumes`.

    `name` None means the first output. Prediction gives x and y; `codec.decode_volumes` gives the depth, too.
    """

    kind: ClassVar[str] = "volumes"

    keypoints: Count
    depth: Count
    height: Count
    width: Count
    stride: Annotated[float, within(0.01, 16384)]
    name: Text | None = None
    decoding: VolumeDecoding = "integral"
    sigma: Annotated[float, within(0.1, 16384)] = 2.0
    temperature: Annotated[float, within(1e-3, 1e3)] | None = None
    extent: Annotated[float, within(1e-3, 1e3)] = EXTENT

    @classmethod
    def read(cls, fields: OutputFields) -> "VolumeOutput":
        """Read the fields 'output' and 'codec' of a spec. Raises InputError naming the field."""
        fields.expect_codec("volumes")
        output, inputs = fields.read(cls), fields.inputs
        with naming(fields.path, "output"):
            if (output.height * output.stride, output.width * output.stride) != (inputs.height, inputs.width):
                raise ValueError(f"stride: expected input size / map size, got {output.stride:g}")
        return output

    def to_json(self) -> dict[str, Any]:
        value = {name: field_value for name, field_value in asdict(self).items() if field_value is not None}
        return {"output": {"kind": self.kind} | value}

    def codec(self, inputs: InputSpec) -> VolumeCodec:  # noqa: ARG002  # the volume's size is sufficient
        return self._codec

    @property
    def _codec(self) -> VolumeCodec:
        sides = (self.width, self.height, self.depth)
        return VolumeCodec(*sides, self.stride, self.sigma, self.decoding, self.temperature, self.extent)

    @property
    def tensors(self) -> dict[str, str | None]:
        return {"name": self.name}

    def shapes(self, inputs: InputSpec) -> list[tuple[int, ...]]:  # noqa: ARG002
        return [(self.keypoints * self.depth, self.height, self.width)]

    def outputs(self, arrays: list[np.ndarray]) -> Outputs:
        maps = arrays[0].astype(np.float32, copy=False)
        return Outputs(heatmaps=[maps], grids={"heatmaps": Grid((self.stride, self.stride))})

    def arrays(self, outputs: Outputs) -> list[Any]:
        return list(outputs.heatmaps[-1:])

    def describe(self) -> str:
        return f"volumes {self.width}×{self.height}×{self.depth} of one person, {self.decoding}"
