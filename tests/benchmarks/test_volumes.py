"""Volumes on Panoptic's real poses and cameras: the integral is exact, the argmax wrong by a part of a voxel."""

import numpy as np
import pytest

from trustpose.codecs.volumes import VolumeCodec


def test_real_poses_through_real_cameras(data_dir, in_benchmarks):  # noqa: ARG001 (the imports)
    from volumes import panoptic_people, round_trip

    if not (data_dir / "layouts/panoptic_body3d").is_dir():
        pytest.skip(f"no Panoptic poses in {data_dir}")
    people = panoptic_people(data_dir, cameras=2, every=10)
    mean = {}
    for side in (32, 64):
        for decoding in ("argmax", "integral"):
            errors = round_trip(people, VolumeCodec(side, side, side, 256 / side, decoding=decoding))
            mean[side, decoding] = float(np.nanmean(np.linalg.norm(errors, axis=2)))
    # a point of a cube is 0.48 of its side from the middle, on average: 15 mm, and 30 mm for the larger voxels
    assert mean[64, "argmax"] == pytest.approx(0.48 * 2000 / 64, rel=0.1)
    assert mean[32, "argmax"] == pytest.approx(0.48 * 2000 / 32, rel=0.1)
    assert mean[64, "integral"] < 1 and mean[32, "integral"] < 2
