"""Outputs of detectors, boxes of a whole photo: the kinds "boxes", as maps, and "box-list", as listed before NMS."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from trustpose.codecs.boxes import BoxListCodec, CentreCodec
from trustpose.formats.json_reader import Fields
from trustpose.models.crop_outputs import PeopleFrom
from trustpose.models.inputs import InputSpec, Sizes
from trustpose.skeletons import Skeleton

_OVERLAP = 0.6  # PaddleDetection's for PicoDet


@dataclass(frozen=True)
class BoxOutput:
    """Boxes of the people of a whole photo as maps of centres and sides (1, 5, h, w): see `codecs.boxes`.

    `stride`: input pixels per map pixel; boxes below `min_score` are dropped. `name` None: the first output.
    """

    kind: ClassVar[str] = "boxes"
    people_from: ClassVar[PeopleFrom] = "photo"
    sizes: ClassVar[Sizes] = "free"

    stride: int
    min_score: float
    name: str | None = None

    @classmethod
    def read(cls, top: Fields, inputs: InputSpec, skeleton: Skeleton) -> "BoxOutput":  # noqa: ARG003
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        wanted = top.object("output")
        wanted.choice("kind", (cls.kind,))
        stride = wanted.count("stride")
        if (inputs.multiple or 0) % stride:
            raise wanted.fail("stride", f"a number that divides the input's multiple, {inputs.multiple}", stride)
        name = wanted.text("name") if "name" in wanted.value else None
        output = cls(stride, wanted.number("min_score", least=1e-6, most=1.0), name)
        wanted.close()
        return output

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        return {"output": {"kind": self.kind} | {name: one for name, one in asdict(self).items() if one is not None}}

    def codec(self, inputs: InputSpec) -> CentreCodec:  # noqa: ARG002  # the same for any size
        """Return the codec for a photo's maps."""
        return CentreCodec(self.stride, self.min_score)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensor's name in the network's file; None: the first output."""
        return {"name": self.name}

    def misfit(self, arrays: list[np.ndarray], width: int, height: int) -> str | None:
        """Describe what is wrong with the tensors of one photo of width × height input pixels; None if they are
        valid."""
        expected = (1, 5, height // self.stride, width // self.stride)
        return None if arrays[0].shape == expected else f"gave an output {arrays[0].shape}, expected {expected}"

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return "boxes of the people of a photo"


@dataclass(frozen=True)
class BoxListOutput:
    """Scores (1, classes, N) and boxes (1, N, 4), x0 y0 x1 y1 in input pixels: see `codecs.boxes`.

    scores, boxes: the outputs' names. `person`: the index of the class person. Boxes below `min_score` are dropped, and
    NMS keeps the highest of boxes that overlap by more than `overlap` (IoU).
    """

    kind: ClassVar[str] = "box-list"
    people_from: ClassVar[PeopleFrom] = "photo"
    sizes: ClassVar[Sizes] = "either"

    scores: str
    boxes: str
    min_score: float
    overlap: float = _OVERLAP
    person: int = 0

    @classmethod
    def read(cls, top: Fields, inputs: InputSpec, skeleton: Skeleton) -> "BoxListOutput":  # noqa: ARG003
        """Read the field 'output' of a spec. Raises InputError naming the field."""
        wanted = top.object("output")
        wanted.choice("kind", (cls.kind,))
        scores, boxes = wanted.text("scores"), wanted.text("boxes")
        if scores == boxes:
            raise wanted.fail("boxes", "another output than 'scores'", boxes)
        min_score = wanted.number("min_score", least=1e-6, most=1.0)
        overlap = wanted.number("overlap", least=0.0, most=1.0, default=_OVERLAP)
        person = wanted.value.get("person", 0)
        if type(person) is not int or not 0 <= person < 10_000:
            raise wanted.fail("person", "a whole number, 0 for the first class", person)
        wanted.seen.add("person")
        wanted.close()
        return cls(scores, boxes, min_score, overlap, person)

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        value = {"kind": self.kind, "scores": self.scores, "boxes": self.boxes, "min_score": self.min_score}
        return {"output": value | {"overlap": self.overlap, "person": self.person}}

    def codec(self, inputs: InputSpec) -> BoxListCodec:  # noqa: ARG002  # the same for any size
        """Return the codec for a photo's lists."""
        return BoxListCodec(self.min_score, self.overlap, self.person)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file."""
        return {"scores": self.scores, "boxes": self.boxes}

    def misfit(self, arrays: list[np.ndarray], width: int, height: int) -> str | None:  # noqa: ARG002
        """Describe what is wrong with the tensors of one photo of width × height input pixels; None if they are
        valid."""
        scores, boxes = (array.shape for array in arrays)
        if len(scores) != 3 or scores[0] != 1 or scores[1] <= self.person:
            return f"gave scores {scores}, expected (1, classes, N) with more than {self.person} classes"
        if boxes != (1, scores[2], 4):
            return f"gave boxes {boxes}, expected (1, {scores[2]}, 4), a box for each score"
        return None

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return f"boxes of the people of a photo, NMS at IoU {self.overlap:g}"
