"""People as points: each person's centre with its box and the offset to every joint, and keypoint heatmaps.

Source: Zhou, Wang, Krähenbühl, Objects as Points, 2019, section 4.2: joints are regressed from the centre, then moved
to the nearest peak of their heatmap. Centres and boxes are those of `codecs.boxes`, which gives distances of the four
sides in place of the paper's sizes and offsets; heatmaps are refined between pixels by their own codec, in place of a
map of offsets.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

from trustpose.codecs import Candidates, Outputs
from trustpose.codecs.boxes import boxes_at, centre_cells, encode_centres, suppress
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.codecs.people import DetectedPeople

MAX_PEOPLE = 100


@dataclass(frozen=True, eq=False)
class CentreMaps:
    """Maps of one photo, cells `stride` input pixels apart.

    centre (h, w): probability that a person's centre is in the cell, 0–1. sides (4, h, w): distances of the box's left,
    top, right, bottom from the cell's middle, input pixels. joints (2 × K, h, w): x, then y, of each joint from the
    cell's middle, input pixels. heatmaps (K, h, w).
    """

    centre: Float[np.ndarray, "h w"]
    sides: Float[np.ndarray, "4 h w"]
    joints: Float[np.ndarray, "C h w"]
    heatmaps: Float[np.ndarray, "K h w"]


@dataclass(frozen=True)
class CentrePoseCodec:
    """Centres with joints, and keypoint heatmaps by `heatmaps`, whose stride all maps have.

    min_score: of a centre, at most `max_people`; centres are local maxima of 3 × 3 cells, which is all the suppression
    that the paper has. overlap: the IoU with a better person's box above which a person is dropped; 1: none. A joint is
    moved to the nearest peak of at least `min_peak` that lies in the person's box and nearer than `reach` × the box's
    longer side; without one it stays.
    """

    heatmaps: HeatmapCodec
    min_score: float = 0.1
    max_people: int = MAX_PEOPLE
    min_peak: float = 0.1
    reach: float = 0.3
    overlap: float = 1.0

    def encode(
        self, box: Float[np.ndarray, "P 4"], xy: Float[np.ndarray, "P K 2"], labelled: Bool[np.ndarray, "P K"]
    ) -> tuple[CentreMaps, Bool[np.ndarray, "K h w"]]:
        """Return the maps of one photo's people, and where joints are to be learnt: in the cells of centres, if
        labelled.

        box: xyxy, xy: input pixels. Smaller people lie on top. Joints that are not labelled are 0.
        """
        width, height, stride = self.heatmaps.width, self.heatmaps.height, int(self.heatmaps.stride)
        centre, corners, _ = encode_centres(box, width, height, stride)
        y, x = (np.indices((height, width)) + 0.5) * stride
        sides = np.stack([x - corners[0], y - corners[1], corners[2] - x, corners[3] - y])
        sides = np.where(corners.any(axis=0), sides, 0.0).astype(np.float32)
        keypoints = xy.shape[1]
        joints = np.zeros((keypoints, 2, height, width), np.float32)
        learnt = np.zeros((keypoints, height, width), np.bool_)
        size = (box[:, 2:] - box[:, :2]).prod(axis=1)
        for person in np.argsort(-size, kind="stable"):
            middle = (box[person, :2] + box[person, 2:]) / 2 / stride
            column, row = np.clip(middle, 0, [width - 1e-3, height - 1e-3]).astype(np.int64)
            way = xy[person] - (np.array([column, row]) + 0.5) * stride
            joints[:, :, row, column] = np.where(labelled[person][:, None], way, 0.0)
            learnt[:, row, column] = labelled[person]
        heatmaps = self.heatmaps.encode_people(xy, labelled)
        return CentreMaps(centre, sides, joints.reshape(-1, height, width), heatmaps), learnt

    def decode(self, maps: CentreMaps) -> DetectedPeople:
        """Return the people, the highest centre first: keypoints with the heatmaps' height at their nearest cell as
        score, boxes and the centres' probabilities as the people's scores."""
        stride = int(self.heatmaps.stride)
        rows, columns = centre_cells(maps.centre, self.min_score, self.max_people)
        box = boxes_at(maps.sides, rows, columns, stride)
        if self.overlap < 1:
            rows_kept = suppress(box, self.overlap)
            box, rows, columns = box[rows_kept], rows[rows_kept], columns[rows_kept]
        keypoints, height, width = maps.heatmaps.shape
        way = maps.joints.reshape(keypoints, 2, height, width)[:, :, rows, columns].astype(np.float64)  # (K, 2, P)
        middle = (np.stack([columns, rows], axis=1) + 0.5) * stride
        xy = middle[:, None] + way.transpose(2, 0, 1)
        peaks = self.heatmaps.candidates(
            Outputs(heatmaps=[maps.heatmaps[None]]), min_score=self.min_peak, max_per_map=MAX_PEOPLE
        )
        xy = self._moved(xy, box, peaks)
        grid = self.heatmaps.grid_of(width, height)
        cell = np.rint(grid.cells(xy)).astype(np.int64).clip(0, (width - 1, height - 1))
        score = maps.heatmaps[np.arange(keypoints), cell[..., 1], cell[..., 0]]
        return DetectedPeople(xy, score.astype(np.float64), box, maps.centre[rows, columns].astype(np.float64))

    def _moved(
        self, xy: Float[np.ndarray, "P K 2"], box: Float[np.ndarray, "P 4"], peaks: Candidates
    ) -> Float[np.ndarray, "P K 2"]:
        """Return joints at the nearest peaks that are allowed."""
        keypoints = xy.shape[1]
        count = np.bincount(peaks.joint, minlength=keypoints)
        if not len(peaks) or not len(xy):
            return xy
        peak_xy = np.full((keypoints, count.max(), 2), np.inf)  # each joint's peaks, the rest infinitely far
        peak_xy[peaks.joint, np.arange(len(peaks)) - (np.cumsum(count) - count)[peaks.joint]] = peaks.xy
        distance = np.linalg.norm(xy[:, :, None] - peak_xy, axis=3)  # (P, K, most)
        low, high = box[:, None, None, :2], box[:, None, None, 2:]
        is_inside = ((peak_xy >= low) & (peak_xy <= high)).all(axis=3)
        longer = (box[:, 2:] - box[:, :2]).max(axis=1)[:, None, None]
        distance = np.where(is_inside & (distance < self.reach * longer), distance, np.inf)
        nearest = distance.argmin(axis=2)  # (P, K)
        moved = peak_xy[np.arange(keypoints), nearest]
        return np.where(np.isfinite(distance.min(axis=2))[..., None], moved, xy)
