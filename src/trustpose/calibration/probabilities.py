"""A calibrator's predictions, and their conversion to the trust fields of `Poses`."""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float

from trustpose.calibration.logistic import fit_rising, logit, sigmoid
from trustpose.calibration.missing import Missing, unless_missing
from trustpose.calibration.targets import Targets


@dataclass(frozen=True, eq=False)
class Probabilities:
    """For N people: P(labelled), P(occluded | labelled) and E[OPKS | labelled] of each keypoint (K, N), and the
    expected OKS of each pose (N,). All 0–1. E[OPKS | labelled] of a missing keypoint is 0 by rule: it has no position,
    so it is near no label (`without_missing`)."""

    labelled: Float[np.ndarray, "K N"]
    occluded: Float[np.ndarray, "K N"]
    similarity: Float[np.ndarray, "K N"]
    pose: Float[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.pose)

    @classmethod
    def empty(cls, keypoints: int, people: int) -> "Probabilities":
        """Allocate space for N people, to be filled by `put`."""
        labelled, occluded, similarity = np.empty((3, keypoints, people), dtype=np.float32)
        return cls(labelled, occluded, similarity, np.empty(people, dtype=np.float32))

    def put(self, rows: slice | np.ndarray, values: "Probabilities") -> None:
        """Write the probabilities of the people in `rows`."""
        for name in ("labelled", "occluded", "similarity", "pose"):
            getattr(self, name)[..., rows] = getattr(values, name)

    def of(self, rows: slice | np.ndarray) -> "Probabilities":
        """Return the people in `rows`."""
        return Probabilities(self.labelled[:, rows], self.occluded[:, rows], self.similarity[:, rows], self.pose[rows])

    def without_missing(self, missing: Missing) -> "Probabilities":
        """Return the same probabilities with E[OPKS | labelled] = 0 for missing keypoints."""
        return replace(self, similarity=unless_missing(self.similarity, missing, np.float32(0)))

    @property
    def quality(self) -> Float[np.ndarray, "N K"]:
        """Expected OPKS: P(labelled) × E[OPKS | labelled]."""
        return (self.labelled * self.similarity).T

    @property
    def visibility(self) -> Float[np.ndarray, "N K 3"]:
        """P(absent), P(occluded), P(visible); they sum to 1."""
        labelled = self.labelled.T.astype(np.float64)  # (N, K)
        occluded = labelled * self.occluded.T
        return np.stack([1 - labelled, occluded, labelled - occluded], axis=2)  # (N, K, 3)

    def of_keypoints(self) -> Float[np.ndarray, " N"]:
        """The pose's OKS computed from its keypoints: Σ P(labelled) E[OPKS | labelled] / Σ P(labelled). HPCVNet."""
        expected = np.einsum("kn,kn->n", self.labelled, self.similarity)
        return expected / np.maximum(self.labelled.sum(axis=0), np.float32(1e-6))


@dataclass(frozen=True, eq=False)
class Recalibration:
    """A final correction fitted on out-of-fold predictions: slope and offset of the logits of `labelled`, `occluded`
    and `similarity` (2,), and of the pose's OKS from two inputs (3,), the pose's own model and
    `Probabilities.of_keypoints`."""

    labelled: Float[np.ndarray, "2"]
    occluded: Float[np.ndarray, "2"]
    similarity: Float[np.ndarray, "2"]
    pose: Float[np.ndarray, "3"]

    @classmethod
    def fit(cls, probabilities: Probabilities, targets: Targets) -> "Recalibration":
        """Fit by logistic regression on the out-of-fold probabilities of the people of `targets`."""
        labelled = targets.v > 0  # (K, N)
        is_placed = labelled & ~targets.missing
        occluded = (targets.v[labelled] == 1).astype(np.float64)
        witnesses = np.stack([logit(probabilities.pose), logit(probabilities.of_keypoints())], axis=1).astype(
            np.float64
        )
        return cls(
            labelled=_correction(probabilities.labelled.ravel(), labelled.ravel().astype(np.float64)),
            occluded=_correction(probabilities.occluded[labelled], occluded),
            similarity=_correction(probabilities.similarity[is_placed], targets.opks[is_placed]),
            pose=fit_rising(witnesses, targets.oks),
        )

    def __call__(self, probabilities: Probabilities, missing: Missing = None) -> Probabilities:
        """Return the corrected probabilities of the same people."""
        keypoints = {
            name: _corrected(getattr(probabilities, name), *getattr(self, name)[:, None].astype(np.float32))
            for name in ("labelled", "occluded", "similarity")
        }
        pose_slope, keypoint_slope, offset = self.pose.astype(np.float32)
        pose = sigmoid(
            pose_slope * logit(probabilities.pose) + keypoint_slope * logit(probabilities.of_keypoints()) + offset
        )
        return Probabilities(**keypoints, pose=pose).without_missing(missing)


def _correction(chance: np.ndarray, target: np.ndarray) -> np.ndarray:
    if not len(target) or target.min() == target.max():
        return np.array([1.0, 0.0])  # a single class: nothing to fit
    return fit_rising(logit(chance.astype(np.float64))[:, None], target)


def _corrected(chance: np.ndarray, slope: np.ndarray, offset: np.ndarray) -> np.ndarray:
    return sigmoid(slope * logit(chance) + offset)
