"""Images given by users: files, addresses, bytes, arrays, Pillow images and tensors; and photos and videos by name."""

import os
import sys
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.io.download import download, is_address
from trustpose.io.photos import MAX_PIXELS, SUFFIXES, UNREAD_SUFFIXES, decode_photo, read_image
from trustpose.io.video import SUFFIXES as VIDEO_SUFFIXES

CHANNELS = ("RGB", "BGR")
GLOB = frozenset("*?[")


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


def read_pixels(image: Any, channels: str = "RGB", max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "H W 3"]:
    """Return the pixels, RGB, of one image in any of the forms that predictors take.

    A path (str or Path) or an address (http, https); `bytes` of an image file; a Pillow image, with its EXIF
    orientation applied as for files; an array as in `as_rgb`; a torch tensor (C, H, W), uint8 or floating point from 0
    to 1. channels: the order of an array's or tensor's, "RGB" or "BGR" (OpenCV's); others' is known. Raises InputError
    for a file that cannot be read or decoded or has more than `max_pixels`, ValueError for anything else.
    """
    check_channels(channels)
    if isinstance(image, str) and is_address(image):
        return decode_photo(download(image), image, max_pixels)
    if isinstance(image, (str, Path)):
        return read_image(image, max_pixels)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return decode_photo(bytes(image), "bytes", max_pixels)
    if is_pillow(image):
        return _of_pillow(image)
    if is_tensor(image):
        image = _of_tensor(image)
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"image: expected a path, an address, bytes, a Pillow image, an array or a tensor, got {_kind(image)}"
        )
    pixels = as_rgb(image)
    return pixels if channels == "RGB" else np.ascontiguousarray(pixels[..., ::-1])


def check_channels(channels: str) -> None:
    """Raise ValueError if the order of channels is not known."""
    if channels not in CHANNELS:
        raise ValueError(f"channels: expected 'RGB' or 'BGR', got {channels!r}")


def is_pillow(image: object) -> bool:
    """Return whether this is a Pillow image; Pillow is not imported for it."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def is_tensor(image: object) -> bool:
    """Return whether this is a torch tensor; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def is_webcam(name: str) -> bool:
    """Return whether a name is a webcam's number: digits, and no file has this name."""
    return name.isascii() and name.isdigit() and not Path(name).exists()


def _of_pillow(image: Any) -> UInt8[np.ndarray, "H W 3"]:
    if image.mode in ("I", "F"):
        raise ValueError(
            f"image: expected a Pillow image of mode RGB, L, P, I;16, …; {image.mode!r} has no known range"
        )
    try:  # Pillow reads a file only now
        turned = import_module("PIL.ImageOps").exif_transpose(image)
        return as_rgb(np.asarray(turned if turned.mode.startswith("I;16") else turned.convert("RGB")))
    except OSError as error:
        raise InputError(f"a Pillow image cannot be decoded ({error})") from None


def _of_tensor(image: Any) -> np.ndarray:
    """Return a tensor (C, H, W) as an array (H, W, C) of uint8."""
    values = image.detach().cpu()
    if values.ndim != 3 or values.shape[0] not in (1, 3, 4):
        raise ValueError(f"image: expected a tensor (C, H, W) of 1, 3 or 4 channels, got {tuple(values.shape)}")
    if values.dtype.is_floating_point:
        values = values.float()
        low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 0.0)
        if not 0 <= low <= high <= 1:
            raise ValueError(f"image: expected a floating point tensor from 0 to 1, got {low:g} to {high:g}")
        values = (values * 255).round().byte()
    return values.permute(1, 2, 0).numpy()


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")


def find_files(
    sources: Sequence[str | Path], *, recursive: bool = False, out: Path | None = None, videos: bool = True
) -> list[Path]:
    """Find the photos and, with `videos`, the videos given as files, folders and globs, each once, in the given order
    and by name within a folder or glob.

    A folder gives its files with a photo's or video's suffix, with `videos` also photos of formats that are not read,
    so that they are named; recursive: those of its subfolders too, without `out`. Hidden files and folders are
    left out, and links to folders are not followed. Raises InputError if a file is missing, or if a folder or glob
    contains none.
    """
    suffixes, kind = SUFFIXES, "photos"
    if videos:
        suffixes, kind = SUFFIXES + UNREAD_SUFFIXES + VIDEO_SUFFIXES, "photos or videos"
    files: dict[Path, None] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            matches = _in_folder(path, suffixes, out) if recursive else _with_suffix(path.iterdir(), suffixes)
            if not matches:
                raise InputError(f"{path}: the folder holds no {kind} ({', '.join(SUFFIXES[:5])}, …)")
        elif path.exists():
            matches = [path]
        elif GLOB & set(str(source)):
            matches = _expand(path, suffixes)
        else:
            raise InputError(f"{path}: no such file or folder")
        files.update(dict.fromkeys(matches))
    return list(files)


def find_photos(sources: Sequence[str | Path]) -> list[Path]:
    """Find photos as `find_files`, without videos."""
    return find_files(sources, videos=False)


def _in_folder(folder: Path, suffixes: tuple[str, ...], out: Path | None) -> list[Path]:
    left_out = None if out is None else out.resolve()
    files: list[Path] = []
    for root, folders, names in os.walk(folder):
        subfolder = Path(root)
        folders[:] = [name for name in folders if not name.startswith(".") and (subfolder / name).resolve() != left_out]
        files += _with_suffix((subfolder / name for name in names), suffixes)
    return sorted(files)


def _with_suffix(entries: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(
        entry
        for entry in entries
        if entry.suffix.lower() in suffixes and not entry.name.startswith(".") and entry.is_file()
    )


def _expand(pattern: Path, suffixes: tuple[str, ...]) -> list[Path]:
    root = Path(pattern.anchor) if pattern.is_absolute() else Path()
    try:
        matches = _with_suffix(root.glob(str(pattern.relative_to(root))), suffixes)
    except ValueError as error:
        raise InputError(f"{pattern}: not a pattern for files ({error})") from None
    if not matches:
        raise InputError(f"{pattern}: no photo fits this pattern")
    return matches
