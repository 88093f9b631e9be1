"""Hands and faces beside bodies: a predictor of bodies, of any kind, with networks for the parts of each person.

As OpenPose does it: the boxes are those of `geometry.boxes`, and a left hand is seen mirrored, by a network for right
hands.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from trustpose.files import InputError
from trustpose.geometry.boxes import face_boxes, hand_boxes, head_boxes
from trustpose.geometry.crops import Boxes
from trustpose.poses import MISSING_ID, Poses, Visibility
from trustpose.predict.base_predictor import BasePredictor
from trustpose.predict.boxes import LEAST_INSIDE, Detector, share_inside
from trustpose.predict.photos import Image, Prediction, open_photo
from trustpose.predict.predictor import Predictor
from trustpose.predict.sources import ReadOptions, images_of
from trustpose.skeletons import FACE_68, FACE_70, HAND_21, Skeleton
from trustpose.skeletons.whole_body import with_parts

HAND_SCORE, FACE_SCORE = 0.03, 0.25
"""A body's joints of at most this score give no box, as in OpenPose, whose scores are heights of heatmaps."""
SMALLEST = {"left_hand": 10**0.5, "right_hand": 10**0.5, "face": 40.0}
"""Sides, pixels, above which OpenPose looks for the part."""


class Part(NamedTuple):
    """M hands or faces that were looked for: person (M,), each one's row in the body's poses; poses: of the part."""

    person: Int[np.ndarray, " M"]
    poses: Poses


def part_boxes(poses: Poses, min_score: float | None = None) -> dict[str, Float[np.ndarray, "N 4"]]:
    """Return the boxes of "left_hand", "right_hand" and "face", xyxy in image pixels, of N people with any body's
    skeleton, as far as it has the joints; NaN where a person's were not found.

    min_score: joints up to this score count as not found; None: OpenPose's, 0.03 for hands and 0.25 for faces. Without
    scores only missing joints do. Joints that are most likely not visible (`decided_visibility`) count as not found,
    too. The neck of a skeleton without one is the middle of the shoulders, as in OpenPose's training labels. Raises
    ValueError for poses without a skeleton.
    """
    if poses.skeleton is None:
        raise ValueError("poses.skeleton: is None, expected one that names the joints")
    boxes = {}
    for side in ("left", "right"):
        names = [f"{side}_{joint}" for joint in ("wrist", "elbow", "shoulder")]
        if all(name in poses.skeleton.keypoints for name in names):
            joints = _joint_positions(poses, names, HAND_SCORE if min_score is None else min_score)
            boxes[f"{side}_hand"] = hand_boxes(*joints)
    face = _faces(poses, poses.skeleton, FACE_SCORE if min_score is None else min_score)
    return boxes if face is None else boxes | {"face": face}


def predict_parts(predictor: Predictor, images: Any, poses: Poses, min_score: float | None = None) -> dict[str, Part]:
    """Return "left_hand" and "right_hand", by a network of the skeleton hand21, or "face", by one of face68 or face70.

    predictor: as `tp.load` gives it. images: what a call of it takes. poses: bodies, of any estimator; with several
    images `image_id` is the index into `images`. min_score: see `part_boxes`. Only people whose box could be derived,
    is wider than `SMALLEST` and at least half in their photo are looked for; `image_id` and `track_id` are the body's.
    Raises InputError for an image that cannot be read or a network for other parts; ValueError as `part_boxes`.
    """
    part_names = parts_of(predictor.skeleton, predictor.model)
    sources = list(images_of(images, ReadOptions(max_pixels=predictor.max_pixels)))
    image_index = np.zeros(len(poses), np.int64) if len(sources) == 1 else poses.image_id
    if image_index is None or (len(poses) and not 0 <= image_index.min() <= image_index.max() < len(sources)):
        raise ValueError(
            f"poses.image_id: expected numbers from 0 to {len(sources) - 1}, the images' positions in the list"
        )
    boxes = part_boxes(poses, min_score)
    lacking = [name for name in part_names if name not in boxes]
    if lacking:
        raise InputError(f"poses: the skeleton {poses.skeleton and poses.skeleton.name} has no joints for {lacking[0]}")
    parts_by_name: dict[str, list[Part]] = {name: [] for name in part_names}
    for index, source in enumerate(sources):
        rows = np.flatnonzero(image_index == index)
        pixels = open_photo(source, predictor.max_pixels)
        for name in part_names:
            part = parts_in_photo(predictor, pixels, boxes[name][rows], name)
            parts_by_name[name].append(Part(rows[part.person], part.poses))
    return {name: _joined(parts, poses) for name, parts in parts_by_name.items()}


def parts_in_photo(predictor: Predictor, pixels: np.ndarray, box: Float[np.ndarray, "N 4"], name: str) -> Part:
    """Return one photo's parts in boxes (N, 4), as of `part_boxes`. A left hand's photo is mirrored, and so are its
    joints on the way back."""
    height, width = pixels.shape[:2]
    side = box[:, 2] - box[:, 0]
    is_wide = side > SMALLEST[name]  # never for NaN
    rows = np.flatnonzero(is_wide & (share_inside(np.where(is_wide[:, None], box, 0.0), width, height) >= LEAST_INSIDE))
    is_mirrored, last = name == "left_hand", width - 1
    if is_mirrored:
        pixels, box = np.ascontiguousarray(pixels[:, ::-1]), _mirrored(box, last)
    photo = Image(pixels, Boxes(box[rows], np.zeros(len(rows), np.int64)))
    (prediction,) = predictor._predictions([photo])
    if prediction.error is not None:
        raise prediction.error
    poses = replace(prediction.poses, annotation_id=None, box_score=None)
    if is_mirrored and poses.box is not None:
        xy = np.stack([last - poses.xy[..., 0], poses.xy[..., 1]], axis=2)
        poses = replace(poses, xy=xy, box=_mirrored(poses.box, last))
    return Part(rows, poses)


def _mirrored(box: Float[np.ndarray, "N 4"], last: int) -> Float[np.ndarray, "N 4"]:
    """Return boxes in the mirrored photo, whose columns are 0 … last."""
    return np.stack([last - box[:, 2], box[:, 1], last - box[:, 0], box[:, 3]], axis=1)


def _joined(parts: Sequence[Part], body: Poses) -> Part:
    person = np.concatenate([part.person for part in parts])
    poses = Poses.concatenate([part.poses for part in parts])
    image_id, track_id = (None if column is None else column[person] for column in (body.image_id, body.track_id))
    return Part(person, replace(poses, image_id=image_id, track_id=track_id))


def parts_of(skeleton: Skeleton, model: str) -> tuple[str, ...]:
    """Return the parts that a network of this skeleton sees. Raises InputError, naming `model`, if it sees others."""
    if skeleton.keypoints == HAND_21.keypoints:
        return ("left_hand", "right_hand")
    if skeleton.keypoints in (FACE_68.keypoints, FACE_70.keypoints):
        return ("face",)
    raise InputError(f"{model}: gives {skeleton.name}, expected a network for hand21, face68 or face70")


def _faces(poses: Poses, skeleton: Skeleton, min_score: float) -> Float[np.ndarray, "N 4"] | None:
    """Return the boxes of faces; None for a skeleton without the joints."""
    names = skeleton.keypoints
    shoulders = ["left_shoulder", "right_shoulder"]
    if "neck" in names:
        (neck,) = _joint_positions(poses, ["neck"], min_score)
    elif all(name in names for name in shoulders):
        neck = np.mean(_joint_positions(poses, shoulders, min_score), axis=0)
    else:
        return None
    pairs = [f"{side}_{name}" for name in ("eye", "ear") for side in ("left", "right")]
    if all(name in names for name in ("nose", *pairs)):
        nose, *paired_joints = _joint_positions(poses, ["nose", *pairs], min_score)
        return face_boxes(neck, nose, np.stack(paired_joints[:2], axis=1), np.stack(paired_joints[2:], axis=1))
    return head_boxes(neck, *_joint_positions(poses, ["head"], min_score)) if "head" in names else None


def _joint_positions(poses: Poses, names: Sequence[str], min_score: float) -> list[Float[np.ndarray, "N 2"]]:
    """Return each joint's places, NaN where it was not found."""
    joints, decided = [poses[name] for name in names], poses.decided_visibility
    positions = []
    for joint in joints:
        is_found = np.ones(len(poses), bool) if joint.missing is None else ~joint.missing
        is_found = is_found if decided is None else is_found & (decided[:, joint.index] != Visibility.ABSENT)
        is_found = is_found if joint.score is None else is_found & (joint.score > min_score)
        positions.append(np.where(is_found[:, None], joint.xy, np.nan))
    return positions


_FIRST = {"face": "face_0", "left_hand": "left_hand_root", "right_hand": "right_hand_root"}  # of the part's joints


class WholeBody(BasePredictor):
    """Predicts bodies by `body`, then each person's hands and face: joints after the body's, with the
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
