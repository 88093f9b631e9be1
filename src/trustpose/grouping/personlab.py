"""PersonLab's decoder: people grow from the highest peaks of Hough maps along offsets from keypoint to keypoint.

Source: Papandreou, Zhu, Chen, Gidaris, Tompson, Murphy, PersonLab: Person Pose Estimation and Instance Segmentation
with a Bottom-Up, Part-Based, Geometric Embedding Model, ECCV 2018, sections 3.1 (greedy decoding, expected-OKS scores,
soft NMS of keypoints) and 3.2 (people's pixels). Written without the authors' code and without the
paper's full text.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int

_CHUNK = 32  # seeds that grow together, before it is asked whether an earlier person has claimed them
_SMALLEST = 1.0  # pixels: the least side of a person


@runtime_checkable
class KeypointSeeds(Protocol):
    """Peaks of Hough maps, the highest first, see `codecs.disks.Seeds`."""

    @property
    def joint(self) -> Int[np.ndarray, " N"]: ...

    @property
    def xy(self) -> Float[np.ndarray, "N 2"]: ...


@runtime_checkable
class OffsetFields(Protocol):
    """The maps of a photo, see `codecs.disks.DiskFields`."""

    def probability(self, joint: Int[np.ndarray, " N"], xy: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, " N"]: ...

    def across(self, number: Int[np.ndarray, " N"], xy: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]: ...

    def localisation(
        self, joint: int, xy: Float[np.ndarray, "P 2"], deviation: Float[np.ndarray, " P"]
    ) -> Float[np.ndarray, " P"]: ...


class PersonLabPeople(NamedTuple):
    """P people, the best first: xy (P, K, 2) input pixels, every keypoint; probability (P, K), p_k there; score (P, K),
    expected OKS of each keypoint; person_score (P,)."""

    xy: Float[np.ndarray, "P K 2"]
    probability: Float[np.ndarray, "P K"]
    score: Float[np.ndarray, "P K"]
    person_score: Float[np.ndarray, " P"]


@dataclass(frozen=True)
class PersonLabGrouping:
    """Options of growing people along offsets.

    limbs: pairs of keypoints. sigmas: the skeleton's, of OKS. nms_radius: input pixels; a seed this near to the same
    keypoint of an earlier person begins nobody, and a keypoint this near to a better person's does not count.
    """

    limbs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    nms_radius: float = 10.0

    def group(self, seeds: KeypointSeeds, fields: OffsetFields) -> PersonLabPeople:
        """Return the people of one photo, each with all keypoints that limbs lead to; others are at their seed, with
        probability 0.

        A keypoint's score is its expected OKS, the person's the sum over the keypoints that no better person has
        claimed, divided by their number.
        """
        keypoints = len(self.sigmas)
        xy, probability = np.zeros((0, keypoints, 2)), np.zeros((0, keypoints))
        for start in range(0, len(seeds.joint), _CHUNK):
            joint, position = seeds.joint[start : start + _CHUNK], seeds.xy[start : start + _CHUNK]
            free = ~_near(position[:, None], xy[:, joint].transpose(1, 0, 2), self.nms_radius).any(axis=1)
            joint, position = joint[free], position[free]
            grown, likely = self._grown(joint, position, fields)
            people: list[int] = []
            for row in range(len(joint)):
                if not _near(position[row], grown[people, joint[row]], self.nms_radius).any():
                    people.append(row)
            xy, probability = np.concatenate([xy, grown[people]]), np.concatenate([probability, likely[people]])
        return self._ranked(xy, probability, fields)

    def _grown(
        self, joint: Int[np.ndarray, " S"], position: Float[np.ndarray, "S 2"], fields: OffsetFields
    ) -> tuple[Float[np.ndarray, "S K 2"], Float[np.ndarray, "S K"]]:
        """Return the keypoints of people that grow from S seeds, side by side, and their probabilities.

        Of all limbs that lead from a person's keypoints to those that it lacks, the one to the likeliest position is
        followed first. Along a tree, as in the paper, every order gives the same people.
        """
        ends = np.array([pair for start, end in self.limbs for pair in ((start, end), (end, start))], np.int64)
        leads = _leads(ends[:, 0], len(self.sigmas))
        rows = np.arange(len(joint))
        xy = np.repeat(position[:, None], len(self.sigmas), axis=1)
        probability = np.zeros((len(joint), len(self.sigmas)))
        probability[rows, joint] = fields.probability(joint, position)
        is_set = np.zeros(probability.shape, np.bool_)
        is_set[rows, joint] = True
        likely, target = np.full((len(joint), len(ends)), -1.0), np.zeros((len(joint), len(ends), 2))
        while len(rows):
            limb = leads[joint]
            row, column = np.nonzero((limb >= 0) & ~is_set[rows[:, None], ends[limb, 1]])
            limb, row = limb[row, column], rows[row]
            target[row, limb] = fields.across(limb, xy[row, ends[limb, 0]])
            likely[row, limb] = fields.probability(ends[limb, 1], target[row, limb])
            best = likely[rows].argmax(axis=1)
            leads_on = likely[rows, best] >= 0
            rows, best = rows[leads_on], best[leads_on]
            joint = ends[best, 1]
            xy[rows, joint], probability[rows, joint] = target[rows, best], likely[rows, best]
            is_set[rows, joint] = True
            likely[rows] = np.where(ends[:, 1] == joint[:, None], -1.0, likely[rows])
        return xy, probability

    def _ranked(
        self, xy: Float[np.ndarray, "P K 2"], probability: Float[np.ndarray, "P K"], fields: OffsetFields
    ) -> PersonLabPeople:
        """Return the people by score. A keypoint's is p_k × the expected OKS of its position: the person's scale is the
        root of the area of the box about its keypoints."""
        scale = _scales(xy)
        similarity = [
            fields.localisation(joint, xy[:, joint], np.maximum(2 * sigma * scale, 1e-6))
            for joint, sigma in enumerate(self.sigmas)
        ]
        score = probability * np.stack(similarity, axis=1)
        order = np.argsort(-score.sum(axis=1), kind="stable")
        xy, probability, score = xy[order], probability[order], score[order]
        near = _near(xy[:, None], xy[None], self.nms_radius)  # (P, P, K)
        is_claimed = (near & np.tri(len(xy), k=-1, dtype=np.bool_)[..., None]).any(axis=1)
        person_score = np.where(is_claimed, 0.0, score).mean(axis=1)
        order = np.argsort(-person_score, kind="stable")
        return PersonLabPeople(xy[order], probability[order], score[order], person_score[order])


def embedding_distances(
    embedding: Float[np.ndarray, "N J 2"], xy: Float[np.ndarray, "P J 2"], probability: Float[np.ndarray, "P J"]
) -> Float[np.ndarray, "N P"]:
    """Return the distance of N pixels to P people, relative to their size: the mean of |G_k(x) − y_k| / λ over the
    keypoints, weighted by p_k. A pixel shows each person within 0.25 of it, as in the paper; several, or none.

    embedding: G(x), where a pixel's offsets say that its person's keypoints are.
    """
    weight = probability / np.maximum(probability.sum(axis=1, keepdims=True), 1e-12) / _scales(xy)[:, None]
    distances = [
        np.linalg.norm(embedding - person, axis=2) @ weights for person, weights in zip(xy, weight, strict=True)
    ]
    return np.stack(distances, axis=1) if distances else np.zeros((len(embedding), 0))


def _scales(xy: Float[np.ndarray, "P K 2"]) -> Float[np.ndarray, " P"]:
    """Return the root of the area of the box about each person's keypoints, pixels."""
    if not len(xy):
        return np.zeros(0)
    sides = np.maximum(xy.max(axis=1) - xy.min(axis=1), _SMALLEST)
    return np.sqrt(sides.prod(axis=1))


def _near(first: Float[np.ndarray, "*N 2"], second: Float[np.ndarray, "*M 2"], radius: float) -> Bool[np.ndarray, "*R"]:
    return ((first - second) ** 2).sum(axis=-1) <= radius**2


def _leads(starts: Int[np.ndarray, " D"], keypoints: int) -> Int[np.ndarray, "K most"]:
    """Return the numbers of the directed limbs that lead on from each keypoint, filled up with -1."""
    numbers: Sequence[Int[np.ndarray, " n"]] = [np.flatnonzero(starts == joint) for joint in range(keypoints)]
    leads = np.full((keypoints, max(map(len, numbers))), -1, np.int64)
    for joint, limbs in enumerate(numbers):
        leads[joint, : len(limbs)] = limbs
    return leads
