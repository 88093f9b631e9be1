"""How many of our modules a photo passes on its way to a results file: a number that only goes down."""

import json
import subprocess
import sys
from pathlib import Path

MOST_MODULES = 20
TOOL = Path(__file__).parents[2] / "tools" / "way_of_a_photo.py"


def test_a_photo_passes_few_modules(data_dir: Path) -> None:
    photo = data_dir / "coco" / "dev" / "000000006894.jpg"
    done = subprocess.run([sys.executable, str(TOOL), str(photo)], capture_output=True, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    assert any(line.startswith("codecs.heatmaps ") for line in lines), "nobody was found: the way ends early"
    assert json.loads(last)["modules"] == len(lines) <= MOST_MODULES, done.stdout
