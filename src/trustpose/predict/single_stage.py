"""Networks that find people by themselves: photo → letterbox → network → poses, some with boxes."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.io.photos import MAX_PIXELS
from trustpose.models.spec import ModelSpec
from trustpose.poses import Poses
from trustpose.predict.base_predictor import BasePredictor
from trustpose.predict.boxes import Boxes
from trustpose.predict.photos import Image, Prediction, open_photo, prefetch
from trustpose.threads import cpu_count, worker_threads


class PhotoPeople(Protocol):
    """A network with its spec that maps a photo, RGB, to poses with `pose_score`."""

    @property
    def spec(self) -> ModelSpec: ...

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Poses: ...


class PeopleDetector:
    """A detector for top-down networks from the boxes of a network that finds people with boxes. Boxes below
    `min_score` are dropped."""

    def __init__(self, network: PhotoPeople, min_score: float = 0.0) -> None:
        self.network = network
        self.min_score = min_score

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Boxes:
        """Return the boxes, clipped to the photo; those outside it are dropped."""
        people = self.network(pixels)
        assert people.box is not None and people.box_score is not None
        height, width = pixels.shape[:2]
        box = np.clip(people.box, 0, [width, height, width, height])
        keep = (people.box_score >= self.min_score) & (box[:, 2:] > box[:, :2]).all(axis=1)
        return Boxes(box, np.zeros(len(box), np.int64), people.box_score)[np.flatnonzero(keep)]


class SingleStagePredictor(BasePredictor):
    """Predicts poses from photos, without boxes. People with a score below `min_score` are dropped; photo files with
    more than `max_pixels` are refused.

    `threads` photos are read and predicted in parallel. Results do not depend on it.
    """

    def __init__(
        self,
        network: PhotoPeople,
        *,
        threads: int | None = None,
        min_score: float = 0.0,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        self.network = network
        self.spec = network.spec
        self._describe(self.spec)
        self.max_pixels = max_pixels
        self.threads = threads or cpu_count()
        self._workers = worker_threads(self.threads, "trustpose-people")
        self.min_score = min_score

    def _predictions(self, photos: Iterable[Image]) -> Iterator[Prediction]:
        yield from prefetch(self._workers(), self._predict, photos, 2 * self.threads)

    def _predict(self, photo: Image) -> Prediction:
        if photo.boxes is not None and len(photo.boxes):
            raise ValueError("boxes: expected None, this network finds the people of whole photos by itself")
        empty = self._no_poses()
        try:
            pixels = open_photo(photo, self.max_pixels)
        except InputError as error:
            return Prediction(photo, empty, error=error)
        if photo.boxes is not None:  # the photo is known to be empty
            return Prediction(photo, empty, pixels)
        poses = self.network(pixels)
        assert poses.pose_score is not None
        poses = poses[np.flatnonzero(poses.pose_score >= self.min_score)]
        return Prediction(photo, replace(poses, image_id=np.full(len(poses), photo.image_id)), pixels)
