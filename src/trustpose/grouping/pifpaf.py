"""PifPaf's decoder: people grow from their surest joint, along the surest association of all that lead on.

Source: Kreiss, Bertoni, Alahi, PifPaf: Composite Fields for Human Pose Estimation, CVPR 2019, section 3.5. Written from
the paper, whose equation 2 scores an association; what it leaves open is said where it is chosen.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int


@runtime_checkable
class LimbAssociations(Protocol):
    """Proposals for one limb, see `codecs.composite_fields.Association`."""

    @property
    def confidence(self) -> Float[np.ndarray, " M"]: ...

    @property
    def ends(self) -> Float[np.ndarray, "M 2 2"]: ...

    @property
    def spread(self) -> Float[np.ndarray, "M 2"]: ...


@runtime_checkable
class JointSeeds(Protocol):
    """Positions from which people can grow, see `codecs.composite_fields.Votes`."""

    @property
    def joint(self) -> Int[np.ndarray, " N"]: ...

    @property
    def xy(self) -> Float[np.ndarray, "N 2"]: ...

    @property
    def size(self) -> Float[np.ndarray, " N"]: ...


class GrownPeople(NamedTuple):
    """P people, the best first: xy (P, K, 2) input pixels, score (P, K), missing (P, K), person_score (P,). Missing
    joints are at 0, 0 with score 0."""

    xy: Float[np.ndarray, "P K 2"]
    score: Float[np.ndarray, "P K"]
    missing: Bool[np.ndarray, "P K"]
    person_score: Float[np.ndarray, " P"]


class _Joint(NamedTuple):
    """A joint of a person: its position, and the size that says which other joints are the same."""

    x: float
    y: float
    size: float


@dataclass(frozen=True)
class CompositeGrouping:
    """Options of growing people over composite fields.

    limbs: pairs of joints, one for each association field. min_seed: the height that a joint needs to begin a person.
    min_link: the score (equation 2) that an association needs. suppression: two joints of one kind nearer than this
    times the size σ of the earlier one, and at least `min_radius` pixels, are the same: "the suppression radius is
    dynamic and based on the predicted scale component", the paper says, without the factor. reverse: the position that
    a new joint leads back to must be as near to the joint it came from; False leaves reverse matching out. People with
    fewer than `min_parts` joints of their own are dropped.
    """

    limbs: tuple[tuple[int, int], ...]
    min_seed: float = 0.2
    min_link: float = 0.01
    suppression: float = 1.0
    min_radius: float = 4.0
    reverse: bool = True
    min_parts: int = 1

    def group(
        self,
        seeds: JointSeeds,
        associations: Sequence[LimbAssociations],
        confidence: Float[np.ndarray, "K H W"],
    ) -> GrownPeople:
        """Return the people of one photo.

        A seed's rank and a joint's score are the height of `confidence`, the map of high resolution, there. A seed in
        the disk of a joint of its kind is not used. A person's score is the sum of the scores of the joints that no
        better person has claimed, divided by the number of joints; claimed joints are missing.
        """
        keypoints = len(confidence)
        height = _heights(confidence, seeds.joint, seeds.xy)
        order = np.argsort(-height, kind="stable")
        order = order[height[order] >= self.min_seed]
        fields = [_Directed(associations[limb], confidence, self.limbs[limb]) for limb in range(len(self.limbs))]
        leads: list[list[tuple[int, int]]] = [[] for _ in range(keypoints)]
        for limb, (start, end) in enumerate(self.limbs):
            leads[start].append((limb, 0))
            leads[end].append((limb, 1))
        growth = _Growth(self, fields, leads, seeds)
        people: list[dict[int, _Joint]] = []
        claimed = _Claims(keypoints, self.suppression, self.min_radius)
        for row in order.tolist():
            joint = int(seeds.joint[row])
            x, y = seeds.xy[row].tolist()
            if claimed.holds(joint, x, y):
                continue
            person = growth.person(joint, _Joint(x, y, float(seeds.size[row])))
            people.append(person)
            claimed.add(person)
        return self._ranked(people, confidence)

    def _ranked(self, people: Sequence[dict[int, _Joint]], confidence: Float[np.ndarray, "K H W"]) -> GrownPeople:
        """Return the people by score, joints claimed by better ones taken away (NMS of keypoints as in PersonLab)."""
        keypoints = len(confidence)
        xy, size = np.zeros((len(people), keypoints, 2)), np.zeros((len(people), keypoints))
        missing = np.ones((len(people), keypoints), np.bool_)
        for row, person in enumerate(people):
            joints = list(person)
            xy[row, joints] = [[joint.x, joint.y] for joint in person.values()]
            size[row, joints] = [joint.size for joint in person.values()]
            missing[row, joints] = False
        index = np.broadcast_to(np.arange(keypoints), missing.shape)
        score = np.where(missing, 0.0, _heights(confidence, index, xy))
        claimed = _Claims(keypoints, self.suppression, self.min_radius)
        for row in np.argsort(-score.sum(axis=1), kind="stable").tolist():
            person = people[row]
            claimed_joints = [joint for joint, spot in person.items() if claimed.holds(joint, spot.x, spot.y)]
            missing[row, claimed_joints] = True
            claimed.add({joint: position for joint, position in person.items() if joint not in claimed_joints})
        score = np.where(missing, 0.0, score)
        person_score = score.mean(axis=1)
        order = np.argsort(-person_score, kind="stable")
        order = order[(~missing[order]).sum(axis=1) >= self.min_parts]
        xy = np.where(missing[..., None], 0.0, xy)
        return GrownPeople(xy[order], score[order], missing[order], person_score[order])


class _Directed:
    """A limb's associations in both directions, with the factors of equation 2 that do not depend on the start."""

    def __init__(
        self, association: LimbAssociations, confidence: Float[np.ndarray, "K H W"], limb: tuple[int, int]
    ) -> None:
        self.limb = limb
        self.ends, self.spread = association.ends, np.maximum(association.spread, 1e-6)
        self.factor = [
            association.confidence
            * _heights(confidence, np.full(len(association.ends), limb[1 - side]), association.ends[:, 1 - side])
            for side in (0, 1)
        ]

    def best(self, side: int, x: float, y: float) -> tuple[float, float, float]:
        """Return the highest score of an association from the limb's end `side` at x, y, and where it leads.

        Equation 2: s(a, x) = a_c exp(−|x − a₁| / b₁) f₂(a₂). -1 without any.
        """
        if not len(self.ends):
            return -1.0, 0.0, 0.0
        distance = np.hypot(self.ends[:, side, 0] - x, self.ends[:, side, 1] - y)
        score = self.factor[side] * np.exp(-distance / self.spread[:, side])
        row = int(score.argmax())
        return float(score[row]), float(self.ends[row, 1 - side, 0]), float(self.ends[row, 1 - side, 1])


@dataclass(frozen=True, eq=False)
class _Growth:
    """Grows people over one photo's associations. leads: of each joint, the limbs that begin or end there, with the
    side."""

    options: CompositeGrouping
    fields: Sequence[_Directed]
    leads: Sequence[Sequence[tuple[int, int]]]
    seeds: JointSeeds
    rows_of: list[Int[np.ndarray, " n"]] = field(init=False)

    def __post_init__(self) -> None:
        rows = [np.flatnonzero(self.seeds.joint == joint) for joint in range(len(self.leads))]
        object.__setattr__(self, "rows_of", rows)

    def person(self, joint: int, seed: _Joint) -> dict[int, _Joint]:
        """Return the person that grows from a seed: its joints by number. Of all associations from joints of the person
        to joints it lacks, the one with the highest score is followed first; a joint, once set, stays."""
        person = {joint: seed}
        frontier: list[tuple[float, int, int, int, float, float]] = []
        self._extend(frontier, person, joint)
        while frontier:
            _, limb, side, start, x, y = heapq.heappop(frontier)
            end = self.fields[limb].limb[1 - side]
            if end in person or not self._leads_back(limb, side, person[start], x, y):
                continue
            person[end] = _Joint(x, y, self._size(end, x, y))
            self._extend(frontier, person, end)
        return person

    def _extend(self, frontier: list, person: dict[int, _Joint], start: int) -> None:
        for limb, side in self.leads[start]:
            if self.fields[limb].limb[1 - side] in person:
                continue
            score, x, y = self.fields[limb].best(side, person[start].x, person[start].y)
            if score >= self.options.min_link:
                heapq.heappush(frontier, (-score, limb, side, start, x, y))

    def _leads_back(self, limb: int, side: int, start: _Joint, x: float, y: float) -> bool:
        """Whether the best association from the new joint back leads to the joint it came from."""
        if not self.options.reverse:
            return True
        score, back_x, back_y = self.fields[limb].best(1 - side, x, y)
        radius = max(self.options.suppression * start.size, self.options.min_radius)
        return score >= self.options.min_link and float(np.hypot(back_x - start.x, back_y - start.y)) <= radius

    def _size(self, joint: int, x: float, y: float) -> float:
        """Return the size that the nearest vote for this joint has; 0 without any."""
        rows = self.rows_of[joint]
        if not len(rows):
            return 0.0
        return float(self.seeds.size[rows[((self.seeds.xy[rows] - (x, y)) ** 2).sum(axis=1).argmin()]])


class _Claims:
    """Disks around the joints of people so far, by kind of joint."""

    def __init__(self, keypoints: int, factor: float, min_radius: float) -> None:
        self.factor, self.min_radius = factor, min_radius
        self.disks: list[list[tuple[float, float, float]]] = [[] for _ in range(keypoints)]

    def holds(self, joint: int, x: float, y: float) -> bool:
        """Whether the position lies in a disk of this kind."""
        return any((x - cx) ** 2 + (y - cy) ** 2 < radius**2 for cx, cy, radius in self.disks[joint])

    def add(self, person: dict[int, _Joint]) -> None:
        for joint, position in person.items():
            self.disks[joint].append((position.x, position.y, max(self.factor * position.size, self.min_radius)))


def _heights(
    confidence: Float[np.ndarray, "K H W"], joint: Int[np.ndarray, "*N"], xy: Float[np.ndarray, "*N 2"]
) -> Float[np.ndarray, "*N"]:
    """Return the map of high resolution at the nearest pixels; 0 outside of it."""
    height, width = confidence.shape[1:]
    column, row = np.moveaxis(np.floor(xy + 0.5), -1, 0)
    is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
    column, row = (np.where(is_inside, value, 0).astype(np.int64) for value in (column, row))
    return np.where(is_inside, confidence[joint, row, column], 0.0).astype(np.float64)
