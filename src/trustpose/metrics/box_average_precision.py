"""COCO's average precision and recall of boxes, for one category and all sizes."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.boxes import paired_iou, paired_overlap
from trustpose.metrics.average_precision import precision_recall
from trustpose.metrics.matching import Pairs, best_in_image, match_greedily, same_image_pairs

IOU_THRESHOLDS: Float[np.ndarray, " T"] = np.linspace(0.5, 0.95, 10)
MAX_BOXES = 100


@dataclass(frozen=True)
class BoxPrecision:
    """AP over IoU 0.50:0.95, at 0.50 and at 0.75; AR over the same, and recall at 0.50, with at most 100 boxes per
    image."""

    AP: float
    AP50: float
    AP75: float
    AR: float
    recall50: float


def box_average_precision(
    box: Float[np.ndarray, "N 4"],
    score: Float[np.ndarray, " N"],
    image_id: Int[np.ndarray, " N"],
    true_box: Float[np.ndarray, "M 4"],
    true_image_id: Int[np.ndarray, " M"],
    iscrowd: Bool[np.ndarray, " M"] | None = None,
) -> BoxPrecision:
    """Evaluate detected boxes xyxy against labelled ones, each with its image. Crowds are ignored; NaN without labels.

    Source: pycocotools 2.0 `COCOeval` with iouType "bbox", area "all"; the overlap with a crowd is the share of the
    detected box inside it.
    """
    crowd = np.zeros(len(true_box), dtype=np.bool_) if iscrowd is None else iscrowd
    detected, labelled = same_image_pairs(image_id, true_image_id)
    iou = paired_iou(box[detected], true_box[labelled])
    inside = paired_overlap(box[detected], true_box[labelled])
    pairs = Pairs(detected, labelled, np.where(crowd[labelled], inside, iou))
    best, rank = best_in_image(image_id, score, MAX_BOXES)
    ignored = crowd[None]  # (1, M)
    (match,) = match_greedily(pairs, rank, person_ignored=ignored, iscrowd=crowd, thresholds=IOU_THRESHOLDS)
    order = best[np.argsort(-score[best], kind="stable")]
    match = match[order]  # (D, T)
    taken_ignored = np.append(crowd, False)[match] & (match >= 0)
    count = int(np.count_nonzero(~crowd))
    if not count:
        return BoxPrecision(*[float("nan")] * 5)
    precision, recall = precision_recall(((match >= 0) & ~taken_ignored)[None], taken_ignored[None], np.array([count]))
    return BoxPrecision(
        AP=float(precision[0].mean()),
        AP50=float(precision[0, 0].mean()),
        AP75=float(precision[0, 5].mean()),
        AR=float(recall[0].mean()),
        recall50=float(recall[0, 0]),
    )
