"""AP on subsets of a ground truth: people with few to many labelled keypoints, photos from sparse to crowded."""

import numpy as np

from trustpose.evaluation.paired_results import PairedResults
from trustpose.evaluation.record import CrowdLevel, Number, OcclusionBenchmark
from trustpose.evaluation.sections import Findings
from trustpose.images import Images
from trustpose.metrics.average_precision import AREA_RANGES, Evaluation, evaluate
from trustpose.metrics.average_precision_bootstrap import average_precision_replicates
from trustpose.poses import Truth

CROWD_LEVELS = {"easy": (-np.inf, 0.2), "medium": (0.2, 0.8), "hard": (0.8, np.inf)}  # crowd index from, and below
OCCLUSION_BENCHMARKS = {"0-5": (1, 5), "6-10": (6, 10), "11-15": (11, 15), "16-17": (16, 10**6)}


def occlusion_benchmarks(
    measured: PairedResults, oracle: np.ndarray
) -> tuple[dict[str, OcclusionBenchmark], dict[str, tuple[np.ndarray, np.ndarray]]]:
    """Compute AP on people with few to many labelled keypoints (groups of coco-analyze), ignoring everyone else."""
    assert measured.truth.iscrowd is not None
    benchmarks, precision_75 = {}, {}
    for name, inside in occlusion_groups(measured.truth).items():
        (ap, at_75), (oracle_ap, oracle_at_75) = (
            _precision(measured, score, inside) for score in (measured.score, oracle)
        )
        benchmarks[name] = OcclusionBenchmark(ap, oracle_ap, int((inside & ~measured.truth.iscrowd).sum()))
        if ap is not None:
            precision_75[name] = at_75, oracle_at_75
    return benchmarks, precision_75


def occlusion_groups(truth: Truth) -> dict[str, np.ndarray]:
    """Return which people (M,) are in each group, by name."""
    count = truth.num_keypoints
    assert count is not None
    return {name: (count >= low) & (count <= high) for name, (low, high) in OCCLUSION_BENCHMARKS.items()}


def evaluate_inside(measured: PairedResults, score: np.ndarray, inside: np.ndarray) -> Evaluation:
    """Run COCO evaluation of the people `inside` (M,) alone, by a score (N,), in the area range "all"."""
    return evaluate(
        measured.poses,
        measured.truth,
        score,
        sigmas=measured.sigmas,
        area=measured.area,
        area_ranges={"all": AREA_RANGES["all"]},
        pairs=measured.pairs,
        ignore=~inside,
    )


def _precision(measured: PairedResults, score: np.ndarray, inside: np.ndarray) -> tuple[Number, np.ndarray]:
    """Compute AP of the people `inside` (M,) by a score (N,), and precision at OKS 0.75 (R,)."""
    evaluation = evaluate_inside(measured, score, inside)
    return _or_none(evaluation.average_precision()), evaluation.precision[0, 5]


def crowd_levels(measured: PairedResults, images: Images, findings: Findings) -> dict[str, CrowdLevel]:
    """Compute AP on the photos of each of CrowdPose's levels alone; empty without crowd indices.

    Source: CrowdPose's own evaluation (Jeff-sjtu/CrowdPose, crowdposetools), which uses the limits 0.2 and 0.8 where
    the paper gives 0.1 and 0.8; published numbers come from the code.
    """
    if images.crowd_index is None:
        return {}
    crowd_index = images.crowd_index[np.argsort(images.id)]  # (I,) as `PairedResults` numbers them
    unknown = int(np.isnan(crowd_index).sum())
    if unknown:
        findings.notes.append(f"crowd.*: {unknown} of {len(images)} photos have no crowdIndex and belong to no level")
    levels = {}
    for name, (low, below) in CROWD_LEVELS.items():
        inside = (crowd_index >= low) & (crowd_index < below)
        poses, people = np.flatnonzero(inside[measured.pose_image]), np.flatnonzero(inside[measured.person_image])
        evaluation = evaluate(
            measured.poses[poses],
            measured.truth[people],
            measured.score[poses],
            sigmas=measured.sigmas,
            area=measured.area,
        )
        draws = average_precision_replicates(
            evaluation, measured.counts, measured.pose_image[poses], measured.person_image[people], ("all",)
        )
        findings.interval(f"crowd.{name}.AP", draws["AP"])
        counted = int((~evaluation.person_ignored[0]).sum())
        levels[name] = CrowdLevel(_or_none(evaluation.summary().AP), counted)
    return levels


def _or_none(value: float) -> Number:
    return None if value == -1 else value
