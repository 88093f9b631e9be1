"""The labelled keypoints of photos, taken from their people and grouped again: what a grouping reaches by itself."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from trustpose.grouping.groups import Groups
from trustpose.poses import Poses, Truth

Grouping = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], Groups]


@dataclass(frozen=True, eq=False)
class PhotoKeypoints:
    """The labelled keypoints of photos: xy (N, 2), joint (N,), person (N,), the row in `truth`, in the order of photos.

    photo (P,): of each row of `truth`; those of photo i are keypoints `start[i]` to `start[i + 1]`.
    """

    truth: Truth
    xy: Float[np.ndarray, "N 2"]
    joint: Int[np.ndarray, " N"]
    person: Int[np.ndarray, " N"]
    photo: Int[np.ndarray, " P"]
    start: Int[np.ndarray, " I1"]

    def of_photo(self, photo: int) -> slice:
        """Return the keypoints of a photo."""
        return slice(int(self.start[photo]), int(self.start[photo + 1]))


def photo_keypoints(truth: Truth) -> PhotoKeypoints:
    """Return the labelled keypoints of people, who must have photos."""
    assert truth.image_id is not None
    image_ids, photo = np.unique(truth.image_id, return_inverse=True)
    person, joint = np.nonzero(truth.v > 0)
    order = np.argsort(photo[person], kind="stable")
    person, joint = person[order], joint[order]
    start = np.searchsorted(photo[person], np.arange(len(image_ids) + 1))
    return PhotoKeypoints(truth, truth.xy[person, joint], joint, person, photo, start)


def group_photos(keypoints: PhotoKeypoints, group: Grouping) -> Poses:
    """Return a pose for each box of a ground truth, from its photo's labelled keypoints, each with score 1.

    group: from the positions (N, 2), joints (N,) and scores (N,) of a photo's keypoints, and its boxes (P, 4).
    """
    truth, xy, score, pose_score = keypoints.truth, [], [], []
    order = np.argsort(keypoints.photo, kind="stable")
    assert truth.box is not None and truth.image_id is not None
    for rows in np.split(order, np.flatnonzero(np.diff(keypoints.photo[order])) + 1):
        points = keypoints.of_photo(int(keypoints.photo[rows[0]]))
        height = np.ones(len(keypoints.joint[points]))
        groups = group(keypoints.xy[points], keypoints.joint[points], height, truth.box[rows])
        xy.append(groups.take(keypoints.xy[points]))
        score.append(groups.take(height))
        pose_score.append(groups.score)
    columns = (np.concatenate(column) for column in (xy, score, pose_score))
    return Poses(*columns, image_id=truth.image_id[order], box=truth.box[order])
