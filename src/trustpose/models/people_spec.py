"""`PeopleSpec`: what a network wants and gives that finds the people of a whole photo by itself, from its JSON."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from trustpose.files import read_json
from trustpose.formats.json_reader import Fields
from trustpose.models.spec import InputSpec, output_kind, read_input
from trustpose.skeletons import Skeleton

LONGEST_SIDE = 384
"""What a photo's longest side is made, in pixels, for a network that takes any size: AP of MoveNet MultiPose on 400 of
the `train` photos is 0.290, 0.327, 0.358, 0.355 for 256, 320, 384, 448; its time grows with the square."""

_MULTIPLE = re.compile(r"multiple of (\d{1,6})(?:, (\d{1,6}) usual)?")
_ORDER = re.compile(r"(\d+) x \((\w+), (\w+), (\w+)\), then (\w+), (\w+), (\w+), (\w+), (\w+)")
_BOX = ("xmin", "ymin", "xmax", "ymax", "score")


@dataclass(frozen=True)
class PeopleOutput:
    """Numbers (1, people, 3 × keypoints + 5): each keypoint in `order`, then the person's box in `box_order`.

    Places are 0–1 across the input where `normalised`, else input pixels.
    """

    people: int
    keypoints: int
    order: tuple[str, str, str]
    box_order: tuple[str, str, str, str, str]
    normalised: bool
    name: str | None = None


@dataclass(frozen=True)
class PeopleSpec:
    """All that is needed to run such a network; `onnx` is its file, beside the JSON.

    The input is `input.width` × `input.height` pixels where `multiple` is None; else any multiple of that many pixels
    on either side, photos are brought to a longest side of `longest`.
    """

    onnx: Path
    name: str
    licence: str
    source: str
    input: InputSpec
    multiple: int | None
    longest: int
    output: PeopleOutput
    skeleton: Skeleton
    measured: Mapping[str, float | str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> "PeopleSpec":
        """The spec for network.onnx (from network.json beside it) or of network.json itself.

        Unknown fields are refused. Raises InputError naming the file and the field.
        """
        path = Path(path)
        json_path = path.with_suffix(".json")
        top = Fields(read_json(json_path), str(json_path), "")
        onnx = path if path != json_path else path.parent / top.file_name("onnx", default=f"{path.stem}.onnx")
        top.seen.add("onnx")
        skeleton = top.skeleton("skeleton")
        inputs, multiple, longest = read_sizes(top.object("input"))
        spec = cls(
            onnx=onnx,
            name=top.text("name", default=onnx.stem),
            licence=top.text("licence", default="unknown"),
            source=top.text("source", default="unknown"),
            input=inputs,
            multiple=multiple,
            longest=longest,
            output=_read_output(top.object("output"), skeleton),
            skeleton=skeleton,
            measured=top.values("measured"),
        )
        top.close()
        return spec


def finds_people(path: str | Path) -> bool:
    """Whether the spec beside network.onnx, or at network.json, says that the network finds people by itself.

    False where there is no spec that says so; reading it as a `ModelSpec` then says what is wrong.
    """
    return output_kind(Path(path).with_suffix(".json")) == "people"


def read_sizes(fields: Fields) -> tuple[InputSpec, int | None, int]:
    """The input at its usual size, the multiple that its sides are free in (None: they are not), the longest side."""
    multiples = []
    sizes = {}
    for side in ("height", "width"):
        text = fields.value.get(side)
        if not isinstance(text, str):
            continue
        found = _MULTIPLE.fullmatch(text)
        if found is None or not 1 <= int(found[1]) <= 1024:
            raise fields.fail(side, 'a whole number, or a text such as "multiple of 32, 256 usual"', text)
        multiples.append(int(found[1]))
        sizes[side] = int(found[2] or found[1])
    if multiples and multiples != [multiples[0]] * 2:
        raise fields.fail("width", "a multiple of the same number as in 'height'", fields.value.get("width"))
    longest = fields.count("longest", default=LONGEST_SIDE) if multiples else 0
    usual = Fields(fields.value | sizes, fields.path, fields.prefix)
    usual.seen = fields.seen
    return read_input(usual), multiples[0] if multiples else None, longest


def _read_output(fields: Fields, skeleton: Skeleton) -> PeopleOutput:
    fields.choice("kind", ("people",))
    keypoints = fields.count("keypoints")
    if keypoints != len(skeleton):
        raise fields.fail("keypoints", f"{len(skeleton)}, as skeleton {skeleton.name!r} has", keypoints)
    text = fields.text("order")
    found = _ORDER.fullmatch(text)
    names = found.groups() if found else ("",) * 9
    if names[0] != str(keypoints) or sorted(names[1:4]) != ["score", "x", "y"] or sorted(names[4:]) != sorted(_BOX):
        expected = f'a text such as "{keypoints} x (y, x, score), then ymin, xmin, ymax, xmax, score"'
        raise fields.fail("order", expected, text)
    shape = fields.value.get("shape")
    columns = 3 * keypoints + 5
    if not isinstance(shape, list) or len(shape) != 3 or shape[::2] != [1, columns] or not isinstance(shape[1], int):
        raise fields.fail("shape", f"[1, people, {columns}]", shape)
    fields.seen.add("shape")
    name = fields.text("name") if "name" in fields.value else None
    order, box_order = (names[1], names[2], names[3]), (names[4], names[5], names[6], names[7], names[8])
    output = PeopleOutput(shape[1], keypoints, order, box_order, fields.boolean("normalised"), name)
    fields.close()
    return output
