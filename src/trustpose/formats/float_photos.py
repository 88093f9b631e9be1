"""TIFF with floating-point pixels, as microscopes and renderers write it, as 8-bit pixels."""

import cv2
import numpy as np
from jaxtyping import UInt8

_WHITE = (1.0, 255.0, 65535.0)  # the largest value that a pixel can have, the smallest that fits


def decode_floats(content: bytes) -> UInt8[np.ndarray, "H W 3"] | None:
    """Return the pixels (H, W, 3), RGB, of a TIFF with floats from 0 to 1, to 255 or to 65535, whichever its largest
    fits; None if it is another file, has negative values, none that is finite, or larger ones."""
    if not content.startswith((b"II", b"MM")):
        return None
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:  # a damaged file
        return None
    if pixels is None or pixels.dtype not in (np.float32, np.float64):
        return None
    finite = pixels[np.isfinite(pixels)]
    if not finite.size or finite.min() < 0 or finite.max() > _WHITE[-1]:
        return None
    white = next(white for white in _WHITE if finite.max() <= white)
    grey = np.nan_to_num(pixels, posinf=white, neginf=0.0) * (255 / white)
    grey = grey.reshape(*grey.shape[:2], -1)
    channels = [2, 1, 0] if grey.shape[2] >= 3 else [0, 0, 0]  # OpenCV has blue first
    return np.ascontiguousarray(np.rint(grey[..., channels]).astype(np.uint8))
