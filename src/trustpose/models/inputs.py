"""`InputSpec`: a network's input pixels, and their size, fixed or variable."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Annotated, Any, Literal

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.geometry.crops import cut_out, stretch
from trustpose.json_records import Count, Text, described, naming, read_record, short, within

Layout = Literal["NCHW", "NHWC"]
Sizes = Literal["fixed", "free", "either"]
Resize = Literal["letterbox", "stretched"]  # how a whole photo is resized to the input's size
LONGEST_SIDE = 384
"""Size in pixels of a photo's longest side for a network with variable input size: AP of MoveNet MultiPose on 400 of
the `train` photos is 0.290, 0.327, 0.358, 0.355 for 256, 320, 384, 448; its time grows with the square."""

_Mean = Annotated[float, within(-1e6, 1e6)]
Factor = Annotated[float, within(1e-6, 1e6)]
Scale = Annotated[Factor, described('a number from 1e-06 to 1e+06, or a fraction as a text such as "1/255"')]
_MULTIPLE = re.compile(r"multiple of (\d{1,5})(?:, (\d{1,5}) usual)?")


@dataclass(frozen=True)
class InputSpec:
    """A network's input image: (pixel × scale − mean) / std for each channel, pixels 0–255.

    The input is width × height pixels if `multiple` is None. Otherwise both sides may be any multiple of it, width ×
    height is the usual size, and photos are resized to a longest side of `longest`. `resize`: "letterbox" keeps a
    photo's proportions, "stretched" fills the input.
    """

    name: Text
    layout: Layout
    dtype: Literal["float32", "float16", "uint8", "int32"]
    height: Count
    width: Count
    channels: Literal["RGB", "BGR"]
    scale: Scale
    mean: Annotated[tuple[_Mean, _Mean, _Mean], described("three numbers from -1e+06 to 1e+06, one for each channel")]
    std: Annotated[tuple[Factor, Factor, Factor], described("three numbers from 1e-06 to 1e+06, one for each channel")]
    multiple: int | None = None
    longest: Count = 0
    resize: Resize = "letterbox"

    def __post_init__(self) -> None:
        if self.multiple is not None and self.resize == "stretched":
            raise ValueError(f"resize: expected letterbox for an input of any size, got {self.resize!r}")

    @classmethod
    def read(cls, value: Mapping[str, Any], path: str, sizes: Sizes) -> "InputSpec":
        """Read the field 'input' of the spec in `path`, of a network whose sizes are `sizes`. Raises InputError naming
        the field."""
        with naming(path, "input"):
            multiple, usual = (None, {}) if sizes == "fixed" else _multiples(value)
            if multiple is None and sizes == "free":
                got = short(value.get("height"))
                raise ValueError(f'height: expected a text such as "multiple of 32, 384 usual", got {got}')
        value = with_fraction({**value, **usual}, "scale")
        if multiple is None:
            return read_record(cls, value, path, "input", multiple=None, longest=0)
        return read_record(cls, {"longest": LONGEST_SIDE, **value}, path, "input", multiple=multiple)

    def fit(self, pixels: UInt8[np.ndarray, "H W 3"]) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "2 3"]]:
        """Resize a whole photo, RGB, to the input's size; also return the affine from its boxes to input pixels."""
        height, width = pixels.shape[:2]
        if self.resize == "letterbox":
            affine, wide, high = self.letterbox(width, height)
            return cut_out(pixels, affine, wide, high), affine
        scale = self.width / width, self.height / height
        return stretch(pixels, self.width, self.height), np.array([[scale[0], 0.0, 0.0], [0.0, scale[1], 0.0]])

    def letterbox(self, width: int, height: int) -> tuple[Float[np.ndarray, "2 3"], int, int]:
        """Return how a photo of width × height pixels is placed: affine from photo to input pixels, input width and
        height.

        The photo keeps its proportions and is placed at the top left; the rest is black. A network with variable input
        size gets the smallest input that holds the photo with `longest` as its longest side.
        """
        if self.multiple is None:
            wide, high = self.width, self.height
            scale = min(wide / width, high / height)
        else:
            scale = self.longest / max(width, height)
            wide, high = (max(1, -(-round(side * scale) // self.multiple)) * self.multiple for side in (width, height))
        return np.array([[scale, 0.0, 0.0], [0.0, scale, 0.0]]), wide, high

    def takes(self, width: int, height: int) -> bool:
        """Return whether the network accepts pixels of that size."""
        if self.multiple is None:
            return (width, height) == (self.width, self.height)
        return min(width, height) > 0 and width % self.multiple == height % self.multiple == 0

    def check(self, shape: tuple[int, ...]) -> None:
        """Raise ValueError if pixels of that shape, (B, H, W, 3), have a size that the network does not accept."""
        if len(shape) != 4 or not self.takes(shape[2], shape[1]):
            size = f"{self.height}, {self.width}" if self.multiple is None else f"H, W in multiples of {self.multiple}"
            raise ValueError(f"pixels: expected (B, {size}, 3), got {shape}")

    def to_json(self) -> dict[str, Any]:
        """Return the JSON that `read` reads."""
        value = asdict(self) | {name: list(getattr(self, name)) for name in ("mean", "std")}
        del value["multiple"]
        if self.resize == "letterbox":
            del value["resize"]
        if self.multiple is None:
            del value["longest"]
            return value
        return value | {side: f"multiple of {self.multiple}, {value[side]} usual" for side in ("height", "width")}

    @property
    def size(self) -> str:
        """Describe the size: "192×256", "any multiple of 32, longest side 384"."""
        if self.multiple is None:
            return f"{self.width}×{self.height}" + (", photo stretched" if self.resize == "stretched" else "")
        return f"any multiple of {self.multiple}, longest side {self.longest}"


def with_fraction(value: Mapping[str, Any], field: str) -> Mapping[str, Any]:
    """Return a JSON object with the number that a text such as "1/255" in its `field` stands for."""
    text = value.get(field)
    if not isinstance(text, str):
        return value
    numerator, slash, denominator = text.partition("/")
    try:
        return {**value, field: float(numerator) / float(denominator if slash else 1)}
    except (ValueError, ZeroDivisionError):
        return value  # `read_record` refuses the text


def _multiples(value: Mapping[str, Any]) -> tuple[int | None, dict[str, int]]:
    """Return the multiple for variable sides, None for fixed ones, and the usual size of each. Raises ValueError."""
    multiples: list[int] = []
    usual: dict[str, int] = {}
    for side in ("height", "width"):
        text = value.get(side)
        if not isinstance(text, str):
            continue
        match = _MULTIPLE.fullmatch(text)
        if match is None or not 1 <= int(match[1]) <= 1024 or not 1 <= int(match[2] or match[1]) <= 16384:
            expected = 'a whole number, or a text such as "multiple of 32, 256 usual"'
            raise ValueError(f"{side}: expected {expected}, got {short(text)}")
        multiples.append(int(match[1]))
        usual[side] = int(match[2] or match[1])
    if multiples and multiples != [multiples[0]] * 2:
        raise ValueError(
            f"width: expected a multiple of the same number as in 'height', got {short(value.get('width'))}"
        )
    return (multiples[0] if multiples else None), usual
