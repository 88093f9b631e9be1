"""Outputs of networks, one record per kind: its fields in a spec, and the codec that decodes it.

Other kinds are in `crops`, `dense`, `volumes` and `surfaces`, and those of bottom-up networks, `photo_maps`, in
`fields`, `tags`, `centres`, `boxed`, `composite_fields` and `disks`. A new kind needs a new record in one of these
files, or in a file of its own, and an entry in `KINDS`.
"""

import re
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from trustpose.codecs.people import BOX, PeopleCodec
from trustpose.json_records import Count, Text, described, naming, short
from trustpose.models.inputs import InputSpec, Sizes
from trustpose.models.outputs.boxed import BoxedOutput
from trustpose.models.outputs.centres import CentreOutput
from trustpose.models.outputs.composite_fields import CompositeOutput
from trustpose.models.outputs.crops import CoordinateOutput, PeopleFrom, SimCCOutput
from trustpose.models.outputs.dense import BoxListOutput, BoxOutput, HeatmapOutput
from trustpose.models.outputs.disks import DiskOutput
from trustpose.models.outputs.fields import FieldOutput
from trustpose.models.outputs.spec_fields import OutputFields
from trustpose.models.outputs.surfaces import SurfaceOutput
from trustpose.models.outputs.tags import TagOutput
from trustpose.models.outputs.volumes import VolumeOutput

_ORDER = re.compile(r"(\d{1,5}) x \((\w+), (\w+), (\w+)\), then (\w+), (\w+), (\w+), (\w+), (\w+)")


@dataclass(frozen=True)
class _PeopleFile:
    """The JSON of `PeopleOutput`."""

    keypoints: Count
    shape: Annotated[tuple[int, int, int], described("[1, people, 3 × keypoints + 5]")]
    order: Text
    normalised: bool
    name: Text | None = None


@dataclass(frozen=True)
class PeopleOutput:
    """The people of a whole photo, (1, people, 3 × keypoints + 5): see `codecs.people`. `name` None: the first output.

    The number of people is the same for every photo.
    """

    kind: ClassVar[str] = "people"
    people_from: ClassVar[PeopleFrom] = "photo"
    sizes: ClassVar[Sizes] = "either"

    people: int
    keypoints: int
    order: tuple[str, str, str]
    box_order: tuple[str, str, str, str, str]
    normalised: bool
    name: str | None = None

    @classmethod
    def read(cls, fields: OutputFields) -> "PeopleOutput":
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        file, count = fields.read(_PeopleFile), len(fields.skeleton)
        with naming(fields.path, "output"):
            match = _ORDER.fullmatch(file.order)
            names = match.groups() if match else ("",) * 9
            is_row = sorted(names[1:4]) == ["score", "x", "y"] and sorted(names[4:]) == sorted((*BOX, "score"))
            if names[0] != str(count) or not is_row:
                expected = f'a text such as "{count} x (y, x, score), then ymin, xmin, ymax, xmax, score"'
                raise ValueError(f"order: expected {expected}, got {short(file.order)}")
            if file.shape[::2] != (1, 3 * count + 5):
                raise ValueError(f"shape: expected [1, people, {3 * count + 5}], got {list(file.shape)}")
        order, box_order = (names[1], names[2], names[3]), (names[4], names[5], names[6], names[7], names[8])
        return cls(file.shape[1], count, order, box_order, file.normalised, file.name)

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        shape = [1, self.people, 3 * self.keypoints + 5]
        order = f"{self.keypoints} x ({', '.join(self.order)}), then {', '.join(self.box_order)}"
        value = {"kind": self.kind, "shape": shape, "normalised": self.normalised, "keypoints": self.keypoints}
        return {"output": value | {"order": order} | ({"name": self.name} if self.name else {})}

    def codec(self, inputs: InputSpec) -> PeopleCodec:  # noqa: ARG002  # the same for any size
        """Return the codec for a photo's rows."""
        return PeopleCodec(self.keypoints, self.order, self.box_order, self.normalised)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensor's name in the network's file; None: the first output."""
        return {"name": self.name}

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return f"up to {self.people} people of a photo, with boxes"


CropOutputs = HeatmapOutput | SimCCOutput | CoordinateOutput | VolumeOutput
PhotoMapOutputs = FieldOutput | TagOutput | CentreOutput | BoxedOutput | CompositeOutput | DiskOutput
Output = CropOutputs | PeopleOutput | PhotoMapOutputs | BoxOutput | BoxListOutput | SurfaceOutput
CROP_KINDS = (HeatmapOutput, SimCCOutput, CoordinateOutput, VolumeOutput)
PHOTO_MAPS = (FieldOutput, TagOutput, CentreOutput, BoxedOutput, CompositeOutput, DiskOutput)
BOX_KINDS = (BoxOutput, BoxListOutput)
KINDS: dict[str, type[Output]] = {
    kind.kind: kind for kind in (*CROP_KINDS, PeopleOutput, *PHOTO_MAPS, *BOX_KINDS, SurfaceOutput)
}
