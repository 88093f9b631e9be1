"""Read HEIC photos, as phones take them, with pillow-heif (extra `heic`): OpenCV has no decoder for HEVC.

Format: ISO/IEC 23008-12, a `ftyp` box whose brands name the codec. The file's rotation is applied, as EXIF
orientation is for other formats.
"""

import io
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from trustpose.extras import not_installed
from trustpose.files import InputError


def missing_reader() -> str | None:
    """Return the line that installs what reads HEIC, None if it is installed."""
    return None if find_spec("pillow_heif") is not None else f"HEIC: {not_installed('pillow_heif', 'heic')}"


def decode_heic(content: bytes, name: str | Path, max_pixels: int) -> UInt8[np.ndarray, "H W 3"]:
    """Return the pixels (H, W, 3) of the main photo, RGB, 8 bits. Raises InputError, also without pillow-heif."""
    missing = missing_reader()
    if missing is not None:
        raise InputError(f"{name}: {missing}")
    try:
        photo = import_module("pillow_heif").open_heif(io.BytesIO(content), convert_hdr_to_8bit=True)
        width, height = photo.size
        pixels = np.asarray(photo) if width * height <= max_pixels else None
    except Exception as error:  # libheif's errors have no common class
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(f"{name}: cannot be decoded as an image ({reason})") from None
    if pixels is None:
        size = f"{width} × {height}"
        raise InputError(f"{name}: has {size} pixels, more than the limit of {max_pixels} (predict: --max-pixels)")
    if pixels.ndim == 2:
        pixels = np.repeat(pixels[:, :, None], 3, axis=2)
    return np.ascontiguousarray(pixels[:, :, :3])
