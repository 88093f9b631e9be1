"""AlphaPose's pose-guided proposals: training boxes with the errors that a detector makes for poses alike.

Fang et al., RMPE, ICCV 2017, section 3.4. Poses are aligned so that all torsos have one length, and clustered by
k-means into atomic poses. For each of them the offsets of the detector's boxes from the labelled ones, in units of the
labelled box's sides, are modelled by a mixture of Gaussians, P(δB | atom(P)). For training, boxes are drawn from it.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from sklearn.cluster import KMeans
from sklearn.mixture import GaussianMixture

from trustpose.skeletons import Skeleton

_TORSO = ("left_shoulder", "right_shoulder", "left_hip", "right_hip")
_FEWEST = 20  # offsets for each Gaussian of a mixture; atoms with fewer have the mixture of all
_JITTER = 1e-6  # on the diagonals of covariances: sides on which the detector is never wrong
_SHORTEST = 1e-3  # labelled boxes' sides, pixels


@dataclass(frozen=True, eq=False)
class ProposalGenerator:
    """A atomic poses (A, K, 2), aligned, and mixtures of G Gaussians for each of them, then one of all people.

    share (A + 1, G), mean (A + 1, G, 4), root (A + 1, G, 4, 4): lower Cholesky factors of the covariances; of offsets
    of x0, y0, x1, y1 in units of the labelled box's width and height. torso (4,): the joints' indices.
    """

    atoms: Float[np.ndarray, "A K 2"]
    share: Float[np.ndarray, "_ G"]
    mean: Float[np.ndarray, "_ G 4"]
    root: Float[np.ndarray, "_ G 4 4"]
    torso: tuple[int, ...]

    def atom_of(self, xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"]) -> Int[np.ndarray, " N"]:
        """Return the nearest atom of each person, by labelled joints; A for people without a labelled torso."""
        aligned = align_poses(xy, labelled, self.torso)
        squared_distance = ((aligned[:, None] - self.atoms) ** 2).sum(axis=-1)  # (N, A, K)
        is_labelled = np.isfinite(squared_distance)
        near = np.where(is_labelled, squared_distance, 0).sum(axis=-1) / np.maximum(is_labelled.sum(axis=-1), 1)
        return np.where(is_labelled.any(axis=(1, 2)), near.argmin(axis=1), len(self.atoms))

    def draw(
        self,
        xy: Float[np.ndarray, "N K 2"],
        labelled: Bool[np.ndarray, "N K"],
        box: Float[np.ndarray, "N 4"],
        random: np.random.Generator,
        count: int = 1,
    ) -> Float[np.ndarray, "N count 4"]:
        """Return `count` boxes xyxy for each person, with the detector's errors for its pose; pixels of `box`.

        A draw that turns a box inside out is replaced by the labelled box.
        """
        atom = self.atom_of(xy, labelled)[:, None]  # (N, 1)
        which = (random.random((len(xy), count, 1)) > np.cumsum(self.share, axis=1)[atom]).sum(axis=-1)
        which = np.minimum(which, self.share.shape[1] - 1)  # (N, count)
        noise = random.standard_normal((len(xy), count, 4, 1))
        offset = self.mean[atom, which] + (self.root[atom, which] @ noise)[..., 0]
        drawn = box[:, None] + offset * np.tile(box[:, 2:] - box[:, :2], 2)[:, None]
        upright = (drawn[..., 2:] > drawn[..., :2]).all(axis=-1, keepdims=True)
        return np.where(upright, drawn, box[:, None])


def align_poses(
    xy: Float[np.ndarray, "N K 2"], labelled: Bool[np.ndarray, "N K"], torso: tuple[int, ...]
) -> Float[np.ndarray, "N K 2"]:
    """Return poses about the middle of the torso in units of its length, from the middle of the shoulders to that of
    the hips; NaN for joints that are not labelled, and for people whose shoulders and hips are not all labelled."""
    corners = xy[:, torso]  # (N, 4, 2): shoulders, hips
    shoulders, hips = corners[:, :2].mean(axis=1), corners[:, 2:].mean(axis=1)
    length = np.linalg.norm(shoulders - hips, axis=1)
    has_torso = labelled[:, torso].all(axis=1) & (length > _SHORTEST)
    aligned = (xy - ((shoulders + hips) / 2)[:, None]) / np.maximum(length, _SHORTEST)[:, None, None]
    return np.where((labelled & has_torso[:, None])[..., None], aligned, np.nan)


def fit_proposals(
    xy: Float[np.ndarray, "N K 2"],
    labelled: Bool[np.ndarray, "N K"],
    box: Float[np.ndarray, "N 4"],
    detected: Float[np.ndarray, "N 4"],
    skeleton: Skeleton,
    *,
    atoms: int = 8,
    gaussians: int = 3,
    seed: int = 0,
) -> ProposalGenerator:
    """Learn from N people: labelled joints and boxes, and the detector's box of each, xyxy in image pixels.

    Unlabelled joints count as the mean pose's in clustering. Raises ValueError if the skeleton has no shoulders and
    hips, or fewer than `atoms` people have labelled ones.
    """
    missing = [name for name in _TORSO if name not in skeleton.keypoints]
    if missing:
        raise ValueError(f"skeleton: expected {', '.join(_TORSO)}, {skeleton.name} has no {missing[0]}")
    torso = tuple(skeleton.index(name) for name in _TORSO)
    aligned = align_poses(xy, labelled, torso)
    whole = aligned[np.isfinite(aligned).any(axis=(1, 2))]
    if len(whole) < atoms:
        raise ValueError(f"fit_proposals: expected {atoms} people or more with labelled shoulders and hips")
    is_labelled = np.isfinite(whole)
    mean = np.where(is_labelled, whole, 0).sum(axis=0) / np.maximum(is_labelled.sum(axis=0), 1)
    filled = np.where(is_labelled, whole, mean).reshape(len(whole), -1)
    clusters = KMeans(atoms, random_state=seed).fit(filled)
    centres = clusters.cluster_centers_.reshape(atoms, -1, 2)
    sides = np.tile(np.maximum(box[:, 2:] - box[:, :2], _SHORTEST), 2)
    offset = (detected - box) / sides
    empty = ProposalGenerator(centres, np.zeros((0, 1)), np.zeros((0, 1, 4)), np.zeros((0, 1, 4, 4)), torso)
    atom = empty.atom_of(xy, labelled)
    everyone = _mixture(offset, gaussians, seed)
    mixtures = [
        _mixture(own_offset, gaussians, seed) if len(own_offset := offset[atom == a]) >= _FEWEST else everyone
        for a in range(atoms)
    ]
    share, means, roots = (np.stack(part) for part in zip(*mixtures, everyone, strict=True))
    return ProposalGenerator(centres, share, means, roots, torso)


def _mixture(offset: Float[np.ndarray, "N 4"], gaussians: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return shares, means and Cholesky factors of at most `gaussians` Gaussians; unused ones have a share of 0."""
    count = max(1, min(gaussians, len(offset) // _FEWEST))
    fitted = GaussianMixture(count, reg_covar=_JITTER, random_state=seed).fit(offset)
    share, mean, root = np.zeros(gaussians), np.zeros((gaussians, 4)), np.tile(np.eye(4), (gaussians, 1, 1))
    share[:count], mean[:count] = np.asarray(fitted.weights_), np.asarray(fitted.means_)
    root[:count] = np.linalg.cholesky(np.asarray(fitted.covariances_))
    return share, mean, root
