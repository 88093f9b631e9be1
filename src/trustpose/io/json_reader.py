"""Read a JSON object field by field, strictly: every error names the file and the field."""

import reprlib
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from trustpose.files import InputError
from trustpose.skeletons import SKELETONS, Skeleton, read_skeleton, skeleton_of_object

_LARGEST = 1e12
_LONGEST = 4000  # bits; Python refuses to print numbers of more than 4300 digits


class _Repr(reprlib.Repr):
    def repr_int(self, x: int, level: int) -> str:
        return super().repr_int(x, level) if x.bit_length() < _LONGEST else f"a number of {x.bit_length()} bits"


_REPR = _Repr()  # for values nested as deeply as Python's stack
_REPR.maxstring = _REPR.maxother = 80


class Fields:
    """A JSON object read field by field; fields that are never read are refused by `close`."""

    def __init__(self, value: Any, path: str, prefix: str) -> None:
        if not isinstance(value, dict):
            prefix_text = f"field '{prefix[:-1]}': " if prefix else ""
            raise InputError(f"{path}: {prefix_text}expected an object, got {short(value)}")
        self.value, self.path, self.prefix = value, path, prefix
        self.seen: set[str] = set()

    def fail(self, field: str, expected: str, got: Any) -> InputError:
        return InputError(f"{self.path}: field '{self.prefix}{field}': expected {expected}, got {short(got)}")

    def close(self) -> None:
        """Refuse fields that were not read."""
        unknown = [field for field in self.value if field not in self.seen]
        if unknown:
            read_fields = ", ".join(sorted(self.seen))
            raise InputError(f"{self.path}: field '{self.prefix}{unknown[0]}' is unknown, expected among {read_fields}")

    def _take(self, field: str, expected: str, default: Any = None) -> Any:
        self.seen.add(field)
        if field not in self.value:
            if default is not None:
                return default
            raise InputError(f"{self.path}: field '{self.prefix}{field}' is missing, expected {expected}")
        return self.value[field]

    def object(self, field: str) -> "Fields":
        return Fields(self._take(field, "an object"), self.path, f"{self.prefix}{field}.")

    def text(self, field: str, default: str | None = None) -> str:
        value = self._take(field, "a text", default)
        if not isinstance(value, str) or not value:
            raise self.fail(field, "a text", value)
        return value

    def file_name(self, field: str, default: str | None = None) -> str:
        """Return the bare name of a file next to the JSON: without folders, so that a spec cannot refer to a file
        elsewhere."""
        value = self.text(field, default)
        bare = PurePosixPath(value).name == value and PureWindowsPath(value).name == value
        if not bare or value == "..":
            raise self.fail(field, "the bare name of a file next to this one", value)
        return value

    def skeleton(self, field: str) -> Skeleton:
        """Return a skeleton, given by its name, the bare name of a JSON file next to this one, or the content of
        one."""
        expected = f"one of {', '.join(SKELETONS)}, or the name of a JSON file next to this one"
        value = self._take(field, expected)
        if isinstance(value, dict):
            return skeleton_of_object(value, self.path, f"{self.prefix}{field}")
        if not isinstance(value, str) or (value not in SKELETONS and not value.lower().endswith(".json")):
            raise self.fail(field, expected, value)
        return SKELETONS[value] if value in SKELETONS else read_skeleton(Path(self.path).parent / self.file_name(field))

    def keypoints(self, skeleton: Skeleton) -> int:
        """Return the field 'keypoints', which must be the skeleton's number."""
        keypoints = self.count("keypoints")
        count = len(skeleton.keypoints)
        if keypoints != count:
            raise self.fail("keypoints", f"{count}, as skeleton {skeleton.name!r} has", keypoints)
        return keypoints

    def choice(self, field: str, allowed: tuple[str, ...], default: str | None = None) -> Any:
        expected = f"one of {', '.join(allowed)}"
        value = self._take(field, expected, default)
        if not isinstance(value, str) or value not in allowed:
            raise self.fail(field, expected, value)
        return value

    def boolean(self, field: str) -> bool:
        value = self._take(field, "true or false")
        if not isinstance(value, bool):
            raise self.fail(field, "true or false", value)
        return value

    def count(self, field: str, default: int | None = None) -> int:
        expected = "a whole number from 1 to 16384"
        value = self._take(field, expected, default)
        if not is_number(value) or value != int(value) or not 1 <= value <= 16384:
            raise self.fail(field, expected, value)
        return int(value)

    def number(
        self, field: str, *, minimum: float = -_LARGEST, maximum: float = _LARGEST, default: float | None = None
    ) -> float:
        expected = "a number" if maximum == _LARGEST == -minimum else f"a number from {minimum:g} to {maximum:g}"
        value = self._take(field, expected, default)
        if not is_number(value) or not minimum <= value <= maximum:
            raise self.fail(field, expected, value)
        return float(value)

    def number_or_pair(self, field: str, *, minimum: float, maximum: float) -> float | tuple[float, float]:
        """Return a number, or two for x and y."""
        expected = f"a number from {minimum:g} to {maximum:g}, or two, across and down"
        value = self._take(field, expected)
        numbers: list[Any] = value if isinstance(value, list) and len(value) == 2 else [value]
        if not all(is_number(number) and minimum <= number <= maximum for number in numbers):
            raise self.fail(field, expected, value)
        return (float(numbers[0]), float(numbers[1])) if len(numbers) == 2 else float(numbers[0])

    def values(self, field: str) -> dict[str, float | int | str]:
        """Return an object of numbers and texts by name; empty if the field is missing."""
        expected = "an object of numbers and texts"
        value = self._take(field, expected, {})
        if not isinstance(value, dict) or not all(
            isinstance(entry, str) or is_number(entry) for entry in value.values()
        ):
            raise self.fail(field, expected, value)
        return value

    def scale(self, field: str) -> float:
        """Return a number from 1e-6 to 1e6, also given as a fraction in a text: "1/255"."""
        expected = 'a number from 1e-06 to 1e+06, or a fraction as a text such as "1/255"'
        value = self._take(field, expected)
        number = value
        if isinstance(value, str):
            try:  # not as an exact fraction, as "1e-400000000" would have that many digits
                above, slash, below = value.partition("/")
                number = float(above) / float(below if slash else 1)
            except (ValueError, ZeroDivisionError):
                raise self.fail(field, expected, value) from None
        if not is_number(number) or not 1e-6 <= number <= 1e6:
            raise self.fail(field, expected, value)
        return float(number)

    def triple(self, field: str, *, minimum: float, maximum: float) -> tuple[float, float, float]:
        expected = f"three numbers from {minimum:g} to {maximum:g}, one for each channel"
        value = self._take(field, expected)
        if not isinstance(value, list) or len(value) != 3 or not all(map(is_number, value)):
            raise self.fail(field, expected, value)
        if not minimum <= min(value) <= max(value) <= maximum:
            raise self.fail(field, expected, value)
        return float(value[0]), float(value[1]), float(value[2])


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= _LARGEST


def short(value: Any) -> str:
    text = " ".join(_REPR.repr(value).split())
    return text if len(text) <= 60 else text[:57] + "…"
