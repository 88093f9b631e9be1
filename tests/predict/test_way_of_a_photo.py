"""The number of our modules between a photo and its results file, which may only decrease."""

import json
import subprocess
import sys
from pathlib import Path

MOST_MODULES = 31  # two of them only check what the model says of its errors
TOOL = Path(__file__).parents[2] / "tools" / "way_of_a_photo.py"


def test_a_photo_passes_few_modules(data_dir: Path) -> None:
    photo = data_dir / "coco" / "dev" / "000000006894.jpg"
    done = subprocess.run([sys.executable, str(TOOL), str(photo)], capture_output=True, text=True, check=True)
    *lines, last = done.stdout.splitlines()
    assert any(line.startswith("codecs.heatmaps ") for line in lines), "no person was found, so the path is incomplete"
    assert json.loads(last)["modules"] == len(lines) <= MOST_MODULES, done.stdout
