"""The numbers of people: in drawings, and in the text that refers to them."""

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.poses import MISSING_ID, Poses, Visibility
from trustpose.report.palettes import EDGE
from trustpose.report.strokes import Colour, text_mask, write

SURE = 0.9  # presence from which drawings do not doubt that somebody is there
_PADDING = 0.25  # around a number, of its height


def person_numbers(poses: Poses) -> Int[np.ndarray, " N"]:
    """Return each person's number: the track's, if any person has one, and `MISSING_ID` for those without; else the
    row's, from 0, as in `poses[number]`."""
    if has_tracks(poses):
        assert poses.track_id is not None
        return poses.track_id
    return np.arange(len(poses))


def person_labels(poses: Poses) -> list[str]:
    """Return the label of each person in drawings: the person's number ("" without one), followed by the presence in
    per cent where it is below `SURE`: "3 55%"."""
    labels = ["" if number == MISSING_ID else str(number) for number in person_numbers(poses).tolist()]
    if poses.presence is None:
        return labels
    doubtful = poses.presence < SURE
    pairs = zip(labels, poses.presence.tolist(), doubtful.tolist(), strict=True)
    return [f"{label} {presence:.0%}" if label and is_doubtful else label for label, presence, is_doubtful in pairs]


def has_tracks(poses: Poses) -> bool:
    """Whether any person belongs to a track."""
    return poses.track_id is not None and bool((poses.track_id != MISSING_ID).any())


def has_visible_joint(poses: Poses) -> Bool[np.ndarray, " N"]:
    """Return which people have a joint that is neither missing nor most likely absent. Others are not drawn."""
    is_found = np.ones(poses.xy.shape[:2], dtype=bool) if poses.missing is None else ~poses.missing
    decided = poses.decided_visibility
    is_present = is_found if decided is None else is_found & (decided != Visibility.ABSENT)
    return np.asarray(is_present.any(axis=1))


class Plates:
    """Places number plates beside people so that they cover neither joints (J, 2), in image pixels, nor each other."""

    def __init__(self, drawn: np.ndarray, joints: Float[np.ndarray, "J 2"]) -> None:
        self._drawn, self._joints = drawn, joints
        self._taken = np.zeros((0, 4))

    def put(
        self, label: str, person_joints: Float[np.ndarray, "k 2"], gap: float, height: int, colour: Colour | None
    ) -> None:
        """Write a label beside a person with these joints on a plate of a colour (None: dark)."""
        mask = text_mask(label, height)
        pad = round(_PADDING * height)
        size = np.array([mask.shape[1] + 2 * pad, height + pad])
        corners = np.clip(_plate_corners(person_joints, size, gap), 0, np.maximum(0, self._drawn.shape[1::-1] - size))
        cost = self._cost(np.concatenate([corners, corners + size], axis=1))
        left, top = np.rint(corners[int(cost.argmin())]).astype(np.int64).tolist()
        self._taken = np.concatenate([self._taken, [[left, top, left + size[0], top + size[1]]]])
        rows, columns = slice(top, top + size[1]), slice(left, left + size[0])
        self._drawn[rows, columns] = colour or EDGE
        is_dark = colour is not None and sum(colour) > 330
        write(self._drawn, label, left + pad, top + size[1] // 2, height, is_dark=is_dark)

    def _cost(self, boxes: Float[np.ndarray, "p 4"]) -> Float[np.ndarray, " p"]:
        """Return the cost of each candidate box: the joints and other plates that it covers, and its rank."""
        is_in = (self._joints >= boxes[:, None, :2]) & (self._joints <= boxes[:, None, 2:])
        cost = is_in.all(axis=2).sum(axis=1) + 0.1 * np.arange(len(boxes))
        overlap = np.minimum(boxes[:, None, 2:], self._taken[:, 2:]) - np.maximum(
            boxes[:, None, :2], self._taken[:, :2]
        )
        return cost + 10 * (overlap > 0).all(axis=2).sum(axis=1)


def _plate_corners(person_joints: np.ndarray, size: np.ndarray, gap: float) -> Float[np.ndarray, "p 2"]:
    """Return candidate positions of a plate around a person as upper left corners, the best first: above the
    topmost joint, then beside and below."""
    low, high = person_joints.min(axis=0) - gap, person_joints.max(axis=0) + gap
    top = person_joints[person_joints[:, 1].argmin()]
    above, below = low[1] - size[1], high[1]
    left, right, centre = low[0] - size[0], high[0], top[0] - size[0] / 2
    middle = (low[1] + high[1] - size[1]) / 2
    beside_y = top[1] - size[1] / 2
    return np.array(
        [
            *((centre, above), (top[0] + gap, beside_y), (top[0] - gap - size[0], beside_y)),
            *((right, low[1]), (left, low[1]), (right, middle), (left, middle), (centre, below)),
            *((top[0] + gap, above), (top[0] - gap - size[0], above)),
        ]
    )
