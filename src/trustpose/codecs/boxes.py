"""Boxes of people: decoding of a detector's maps of centres and sides, with their targets, or of its lists of boxes.

Maps: each cell of a map with `stride` image pixels a side holds the probability that a person's centre is in it, and
the distances from the cell's middle to the four sides of that person's box. Sources: Zhou et al., Objects as Points,
2019 (centres, decoded by a 3 × 3 maximum), Liu et al., Training-Time-Friendly Network, AAAI 2020 (Gaussians in
proportion to boxes, sides learnt in all their cells, small boxes on top), Tian et al., FCOS, ICCV 2019 (distances to
the four sides).

Lists: one score per class and the corners for each location, as PicoDet (Yu et al., PP-PicoDet, 2021) gives them if
exported by PaddleDetection without post-processing; other single-stage detectors have the same format.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Int

SIGMAS_A_BOX = 0.54 / 6  # TTFNet's: a Gaussian's standard deviation as a fraction of the box's side
MAX_BEFORE_NMS, MAX_BOXES = 1000, 100  # boxes before and after NMS: PaddleDetection's nms_top_k and keep_top_k
_FLOOR = 0.05  # minimum value of a Gaussian for a cell to learn sides


def encode_centres(
    box: Float[np.ndarray, "N 4"], width: int, height: int, stride: int
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "4 h w"], Float[np.ndarray, "h w"]]:
    """Encode boxes xyxy in image pixels as targets on a map of width × height cells.

    Returns Gaussians (h, w) in 0–1, exactly 1 in the cell of each box's centre; sides (4, h, w), the target box xyxy of
    each cell, image pixels; weight (h, w) of a cell's sides: those of a box sum to log2 of its area in cells, at least
    1.
    """
    bumps = np.zeros((height, width), np.float32)
    sides = np.zeros((4, height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    size = np.maximum(box[:, 2:] - box[:, :2], 1e-3) / stride
    for row in np.argsort(-size.prod(axis=1), kind="stable"):  # smaller boxes come later, on top
        centre = np.clip((box[row, :2] + box[row, 2:]) / 2 / stride, 0, [width - 1e-3, height - 1e-3]).astype(np.int64)
        sigma = np.maximum(size[row] * SIGMAS_A_BOX, 0.3)
        across, down = (
            np.exp(-((np.arange(length) - middle) ** 2) / (2 * spread**2))
            for length, middle, spread in zip((width, height), centre, sigma, strict=True)
        )
        bump = (down[:, None] * across).astype(np.float32)
        inside = bump > _FLOOR
        np.maximum(bumps, bump, out=bumps)
        sides[:, inside] = box[row][:, None]
        weight[inside] = bump[inside] / bump[inside].sum() * max(np.log2(size[row].prod()), 1.0)
    return bumps, sides, weight


def decode_centres(
    centre: Float[np.ndarray, "h w"],
    sides: Float[np.ndarray, "4 h w"],
    stride: int,
    *,
    min_score: float,
    max_boxes: int = 100,
    overlap: float = 0.6,
) -> tuple[Float[np.ndarray, "N 4"], Float[np.ndarray, " N"]]:
    """Return boxes xyxy (N, 4), image pixels, and their scores (N,), highest first.

    centre: probabilities; sides: left, top, right, bottom from each cell's middle, image pixels. Only local maxima are
    used; NMS keeps the highest of boxes that overlap by more than `overlap` (IoU).
    """
    rows, columns = centre_cells(centre, min_score, max_boxes)
    box = boxes_at(sides, rows, columns, stride)
    score = centre[rows, columns].astype(np.float64)
    rows_kept = suppress(box, overlap)
    return box[rows_kept], score[rows_kept]


def centre_cells(
    centre: Float[np.ndarray, "h w"], min_score: float, max_boxes: int
) -> tuple[Int[np.ndarray, " N"], Int[np.ndarray, " N"]]:
    """Return rows and columns of the `max_boxes` highest local maxima with at least `min_score`, the highest first."""
    highest = cv2.dilate(np.ascontiguousarray(centre, np.float32), np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((centre >= highest) & (centre >= min_score))
    order = np.argsort(-centre[rows, columns], kind="stable")[:max_boxes]
    return rows[order], columns[order]


def boxes_at(
    sides: Float[np.ndarray, "4 h w"], rows: Int[np.ndarray, " N"], columns: Int[np.ndarray, " N"], stride: int
) -> Float[np.ndarray, "N 4"]:
    """Return the boxes xyxy, image pixels, of cells from the distances of their sides from the cells' middles."""
    middle = (np.stack([columns, rows], axis=1) + 0.5) * stride
    left, top, right, bottom = sides[:, rows, columns].astype(np.float64)
    return np.concatenate([middle - np.stack([left, top], 1), middle + np.stack([right, bottom], 1)], axis=1)


def suppress(box: Float[np.ndarray, "N 4"], overlap: float) -> np.ndarray:
    """Return the rows of boxes, sorted by score, that overlap no kept box before them by more than `overlap`.

    Of several empty boxes one is kept.
    """
    xywh = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)
    rows_kept = cv2.dnn.NMSBoxes(xywh.tolist(), list(range(len(box), 0, -1)), 0.0, overlap)
    return np.array(rows_kept, dtype=np.int64)


@dataclass(frozen=True)
class CentreCodec:
    """Maps (5, h, w) as above, `stride` input pixels apart; boxes below `min_score` are dropped."""

    stride: int
    min_score: float

    def decode(self, maps: Float[np.ndarray, "5 h w"]) -> tuple[Float[np.ndarray, "N 4"], Float[np.ndarray, " N"]]:
        """Return boxes xyxy (N, 4), input pixels, and their scores (N,), highest first."""
        return decode_centres(maps[0].astype(np.float32), maps[1:], self.stride, min_score=self.min_score)


@dataclass(frozen=True)
class BoxListCodec:
    """Lists before NMS: scores (classes, N) and corners (N, 4), x0 y0 x1 y1 in input pixels.

    `person` is the row of people's scores. Boxes below `min_score` are dropped, and NMS keeps the highest of boxes
    that overlap by more than `overlap` (IoU).
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
        rows = rows[np.argsort(-score[rows], kind="stable")][:MAX_BEFORE_NMS]
        box = corners[rows].astype(np.float64)
        rows_kept = suppress(box, self.overlap)[:MAX_BOXES]
        return box[rows_kept], score[rows][rows_kept]
