"""The field 'output' of a spec: its JSON, and the rest of the spec that its values must agree with."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from trustpose.json_records import naming, read_record, short
from trustpose.models.inputs import InputSpec
from trustpose.names import expected_one_of
from trustpose.skeletons import Skeleton

T = TypeVar("T")


@dataclass(frozen=True)
class OutputFields:
    """The JSON of a spec's field 'output' without its kind, and the codec that the spec names, "" for none.

    path: the spec's file.
    """

    path: str
    value: Mapping[str, Any]
    inputs: InputSpec
    skeleton: Skeleton
    codec: str = ""

    def read(self, kind: type[T], defaults: Mapping[str, Any] | None = None, **derived: Any) -> T:
        """Return the output's record, with these defaults for what the JSON leaves out; `derived` are fields that it
        cannot have. Raises InputError naming the field."""
        output: Any = read_record(kind, {**(defaults or {}), **self.value}, self.path, "output", **derived)
        with naming(self.path, "output"):
            keypoints, expected = getattr(output, "keypoints", None), len(self.skeleton)
            if keypoints is not None and keypoints != expected:
                skeleton = f"as skeleton {self.skeleton.name!r} has"
                raise ValueError(f"keypoints: expected {expected}, {skeleton}, got {keypoints}")
            names: dict[str, str] = {}
            for field, name in getattr(output, "tensors", {}).items():
                if name in names:
                    raise ValueError(f"{field}: expected another output than in {names[name]!r}, got {name!r}")
                names[name] = field
        return output

    def expect_codec(self, *names: str) -> str:
        """Return the codec, the first of these where the spec names none. Raises InputError for another."""
        codec = self.codec or names[0]
        with naming(self.path):
            if codec not in names:
                raise ValueError(f"codec: {expected_one_of(names, codec)}")
        return codec

    def check_stride(self, field: str, stride: float) -> None:
        """Raise ValueError unless these input pixels a cell divide the input's sides."""
        if any(side % stride for side in (self.inputs.height, self.inputs.width, self.inputs.multiple or 0)):
            raise ValueError(f"{field}: expected a divisor of the input's sides, got {stride:g}")


def expect_permutation(field: str, numbers: tuple[int, ...], count: int) -> None:
    """Raise ValueError, naming the field, unless these are the numbers from 0 to count - 1, each once."""
    if sorted(numbers) != list(range(count)):
        raise ValueError(f"{field}: expected the numbers 0 to {count - 1}, each once, got {short(list(numbers))}")
