"""The targets of calibrators: OKS, OPKS and visibility of each result, relative to its matched person."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.boxes import paired_overlap
from trustpose.geometry.oks import oks, opks
from trustpose.metrics.matching import same_image_pairs
from trustpose.metrics.pairing import pair_with_people
from trustpose.poses import Area, Poses, Truth

_ON_IGNORED = 0.5  # share of a result's box inside that of a person whom COCO evaluation ignores


@dataclass(frozen=True, eq=False)
class Targets:
    """Targets of the poses `rows` (n,), columns last: OKS (n,), OPKS and COCO's v (K, n).

    `unmatched` (n,) marks unmatched results, `missing` (K, n) keypoints that the estimator did not place.
    """

    rows: Int[np.ndarray, " n"]
    oks: Float[np.ndarray, " n"]
    opks: Float[np.ndarray, "K n"]
    v: Int[np.ndarray, "K n"]
    unmatched: Bool[np.ndarray, " n"]
    missing: Bool[np.ndarray, "K n"]

    def of(self, index: np.ndarray) -> "Targets":
        """Return the rows selected by an index or mask over n."""
        keypoints = (self.opks[:, index], self.v[:, index])
        return Targets(self.rows[index], self.oks[index], *keypoints, self.unmatched[index], self.missing[:, index])


def find_targets(poses: Poses, truth: Truth, sigmas: Float[np.ndarray, " K"], area: Area) -> Targets:
    """Compute targets of every result that has any, matched to people as in an audit (`metrics.pairing`).

    An unmatched result, a false positive or a duplicate, has OKS 0 and no labelled keypoint, as in average precision.
    As COCO evaluation ignores them, results on people without labelled keypoints are left out, and unmatched results
    with half or more of their box in the box of such a person or of a crowd. The OPKS of a missing keypoint is that of
    its written position, as in COCO evaluation.
    """
    missing = np.zeros(poses.xy.shape[:2], dtype=bool) if poses.missing is None else poses.missing
    if not len(truth):  # nobody to be matched to
        count, none = len(poses), np.zeros((poses.xy.shape[1], len(poses)))
        return Targets(
            np.arange(count), np.zeros(count), none, none.astype(np.int64), np.ones(count, np.bool_), missing.T
        )
    person = pair_with_people(poses, truth)
    has_labels = np.any(truth.v > 0, axis=1)
    has_target = np.where(person >= 0, has_labels[person], ~_on_ignored(poses, truth, ~has_labels | _crowd(truth)))
    rows = np.flatnonzero(has_target)
    unmatched = person[rows] < 0
    person_row = np.where(unmatched, 0, person[rows])
    v = np.where(unmatched[:, None], 0, truth.v[person_row])  # (n, K)
    measured = (poses.xy[rows].astype(np.float64), truth.xy[person_row], v, truth.area_of_all(area)[person_row], sigmas)
    with np.errstate(over="ignore"):  # a keypoint at 1e300 overflows to infinity, and its OPKS is 0
        similarity = np.nan_to_num(oks(*measured), nan=0.0)
        of_keypoints = opks(*measured)
    of_keypoints, v, missing = (np.ascontiguousarray(column.T) for column in (of_keypoints, v, missing[rows]))
    return Targets(rows, similarity, of_keypoints, v, unmatched, missing)


def _crowd(truth: Truth) -> np.ndarray:
    return np.zeros(len(truth), dtype=bool) if truth.iscrowd is None else truth.iscrowd


def _on_ignored(poses: Poses, truth: Truth, ignored: np.ndarray) -> np.ndarray:
    """Return which poses (N,) have half or more of their box in that of an ignored person."""
    is_on_ignored = np.zeros(len(poses), dtype=bool)
    people = np.flatnonzero(ignored)
    if truth.box is None or not len(people) or poses.image_id is None or truth.image_id is None:
        return is_on_ignored
    box = poses.person_box()
    pose, person = same_image_pairs(poses.image_id, truth.image_id[people])
    is_on_ignored[pose[paired_overlap(box[pose], truth.box[people[person]]) >= _ON_IGNORED]] = True
    return is_on_ignored
