"""Track the poses of clips too long for memory: frames come in order, a batch at a time."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int

from trustpose.poses import MISSING_ID, Poses
from trustpose.tracking.tracker import Tracker


class TracksInBatches:
    """Call it with batches of whole frames, image ids ascending; it returns the poses' track ids, those of `track` on
    all at once. Memory is that of a batch and of the tracks that have not ended.

    clips: of each clip, in order, the image id of its first frame and the difference of image ids from a frame to the
    next one. start: the first track id of each clip; without, ids are counted from 1 over all clips. options: those of
    `Tracker`. Raises ValueError as `Tracker` does.
    """

    def __init__(self, clips: Sequence[tuple[int, int]], start: Sequence[int] | None = None, **options: Any) -> None:
        self._start = start
        self._first = np.array([first for first, _ in clips], dtype=np.int64)
        self._step = np.maximum([step for _, step in clips], 1)
        self._options, self._tracker = options, Tracker(**options)
        self._clip, self._frame = -1, 0

    @property
    def next_id(self) -> int:
        """The id of the next track that begins."""
        return self._tracker.next_id

    def __call__(self, poses: Poses) -> Int[np.ndarray, " N"]:
        """Return the track id (N,) of each pose; -1 for none."""
        assert poses.image_id is not None
        ids = np.full(len(poses), MISSING_ID)
        starts = np.flatnonzero(np.diff(poses.image_id, prepend=poses.image_id[:1] - 1))
        for start, end in zip(starts, [*starts[1:], len(poses)], strict=True):
            image = int(poses.image_id[start])
            clip = int(np.searchsorted(self._first, image, "right")) - 1
            frame = int((image - self._first[clip]) // self._step[clip])
            if clip != self._clip:
                begins = self._tracker.next_id if self._start is None else self._start[clip]
                self._tracker = Tracker(**self._options, next_id=begins)
                self._clip, self._frame = clip, frame - 1
            ids[start:end] = self._tracker(poses[start:end], gap=frame - self._frame).track_id
            self._frame = frame
        return ids
