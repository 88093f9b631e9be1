"""Learn DeepCut's pairwise terms from labelled people, and write them where `deepcut_terms.shipped_terms` reads them.

    python tools/ship_pairwise.py DATA/coco/train_gt.json

Half of the photos, every other one by id, are enough: all pairs of labelled joints of a photo are used, of people whose
box is larger than 8 pixels; scale is √(box's area).
"""

import sys
from pathlib import Path

import numpy as np

from trustpose.grouping.deepcut_terms import fit_pairwise
from trustpose.io.coco.truth import read_coco_truth

OUT = Path(__file__).parents[1] / "src" / "trustpose" / "grouping" / "pairwise"
SMALLEST = 8.0


def run() -> None:
    file = read_coco_truth(Path(sys.argv[1]))
    truth, skeleton = file.truth, file.truth.skeleton
    assert truth.box is not None and truth.image_id is not None and skeleton is not None
    size = np.sqrt(np.prod(truth.box[:, 2:] - truth.box[:, :2], axis=1))
    photos, photo = np.unique(truth.image_id, return_inverse=True)
    person, joint = np.nonzero(truth.v > 0)
    kept = (photo[person] % 2 == 0) & (size[person] > SMALLEST)
    person, joint = person[kept], joint[kept]
    terms = fit_pairwise(truth.xy[person, joint], size[person], joint, person, photo[person], len(skeleton))
    OUT.mkdir(exist_ok=True)
    terms.save(OUT / f"{skeleton.name}.npz")
    print(f"{OUT / skeleton.name}.npz: from {len(person)} joints in {(len(photos) + 1) // 2} photos")


if __name__ == "__main__":
    run()
