"""The section of an audit on errors in pixels: whether the discs of `expected_error` hold the labelled places."""

import numpy as np

from trustpose.evaluation.paired_results import PairedResults
from trustpose.evaluation.sections import Findings
from trustpose.geometry.expected_error import expected_error, quality_if_labelled
from trustpose.metrics import bootstrap
from trustpose.metrics.pixel_error import (
    PixelTrust,
    coverage_replicates,
    errors_of_labelled,
    median_replicates,
    pixel_trust,
)
from trustpose.poses import Poses


def pixels(measured: PairedResults, findings: Findings) -> PixelTrust:
    """Compare the distance of labelled keypoints to their labels with the error that their quality stands for.

    Not part of the draws that compare files: neither a higher nor a lower coverage is better.
    """
    poses, person = measured.poses[measured.rows], measured.person[measured.rows]
    error = expected_error(poses, sigmas=measured.sigmas)
    if error is None:
        findings.notes.append("pixels.*: null, the results have no keypoint_quality")
        return pixel_trust(np.zeros(0), np.zeros(0))
    offset = poses.xy.astype(np.float64) - measured.truth.xy[person]
    distance = np.hypot(offset[..., 0], offset[..., 1])
    counted = measured.labelled & np.isfinite(error.std) & (error.std > 0)
    left_out = int((measured.labelled & ~counted).sum())
    if left_out:
        findings.notes.append(
            f"pixels.*: {left_out} of {int(measured.labelled.sum())} labelled keypoints are left out: missing, without "
            "keypoint_quality, or in a box without area"
        )
    image = np.broadcast_to(measured.image[:, None], counted.shape)[counted]
    probability, ratio = errors_of_labelled(distance[counted], error[counted])
    replicates = {"median_ratio": median_replicates(measured.counts, ratio, image)}
    covered = coverage_replicates(measured.counts, probability, image)
    replicates |= {f"coverage.{share}": values for share, values in covered.items()}
    for name, values in replicates.items():
        if len(values) and not np.isnan(values).all():
            findings.intervals[f"pixels.{name}"] = bootstrap.interval(values)
    if error.model is None:
        findings.notes.append(
            "pixels.*: the discs are those of the mixture of Rayleigh distributions alone, as no error model came with "
            "the results"
        )
    quality, joints = quality_if_labelled(poses), joint_kinds(poses)
    assert quality is not None
    names = [joints[at] for at in np.nonzero(counted)[1].tolist()]
    return pixel_trust(probability, ratio, quality[counted], names, "mixture" if error.model is None else "fitted")


def joint_kinds(poses: Poses) -> list[str]:
    """Return the name of each joint without its side, so that left and right have the same; numbers without a
    skeleton."""
    if poses.skeleton is None:
        return [str(at) for at in range(poses.keypoint_count)]
    names, mirror = poses.skeleton.names, poses.skeleton.flip_index
    plain = [name.removeprefix("left_").removeprefix("right_") for name in names]
    return [plain[min(at, mirror[at])] for at in range(len(names))]
