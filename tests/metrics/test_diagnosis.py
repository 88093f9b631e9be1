"""Error diagnosis of cases with known results."""

from dataclasses import replace

import numpy as np
import pytest

from tests.metrics.diagnosis_cases import AREA, FLIP, NEIGHBOUR, PERSON, SIGMAS, at_opks, moved, people, poses_of
from trustpose.geometry.oks import opks
from trustpose.metrics.diagnosis import KeypointError, diagnose, diagnose_scores, keypoint_errors
from trustpose.metrics.diagnosis_impact import STAGES, error_impact
from trustpose.metrics.matching import best_in_image
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17


def kinds(pose, truth, **options):
    diagnosis = diagnose(poses_of(pose), truth, np.ones(1), sigmas=SIGMAS, flip_index=FLIP, area="file", **options)
    return [KeypointError(value).name for value in diagnosis.kind[0]], diagnosis


def test_swapped_left_and_right_are_inversions():
    assert kinds(PERSON[FLIP], people(PERSON))[0] == ["GOOD", "INVERSION", "INVERSION", "GOOD"]


def test_errors_with_respect_to_given_people():
    """COCO's own match gives the same; with another person, all keypoints are swaps; a person elsewhere is ignored."""
    truth, pose = people(PERSON, NEIGHBOUR), poses_of(PERSON[FLIP])
    options = {"sigmas": SIGMAS, "flip_index": FLIP, "area": "file"}
    diagnosis = diagnose(pose, truth, np.ones(1), **options)
    np.testing.assert_array_equal(keypoint_errors(pose, truth, diagnosis.match, **options), diagnosis.kind)
    swapped = keypoint_errors(poses_of(PERSON), truth, np.array([1]), **options)
    assert (swapped == KeypointError.SWAP).all()
    for match in (np.array([-1]), np.array([0])):
        elsewhere = truth if match[0] < 0 else replace(truth, image_id=truth.image_id + 7)
        assert (keypoint_errors(pose, elsewhere, match, **options) == KeypointError.UNMATCHED).all()


@pytest.mark.parametrize("joint", [1, 2])
def test_a_keypoint_on_the_neighbours_joint_or_its_mirror_is_a_swap(joint):
    pose = PERSON.copy()
    pose[1] = NEIGHBOUR[joint]
    assert kinds(pose, people(PERSON, NEIGHBOUR))[0] == ["GOOD", "SWAP", "GOOD", "GOOD"]
    assert kinds(pose, people(PERSON))[0] == ["GOOD", "MISS", "GOOD", "GOOD"]


def test_a_neighbours_unlabelled_joint_attracts_nothing():
    pose = PERSON.copy()
    pose[1] = NEIGHBOUR[1]
    truth = people(PERSON, NEIGHBOUR, v=[[2, 2, 2, 2], [2, 0, 2, 2]])
    assert kinds(pose, truth)[0][1] == "MISS"


@pytest.mark.parametrize(
    ("target", "kind"),
    [(0.99, "GOOD"), (0.8501, "GOOD"), (0.8499, "JITTER"), (0.5001, "JITTER"), (0.4999, "MISS"), (0.01, "MISS")],
)
def test_displacement_decides_between_good_jitter_and_miss(target, kind):
    assert kinds(moved(3, dy=at_opks(target, 3)), people(PERSON))[0] == ["GOOD", "GOOD", "GOOD", kind]


def test_an_unlabelled_joint_and_an_unmatched_pose_have_no_kind():
    names, found = kinds(PERSON, people(PERSON, v=[[2, 0, 1, 2]]))
    assert names == ["GOOD", "UNLABELLED", "GOOD", "GOOD"]
    assert sum(found.counts().values()) == 3
    declared_without = replace(people(PERSON), num_keypoints=np.array([0]))
    assert kinds(PERSON, declared_without)[0] == ["UNLABELLED"] * 4
    names, found = kinds(PERSON + 1000.0, people(PERSON))
    assert names == ["UNMATCHED"] * 4
    assert found.match[0] == -1
    np.testing.assert_array_equal(found.corrected_xy, found.xy)


def test_the_own_joint_wins_a_tie_with_another_persons():
    assert kinds(PERSON, people(PERSON, moved(0, dx=90.0)))[0] == ["GOOD"] * 4


def test_another_persons_joint_wins_a_tie_with_the_mirrored_one():
    pose = PERSON.copy()
    pose[1] = PERSON[2]
    neighbour = NEIGHBOUR.copy()
    neighbour[1] = PERSON[2]
    assert kinds(pose, people(PERSON, neighbour))[0] == ["GOOD", "SWAP", "GOOD", "GOOD"]


@pytest.mark.parametrize(("rule", "power"), [("exact", 1.0), ("coco-analyze", 0.25)])
def test_corrected_keypoints_have_the_expected_similarity(rule, power):
    pose = PERSON.copy()
    pose[0, 1] += at_opks(0.6, 0)  # jitter
    pose[1] = PERSON[2] + [0, at_opks(0.7, 1)]  # inversion
    pose[2] += [0, 500]  # miss
    names, found = kinds(pose, people(PERSON), correction=rule)
    assert names == ["JITTER", "INVERSION", "MISS", "GOOD"]
    after = opks(found.corrected_xy[0], PERSON, np.full(4, 2), np.float64(AREA), SIGMAS)
    np.testing.assert_allclose(after, np.array([0.85, 0.7, 0.5, 1.0]) ** power, rtol=1e-9)
    only = found.corrected([KeypointError.MISS])[0]
    np.testing.assert_array_equal(only[[0, 1, 3]], pose[[0, 1, 3]])
    np.testing.assert_array_equal(only[2], found.corrected_xy[0, 2])


def test_duplicates_ranked_by_the_wrong_score_are_a_scoring_error():
    poses = poses_of(PERSON, moved(3, dy=at_opks(0.5, 3)), PERSON + 2000.0)
    truth = people(PERSON)
    measures = {"sigmas": SIGMAS, "area": "file"}
    wrong = diagnose_scores(poses, truth, np.array([0.5, 0.9, 0.7]), **measures)
    assert wrong.misranked.tolist() == [True]
    assert wrong.misranked_after.tolist() == [False]
    assert (wrong.reordered_images, wrong.images) == (1, 1)
    assert wrong.optimal_score[0] == 1.0
    assert 0 < wrong.optimal_score[1] < 0.9 * wrong.max_oks[1]
    right = diagnose_scores(poses, truth, np.array([0.9, 0.7, 0.5]), **measures)
    assert not right.misranked.any()
    assert right.reordered_images == 0


def test_background_errors_are_counted_and_their_gain_is_what_is_left():
    poses, truth = poses_of(PERSON, PERSON + 2000.0), people(PERSON, NEIGHBOUR)
    score = np.array([0.3, 0.9])
    diagnosis = diagnose(poses, truth, score, sigmas=SIGMAS, flip_index=FLIP, area="file")
    impact = error_impact(poses, truth, score, diagnosis, sigmas=SIGMAS, area="file", separate=True)
    assert impact.background.false_positive.tolist() == [1] * 10
    assert impact.background.false_negative.tolist() == [1] * 10
    half = 51 / 101  # recall thresholds up to 0.5
    gain = impact.ap_gain()
    assert impact.baseline == pytest.approx([half / 2] * 10)
    assert gain["score"] == pytest.approx(half / 2)
    assert gain["background_false_positive"] == pytest.approx(half / 2)
    assert gain["background_false_negative"] == pytest.approx(1 - half)
    assert [gain[stage] for stage in STAGES[:4]] == [0.0] * 4


def test_without_counted_people_ap_is_nan():
    truth = people(PERSON, v=[[0, 0, 0, 0]])
    diagnosis = diagnose(poses_of(PERSON), truth, np.ones(1), sigmas=SIGMAS, flip_index=FLIP, area="file")
    assert sum(diagnosis.counts().values()) == 0
    impact = error_impact(poses_of(PERSON), truth, np.ones(1), diagnosis, sigmas=SIGMAS, area="file")
    assert all(np.isnan(gain) for gain in impact.ap_gain().values())


def test_best_in_image_keeps_the_best_of_each_image_in_order():
    image_id, score = np.array([7, 3, 7, 7, 3]), np.array([0.1, 0.5, 0.9, 0.1, 0.5])
    assert best_in_image(image_id, score, 2).tolist() == [1, 4, 2, 0]


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match=r"flip_index: expected a permutation of 0\.\.3"):
        diagnose(
            poses_of(PERSON), people(PERSON), np.ones(1),
            sigmas=SIGMAS, flip_index=np.array([0, 1, 1, 3]), area="file",
        )  # fmt: skip
    with pytest.raises((ValueError, TypeError), match="correction"):  # the shape checker may be the first to see it
        kinds(PERSON, people(PERSON), correction="none")
    _, found = kinds(PERSON, people(PERSON))
    with pytest.raises(ValueError, match=r"diagnosis: expected keypoints of shape \(2, 4, 2\)"):
        error_impact(poses_of(PERSON, PERSON), people(PERSON), np.ones(2), found, sigmas=SIGMAS, area="file")


def test_a_missing_keypoint_is_a_miss_wherever_it_is_written() -> None:
    """A person in the photo's corner: (0, 0) is on the nose, which the estimator did not find."""
    random = np.random.default_rng(0)
    xy = random.uniform(40, 240, (1, 17, 2))
    xy[0, 0] = 1.0
    labelled = np.full((1, 17), 2)
    truth = Truth(xy=xy, v=labelled, area=np.array([20000.0]), image_id=np.array([1]), annotation_id=np.array([1]))
    missing = np.isin(np.arange(17), [0, 9])[None]
    poses = Poses(xy=np.where(missing[..., None], 0, xy), image_id=np.array([1]), missing=missing)
    measures = {"sigmas": COCO_17.sigmas, "flip_index": COCO_17.flip_index, "area": "file"}
    score = np.ones(1)
    assert diagnose(replace(poses, missing=None), truth, score, **measures).counts()["good"] == 16
    diagnosis = diagnose(poses, truth, score, **measures)
    assert diagnosis.counts() == {"good": 15, "jitter": 0, "inversion": 0, "swap": 0, "miss": 2}
    assert diagnosis.similarity[0, 0] == 0
    impact = error_impact(poses, truth, score, diagnosis, sigmas=COCO_17.sigmas, area="file")
    np.testing.assert_allclose(sum(impact.gain_per_threshold().values()), 1 - impact.baseline)
