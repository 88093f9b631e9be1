"""Colours of people that stay from frame to frame of a video, without tracking."""

import numpy as np
from jaxtyping import Int

from trustpose.geometry.boxes import paired_iou
from trustpose.poses import Poses
from trustpose.report.palettes import people_colours, track_colours
from trustpose.report.scene import person_boxes

_MIN_OVERLAP = 0.2  # overlap (IoU) with a person of earlier frames
_REMEMBERED = 15  # frames in which a person may be missed, about half a second


class FrameColours:
    """Assigns a colour, as an index in `palettes.PEOPLE`, to each person of each frame.

    A person of a track has the track's colour. Others keep the colour of the person of earlier frames whom they overlap
    most, matched greedily by decreasing overlap; new people get a colour that no neighbour has. This is not tracking:
    people who cross may swap colours, and a person who was missing for longer may change colour.
    """

    def __init__(self) -> None:
        self._boxes = np.zeros((0, 4))
        self._colour_indices = np.zeros(0, np.int64)
        self._away = np.zeros(0, np.int64)  # frames since each was found

    def next(self, poses: Poses) -> Int[np.ndarray, " N"]:
        """Return the colour indices (N,) of the people of the next frame, in the order of `poses`."""
        boxes = person_boxes(poses)
        fixed_indices, is_matched = track_colours(poses.track_id, len(poses)), np.zeros(len(self._colour_indices), bool)
        overlap = paired_iou(boxes[:, None], self._boxes[None])  # (N, people before)
        overlap[fixed_indices >= 0] = 0
        order = np.argsort(-overlap, axis=None, kind="stable")
        for person, earlier_person in np.stack(np.unravel_index(order, overlap.shape), axis=1).tolist():
            if overlap[person, earlier_person] < _MIN_OVERLAP:
                break
            if fixed_indices[person] < 0 and not is_matched[earlier_person]:
                fixed_indices[person], is_matched[earlier_person] = self._colour_indices[earlier_person], True
        colour_indices = people_colours((boxes[:, :2] + boxes[:, 2:]) / 2, fixed_indices)
        stays = ~is_matched & (self._away < _REMEMBERED)
        self._boxes = np.concatenate([boxes, self._boxes[stays]])
        self._colour_indices = np.concatenate([colour_indices, self._colour_indices[stays]])
        self._away = np.concatenate([np.zeros(len(poses), np.int64), self._away[stays] + 1])
        return colour_indices
