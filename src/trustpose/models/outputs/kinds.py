"""Outputs of networks, one record per kind: its fields in a spec, and the codec that decodes it.

Other kinds are in `crop_outputs`, `dense_outputs`, and those of bottom-up networks, `photo_maps`, in `field_output`,
`tag_output` and `centre_output`. A new kind needs a new record in one of these files, or in a file of its own, and an
entry in `KINDS`.
"""

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from trustpose.codecs.people import BOX, PeopleCodec
from trustpose.io.json_reader import Fields
from trustpose.models.inputs import InputSpec, Sizes
from trustpose.models.outputs.centres import CentreOutput
from trustpose.models.outputs.crops import CoordinateOutput, PeopleFrom, SimCCOutput
from trustpose.models.outputs.dense import BoxListOutput, BoxOutput, HeatmapOutput
from trustpose.models.outputs.fields import FieldOutput
from trustpose.models.outputs.tags import TagOutput
from trustpose.skeletons import Skeleton

_ORDER = re.compile(r"(\d{1,5}) x \((\w+), (\w+), (\w+)\), then (\w+), (\w+), (\w+), (\w+), (\w+)")


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
    def read(cls, top: Fields, inputs: InputSpec, skeleton: Skeleton) -> "PeopleOutput":  # noqa: ARG003
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        fields = top.object("output")
        fields.choice("kind", (cls.kind,))
        keypoints = fields.keypoints(skeleton)
        text = fields.text("order")
        match = _ORDER.fullmatch(text)
        names = match.groups() if match else ("",) * 9
        is_row = sorted(names[1:4]) == ["score", "x", "y"] and sorted(names[4:]) == sorted((*BOX, "score"))
        if names[0] != str(keypoints) or not is_row:
            expected = f'a text such as "{keypoints} x (y, x, score), then ymin, xmin, ymax, xmax, score"'
            raise fields.fail("order", expected, text)
        shape, columns = fields.value.get("shape"), 3 * keypoints + 5
        if not isinstance(shape, list) or len(shape) != 3 or shape[::2] != [1, columns] or type(shape[1]) is not int:
            raise fields.fail("shape", f"[1, people, {columns}]", shape)
        fields.seen.add("shape")
        name = fields.text("name") if "name" in fields.value else None
        order, box_order = (names[1], names[2], names[3]), (names[4], names[5], names[6], names[7], names[8])
        output = cls(shape[1], keypoints, order, box_order, fields.boolean("normalised"), name)
        fields.close()
        return output

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


CropOutputs = HeatmapOutput | SimCCOutput | CoordinateOutput
PhotoMapOutputs = FieldOutput | TagOutput | CentreOutput
Output = CropOutputs | PeopleOutput | PhotoMapOutputs | BoxOutput | BoxListOutput
CROP_KINDS = (HeatmapOutput, SimCCOutput, CoordinateOutput)
PHOTO_MAPS = (FieldOutput, TagOutput, CentreOutput)
BOX_KINDS = (BoxOutput, BoxListOutput)
KINDS: dict[str, type[Output]] = {kind.kind: kind for kind in (*CROP_KINDS, PeopleOutput, *PHOTO_MAPS, *BOX_KINDS)}
