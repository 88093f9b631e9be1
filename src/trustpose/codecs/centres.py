"""Boxes of people as maps of centres and sides: what a detector learns, and how boxes are read out of what it gives.

Each cell of a map with `stride` image pixels a side says how likely a person's centre lies in it, and how far the four
sides of that person's box are from the cell's middle. Sources: Zhou et al., Objects as Points, 2019 (centres, read by
a 3 × 3 maximum), Liu et al., Training-Time-Friendly Network, AAAI 2020 (bumps as large as boxes, sides learnt all over
them, small boxes before large ones), Tian et al., FCOS, ICCV 2019 (distances to the four sides).
"""

from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float

SIGMAS_A_BOX = 0.54 / 6  # TTFNet's: a bump's standard deviation as a share of the box's side
_FLOOR = 0.05  # of a bump; beneath it a cell learns no sides


def encode_centres(
    box: Float[np.ndarray, "N 4"], width: int, height: int, stride: int
) -> tuple[Float[np.ndarray, "h w"], Float[np.ndarray, "4 h w"], Float[np.ndarray, "h w"]]:
    """Targets for boxes xyxy in image pixels, on a map of width × height cells.

    Bumps (h, w) in 0–1, exactly 1 in the cell of each box's centre; sides (4, h, w), the box xyxy that a cell is to
    tell, image pixels; weight (h, w) of a cell's sides: each box's add up to log2 of its area in cells, 1 at least.
    """
    bumps = np.zeros((height, width), np.float32)
    sides = np.zeros((4, height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    size = np.maximum(box[:, 2:] - box[:, :2], 1e-3) / stride
    for at in np.argsort(-size.prod(axis=1), kind="stable"):  # smaller boxes come later, and lie on top
        centre = np.clip((box[at, :2] + box[at, 2:]) / 2 / stride, 0, [width - 1e-3, height - 1e-3]).astype(np.int64)
        sigma = np.maximum(size[at] * SIGMAS_A_BOX, 0.3)
        across, down = (
            np.exp(-((np.arange(length) - middle) ** 2) / (2 * spread**2))
            for length, middle, spread in zip((width, height), centre, sigma, strict=True)
        )
        bump = (down[:, None] * across).astype(np.float32)
        inside = bump > _FLOOR
        np.maximum(bumps, bump, out=bumps)
        sides[:, inside] = box[at][:, None]
        weight[inside] = bump[inside] / bump[inside].sum() * max(np.log2(size[at].prod()), 1.0)
    return bumps, sides, weight


def decode_centres(
    centre: Float[np.ndarray, "h w"],
    sides: Float[np.ndarray, "4 h w"],
    stride: int,
    *,
    min_score: float,
    most: int = 100,
    overlap: float = 0.6,
) -> tuple[Float[np.ndarray, "N 4"], Float[np.ndarray, " N"]]:
    """Boxes xyxy (N, 4), image pixels, and their scores (N,), highest first.

    centre: probabilities; sides: left, top, right, bottom of each cell's middle, image pixels. A cell counts where no
    neighbour is higher; of boxes that overlap by more than `overlap` (IoU) the highest stays.
    """
    highest = cv2.dilate(np.ascontiguousarray(centre, np.float32), np.ones((3, 3), np.uint8))
    rows, columns = np.nonzero((centre >= highest) & (centre >= min_score))
    order = np.argsort(-centre[rows, columns], kind="stable")[:most]
    rows, columns = rows[order], columns[order]
    middle = (np.stack([columns, rows], axis=1) + 0.5) * stride
    left, top, right, bottom = sides[:, rows, columns].astype(np.float64)
    box = np.concatenate([middle - np.stack([left, top], 1), middle + np.stack([right, bottom], 1)], axis=1)
    score = centre[rows, columns].astype(np.float64)
    kept = suppress(box, overlap)
    return box[kept], score[kept]


def suppress(box: Float[np.ndarray, "N 4"], overlap: float) -> np.ndarray:
    """The rows of boxes, given highest score first, that overlap none before them that stays by more than `overlap`.

    Of several boxes without extent one stays.
    """
    xywh = np.concatenate([box[:, :2], box[:, 2:] - box[:, :2]], axis=1)
    kept = cv2.dnn.NMSBoxes(xywh.tolist(), list(range(len(box), 0, -1)), 0.0, overlap)
    return np.array(kept, dtype=np.int64)


@dataclass(frozen=True)
class CentreCodec:
    """Maps (5, h, w) as above, `stride` input pixels apart: boxes with at least `min_score`."""

    stride: int
    min_score: float

    def decode(self, maps: Float[np.ndarray, "5 h w"]) -> tuple[Float[np.ndarray, "N 4"], Float[np.ndarray, " N"]]:
        """Boxes xyxy (N, 4), input pixels, and their scores (N,), highest first."""
        return decode_centres(maps[0].astype(np.float32), maps[1:], self.stride, min_score=self.min_score)
