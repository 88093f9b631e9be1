"""Limits of a request to the page, and of all requests together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Limits of one request: the most bytes of a photo, a video and another file, pixels of a photo or frame, and
    frames of a video. Limits of the whole server: requests in progress, connections, bytes of photos in memory, bytes
    and number of files in the temporary folder. Times are in seconds, the slowest upload in bytes per second.
    """

    photo_bytes: int = 32_000_000
    video_bytes: int = 500_000_000
    file_bytes: int = 500_000_000
    pixels: int = 50_000_000
    frames: int = 3000
    requests: int = 24
    connections: int = 200
    memory_bytes: int = 200_000_000
    kept_bytes: int = 2_000_000_000
    kept_files: int = 256
    keep_seconds: float = 600  # before a file that nobody has used may make room for others
    stall_seconds: float = 20
    bytes_per_second: int = 20_000
