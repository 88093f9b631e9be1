"""Photo files as RGB pixels, whatever their colour form, turned the way they are to be looked at."""

from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError, read_bytes
from trustpose.formats.image_size import MAX_PIXELS, image_size


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "H W 3"]:
    """The photo (H, W, 3) as RGB, EXIF orientation applied.

    Grey becomes three equal channels; 16 bits become 8; CMYK and palettes are converted; alpha
    is dropped, leaving the colours that lie under it (as Pillow's convert("RGB")); of an animation the first frame.
    Raises InputError where the file cannot be read, is cut short, is no image that OpenCV knows, or says that it has
    more than `max_pixels`.
    """
    return decode_photo(read_bytes(path, "an image"), path, max_pixels)


def decode_photo(content: bytes, name: str | Path, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "H W 3"]:
    """The pixels (H, W, 3), RGB, of an image file's content, EXIF orientation applied.

    Raises InputError, naming `name`, where it is broken, or where its header says that it has more than `max_pixels`:
    memory for those is never asked for.
    """
    size = image_size(content)
    if size is None or min(size) < 1:
        raise InputError(f"{name}: cannot be decoded as an image (broken, cut short, or a format that is not known)")
    if size[0] * size[1] > max_pixels:
        raise InputError(
            f"{name}: has {size[0]} × {size[1]} pixels, more than the limit of {max_pixels} (predict: --max-pixels)"
        )
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        reason = " ".join(str(error).split("error: ")[-1].split())[:120]  # OpenCV's words without its file and line
        raise InputError(f"{name}: cannot be decoded as an image ({reason})") from None
    if pixels is None:
        raise InputError(f"{name}: cannot be decoded as an image (broken or cut short)")
    return pixels
