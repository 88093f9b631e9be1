"""Single-stage networks, which find people by themselves: photo → letterbox → network → poses with boxes."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.formats.photos import MAX_PIXELS
from trustpose.geometry.crops import invert_affine, transform
from trustpose.models.spec import ModelSpec, PeopleOutput
from trustpose.poses import Poses
from trustpose.predict.boxes import Boxes
from trustpose.predict.photos import BasePredictor, Image, Prediction, open_photo, prefetch
from trustpose.runtime.sessions import PerProcess, cpu_count, open_session, output_names, run_session, to_tensor


class PeopleNetwork:
    """Maps one photo to its people; calls from many threads run in parallel, each on one CPU.

    Every person in the output is kept, however low its score; each photo has the same number of them. Raises InputError
    for another kind of spec, and if file and spec do not match.
    """

    def __init__(self, spec: ModelSpec, device: str = "cpu") -> None:
        self.spec = spec
        self._session = PerProcess(lambda: open_session(spec.onnx, 1, device))
        self.output = spec.expect(PeopleOutput)
        self.codec = self.output.codec(spec.input)
        self._tensors = output_names(self._session(), spec.onnx, spec.input, self.output.tensors)

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Poses:
        """Return the people of a photo, RGB: keypoints, `pose_score` and `box_score` (both the person's score),
        boxes."""
        spec, output = self.spec, self.output
        ready, affine = spec.input.fit(pixels)
        blob = to_tensor(ready[None], spec.input)
        (raw,) = run_session(self._session(), spec.onnx, self._tensors, {spec.input.name: blob})
        expected = (1, output.people, 3 * output.keypoints + 5)
        if raw.shape != expected:
            raise InputError(f"{spec.onnx}: gave an output {raw.shape}, its spec's 'output.shape' says {expected}")
        people = self.codec.decode(raw[0], ready.shape[1], ready.shape[0])
        places = np.concatenate([people.xy, people.box.reshape(-1, 2, 2)], axis=1)  # (N, K + 2, 2), input pixels
        places = transform(np.broadcast_to(invert_affine(affine), (len(places), 2, 3)), places)
        return Poses(
            xy=places[:, :-2],
            score=people.score,
            pose_score=people.person_score,
            box=places[:, -2:].reshape(-1, 4),
            box_score=people.person_score,
            image_id=np.zeros(len(places), np.int64),
            skeleton=spec.skeleton,
        )


class PeopleDetector:
    """A detector for top-down networks from a people network's boxes. Boxes below `min_score` are dropped."""

    def __init__(self, network: PeopleNetwork, min_score: float = 0.0) -> None:
        self.network = network
        self.min_score = min_score

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Boxes:
        """Return the boxes, clipped to the photo; those outside it are dropped."""
        found = self.network(pixels)
        assert found.box is not None and found.box_score is not None
        height, width = pixels.shape[:2]
        box = np.clip(found.box, 0, [width, height, width, height])
        keep = (found.box_score >= self.min_score) & (box[:, 2:] > box[:, :2]).all(axis=1)
        return Boxes(box, np.zeros(len(box), np.int64), found.box_score)[np.flatnonzero(keep)]


class SingleStagePredictor(BasePredictor):
    """Predicts poses from photos, without boxes. People with a score below `min_score` are dropped; photo files with
    more than `max_pixels` are refused.

    `threads` photos are read and predicted in parallel. Results do not depend on it.
    """

    def __init__(
        self,
        network: PeopleNetwork,
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
        self.min_score = min_score

    def _predictions(self, photos: Iterable[Image]) -> Iterator[Prediction]:
        with ThreadPoolExecutor(self.threads, "trustpose-people") as workers:
            yield from prefetch(workers, self._predict, photos, 2 * self.threads)

    def _predict(self, photo: Image) -> Prediction:
        if photo.boxes is not None and len(photo.boxes):
            raise ValueError("boxes: expected None, this network finds the people of whole photos by itself")
        nobody = self._nobody()
        try:
            pixels = open_photo(photo, self.max_pixels)
        except InputError as error:
            return Prediction(photo, nobody, error=error)
        if photo.boxes is not None:  # the photo is known to be empty
            return Prediction(photo, nobody, pixels)
        poses = self.network(pixels)
        assert poses.box_score is not None
        poses = poses[np.flatnonzero(poses.box_score >= self.min_score)]
        return Prediction(photo, replace(poses, image_id=np.full(len(poses), photo.image_id)), pixels)
