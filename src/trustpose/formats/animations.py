"""Whether a picture file is animated: GIF, PNG (the `acTL` chunk), WebP (the flag of VP8X), AVIF (the brand `avis`)."""

import struct


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
