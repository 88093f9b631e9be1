"""Photos that get worse: true OKS, expected OKS and the network's own score, step by step.

    python benchmarks/worse_photos.py [--picture docs/benchmarks/worse-photos.svg] [--photos N]

The bundled default, in labelled boxes of `dev`, on photos that are blurred, shrunk and enlarged again, noisy or dark,
each at five strengths, of which the first is the photo as it is. For each strength: the mean over people of their OKS
with the labels, of their expected OKS, and of the mean of their 17 scores, each with a 95 % interval from photos drawn
anew, and expected minus true OKS. Nothing was fitted to these photos, nor to faults of photos.

--picture draws the curves.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
from coco_photos import boxed_photos, ground_truth, predict_all
from harness import Cell, parser, run, table
from photo_shifts import FAULTS

from trustpose.calibration.metrics import find_targets
from trustpose.files import atomic_write
from trustpose.io.coco.truth import TruthFile
from trustpose.io.photos import read_image
from trustpose.metrics.bootstrap import interval, replicate_sums, resample_counts
from trustpose.poses import Poses
from trustpose.predict.load import load
from trustpose.predict.photos import Image
from trustpose.skeletons import COCO_17

STRENGTHS = {  # of `photo_shifts.FAULTS`; None: the photo as it is
    "blurred": ("blurred by a Gaussian of … pixels", (None, 1, 2, 3, 4)),
    "shrunk": ("shrunk … times and enlarged again", (None, 2, 3, 4.5, 6)),
    "noisy": ("noise of … grey levels", (None, 15, 30, 45, 60)),
    "dark": ("… times as bright, with noise", (None, 0.6, 0.45, 0.3, 0.15)),
}
LINES = {"true OKS": "#111111", "expected OKS": "#0072b2", "the network's score": "#999999"}


def _photo(photo: Image, fault: str, strength: float) -> Image:
    change = FAULTS[fault][0]
    pixels = change(read_image(photo.source), strength, np.random.default_rng(photo.image_id))
    return Image(pixels, photo.boxes, photo.image_id)


def _numbers(poses: Poses, truth: TruthFile, draws: int) -> dict[str, Cell]:
    targets = find_targets(poses, truth.truth, COCO_17.sigmas, "file")
    rows = targets.rows[~targets.unmatched]
    matched = poses[rows]
    columns = np.stack([targets.oks[~targets.unmatched], matched.pose_quality, matched.score.mean(axis=1)])  # (3, N)
    images, row = np.unique(matched.image_id, return_inverse=True)
    sums = np.stack([np.bincount(row, column, len(images)) for column in (*columns, np.ones(len(rows)))], axis=1)
    drawn = replicate_sums(resample_counts(len(images), draws), sums)  # (B, 4)
    means = drawn[:, :3] / drawn[:, 3:]
    numbers: dict[str, Cell] = {
        name: [float(column.mean()), *interval(of_draws)]
        for name, column, of_draws in zip(LINES, columns, means.T, strict=True)
    }
    return {**numbers, "expected − true": float((columns[1] - columns[0]).mean()), "people": len(rows)}


def main(options):
    truth = ground_truth(options.data, "dev")
    photos = boxed_photos(truth, options.data / "coco" / "dev")[: options.photos]
    predictor = load("default")
    unchanged = _numbers(predict_all(predictor, photos), truth, options.draws)
    record: dict[str, dict[str, dict[str, Cell]]] = {}
    for fault, (title, strengths) in STRENGTHS.items():
        record[fault] = {"as it is": unchanged}
        for strength in filter(None, strengths):
            poses = predict_all(predictor, (_photo(photo, fault, strength) for photo in photos))
            record[fault][str(strength)] = _numbers(poses, truth, options.draws)
        table(title, record[fault])
    off = [abs(row["expected − true"]) for rows in record.values() for row in rows.values()]
    print(f"\nexpected OKS is off by at most {max(off):.3f}, on average {np.mean(off):.3f}")
    if options.picture:
        draw(record, options.picture)
    return record


def draw(record: dict[str, dict[str, dict[str, Cell]]], path: Path) -> None:
    """Write the curves to an SVG file: bands are 95 % intervals."""
    plt.rcParams.update({"svg.fonttype": "none", "font.family": "sans-serif", "font.size": 10})
    figure, panels = plt.subplots(1, len(record), figsize=(11, 3.2), sharey=True, layout="constrained")
    for axes, (fault, rows) in zip(panels, record.items(), strict=True):
        places = np.arange(len(rows))
        for name, colour in LINES.items():
            mean, low, high = np.array([row[name] for row in rows.values()]).T
            axes.plot(places, mean, "-o", color=colour, markersize=4, label=name)
            axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0)
        axes.set_xticks(places, ["–", *list(rows)[1:]])
        axes.set_xlabel(STRENGTHS[fault][0])
        axes.grid(axis="y", color="#dddddd", linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylim(0.2, 0.9)
    panels[0].legend(frameon=False, loc="lower left", fontsize=9)
    with atomic_write(path) as file:
        figure.savefig(file, format="svg", metadata={"Date": None})
    plt.close(figure)


if __name__ == "__main__":
    options_parser = parser(__doc__, "data", "draws")
    options_parser.add_argument("--picture", type=Path, help="SVG file of the curves")
    options_parser.add_argument("--photos", type=int, help="the first of dev only")
    run(main, options_parser)
