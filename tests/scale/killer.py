"""Person detectors that end the process they run in, once, without warning."""

import os
import signal
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from trustpose.geometry.crops import Boxes


@dataclass(frozen=True)
class KilledOnce:
    """The whole photo is one person; at photo number `at` of a worker, the first one to come there is killed."""

    mark: Path
    at: int = 3

    def __call__(self, pixels: np.ndarray) -> Boxes:
        seen = self.mark.with_suffix(f".{os.getpid()}")
        with seen.open("a") as file:
            file.write("1")
        if seen.stat().st_size == self.at and not self.mark.exists():
            self.mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        height, width = pixels.shape[:2]
        return Boxes(np.array([[0.0, 0.0, width, height]]), np.zeros(1, np.int64))
