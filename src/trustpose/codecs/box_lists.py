"""Decode boxes as a detector lists them before NMS: corners and one score per class for each location.

The outputs of PicoDet (Yu et al., PP-PicoDet, 2021) as exported by PaddleDetection without post-processing; other
single-stage detectors with decoded corners have the same format.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from trustpose.codecs.centres import suppress

MOST_BEFORE, MOST = 1000, 100  # boxes before and after NMS: PaddleDetection's nms_top_k and keep_top_k


@dataclass(frozen=True)
class BoxListCodec:
    """Scores (classes, N) and corners (N, 4), x0 y0 x1 y1 in input pixels; `person` is the row of people's scores.

    Boxes below `min_score` are dropped, and NMS keeps the highest of boxes that overlap by more than `overlap` (IoU).
    """

    min_score: float
    overlap: float
    person: int = 0

    def decode(
        self, scores: Float[np.ndarray, "C N"], corners: Float[np.ndarray, "N 4"]
    ) -> tuple[Float[np.ndarray, "M 4"], Float[np.ndarray, " M"]]:
        """Return boxes xyxy (M, 4), input pixels, and their scores (M,), highest first."""
        score = scores[self.person].astype(np.float64)
        rows = np.flatnonzero(score >= self.min_score)
        rows = rows[np.argsort(-score[rows], kind="stable")][:MOST_BEFORE]
        box = corners[rows].astype(np.float64)
        kept = suppress(box, self.overlap)[:MOST]
        return box[kept], score[rows][kept]
