"""Geodesic point similarity of surfaces (GPS), masked (GPSm), and average precision over them.

GPS of an estimated person and a labelled one is the mean over the labelled points of exp(−d² / 2 κ²), with the
distance d along the surface between the estimated and the labelled point; GPSm is the root of GPS × IoU of their masks.
Sources: Güler, Neverova, Kokkinos, DensePose, CVPR 2018, section 4.1 (κ = 0.255 for all parts, GPS); the evaluation of
the COCO DensePose task 2019 and of Detectron2's `DensePoseCocoEval` (κ by part, GPSm).
"""

from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import zoom

from trustpose.geometry.boxes import paired_iou
from trustpose.geometry.surface_mesh import SurfaceMesh
from trustpose.metrics.average_precision import (
    AREA_RANGES,
    MAX_DETECTIONS,
    OKS_THRESHOLDS,
    AveragePrecision,
    precision_recall,
    summary_of,
)
from trustpose.poses.surfaces import Surface, Surfaces, SurfaceTruth

Similarity = Literal["gps", "gpsm", "iou"]
_SAME_BOX = 0.8  # IoU from which an unmatched estimate counts as one of an unlabelled person, and is ignored


def geodesic_point_similarity(
    surface: Surface, truth: SurfaceTruth, row: int, mesh: SurfaceMesh, scale: float | None = None
) -> float:
    """Return GPS of an estimated surface and the person in a row of the labels, 0–1; 0 without labelled points.

    scale: see `SurfaceMesh.similarity`. Positions are those of the COCO evaluation: 255 units a side of the box.
    """
    points = truth.points_of(row)
    xy = truth.xy(255)[points]
    if not len(xy) or not surface.pixels(xy)[2].any():
        return 0.0
    part, uv = surface.sample(xy)
    similarity = mesh.similarity(part, uv, truth.part[points], truth.uv[points], scale)
    similarity = similarity[~np.isnan(similarity)]
    return float(similarity.mean()) if len(similarity) else 0.0


def mask_on_image(truth: SurfaceTruth, row: int, width: int, height: int) -> Bool[np.ndarray, "H W"]:
    """Return which pixels of a photo a labelled person's masks cover, as in the COCO evaluation: the masks are resized
    to the box by linear interpolation. Nothing for a person without masks."""
    on_image = np.zeros((height, width), np.bool_)
    labels = truth.mask(row)
    if labels is None:
        return on_image
    x0, y0, x1, y1 = truth.box[row]
    scale = max(y1 - y0, 1) / labels.shape[0], max(x1 - x0, 1) / labels.shape[1]
    mask = zoom(np.minimum(labels, 1).astype(np.float64), scale, order=1, prefilter=False) > 0.5
    surface = Surface(mask.astype(np.uint8), np.zeros((*mask.shape, 2)), truth.box[row])
    return surface.on_image(width, height)


def similarities(
    surfaces: list[Surface],
    truth: SurfaceTruth,
    rows: Int[np.ndarray, " G"],
    mesh: SurfaceMesh,
    kind: Similarity = "gpsm",
    scale: float | None = None,
) -> Float[np.ndarray, "D G"]:
    """Return the similarity of each estimated surface of a photo and each labelled person in `rows`.

    Raises ValueError for "gpsm" and "iou" if the photo's size is unknown.
    """
    gps = np.ones((len(surfaces), len(rows)))
    if kind != "iou":
        gps = np.array(
            [[geodesic_point_similarity(surface, truth, row, mesh, scale) for row in rows] for surface in surfaces]
        ).reshape(len(surfaces), len(rows))
    if kind == "gps" or not len(rows):
        return gps
    size = np.zeros((1, 2)) if truth.images is None else truth.images.sizes(truth.image_id[rows[:1]])
    width, height = size[0].astype(int).tolist()
    if not width or not height:
        raise ValueError(f"images: expected the size of image {truth.image_id[rows[0]]}, for {kind}")
    masks = [mask_on_image(truth, int(row), width, height) for row in rows]
    iou = np.zeros_like(gps)
    for index, surface in enumerate(surfaces):
        estimated = surface.on_image(width, height)
        for column, mask in enumerate(masks):
            union = np.count_nonzero(estimated | mask)
            iou[index, column] = np.count_nonzero(estimated & mask) / union if union else 0.0
    return iou if kind == "iou" else np.sqrt(gps * iou)


def surface_precision(
    surfaces: Surfaces,
    truth: SurfaceTruth,
    mesh: SurfaceMesh,
    kind: Similarity = "gpsm",
    scale: float | None = None,
) -> AveragePrecision:
    """Return the ten numbers of the COCO DensePose evaluation: AP and AR over GPSm (or GPS) of .5 to .95.

    Args:
        surfaces: estimates on any photos; of each photo the 20 best by score count.
        truth: labelled people; those without points, and those outside an area range, are ignored.
        mesh: the surface with its distances.
        kind: "gpsm" (the challenge's), "gps" (the paper's) or "iou", of the masks alone.
        scale: κ in metres for all parts, such as `PAPER_SCALE`; None: the 2019 evaluation's, by part.

    Returns:
        The numbers, 0–1, -1 where nobody counts.
    """
    ranges = np.array(list(AREA_RANGES.values()))
    has_points = np.isin(np.arange(len(truth)), truth.person)
    ignored = (truth.area < ranges[:, :1]) | (truth.area > ranges[:, 1:]) | ~has_points  # (A, N)
    order: list[np.ndarray] = []
    hits: list[np.ndarray] = []
    unimportant: list[np.ndarray] = []
    for image_id in np.unique(np.concatenate([truth.image_id, surfaces.image_id])).tolist():
        rows = np.flatnonzero(truth.image_id == image_id)
        of_image = np.flatnonzero(surfaces.image_id == image_id)
        of_image = of_image[np.argsort(-surfaces.score[of_image], kind="stable")][:MAX_DETECTIONS]
        if not len(of_image):
            continue
        estimates = [surfaces.surfaces[index] for index in of_image]
        values = similarities(estimates, truth, rows, mesh, kind, scale)
        box = np.stack([surface.box for surface in estimates])
        overlap = paired_iou(box[:, None], truth.box[rows][None])
        area = (box[:, 2:] - box[:, :2]).prod(axis=1)
        matched = [
            _match(values, overlap, ignored[a, rows], (area < low) | (area > high))
            for a, (low, high) in enumerate(ranges.tolist())
        ]
        order.append(of_image)
        hits.append(np.stack([hit for hit, _ in matched]))
        unimportant.append(np.stack([is_ignored for _, is_ignored in matched]))
    counted = np.count_nonzero(~ignored, axis=1)
    empty = np.zeros((len(ranges), 0, len(OKS_THRESHOLDS)), np.bool_)
    rank = np.argsort(-surfaces.score[np.concatenate([*order, np.zeros(0, np.int64)])], kind="stable")
    is_hit, is_ignored = (np.concatenate([*flags, empty], axis=1)[:, rank] for flags in (hits, unimportant))
    return summary_of(*precision_recall(is_hit & ~is_ignored, is_ignored, counted))


def _match(
    values: Float[np.ndarray, "D G"],
    overlap: Float[np.ndarray, "D G"],
    ignored: Bool[np.ndarray, " G"],
    is_outside: Bool[np.ndarray, " D"],
) -> tuple[Bool[np.ndarray, "D T"], Bool[np.ndarray, "D T"]]:
    """Return which estimates of a photo, the best first, match a person at each threshold, and which are ignored.

    As `DensePoseCocoEval.evaluateImg`: people in order take part greedily, those that count first; an estimate that is
    unmatched at the last threshold and whose box overlaps somebody's by 0.8 takes over whether that person is ignored;
    in photos without people that count all are ignored. There are no crowds.
    """
    people = np.argsort(ignored, kind="stable")
    values, overlap, ignored = values[:, people], overlap[:, people], ignored[people]
    count, persons = values.shape
    match = np.full((count, len(OKS_THRESHOLDS)), -1)
    is_ignored = np.full(match.shape, bool(ignored.all()))
    free = np.ones(persons, np.bool_)
    for step, threshold in enumerate(OKS_THRESHOLDS):
        free = np.ones(persons, np.bool_)
        for row in range(count):
            match[row, step] = person = _best(values[row], free, ignored, min(threshold, 1 - 1e-10))
            if person >= 0:
                free[person] = False
                is_ignored[row, step] = ignored[person]
    for row in np.flatnonzero(match[:, -1] < 0):
        candidates = np.flatnonzero(free & (overlap[row] >= _SAME_BOX))
        if len(candidates):
            person = candidates[len(candidates) - 1 - overlap[row, candidates][::-1].argmax()]
            is_ignored[row] = ignored[person]
            if ignored[person]:
                match[row, -1] = person
                free[person] = False
    return match >= 0, is_ignored | ((match < 0) & is_outside[:, None])


def _best(
    values: Float[np.ndarray, " G"], free: Bool[np.ndarray, " G"], ignored: Bool[np.ndarray, " G"], threshold: float
) -> int:
    """Return the person with the highest value of at least `threshold`, the last of equal ones; an ignored one only if
    no person that counts reaches it; -1 for none."""
    for group in (~ignored, ignored):
        candidates = np.flatnonzero(free & group & (values >= threshold) & (values > 0))
        if len(candidates):
            return int(candidates[len(candidates) - 1 - values[candidates][::-1].argmax()])
    return -1
