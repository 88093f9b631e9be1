"""Draw the pictures of the README and of docs/: `python tools/drawings` writes docs/assets/*.svg, or the folder given.

People and scores in them are made up, but for the AP in headroom.svg, which docs/calibration.md reports, and
the times in speed.svg, which docs/speed.md reports.
"""

import sys
from pathlib import Path

from house import PHOTO, SHARD, layers, path
from people import scores_and_trust, visibility
from speed import speed
from terms import ece, headroom, opks, scores

OUT = Path(__file__).parents[2] / "docs" / "assets"


def run() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else OUT
    drawings = {
        "trust": scores_and_trust(),
        "visibility": visibility(),
        "opks": opks(),
        "scores": scores(),
        "ece": ece(),
        "headroom": headroom(),
        "speed": speed(),
        "layers": layers(),
        "photo-to-poses": path("From a photo to poses", PHOTO, 5),
        "shard-to-loss": path("From a shard to the loss", SHARD, 4),
    }
    for name, drawing in drawings.items():
        drawing.save(folder / f"{name}.svg")


if __name__ == "__main__":
    run()
