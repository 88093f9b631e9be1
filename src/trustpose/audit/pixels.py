"""The section of an audit on errors in pixels: whether the discs of `expected_error` hold the labelled places."""

import numpy as np

from trustpose.audit.paired_results import PairedResults
from trustpose.audit.sections import Findings
from trustpose.geometry.expected_error import expected_error
from trustpose.metrics import bootstrap
from trustpose.metrics.pixel_error import (
    PixelTrust,
    coverage_replicates,
    errors_of_labelled,
    median_replicates,
    pixel_trust,
)
from trustpose.poses import ExpectedError


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
    of_counted = ExpectedError(error.std[counted], error.gross[counted], error.gross_std[counted])
    probability, ratio = errors_of_labelled(distance[counted], of_counted)
    replicates = {"median_ratio": median_replicates(measured.counts, ratio, image)}
    covered = coverage_replicates(measured.counts, probability, image)
    replicates |= {f"coverage.{share}": values for share, values in covered.items()}
    for name, values in replicates.items():
        if len(values) and not np.isnan(values).all():
            findings.intervals[f"pixels.{name}"] = bootstrap.interval(values)
    return pixel_trust(probability, ratio)
