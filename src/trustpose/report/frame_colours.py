"""Colours of people that stay from frame to frame of a video, without tracking."""

import numpy as np
from jaxtyping import Int

from trustpose.geometry.boxes import paired_iou
from trustpose.poses import Poses
from trustpose.report.palettes import people_places, track_places
from trustpose.report.scene import person_boxes

_LEAST = 0.2  # overlap (IoU) with a person of earlier frames
_REMEMBERED = 15  # frames in which a person may be missed, about half a second


class FrameColours:
    """The places in `palettes.PEOPLE` of the people of each frame.

    By track, where there is one. Others keep the colour of the person of earlier frames whom they overlap most, pairs
    of the largest overlap first; new people get a colour that no neighbour has. This is no tracking: people who cross
    may swap colours, and a person who was missing for longer may get another one.
    """

    def __init__(self) -> None:
        self._boxes = np.zeros((0, 4))
        self._places = np.zeros(0, np.int64)
        self._away = np.zeros(0, np.int64)  # frames since each was found

    def next(self, poses: Poses) -> Int[np.ndarray, " N"]:
        """Return the places for the people of the next frame, in their order."""
        boxes = person_boxes(poses)
        kept, is_back = track_places(poses.track_id, len(poses)), np.zeros(len(self._places), bool)
        overlap = paired_iou(boxes[:, None], self._boxes[None])  # (N, people before)
        overlap[kept >= 0] = 0
        order = np.argsort(-overlap, axis=None, kind="stable")
        for person, before in np.stack(np.unravel_index(order, overlap.shape), axis=1).tolist():
            if overlap[person, before] < _LEAST:
                break
            if kept[person] < 0 and not is_back[before]:
                kept[person], is_back[before] = self._places[before], True
        places = people_places((boxes[:, :2] + boxes[:, 2:]) / 2, kept)
        stays = ~is_back & (self._away < _REMEMBERED)
        self._boxes = np.concatenate([boxes, self._boxes[stays]])
        self._places = np.concatenate([places, self._places[stays]])
        self._away = np.concatenate([np.zeros(len(poses), np.int64), self._away[stays] + 1])
        return places
