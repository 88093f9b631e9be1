"""What one request to the page may cost."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """The most bytes of a photo, a video and another file, pixels of a photo or frame, and frames of a video."""

    photo_bytes: int = 32_000_000
    video_bytes: int = 500_000_000
    file_bytes: int = 500_000_000
    pixels: int = 50_000_000
    frames: int = 3000
