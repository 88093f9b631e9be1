"""A batch of an audit: whole photos of a ground truth with all their people and results, matched and with their OKS."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.geometry.oks import oks, opks
from trustpose.io.coco.results import ResultsFile, separate_categories
from trustpose.io.coco.truth import TruthFile
from trustpose.metrics.average_precision import area_of_poses
from trustpose.metrics.matching import Pairs, pair_oks, pair_with_people
from trustpose.poses import Area, Poses, Truth

RANKED_BY = "score"  # the field that ranks, unless another is named


@dataclass(frozen=True, eq=False)
class Group:
    """The results and people of one category, as rows of a batch; `name` is "" if there is only one."""

    name: str
    poses: Int[np.ndarray, " n"]
    people: Int[np.ndarray, " m"]


class Batch:
    """N results on M people in the photos `image_id` (i,), ascending, which are the audit's from number `first` on.

    `score` (N,) ranks the results, `pose_score` (N,) is compared with OKS. `image_id` of `poses` and `truth` numbers
    pairs of photo and category where there are several categories, so that what is computed per photo keeps to one;
    `pose_image` (N,) and `person_image` (M,) index the photos. Raises ValueError if image ids, boxes or areas are
    missing.
    """

    def __init__(
        self,
        file: TruthFile,
        results: ResultsFile,
        *,
        sigmas: Float[np.ndarray, " K"],
        area: Area,
        score_field: str | None = None,
        first: int = 0,
    ) -> None:
        self.file, self.results, self.sigmas, self.area, self.first = file, results, sigmas, area, first
        self.poses, self.truth, _ = separate_categories(file, results)
        self.score = results.score
        self.pose_score, self.pose_field = audited_pose_score(results, score_field)
        self.image_id = np.sort(file.images.id)
        assert results.poses.image_id is not None and file.truth.image_id is not None
        self.pose_image = np.searchsorted(self.image_id, results.poses.image_id)
        self.person_image = np.searchsorted(self.image_id, file.truth.image_id)

    poses: Poses
    truth: Truth

    @cached_property
    def groups(self) -> list[Group]:
        """The categories of the ground truth."""
        categories = self.file.categories
        if categories is None:
            return [Group("", np.arange(len(self.poses)), np.arange(len(self.truth)))]
        of_pose, of_person = self.results.category_id, categories.of_row
        return [
            Group(name, np.flatnonzero(of_pose == category), np.flatnonzero(of_person == category))
            for category, name in categories.names.items()
        ]

    @cached_property
    def person(self) -> Int[np.ndarray, " N"]:
        """Each result's row of the people, or −1."""
        return pair_with_people(self.poses, self.truth)

    @cached_property
    def rows(self) -> Int[np.ndarray, " n"]:
        """The results whose person has labels, which alone have an OKS."""
        matched = np.flatnonzero(self.person >= 0)
        return matched[(self.truth.v[self.person[matched]] > 0).any(axis=1)]

    @cached_property
    def image(self) -> Int[np.ndarray, " n"]:
        """The photo of each of `rows`."""
        return self.pose_image[self.rows]

    @cached_property
    def v(self) -> Int[np.ndarray, "n K"]:
        """COCO's v of the people of `rows`."""
        return self.truth.v[self.person[self.rows]]

    @property
    def labelled(self) -> Bool[np.ndarray, "n K"]:
        """Which keypoints of the people of `rows` are labelled."""
        return self.v > 0

    @cached_property
    def oks(self) -> Float[np.ndarray, " N"]:
        """Each result's OKS with its person; NaN without one, or without labels."""
        similarity = np.full(len(self.poses), np.nan)
        similarity[self.rows] = oks(*self._compared())
        return similarity

    @cached_property
    def opks(self) -> Float[np.ndarray, "n K"]:
        """The OPKS of the keypoints of `rows`, 0 where not labelled."""
        return np.ascontiguousarray(opks(*self._compared()))

    def _compared(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        person = self.person[self.rows]
        size = self.truth.area_of_all(self.area)[person]
        return self.poses.xy[self.rows].astype(np.float64), self.truth.xy[person], self.v, size, self.sigmas

    @cached_property
    def pairs(self) -> Pairs:
        """All pairs of a result and a person of its photo, with their OKS."""
        return pair_oks(self.poses, self.truth, sigmas=self.sigmas, area=self.area)

    @cached_property
    def pose_area(self) -> Float[np.ndarray, " N"]:
        """The areas of the poses' boxes."""
        return area_of_poses(self.poses)

    @cached_property
    def oracle_score(self) -> Float[np.ndarray, " N"]:
        """The true OKS as score: that with the matched person; for an unmatched result, the highest with any labelled
        person in its photo, 0 if there is none."""
        labelled = np.any(self.truth.v > 0, axis=1)[self.pairs.person]
        highest = np.zeros(len(self.poses))
        np.maximum.at(highest, self.pairs.pose[labelled], self.pairs.oks[labelled])
        return np.where(np.isnan(self.oks), highest, self.oks)

    @cached_property
    def keypoint_score(self) -> Float[np.ndarray, "n K"]:
        """The audited scores of the keypoints of `rows`: `keypoint_quality` if the file has it, else the third number,
        as in results that lack a quality which others have."""
        third, quality = self.poses.score, self.poses.quality
        assert third is not None
        third = np.ascontiguousarray(third[self.rows])
        return third if quality is None else np.where(np.isnan(quality[self.rows]), third, quality[self.rows])

    @property
    def keypoint_source(self) -> str:
        """The field of `keypoint_score`."""
        return "keypoints[2::3]" if self.poses.quality is None else "keypoint_quality"


def audited_pose_score(results: ResultsFile, score_field: str | None) -> tuple[Float[np.ndarray, " N"], str]:
    """Return the pose scores (N,) that are compared with OKS, and their field: `pose_quality` if the file has it, with
    `score` in rows that lack it; or the score that ranks, where its field was named."""
    quality = results.poses.pose_quality
    if score_field is not None or quality is None:
        return results.score, score_field or RANKED_BY
    return np.where(np.isnan(quality), results.score, quality), "pose_quality"
