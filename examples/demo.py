"""`make demo`: audit an estimator's results, with a report to open in a browser.

Uses real predictions on real people where they are (TRUSTPOSE_DATA, default ../shared/data); else a small set made by a
noise model with a fixed seed, and says so. Writes demo/report.html and demo/audit.json.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np

import trustpose as tp
from trustpose.cli import main

ROOT = Path(__file__).parents[1]
DATA = Path(os.environ.get("TRUSTPOSE_DATA", ROOT.parent / "shared" / "data"))
OUT = ROOT / "demo"

# A standing person in COCO's order, in units of its height; x to the right, y down.
STANDING = np.array([
    [0.00, 0.07], [0.02, 0.05], [-0.02, 0.05], [0.04, 0.06], [-0.04, 0.06], [0.11, 0.19], [-0.11, 0.19], [0.15, 0.33],
    [-0.15, 0.33], [0.16, 0.46], [-0.16, 0.46], [0.07, 0.52], [-0.07, 0.52], [0.08, 0.74], [-0.08, 0.74], [0.08, 0.95],
    [-0.08, 0.95],
])  # fmt: skip


def made_up_people(folder: Path, people: int = 400, seed: int = 0) -> tuple[Path, Path]:
    """Ground truth and results of a noise model: errors grow with a hidden difficulty that the score half knows."""
    random = np.random.default_rng(seed)
    coco = tp.SKELETONS["coco17"]
    images, annotations, results = [], [], []
    for i in range(1, people + 1):
        height, difficulty = random.uniform(80, 400), random.beta(1.5, 3)
        xy = (STANDING + random.normal(0, 0.02, STANDING.shape)) * height + random.uniform(50, 200, 2)
        v = random.choice([0, 1, 2], 17, p=[0.6 * difficulty, 0.3 * difficulty, 1 - 0.9 * difficulty])
        low, high = xy.min(axis=0), xy.max(axis=0)
        box = [*low.round(2).tolist(), *(high - low).round(2).tolist()]
        area = round(0.53 * box[2] * box[3], 2)
        found = xy + random.standard_t(3, xy.shape) * coco.sigmas[:, None] * np.sqrt(area) * (0.4 + 4 * difficulty**2)
        score = np.clip(1 - 0.7 * difficulty + random.normal(0, 0.15, 17), 0.01, 0.99)
        images.append({"id": i})
        annotations.append({
            "id": i, "image_id": i, "category_id": 1, "iscrowd": 0, "area": area, "bbox": box,
            "keypoints": np.c_[xy.round(1) * (v > 0)[:, None], v].ravel().tolist(), "num_keypoints": int((v > 0).sum()),
        })  # fmt: skip
        results.append({
            "image_id": i, "category_id": 1, "annotation_id": i, "score": float(score.mean()),
            "keypoints": np.c_[found.round(2), score.round(4)].ravel().tolist(),
        })  # fmt: skip
    categories = [{"id": 1, "name": "person", "keypoints": list(coco.keypoints)}]
    folder.mkdir(parents=True, exist_ok=True)
    truth, result = folder / "made_up_gt.json", folder / "made_up_results.json"
    truth.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    result.write_text(json.dumps(results))
    return truth, result


def run() -> None:
    arguments = ["audit", "--report", str(OUT / "report.html"), "--json", str(OUT / "audit.json")]
    results = DATA / "results" / "simplepose.dev.json"
    if results.is_file():
        print(f"Auditing a real network's predictions on real people: {results.name}\n")
        arguments += ["--gt", str(DATA / "coco" / "dev_gt.json"), "--results", str(results)]
        arguments += ["--images", str(DATA / "coco" / "dev")]
    else:
        print(f"No real predictions at {DATA}: auditing 400 people made up by a noise model instead (seed 0).\n")
        truth, results = made_up_people(OUT)
        arguments += ["--gt", str(truth), "--results", str(results)]
    try:
        main(arguments)
    except SystemExit as done:
        if done.code:
            raise
    print(f"\nThe report: {OUT / 'report.html'} – open it in a browser. The numbers: {OUT / 'audit.json'}")


if __name__ == "__main__":
    sys.exit(run())
