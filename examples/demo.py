"""`make demo`: poses on a photo, or, where no network is at hand, an audit of an estimator's results.

    make demo                     # a freely licensed photo that matplotlib ships
    make demo PHOTO=yours.jpg     # any photo of yours

Networks and real predictions are looked for in TRUSTPOSE_DATA (default ../shared/data). Without networks it audits
real predictions, and without those a small set made by a noise model with a fixed seed; it says which, and why.
Everything is written to demo/.
"""

import json
import os
import sys
from pathlib import Path

import numpy as np
from matplotlib import cbook

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


def predict(photos: list[str]) -> None:
    """Find people with MoveNet multipose, their keypoints with SimplePose, and say what came out."""
    networks = DATA / "networks"
    command([
        "predict", *photos, "--model", str(networks / "simplepose.onnx"),
        "--detector", str(networks / "movenet-multipose.onnx"), "--flip", "--codec", "dark", "--draw-min-score", "0.2",
        "--out", str(OUT),
    ])  # fmt: skip
    results = json.loads((OUT / "results.json").read_text())
    pictures = [OUT / Path(photo).name for photo in photos]
    print(f"\n{len(results)} people. The picture: {', '.join(map(str, pictures))}; the numbers: {OUT / 'results.json'}")
    print(
        "Limbs have one colour, and keypoints with a heatmap peak under 0.2 are left out of the picture (not of the\n"
        "numbers): a guess, since a raw network says neither how close a keypoint is nor whether it can be seen.\n"
        "`trustpose audit` shows how honest such numbers are."
    )


def audit() -> None:
    """Audit real predictions on real people, or made-up ones."""
    arguments = ["audit", "--report", str(OUT / "report.html"), "--json", str(OUT / "audit.json")]
    results = DATA / "results" / "simplepose.dev.json"
    if results.is_file():
        print(f"Auditing a real network's predictions on real people: {results.name}\n")
        arguments += ["--gt", str(DATA / "coco" / "dev_gt.json"), "--results", str(results)]
        arguments += ["--images", str(DATA / "coco" / "dev")]
    else:
        print(f"No real predictions at {DATA}: auditing 400 people made up by a noise model (seed 0).\n")
        truth, results = made_up_people(OUT)
        arguments += ["--gt", str(truth), "--results", str(results)]
    command(arguments)
    print(f"\nThe report: {OUT / 'report.html'} – open it in a browser. The numbers: {OUT / 'audit.json'}")


def command(arguments: list[str]) -> None:
    """Run a trustpose command; if it fails, so does the demo."""
    try:
        main(arguments)
    except SystemExit as done:
        if done.code:
            raise


def run() -> None:
    photos = sys.argv[1:]
    if (DATA / "networks" / "simplepose.onnx").is_file():
        if not photos:
            photos = [str(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))]
            print("A photo that matplotlib ships: Grace Hopper, by James S. Davis, U.S. Navy, public domain.")
            print("For one of yours: make demo PHOTO=yours.jpg\n")
        predict(photos)
        return
    if photos:
        sys.exit(
            f"No network at {DATA / 'networks'} to predict with; set TRUSTPOSE_DATA to a folder that has networks/."
        )
    print(f"No network at {DATA / 'networks'} to predict with, so here is an audit instead.")
    audit()


if __name__ == "__main__":
    run()
