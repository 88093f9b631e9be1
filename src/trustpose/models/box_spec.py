"""`BoxSpec`: what a person detector wants and gives, from its JSON."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from trustpose.files import read_json
from trustpose.formats.json_reader import Fields
from trustpose.models.people_spec import read_sizes
from trustpose.models.spec import MODEL_JSON, InputSpec, output_kind


@dataclass(frozen=True)
class BoxSpec:
    """All that is needed to run a detector; `onnx` is its file, beside the JSON.

    Its input is any `multiple` of pixels on either side, photos are brought to a longest side of `longest`. It gives
    (1, 5, h, w), `stride` input pixels apart: the probability that a person's centre is there, and the distances of the
    box's left, top, right and bottom side, input pixels (`codecs.centres`). Boxes below `min_score` are left out.
    """

    onnx: Path
    name: str
    licence: str
    source: str
    input: InputSpec
    multiple: int
    longest: int
    stride: int
    min_score: float
    output: str | None = None
    measured: Mapping[str, float | int | str] = field(default_factory=dict)

    @classmethod
    def read(cls, path: str | Path) -> "BoxSpec":
        """The spec for network.onnx (from network.json beside it), of network.json itself, or of a folder's model.json.

        Unknown fields are refused. Raises InputError naming the file and the field.
        """
        path = Path(path)
        json_path = path / MODEL_JSON if path.is_dir() else path.with_suffix(".json")
        top = Fields(read_json(json_path), str(json_path), "")
        onnx = (
            path
            if path.suffix == ".onnx"
            else json_path.parent / top.file_name("onnx", default=f"{json_path.stem}.onnx")
        )
        top.seen.add("onnx")
        fields = top.object("input")
        inputs, multiple, longest = read_sizes(fields)
        if multiple is None:
            raise fields.fail("height", 'a text such as "multiple of 32, 384 usual"', inputs.height)
        output = top.object("output")
        output.choice("kind", ("boxes",))
        spec = cls(
            onnx=onnx,
            name=top.text("name", default=onnx.stem),
            licence=top.text("licence", default="unknown"),
            source=top.text("source", default="unknown"),
            input=inputs,
            multiple=multiple,
            longest=longest,
            stride=output.count("stride"),
            min_score=output.number("min_score", least=1e-6, most=1.0),
            output=output.text("name") if "name" in output.value else None,
            measured=top.values("measured"),
        )
        if multiple % spec.stride:
            raise output.fail("stride", f"a number that divides the input's multiple, {multiple}", spec.stride)
        output.close()
        top.close()
        return spec

    def to_json(self) -> dict[str, Any]:
        """What `read` reads."""
        inputs = asdict(self.input) | {name: list(getattr(self.input, name)) for name in ("mean", "std")}
        usual = {side: getattr(self.input, side) for side in ("height", "width")}
        inputs |= {side: f"multiple of {self.multiple}, {length} usual" for side, length in usual.items()}
        output = {"kind": "boxes", "stride": self.stride, "min_score": self.min_score}
        known = {name: getattr(self, name) for name in ("name", "licence", "source")}
        return {
            "onnx": self.onnx.name,
            "input": inputs | {"longest": self.longest},
            "output": output | ({"name": self.output} if self.output else {}),
            **known,
            **({"measured": dict(self.measured)} if self.measured else {}),
        }


def finds_boxes(path: str | Path) -> bool:
    """Whether the spec beside network.onnx, at network.json or in a model folder says that the network gives boxes."""
    path = Path(path)
    return output_kind(path / MODEL_JSON if path.is_dir() else path.with_suffix(".json")) == "boxes"
