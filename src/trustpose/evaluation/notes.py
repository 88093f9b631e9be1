"""The notes of an audit on its files and on the results matched to people, from counts."""

from collections.abc import Mapping

from trustpose.poses import Area, describe_counts
from trustpose.skeletons import COCO_17, Skeleton

UNPAIRED_ON_PEOPLE = 0.05  # share of the results above which the file's boxes or joints are suspect


def convention_notes(
    area: Area, asked: str, sources: Mapping[str, int], skeleton: Skeleton | None, *, has_sigmas: bool
) -> list[str]:
    """Return notes on the area and the sigmas for OKS; `sources` counts areas by source, `has_sigmas` that they were
    given."""
    notes = []
    if area == "file":
        notes.append(f"area: OKS uses the annotations' own, area_source {describe_counts(sources)}")
    elif asked == "auto" and area != "segment":
        notes.append(f"area: annotations have none, OKS uses {area} (--area)")
    if not has_sigmas and skeleton is not None and skeleton is not COCO_17 and skeleton.has_sigmas:
        notes.append(f"sigmas: {skeleton.sigmas_source}")
    return notes


def keypoint_number_notes(people: int, contradicting: int, ignored: int) -> list[str]:
    """Return a note if the ground truth's `num_keypoints` are not the numbers of labelled keypoints
    (`sections.keypoint_number_counts`)."""
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
