"""Random changes of light, colour and sharpness, as by cameras, apps or networks.

Brightness, contrast, saturation, hue and grey are all affine in RGB, so they are combined into one matrix.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, UInt8

_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601
_RGB_TO_YIQ = np.array([_LUMA, [0.595716, -0.274453, -0.321263], [0.211456, -0.522591, 0.311135]])
_YIQ_TO_RGB = np.linalg.inv(_RGB_TO_YIQ)


@dataclass(frozen=True)
class Photometric:
    """The range of each change; all off by default, as in the papers.

    brightness, contrast, saturation: factors are uniform in 1 ± this. hue: degrees, uniform in ± this. grey, blur and
    jpeg are probabilities; blur's Gaussian sigma is uniform in `blur_sigma`, in pixels of a crop of height 256, and
    JPEG's quality in `jpeg_quality`.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    hue: float = 0.0
    grey: float = 0.0
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.3, 2.0)
    jpeg: float = 0.0
    jpeg_quality: tuple[int, int] = (30, 90)


def change_light(
    pixels: UInt8[np.ndarray, "H W 3"], photometric: Photometric, random: np.random.Generator
) -> UInt8[np.ndarray, "H W 3"]:
    """Return the crop (H, W, 3) with changed light. Uses the same numbers from `random` for all settings."""
    u = random.random(9)
    matrix = colour_matrix(pixels, photometric, 2 * u[:4] - 1, is_grey=bool(u[4] < photometric.grey))
    if matrix is not None:
        pixels = cv2.transform(pixels, matrix)
    if u[5] < photometric.blur:
        low, high = photometric.blur_sigma
        sigma = (low + (high - low) * u[6]) * pixels.shape[0] / 256
        pixels = cv2.GaussianBlur(pixels, (0, 0), sigma)
    if u[7] < photometric.jpeg:
        low, high = photometric.jpeg_quality
        quality = round(low + (high - low) * u[8])
        _, content = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality])
        pixels = np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR))  # BGR in, BGR out: the order stays
    return pixels


def colour_matrix(
    pixels: UInt8[np.ndarray, "H W 3"], photometric: Photometric, amount: Float[np.ndarray, " 4"], *, is_grey: bool
) -> Float[np.ndarray, "3 4"] | None:
    """Return a matrix RGB → RGB with an offset, (3, 4), float32; None if nothing changes.

    `amount` (−1 to 1): brightness, contrast, saturation, hue, as fractions of `photometric`'s ranges. Contrast moves
    colours away from or towards the crop's mean luma; hue rotates the chroma plane of YIQ, so greys stay grey.
    """
    p = photometric
    if not (is_grey or p.brightness or p.contrast or p.saturation or p.hue):
        return None
    brightness, contrast, saturation = 1 + amount[:3] * (p.brightness, p.contrast, p.saturation)
    angle = np.deg2rad(amount[3] * p.hue)
    chroma = 0.0 if is_grey else saturation
    c, s = chroma * np.cos(angle), chroma * np.sin(angle)
    linear = _YIQ_TO_RGB @ np.array([[1, 0, 0], [0, c, -s], [0, s, c]]) @ _RGB_TO_YIQ
    mean = float(_LUMA @ cv2.mean(pixels)[:3])
    return np.c_[linear * brightness * contrast, np.full(3, (1 - contrast) * mean * brightness)].astype(np.float32)
