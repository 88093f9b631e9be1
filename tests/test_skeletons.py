"""Skeletons fit their data sets, and their parts fit each other."""

import h5py
import numpy as np
import pytest
from pycocotools.cocoeval import Params

from trustpose.data.coco import read_truth
from trustpose.skeletons import COCO_17, CROWDPOSE_14, FLIC_11, HALPE_26, SKELETONS, Skeleton, find_skeleton


@pytest.mark.parametrize("skeleton", SKELETONS.values(), ids=SKELETONS)
def test_parts_fit(skeleton: Skeleton) -> None:
    size = {"lsp14": 14, "mpii16": 16, "flic11": 11, "crowdpose14": 14, "blazepose33": 33}
    size |= {"coco17": 17, "openpose_body25": 25, "openpose_coco18": 18, "openpose_mpi15": 15, "halpe26": 26}
    assert len(skeleton) == size[skeleton.name]
    np.testing.assert_array_equal(skeleton.flip_index[skeleton.flip_index], np.arange(len(skeleton)))
    paired = {end for pair in skeleton.flip_pairs for end in pair}
    sided = {i for i, name in enumerate(skeleton.keypoints) if "left" in name or "right" in name}
    assert paired == sided
    touched = {end for edge in skeleton.edges for end in edge}
    assert len(touched) == len(skeleton)  # every keypoint hangs on something
    np.testing.assert_array_equal(skeleton.index_in(skeleton), np.arange(len(skeleton)))
    assert skeleton.has_sigmas == (skeleton.sigmas_source is not None)
    if not skeleton.has_sigmas:
        with pytest.raises(ValueError, match="no published sigmas"):
            _ = skeleton.sigmas
    assert find_skeleton(list(skeleton.keypoints)) is skeleton


def test_sigmas_are_the_published_ones() -> None:
    np.testing.assert_array_equal(COCO_17.sigmas, Params("keypoints").kpt_oks_sigmas)
    np.testing.assert_array_equal(HALPE_26.sigmas[:17], COCO_17.sigmas)
    joints = [name for name in CROWDPOSE_14.keypoints if name in COCO_17.keypoints]
    for name in joints:  # CrowdPose took COCO's where it has the joint
        expected = COCO_17.sigmas[COCO_17.keypoints.index(name)]
        assert CROWDPOSE_14.sigmas[CROWDPOSE_14.keypoints.index(name)] == pytest.approx(expected)


def test_names_stand_as_in_the_files(data_dir) -> None:
    assert read_truth(data_dir / "coco" / "dev_gt.json").skeleton is COCO_17
    assert read_truth(data_dir / "crowdpose" / "crowdpose_val.json").skeleton is CROWDPOSE_14
    with h5py.File(data_dir / "flic" / "valid.h5") as file:
        part, seen = file["part"][:], file["visible"][:] > 0
    assert part.shape[1] == len(FLIC_11)
    height = np.array([np.median(part[seen[:, k], k, 1]) for k in range(len(FLIC_11))])
    names = FLIC_11.keypoints
    assert height[names.index("left_eye")] < height[names.index("nose")] < height[names.index("left_shoulder")]
    assert height[names.index("left_shoulder")] < height[names.index("left_elbow")] < height[names.index("left_hip")]
    side = np.nanmedian(part[:, names.index("left_shoulder"), 0] - part[:, names.index("right_shoulder"), 0])
    assert side > 0  # people mostly face the camera: their left is on the right of the picture


def test_wrong_skeletons_are_refused() -> None:
    with pytest.raises(ValueError, match="stands twice"):
        Skeleton("x", ("a", "a"), ())
    with pytest.raises(ValueError, match=r"outside 0\.\.1"):
        Skeleton("x", ("a", "b"), ((0, 2),))
    with pytest.raises(ValueError, match="expected 2 sigmas"):
        Skeleton("x", ("a", "b"), (), None, (0.1,))
