"""COCO keypoint results files out, with our extended fields, loss-free."""

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import write_json
from trustpose.formats.coco.ids import NO_TEXTS, IdTexts
from trustpose.poses import Poses


def write_results(
    path: str | Path,
    poses: Poses,
    *,
    score: Float[np.ndarray, " N"] | None = None,
    category_id: Int[np.ndarray, " N"] | int = 1,
    image_texts: IdTexts = NO_TEXTS,
    annotation_texts: IdTexts = NO_TEXTS,
) -> None:
    """Write poses as a COCO keypoint results file, every filled field included, atomically.

    `score` (N,), what evaluation ranks by, is `Poses.ranking_score`; give it to write another. Numbers survive the way
    there and back exactly (a box's far corner to the last bit); `keypoint_missing` stands in rows whose missing
    keypoints are not those at (0, 0) with score 0. Ids that `image_texts` and `annotation_texts` have are written as
    those texts. Raises ValueError where image_id, the keypoint scores or all pose scores are missing, or where a number
    is not finite.
    """
    texts = {"image_id": image_texts.text_of, "annotation_id": annotation_texts.text_of}
    write_json(path, poses.to_coco(score=score, category_id=category_id, texts=texts))
