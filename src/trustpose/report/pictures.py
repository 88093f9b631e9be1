"""Write drawn photos to files."""

from collections import Counter
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError, atomic_write


def picture_names(files: list[Path], out: Path) -> dict[Path, Path]:
    """Return the drawing's path for each photo: its name with suffix .jpg, appended to the name if that is needed to
    distinguish two photos, or numbered if nothing else does."""
    count = Counter(path.stem for path in files)
    names: dict[Path, Path] = {}
    used_names: set[str] = set()
    for path in files:
        name = f"{path.stem}.jpg" if count[path.stem] == 1 else f"{path.name}.jpg"
        number = 2
        while name in used_names:
            name, number = f"{path.name}-{number}.jpg", number + 1
        used_names.add(name)
        names[path] = out / name
    return names


def write_picture(path: Path, pixels: UInt8[np.ndarray, "H W 3"]) -> None:
    """Write an RGB picture as a JPEG. Raises InputError if it exceeds the format's size."""
    done, content = cv2.imencode(".jpg", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 92])
    if not done:
        raise InputError(f"{path}: the drawn picture, {pixels.shape[1]} × {pixels.shape[0]}, is too large for a JPEG")
    with atomic_write(path) as file:
        file.write(content.tobytes())
