"""What an audit states about its two files: names, counts and fingerprints."""

from typing import Any

import numpy as np

from trustpose.formats.coco import ResultsFile, TruthFile


def inputs(truth: TruthFile, results: ResultsFile, person: np.ndarray) -> dict[str, Any]:
    """Return `inputs` of the JSON; `person` (N,) is each result's row of the ground truth, or -1."""
    counts = truth.truth.num_keypoints
    assert counts is not None
    return {
        "ground_truth": {
            "file": truth.path,
            "sha256": truth.sha256,
            "images": len(truth.images),
            "people": len(truth.truth),
            "people_with_keypoints": int((counts > 0).sum()),
            "left_out": truth.left_out or None,
        },
        "results": {
            "file": results.path,
            "sha256": results.sha256,
            "results": len(results.poses),
            "paired": int((person >= 0).sum()),
            "left_out": results.left_out or None,
        },
    }
