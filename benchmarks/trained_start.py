"""The lecture's claims on crops of 160 × 160 pixels from trained weights: PCK and PDJ, paired differences, two seeds.

    trustpose train claims/NAME --data DATA/lspet --data DATA/coco --model WEIGHTS --train.seed=SEED \\
        --out MODELS/NAME-SEED
    python benchmarks/trained_start.py MODELS

WEIGHTS: DATA/small-networks/tinypose.onnx, or EfficientNet-Lite0's of ImageNet for the names that say so and for the
cascade. Measured on LSPET's people of fold 0 of 10, with their labels as published, and on the people of COCO `dev`
with six labelled keypoints or more; neither was trained on. Seeds 0 and 1; a difference's interval is of the mean over
both seeds, from drawing people, and the table has each seed's own difference beside it.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from harness import Estimate, parser, run, table
from single_person import Measures, held_out, predict

from trustpose.datasets.dataset_ops import map_joints, subset
from trustpose.datasets.people import People
from trustpose.datasets.photo_people import coco_people
from trustpose.files import InputError
from trustpose.io.coco.truth import read_coco_truth
from trustpose.skeletons import SKELETONS

SEEDS = (0, 1)
METRICS = ("PCK@0.2", "PDJ@0.1")
CLAIMS = (  # what the lecture says, the system that should be better, the other
    ("integral beats heatmaps", "integral", "heatmaps"),
    ("mining hard keypoints helps", "mining", "heatmaps"),
    ("integral beats regression", "integral-imagenet", "regression-imagenet"),
    ("the cascade refines: stage 2 over 1", "cascade", "cascade · stage 1"),
    ("the cascade beats one stage of the whole crop", "cascade", "regression-imagenet"),
)
MIN_KEYPOINTS = 6

Results = Mapping[str, Mapping[str, Estimate]]  # by system and seed, then metric


def dev_people(data: Path) -> People:
    """Return the people of COCO `dev` with at least `MIN_KEYPOINTS` labelled keypoints."""
    people = coco_people(read_coco_truth(data / "coco" / "dev_gt.json"), data / "coco" / "dev")
    return subset(people, np.flatnonzero((people.labels.v > 0).sum(axis=1) >= MIN_KEYPOINTS))


def claims_of(results: Results) -> dict[str, dict[str, object]]:
    """Return for each claim whose systems are trained the mean difference with its interval, and that of each seed."""
    rows: dict[str, dict[str, object]] = {}
    for claim, better, base in CLAIMS:
        seeds = [seed for seed in SEEDS if f"{better} {seed}" in results and f"{base} {seed}" in results]
        if not seeds:
            continue
        rows[claim] = {"seeds": len(seeds)}
        for metric in METRICS:
            differences = [results[f"{better} {seed}"][metric] - results[f"{base} {seed}"][metric] for seed in seeds]
            draws = np.mean([difference.draws for difference in differences], axis=0)
            mean = Estimate(float(np.mean([difference.value for difference in differences])), draws).interval
            verdict = "holds" if mean[1] > 0 else "reversed" if mean[2] < 0 else "open"
            each = ", ".join(f"{difference.value:+.1f}" for difference in differences)
            rows[claim] |= {metric: mean, f"each seed, {metric}": each, f"claim, {metric}": verdict}
    return rows


def main(options):
    torch.set_num_threads(1)
    folders = sorted(path.parent for path in options.models.glob("*/model.json"))
    if not folders:
        raise InputError(f"{options.models}: expected folders of trained models, NAME-SEED")
    record = {}
    for title, people in (
        ("LSPET", map_joints(held_out(options.data), SKELETONS["coco17"])),
        ("COCO dev", dev_people(options.data)),
    ):
        measures = Measures(people)
        results: dict[str, dict[str, Estimate]] = {}
        for folder in folders:
            name, _, seed = folder.name.rpartition("-")
            for stage, predicted in predict(folder, people).items():
                system = f"{name} · {stage}" if stage else name
                results[f"{system} {seed}"] = measures.of(predicted)
        systems = {name: {metric: row[metric].interval for metric in METRICS} for name, row in results.items()}
        claims = claims_of(results)
        table(f"{title}, {len(people)} people, {measures.with_torso} with the torso", systems, ".1f")
        table(f"claims on {title}", claims, "+.1f")
        record[title] = {"people": len(people), "systems": systems, "claims": claims}
    return record


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    options_parser.add_argument("models", type=Path, help="folder of the trained models, NAME-SEED")
    run(main, options_parser)
