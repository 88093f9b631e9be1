"""Photos given by users, as files or as arrays."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.formats.photos import MAX_PIXELS, read_image

SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".jp2", ".avif"),
    *(".ppm", ".pgm", ".pbm", ".pnm", ".hdr", ".ras"),
)
CHANNELS = ("RGB", "BGR")
ImageSource = str | Path | np.ndarray
_GLOB = frozenset("*?[")


def as_rgb(image: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """Convert an array to RGB uint8: (H, W) or (H, W, 1) grey, (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16.

    As in `read_image`, alpha is dropped; 16 bits are reduced to the high byte. Raises ValueError for anything else.
    """
    is_image = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))
    if not is_image or image.dtype not in (np.uint8, np.uint16) or not image.size:
        raise ValueError(
            "image: expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of dtype uint8 or uint16, RGB, "
            f"got {image.shape} of {image.dtype}"
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def read_pixels(image: ImageSource, channels: str = "RGB", max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "H W 3"]:
    """Return the pixels, RGB, of one image: a file's path, or an array as in `as_rgb`.

    channels: the order of an array's, "RGB" or "BGR" (OpenCV's); a file's is known. Raises InputError for a file that
    cannot be read or has more than `max_pixels`, ValueError for anything else.
    """
    check_channels(channels)
    if isinstance(image, (str, Path)):
        return read_image(image, max_pixels)
    pixels = as_rgb(image)
    return pixels if channels == "RGB" else np.ascontiguousarray(pixels[..., ::-1])


def check_channels(channels: str) -> None:
    """Raise ValueError if the order of channels is not known."""
    if channels not in CHANNELS:
        raise ValueError(f"channels: expected 'RGB' or 'BGR', got {channels!r}")


def find_photos(sources: Sequence[str | Path]) -> list[Path]:
    """Find the photos given as files, folders and globs, each once, in the given order and by name within a folder or
    glob.

    A folder gives its files with an image suffix, without subfolders. Raises InputError if a file is missing, or if a
    folder or glob contains no photo.
    """
    found: dict[Path, None] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            some = sorted(entry for entry in path.iterdir() if _is_photo(entry))
            if not some:
                raise InputError(f"{path}: the folder holds no photos ({', '.join(SUFFIXES[:5])}, …)")
        elif path.exists():
            some = [path]
        elif _GLOB & set(str(source)):
            some = _expand(path)
        else:
            raise InputError(f"{path}: no such file or folder")
        found.update(dict.fromkeys(some))
    return list(found)


def _expand(pattern: Path) -> list[Path]:
    root = Path(pattern.anchor) if pattern.is_absolute() else Path()
    try:
        some = sorted(entry for entry in root.glob(str(pattern.relative_to(root))) if _is_photo(entry))
    except ValueError as error:
        raise InputError(f"{pattern}: not a pattern for files ({error})") from None
    if not some:
        raise InputError(f"{pattern}: no photo fits this pattern")
    return some


def _is_photo(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not path.name.startswith(".") and path.is_file()
