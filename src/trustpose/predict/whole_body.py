"""Hands and faces beside bodies: a predictor of bodies, of any kind, with networks for the parts of each person."""

from collections.abc import Generator, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from trustpose.files import InputError
from trustpose.poses import MISSING_ID, Poses
from trustpose.predict.base import BasePredictor
from trustpose.predict.boxes import Detector
from trustpose.predict.parts import part_boxes, parts_in_photo, parts_of
from trustpose.predict.photos import Image, Prediction, open_photo
from trustpose.predict.top_down import Predictor
from trustpose.skeletons.whole_body import with_parts

_FIRST = {"face": "face_0", "left_hand": "left_hand_root", "right_hand": "right_hand_root"}  # of the part's joints


class WholeBody(BasePredictor):
    """Predicts bodies by `body`, then each person's hands and face (`predict.parts`): joints after the body's, with the
    names of COCO-WholeBody.

    A part's scores are its network's own. Parts that were not looked for are missing. Trust and the scores of poses are
    the body's; a part's joints have trust where its network gives the same fields, NaN otherwise. Raises InputError for
    networks of other parts, and for bodies without the joints that the boxes are derived from.
    """

    def __init__(self, body: BasePredictor, hands: Predictor | None = None, face: Predictor | None = None) -> None:
        self._body = body
        self._networks = [network for network in (hands, face) if network is not None]
        for network, (option, part) in zip((hands, face), (("hands", "left_hand"), ("face", "face")), strict=True):
            if network is not None and part not in parts_of(network.skeleton, network.model):
                raise InputError(f"--{option}: {network.model} gives {network.skeleton.name}")
        try:
            whole = with_parts(body.skeleton, hands=hands is not None, face=None if face is None else face.skeleton)
        except ValueError as error:
            raise InputError(f"--hands, --face: {error}") from None
        part_names = part_boxes(replace(body._no_poses(), skeleton=body.skeleton))
        for network in self._networks:
            for name in parts_of(network.skeleton, network.model):
                if name not in part_names:
                    raise InputError(f"{body.model}: the skeleton {body.skeleton.name} has no joints for {name}")
        self.skeleton = whole
        self.name, self.licence = body.name, ", ".join(dict.fromkeys([body.licence, *self._licences()]))
        self.people, self.threads, self.device = body.people, body.threads, body.device
        self.model, self.options, self.max_pixels = body.model, body.options, body.max_pixels
        self.calibrate, self.min_presence = body.calibrate, body.min_presence

    @property
    def body(self) -> BasePredictor:
        """The predictor of bodies."""
        return self._body

    @property
    def detector(self) -> Detector | None:  # type: ignore[override]
        """The body's."""
        return self._body.detector

    def with_parts(self, prediction: Prediction) -> Prediction:
        """Return a prediction of bodies with their parts."""
        if prediction.error is not None:
            return prediction
        poses, boxes = prediction.poses, part_boxes(replace(prediction.poses, skeleton=self._body.skeleton))
        pixels = prediction.pixels
        if pixels is None and len(poses):
            pixels = open_photo(prediction.photo, self.max_pixels)
        whole = self._widened(poses)
        for network in self._networks:
            for name in parts_of(network.skeleton, network.model):
                if pixels is None or not len(poses):
                    continue
                part = parts_in_photo(network, pixels, boxes[name], name)
                first = self.skeleton.index(_FIRST[name])
                _fill(whole, part.poses, part.person, slice(first, first + len(network.skeleton)))
        return replace(prediction, poses=replace(poses, skeleton=self.skeleton, **whole))

    def _predictions(self, photos: Iterable[Image]) -> Iterator[Prediction]:
        return map(self.with_parts, self._body._predictions(photos))

    def _finished(self, photos: Iterable[Image]) -> Generator[Prediction, None, None]:
        yield from map(self.with_parts, self._body._finished(photos))  # after calibration and suppression

    def _no_poses(self) -> Poses:
        empty = self._body._no_poses()
        return replace(empty, skeleton=self.skeleton, **self._widened(empty))

    def _widened(self, poses: Poses) -> dict[str, Any]:
        """Return the columns of keypoints with room for the parts: missing, at 0 with a score of 0, trust unknown."""
        more = len(self.skeleton) - poses.keypoint_count
        missing = np.zeros(poses.xy.shape[:2], bool) if poses.missing is None else poses.missing
        columns = {"xy": (poses.xy, 0.0), "score": (poses.score, 0.0), "missing": (missing, True)}
        columns |= {"quality": (poses.quality, np.nan), "visibility": (poses.visibility, np.nan)}
        columns["visibility_label"] = (poses.visibility_label, MISSING_ID)
        return {
            name: None
            if column is None
            else np.pad(column, [(0, 0), (0, more), *[(0, 0)] * (column.ndim - 2)], constant_values=fill)
            for name, (column, fill) in columns.items()
        }

    def _licences(self) -> list[str]:
        return [network.licence for network in self._networks]


def _fill(whole: dict[str, Any], part: Poses, person: np.ndarray, joints: slice) -> None:
    """Write a part's columns into the rows of its people; trust only where the body has it, too."""
    for name, column in whole.items():
        values = getattr(part, name)
        if name == "missing":
            values = np.zeros(part.xy.shape[:2], bool) if values is None else values
        if column is not None and values is not None:
            column[person, joints] = values
