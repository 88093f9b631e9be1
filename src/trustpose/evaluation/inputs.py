"""What an audit says of its two files: names, counts, fingerprints, and notes on what was found in them."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from trustpose.evaluation.batch import Batch
from trustpose.formats.coco.together import left_out_notes
from trustpose.metrics.pairing import unpaired_on_people
from trustpose.poses import Area, describe_counts
from trustpose.skeletons import COCO_17, Skeleton

UNPAIRED_ON_PEOPLE = 0.05  # share of the results above which the file's boxes or joints are suspect
_PAIRING = ("results", "unpaired", "on_people", "missing", "keypoints")


class Inputs:
    """Counts of people, results and photos."""

    def __init__(self) -> None:
        self._counts = Counter[str]()
        self._of_truth, self._of_results = Counter[str](), Counter[str]()  # left out
        self.area_sources = Counter[str]()  # of people
        self._categories: set[int] = set()
        self._has_categories = False
        self._notes: dict[str, None] = {}

    def add(self, batch: Batch) -> None:
        """Count a batch of whole photos."""
        people, poses, truth = batch.file.truth, batch.results.poses, batch.truth
        number, labelled = people.num_keypoints, np.count_nonzero(people.v > 0, axis=1)
        assert number is not None
        unpaired = batch.person < 0
        on_people = 0
        if unpaired.any() and truth.box is not None:
            on_people = int(unpaired_on_people(batch.poses, truth, batch.person).sum())
        self._counts.update(
            images=len(batch.image_id),
            people=len(people),
            people_with_keypoints=int((number > 0).sum()),
            contradicting=int((number != labelled).sum()),
            ignored=int(((number == 0) != (labelled == 0)).sum()),
            with_id_0=0 if people.annotation_id is None else int((people.annotation_id == 0).sum()),
            results=len(poses),
            unpaired=int(unpaired.sum()),
            on_people=on_people,
            missing=0 if poses.missing is None else int(poses.missing.sum()),
            keypoints=poses.xy[..., 0].size,
        )
        self.area_sources.update(batch.file.area_sources())
        self._notes |= dict.fromkeys(batch.results.notes)
        self._of_truth.update(batch.file.left_out)
        self._of_results.update(batch.results.left_out)
        if batch.file.categories is not None:
            self._has_categories = True
            self._categories.update(np.unique(batch.file.categories.of_row).tolist())

    def left_out_notes(self) -> list[str]:
        """Return notes on what was not read of the results, and on photos that only one of the files has."""
        return [
            *self._notes,
            *left_out_notes(self._of_truth, self._counts["images"], self._of_results, self._counts["results"]),
        ]

    def notes(self) -> list[str]:
        """Return notes on the people of the ground truth."""
        counts, notes = self._counts, []
        if self._has_categories:
            count = len(self._categories)
            notes.append(f"ap, oracle_ap, headroom: means over {count} categories; all other numbers pool them")
        notes += keypoint_number_notes(counts["people"], counts["contradicting"], counts["ignored"])
        return [*notes, *id_notes(counts["with_id_0"])]

    def pairing_notes(self) -> list[str]:
        """Return notes on the results matched to people."""
        return pairing_notes(*(self._counts[name] for name in _PAIRING))

    def result(self, truth: tuple[str, str], results: tuple[str, str]) -> dict[str, Any]:
        """Return `inputs` of the JSON; `truth` and `results` are the path and SHA-256 of each file."""
        counts = self._counts
        return {
            "ground_truth": {
                "file": truth[0],
                "sha256": truth[1],
                **{name: counts[name] for name in ("images", "people", "people_with_keypoints")},
                "left_out": dict(self._of_truth) or None,
            },
            "results": {
                "file": results[0],
                "sha256": results[1],
                "results": counts["results"],
                "paired": counts["results"] - counts["unpaired"],
                "left_out": dict(self._of_results) or None,
            },
        }


def convention_notes(
    area: Area, requested_area: str, sources: Mapping[str, int], skeleton: Skeleton | None, *, has_sigmas: bool
) -> list[str]:
    """Return notes on the area and the sigmas for OKS; `sources` counts areas by source, `has_sigmas` that they were
    given."""
    notes = []
    if area == "file":
        notes.append(f"area: OKS uses the annotations' own, area_source {describe_counts(sources)}")
    elif requested_area == "auto" and area != "segment":
        notes.append(f"area: annotations have none, OKS uses {area} (--area)")
    if not has_sigmas and skeleton is not None and skeleton is not COCO_17 and skeleton.has_sigmas:
        notes.append(f"sigmas: {skeleton.sigmas_source}")
    return notes


def keypoint_number_notes(people: int, contradicting: int, ignored: int) -> list[str]:
    """Return a note if the `num_keypoints` of `contradicting` people are not the numbers of their labelled keypoints;
    for `ignored` of them only one of both is 0."""
    if not contradicting:
        return []
    note = (
        f"num_keypoints: contradicts the labelled keypoints of {contradicting} of {people} people, and is used as it "
        "stands, as by pycocotools: for the groups of occlusion.*"
    )
    if ignored:
        note += f", and in ap.*, where {ignored} people are ignored, or counted, against their labels"
    return [note]


def id_notes(with_id_0: int) -> list[str]:
    """Return a note if people have the annotation id 0."""
    if not with_id_0:
        return []
    return [
        "ap.*: an annotation has id 0; COCO's tools count a match with it as a miss, and so do these numbers "
        "(number annotations from 1)"
    ]


def pairing_notes(results: int, unpaired: int, on_people: int, missing: int, keypoints: int) -> list[str]:
    """Return notes on the results matched to no person, with a warning if those `on_people`
    (`metrics.pairing.unpaired_on_people`) suggest a faulty file, and on the missing ones of all keypoints."""
    notes = []
    if unpaired:
        notes.append(f"{unpaired} of {results} results are matched to no labelled or boxed person")
        if on_people > UNPAIRED_ON_PEOPLE * results:
            notes.append(
                f"{on_people} of {results} results ({on_people / results:.0%}) are unmatched although most of "
                "their keypoints lie in the box of a labelled person without a result: pose.* and keypoint.* "
                "leave them out, a calibrator treats them as errors. Check that `bbox` is x, y, width, height in "
                "pixels, and that missing keypoints are 0, 0, 0"
            )
    if missing:
        notes.append(
            f"{missing} of {keypoints} keypoints are missing (not found by the estimator): "
            "matching ignores them; OKS, OPKS and AP use them at the written position, as pycocotools does"
        )
    return notes
