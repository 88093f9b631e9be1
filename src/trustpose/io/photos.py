"""Read photo files as RGB pixels, with EXIF orientation applied; and read their size from the header before
decoding.

Formats: PNG (W3C), JPEG (ITU-T T.81, the SOF markers), GIF89a, BMP, TIFF 6.0 and BigTIFF, WebP (RFC 9649), JPEG 2000
(ITU-T T.800, the SIZ marker), AVIF (the ISO base media format's `ispe` boxes), Netpbm, Radiance HDR, Sun raster:
those that OpenCV decodes. If a file gives several sizes, as AVIF does, the largest is used.

HEIC photos, as phones take them, are read with pillow-heif (extra `heic`), as OpenCV has no decoder for HEVC. Format:
ISO/IEC 23008-12, a `ftyp` box whose brands name the codec. The file's rotation is applied, as EXIF orientation is for
other formats.
"""

import io
import re
import struct
import warnings
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from trustpose.extras import not_installed
from trustpose.files import InputError, read_bytes


def is_animated(content: bytes) -> bool:
    """Return whether a picture has several frames, by its content; False for one that is damaged."""
    try:
        if content.startswith(b"GIF8"):
            return _gif_frames(content) > 1
        if content.startswith(b"\x89PNG"):
            return 0 < content.find(b"acTL", 0, max(content.find(b"IDAT"), 0)) < len(content)
        if content.startswith(b"RIFF") and content[12:16] == b"VP8X":
            return bool(content[20] & 0x02)
        if content[4:8] == b"ftyp":
            (end,) = struct.unpack_from(">I", content)
            return b"avis" in (content[8:12], *(content[start : start + 4] for start in range(16, min(end, 256), 4)))
    except (IndexError, struct.error):
        pass
    return False


def _gif_frames(content: bytes) -> int:
    """Count the frames of a GIF, up to two. Raises IndexError if it ends early."""
    position, frames = 13 + _colours(content[10]), 0
    while frames < 2:
        kind = content[position]
        if kind == 0x21:  # an extension
            position += 2
        elif kind == 0x2C:  # a frame: its position, its colours, the size of its codes
            frames += 1
            position += 11 + _colours(content[position + 9])
        else:
            break
        while content[position]:  # blocks, each with its length
            position += 1 + content[position]
        position += 1
    return frames


def _colours(flags: int) -> int:
    return 3 * 2 ** ((flags & 0x07) + 1) if flags & 0x80 else 0


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


_HEIC_SUFFIXES = (".heic", ".heif", ".hif")
SUFFIXES = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp", ".dib", ".tif", ".tiff", ".gif", ".avif"),
    *(".jp2", ".j2k", ".jpx", ".ppm", ".pgm", ".pbm", ".pnm", ".pam", ".pfm", ".hdr", ".pic", ".ras", ".sr"),
    *_HEIC_SUFFIXES,
)
"""Of files that are read as photos."""
_RAW = (
    *(".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".iiq", ".kdc", ".mrw", ".nef", ".nrw"),
    *(".orf", ".pef", ".raf", ".rw2", ".sr2", ".srf", ".srw", ".x3f"),
)
_OTHERS = {
    **{".tga": "TGA", ".ico": "ICO", ".cur": "CUR", ".psd": "PSD", ".exr": "OpenEXR", ".jxl": "JPEG XL"},
    **{".pcx": "PCX", ".dds": "DDS", ".jxr": "JPEG XR", ".xcf": "XCF", ".apng": "APNG"},
    **dict.fromkeys(_RAW, "a camera's raw format"),
}
UNREAD_SUFFIXES = tuple(_OTHERS)
"""Of photos in formats that are not read: named, never passed over."""
MAX_PIXELS = 250_000_000  # default limit for a photo: 0.75 GB once decoded
Size = tuple[int, int]  # width, height
_TOKENS = re.compile(rb"(?:\s|#[^\n]*\n)*([^\s#]+)")
_HDR = re.compile(rb"\n[-+][XY] (\d{1,9}) [-+][XY] (\d{1,9})\n")
_NO_SOF = (0xC4, 0xC8, 0xCC)  # Huffman tables, an extension, arithmetic conditioning: codes in the range of SOF markers
_HEIC_BRANDS = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"))
_BARE = (0x01, *range(0xD0, 0xD9))  # JPEG markers without a length
_TIFF_TYPES = {1: "B", 3: "H", 4: "I", 16: "Q"}


def image_size(content: bytes) -> Size | None:
    """Return width and height in pixels from the header, before EXIF orientation; None if no header is recognised.

    Content after the header is not read.
    """
    for starts, reader in _READERS:
        if content.startswith(starts) or (starts == b"ftyp" and content[4:8] == starts):
            try:
                return reader(content)
            except (struct.error, IndexError, KeyError, ValueError):
                return None
    return None


def _png(content: bytes) -> Size:
    return struct.unpack_from(">II", content, 16)


def _gif(content: bytes) -> Size:
    return struct.unpack_from("<HH", content, 6)


def _sun(content: bytes) -> Size:
    return struct.unpack_from(">II", content, 4)


def _bmp(content: bytes) -> Size:
    (header,) = struct.unpack_from("<I", content, 14)
    width, height = struct.unpack_from("<HH" if header == 12 else "<ii", content, 18)
    return abs(width), abs(height)  # a negative height means top to bottom


def _jpeg(content: bytes) -> Size | None:
    offset = 2
    while True:
        offset = content.index(b"\xff", offset)
        while content[offset] == 0xFF:  # padding
            offset += 1
        marker = content[offset]
        if 0xC0 <= marker <= 0xCF and marker not in _NO_SOF:
            height, width = struct.unpack_from(">HH", content, offset + 4)
            return width, height
        if marker == 0xDA:  # a scan without a frame header
            return None
        offset += 1 if marker in _BARE or not marker else 1 + struct.unpack_from(">H", content, offset + 1)[0]


def _webp(content: bytes) -> Size | None:
    kind = content[12:16]
    if content[8:12] != b"WEBP":
        return None
    if kind == b"VP8X":
        return 1 + int.from_bytes(content[24:27], "little"), 1 + int.from_bytes(content[27:30], "little")
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", content, 21)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", content, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None


def _tiff(content: bytes) -> Size | None:
    order = "<" if content[:2] == b"II" else ">"
    is_big = struct.unpack_from(order + "H", content, 2)[0] == 43
    (offset,) = struct.unpack_from(order + ("Q" if is_big else "I"), content, 8 if is_big else 4)
    (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), content, offset)
    entry, values = (20, 12) if is_big else (12, 8)
    sides: dict[int, int] = {}
    for start in range(offset + (8 if is_big else 2), offset + (8 if is_big else 2) + entry * min(count, 4096), entry):
        tag, kind = struct.unpack_from(order + "HH", content, start)
        if tag in (256, 257) and kind in _TIFF_TYPES:
            (sides[tag],) = struct.unpack_from(order + _TIFF_TYPES[kind], content, start + values)
    return (sides[256], sides[257]) if len(sides) == 2 else None


def _jpeg2000(content: bytes) -> Size:
    offset = content.index(b"\xff\x4f\xff\x51")  # start of the codestream and its SIZ, in a box or not
    x_end, y_end, x_start, y_start = struct.unpack_from(">IIII", content, offset + 8)
    return x_end - x_start, y_end - y_start


def _avif(content: bytes) -> Size | None:
    sizes = [struct.unpack_from(">II", content, match.end() + 4) for match in re.finditer(b"ispe", content[: 1 << 20])]
    return max(sizes, key=lambda size: size[0] * size[1], default=None)


def _netpbm(content: bytes) -> Size | None:
    if content[:2] == b"P7":
        sides = dict(re.findall(rb"(?m)^(WIDTH|HEIGHT) +(\d{1,9})\s*$", content[:4096]))
        return int(sides[b"WIDTH"]), int(sides[b"HEIGHT"])
    _, width, height = (match[1] for match, _ in zip(_TOKENS.finditer(content[:4096]), range(3), strict=False))
    return int(width), int(height)


def _radiance(content: bytes) -> Size | None:
    match = _HDR.search(content[:4096])
    return None if match is None else (int(match[2]), int(match[1]))


_READERS: tuple[tuple[bytes, Callable[[bytes], Size | None]], ...] = (
    (b"\x89PNG\r\n\x1a\n", _png),
    (b"\xff\xd8\xff", _jpeg),
    (b"RIFF", _webp),
    (b"GIF8", _gif),
    (b"BM", _bmp),
    *((starts, _tiff) for starts in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    *((starts, _jpeg2000) for starts in (b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ")),
    (b"ftyp", _avif),  # from the fifth byte on
    *((b"P%d" % number, _netpbm) for number in range(1, 8)),
    *((starts, _netpbm) for starts in (b"PF", b"Pf")),
    (b"#?", _radiance),
    (b"\x59\xa6\x6a\x95", _sun),
)


def read_image(path: str | Path, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "H W 3"]:
    """Return the photo (H, W, 3) as RGB, with EXIF orientation applied.

    Grey becomes three equal channels; 16 bits become 8; CMYK and palettes are converted; alpha is dropped, keeping the
    colours under it (as Pillow's convert("RGB")); of an animation the first frame is read. Raises InputError if the
    file cannot be read, is truncated, has a format unknown to OpenCV, or has more than `max_pixels`.
    """
    return decode_photo(read_bytes(path, "an image"), path, max_pixels)


def reason_unread(path: Path) -> str | None:
    """Return why a photo file is of a kind that cannot be read here, None if it can; its pixels are not decoded."""
    suffix = path.suffix.lower()
    if suffix in _OTHERS:
        return _unread_reason(_OTHERS[suffix])
    if suffix not in _HEIC_SUFFIXES or missing_reader() is None:
        return None
    try:
        with path.open("rb") as file:
            return missing_reader() if _is_heic(file.read(256)) else None
    except OSError:  # reading the photo says so
        return None


def _is_heic(content: bytes) -> bool:
    """Return whether a file begins as HEIC; AVIF has the same container and other brands."""
    end = min(int.from_bytes(content[:4]), 256)
    brands = (content[start : start + 4] for start in (8, *range(16, end, 4)))
    return content[4:8] == b"ftyp" and not _HEIC_BRANDS.isdisjoint(brands)


def _unread_reason(kind: str) -> str:
    return f"{kind} is not read; convert it to JPEG or PNG"


def decode_photo(content: bytes, name: str | Path, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "H W 3"]:
    """Decode an image file's content to pixels (H, W, 3), RGB, with EXIF orientation applied.

    Raises InputError, naming `name`, if it is broken, of a format that is not read, or if its header gives more than
    `max_pixels`; memory for these is never allocated.
    """
    kind = _OTHERS.get(Path(name).suffix.lower())
    if kind is not None:  # before its content: raw formats are TIFF, of which a thumbnail would be read
        raise InputError(f"{name}: {_unread_reason(kind)}")
    if _is_heic(content):
        return decode_heic(content, name, max_pixels)
    size = image_size(content)
    if size is None or min(size) < 1:
        raise InputError(f"{name}: cannot be decoded as an image (broken, truncated, or an unknown format)")
    if size[0] * size[1] > max_pixels:
        raise InputError(
            f"{name}: has {size[0]} × {size[1]} pixels, more than the limit of {max_pixels} (predict: --max-pixels)"
        )
    try:
        pixels = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        reason = " ".join(str(error).split("error: ")[-1].split())[:120]  # OpenCV's message without its file and line
        raise InputError(f"{name}: cannot be decoded as an image ({reason})") from None
    if pixels is None:
        pixels = decode_floats(content)
    if pixels is None:
        raise InputError(f"{name}: cannot be decoded as an image (broken or truncated)")
    if is_animated(content):
        warnings.warn(f"{name}: is animated, and only its first frame is read", stacklevel=2)
    return pixels
