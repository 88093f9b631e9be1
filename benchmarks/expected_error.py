"""How often a keypoint lies within its expected error: the discs of drawings, against COCO's labels.

    python benchmarks/expected_error.py [--model M]

Poses of a model with trust in the ground-truth boxes of dev; per band of expected OPKS the share of labelled keypoints
within 1σ and 2σ of their label, which is 0.393 and 0.865 for a Gaussian, and the median distance in σ (1.177). Then one
line of JSON. Needs TRUSTPOSE_DATA.
"""

import argparse
import json
import os
import tempfile
from itertools import pairwise
from pathlib import Path

import numpy as np

import trustpose as tp
from trustpose.formats.coco import read_truth
from trustpose.geometry.expected_error import expected_error
from trustpose.poses import Poses

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "coco"
BANDS = (0.0, 0.3, 0.6, 0.8, 0.9, 1.0)


def distances(model: str) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the label in units of σ, and expected OPKS of a keypoint that is there, of each labelled keypoint."""
    with tempfile.TemporaryDirectory() as folder:
        done = tp.load(model).run([str(DATA / "dev")], folder, gt=DATA / "dev_gt.json")
    poses = Poses.concatenate([some for some in done.poses.values() if len(some)])
    error = expected_error(poses)
    if error is None or poses.quality is None or poses.visibility is None or poses.annotation_id is None:
        raise SystemExit(f"{model}: gives no expected errors")
    truth = read_truth(DATA / "dev_gt.json").truth
    rows = {number: row for row, number in enumerate(truth.annotation_id.tolist())}
    at = np.array([rows[number] for number in poses.annotation_id.tolist()])
    away = np.hypot(*np.moveaxis(poses.xy - truth.xy[at], -1, 0))
    labelled = (truth.v[at] > 0) & np.isfinite(error)
    expected = np.clip(poses.quality / np.maximum(1 - poses.visibility[..., 0], 1e-9), 0, 1)
    return (away[labelled] / np.maximum(error[labelled], 1e-9)), expected[labelled]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="default")
    ratio, expected = distances(parser.parse_args().model)
    print("expected OPKS   keypoints  within 1σ  within 2σ  median in σ")
    rows = {}
    for low, high in [*pairwise(BANDS), (0.0, 1.0)]:
        some = ratio[(expected >= low) & ((expected < high) | (high == 1))]
        one, two = (float((some < reach).mean()) for reach in (1, 2))
        rows[f"{low:g}-{high:g}"] = {"n": len(some), "1": one, "2": two, "median": float(np.median(some))}
        print(f"{low:.1f} to {high:.1f} {len(some):14,d} {one:10.3f} {two:10.3f} {np.median(some):12.2f}")
    print(json.dumps(rows))


if __name__ == "__main__":
    main()
