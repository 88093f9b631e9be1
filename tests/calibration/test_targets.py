"""Targets of calibrators: which people are used, and their OKS, OPKS and visibility."""

from dataclasses import replace

import numpy as np

from tests.calibration.cases import made_up
from trustpose.calibration.metrics import find_targets
from trustpose.evaluation.batch import Batch
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17


def test_targets_are_the_audits_numbers() -> None:
    truth, results = made_up(40)
    targets = find_targets(results.poses, truth.truth, COCO_17.sigmas, "segment")
    measured = Batch(truth, results, sigmas=COCO_17.sigmas, area="segment")
    np.testing.assert_array_equal(targets.rows, measured.rows)
    np.testing.assert_array_equal(targets.oks, measured.oks[measured.rows])
    np.testing.assert_array_equal(targets.opks.T, measured.opks)
    np.testing.assert_array_equal(targets.v.T, measured.v)


def test_an_unmatched_result_has_an_oks_of_0_and_nothing_labelled() -> None:
    truth, results = made_up(20, spurious=3)
    targets = find_targets(results.poses, truth.truth, COCO_17.sigmas, "segment")
    assert targets.unmatched.tolist() == [False] * 20 + [True] * 3
    assert (targets.oks[20:] == 0).all() and (targets.v[:, 20:] == 0).all() and (targets.opks[:, 20:] == 0).all()
    assert (targets.oks[:20] > 0).all()


def test_the_second_result_on_a_person_is_unmatched() -> None:
    truth, results = made_up(10, ids=False)
    twice = Poses.concatenate([results.poses, results.poses[:1]])
    targets = find_targets(twice, truth.truth, COCO_17.sigmas, "segment")
    assert targets.unmatched.tolist() == [False] * 10 + [True]


def test_people_that_coco_ignores_are_left_out() -> None:
    truth, results = made_up(20, spurious=4, ids=False)
    poses = results.poses
    v = truth.truth.v.copy()
    v[2] = 0  # a person with a box alone
    box, iscrowd = truth.truth.box, np.zeros(20, dtype=bool)
    assert box is not None and poses.box is not None and poses.image_id is not None
    iscrowd[19] = True  # a crowd in the photo of the last person
    moved, ids = poses.box.copy(), poses.image_id.copy()
    moved[20], ids[20] = box[2] + 1, truth.truth.image_id[2]  # type: ignore[index]
    ignored = replace(truth.truth, v=v, iscrowd=iscrowd, num_keypoints=None)
    targets = find_targets(replace(poses, box=moved, image_id=ids), ignored, COCO_17.sigmas, "segment")
    left_out = sorted(set(range(24)) - set(targets.rows.tolist()))
    assert left_out == [2, 19, 20]


def test_half_of_a_box_on_an_ignored_person_is_enough() -> None:
    """An unmatched result whose box lies to 40 or to 60 % in a crowd's."""
    truth, results = made_up(20, spurious=1, ids=False)
    poses, iscrowd = results.poses, np.zeros(20, dtype=bool)
    assert poses.box is not None and truth.truth.box is not None and poses.image_id is not None
    iscrowd[19] = True
    crowd, ids = truth.truth.box[19], poses.image_id.copy()
    ids[20] = truth.truth.image_id[19]  # type: ignore[index]
    for inside, is_used in ((0.4, True), (0.6, False)):
        box = poses.box.copy()
        box[20] = crowd + np.array([1, 0, 1, 0]) * (1 - inside) * (crowd[2] - crowd[0])
        people = replace(truth.truth, iscrowd=iscrowd)
        targets = find_targets(replace(poses, box=box, image_id=ids), people, COCO_17.sigmas, "segment")
        assert (20 in targets.rows) == is_used, inside
