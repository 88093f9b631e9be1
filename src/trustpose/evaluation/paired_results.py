"""The input of every section of an audit: results matched to people, their OKS, and the bootstrap's draws."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.oks import oks as object_keypoint_similarity
from trustpose.geometry.oks import opks as object_per_keypoint_similarity
from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.matching import Pairs, pair_oks
from trustpose.metrics.pairing import pair_with_people
from trustpose.poses import Area, Poses, Truth


@dataclass(frozen=True, eq=False)
class PairedResults:
    """N results ranked by `score` (N,) against M people; `pose_score` (N,) is compared with their OKS.

    `person` (N,) is the matched truth row of each or -1, `oks` (N,) its OKS with that person (NaN if unmatched or
    without labels). `rows` (n,) are those with an OKS; `opks`, `labelled` and `v` (n, K) belong to them. `pose_image`
    (N,) and `person_image` (M,) index the images `image_ids` (I,), ascending; `counts` (B, I) are the bootstrap's draws
    of them, B = `replicates`, from `seed`.
    """

    poses: Poses
    truth: Truth
    score: Float[np.ndarray, " N"]
    pose_score: Float[np.ndarray, " N"]
    sigmas: Float[np.ndarray, " K"]
    area: Area
    pairs: Pairs
    person: Int[np.ndarray, " N"]
    oks: Float[np.ndarray, " N"]
    rows: Int[np.ndarray, " n"]
    opks: Float[np.ndarray, "n K"]
    labelled: Bool[np.ndarray, "n K"]
    v: Int[np.ndarray, "n K"]
    pose_image: Int[np.ndarray, " N"]
    person_image: Int[np.ndarray, " M"]
    image_ids: Int[np.ndarray, " I"]
    replicates: int
    seed: int

    @cached_property
    def counts(self) -> Int[np.ndarray, "B I"]:
        """How often each image occurs in each draw; computed on first use."""
        images = len(self.image_ids)
        return resample_counts(images, self.replicates, self.seed) if self.replicates else np.zeros((0, images), int)

    @property
    def image(self) -> Int[np.ndarray, " n"]:
        """Index of the image of each row in `rows` (n,)."""
        return self.pose_image[self.rows]

    def oracle_score(self) -> Float[np.ndarray, " N"]:
        """The true OKS as score (N,): that with the matched person; for an unmatched result, the highest with any
        labelled person in its image, 0 if there is none."""
        labelled = np.any(self.truth.v > 0, axis=1)[self.pairs.person]
        highest = np.zeros(len(self.poses))
        np.maximum.at(highest, self.pairs.pose[labelled], self.pairs.oks[labelled])
        return np.where(np.isnan(self.oks), highest, self.oks)


def measure(
    poses: Poses,
    truth: Truth,
    score: Float[np.ndarray, " N"],
    image_ids: Int[np.ndarray, " I"],
    *,
    pose_score: Float[np.ndarray, " N"],
    sigmas: Float[np.ndarray, " K"],
    area: Area,
    replicates: int,
    seed: int,
) -> PairedResults:
    """Match results to people and compute OKS. Raises ValueError if image ids, boxes or areas are missing."""
    person = pair_with_people(poses, truth)
    rows = np.flatnonzero(person >= 0)
    rows = rows[(truth.v[person[rows]] > 0).any(axis=1)]
    who = person[rows]
    size = truth.area_of_all(area)[who]
    measured_with = (poses.xy[rows].astype(np.float64), truth.xy[who], truth.v[who], size, sigmas)
    oks = np.full(len(poses), np.nan)
    oks[rows] = object_keypoint_similarity(*measured_with)
    images = np.sort(image_ids)
    assert poses.image_id is not None and truth.image_id is not None
    return PairedResults(
        poses=poses,
        truth=truth,
        score=score,
        pose_score=pose_score,
        sigmas=sigmas,
        area=area,
        pairs=pair_oks(poses, truth, sigmas=sigmas, area=area),
        person=person,
        oks=oks,
        rows=rows,
        opks=object_per_keypoint_similarity(*measured_with),
        labelled=truth.v[who] > 0,
        v=truth.v[who],
        pose_image=np.searchsorted(images, poses.image_id),
        person_image=np.searchsorted(images, truth.image_id),
        image_ids=images,
        replicates=replicates,
        seed=seed,
    )
