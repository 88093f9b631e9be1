"""Second opinions: pairing of people, features, and that a calibrator fitted with one requires it."""

from dataclasses import replace

import numpy as np
import pytest

import trustpose as tp
from tests.calibration.cases import FEW, another, audit_notes, fit, made_up
from trustpose.calibration import trees
from trustpose.calibration.opinions import FARTHEST, Second, read_opinion, same_people
from trustpose.files import InputError
from trustpose.geometry.oks import opks
from trustpose.poses import Poses
from trustpose.skeletons import BLAZEPOSE_33, COCO_17

ONLY_TREES = replace(FEW, method="trees")


def size_of(poses: Poses) -> np.ndarray:
    return np.sqrt((poses.box[:, 2:] - poses.box[:, :2]).prod(axis=1))


@pytest.fixture(scope="module", autouse=True)
def few_trees():
    """A fifth of the trees, for speed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(trees, "POSE_TREES", 30)
        patch.setattr(trees, "KEYPOINT_TREES", 40)
        yield


@pytest.fixture(scope="module")
def fitted():
    """Fitted with an accurate second network and with one of noise."""
    truth, results = made_up(300)
    noise = another(truth, seed=5, error=60.0)
    return truth, results, fit(truth, results, ONLY_TREES, lambda _: None, {"exact": another(truth), "noise": noise})


def test_people_are_paired_by_id() -> None:
    truth, results = made_up(40)
    other = another(truth)
    row = same_people(results.poses, other, size_of(results.poses), COCO_17.sigmas)
    np.testing.assert_array_equal(other.annotation_id[row], results.poses.annotation_id)
    fewer = other[other.annotation_id > 10]
    row = same_people(results.poses, fewer, size_of(results.poses), COCO_17.sigmas)
    np.testing.assert_array_equal(row < 0, results.poses.annotation_id <= 10)


@pytest.mark.parametrize("without", ["first", "second", "boxes"])
def test_without_ids_people_are_paired_by_box_and_pose(without) -> None:
    truth, results = made_up(200)
    poses, other = results.poses, another(truth)
    expected = np.argsort(other.annotation_id)[np.argsort(np.argsort(poses.annotation_id))]
    if without == "first":
        poses = replace(poses, annotation_id=None)
    else:
        other = replace(other, annotation_id=None, box=other.box if without == "second" else None)
    row = same_people(poses, other, size_of(poses), COCO_17.sigmas)
    assert (row == expected).mean() > 0.99
    elsewhere = replace(other, annotation_id=None, image_id=other.image_id + 1000)
    assert (same_people(poses, elsewhere, size_of(poses), COCO_17.sigmas) == -1).all()


def test_people_in_one_box_are_paired_by_their_poses() -> None:
    """Two people in one box, paired by their poses."""
    box = np.tile([0.0, 0, 100, 200], (2, 1))
    xy = np.stack([np.full((17, 2), 20.0), np.full((17, 2), 80.0)])
    first = Poses(xy=xy, score=np.ones((2, 17)), pose_score=np.ones(2), box=box, image_id=np.zeros(2, int))
    row = same_people(first, first[np.array([1, 0])], size_of(first), COCO_17.sigmas)
    np.testing.assert_array_equal(row, [1, 0])


def test_the_distance_is_in_units_of_opks() -> None:
    truth, results = made_up(30)
    poses, other = results.poses, another(truth)
    size = size_of(poses)
    opinion = read_opinion(poses, size, Second(other), COCO_17, trust=False)
    order = np.argsort(other.annotation_id)
    expected = opks(poses.xy, other.xy[order], np.ones((30, 17)), 0.53 * size**2, COCO_17.sigmas)
    near = opinion.distance.T < FARTHEST
    np.testing.assert_allclose(np.exp(-(opinion.distance.T[near] ** 2) / 2), expected[near], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(opinion.agreement, expected.mean(axis=1), rtol=1e-5)
    mirrored = replace(poses, xy=poses.xy[:, COCO_17.flip_index])
    swapped = read_opinion(mirrored, size, Second(other), COCO_17, trust=False)
    np.testing.assert_array_equal(swapped.distance, opinion.mirrored)
    np.testing.assert_array_equal(swapped.agreement, opinion.mirrored_agreement)


def test_missing_joints_and_people_have_no_distance() -> None:
    truth, results = made_up(10)
    other = another(truth)
    missing = np.zeros(other.score.shape, dtype=bool)
    missing[:, 3] = True
    other = replace(other, missing=missing, xy=np.where(missing[..., None], 0, other.xy))[other.annotation_id != 4]
    opinion = read_opinion(results.poses, size_of(results.poses), Second(other), COCO_17, trust=False)
    assert (opinion.distance[3] == -1).all() and (opinion.mirrored[3] == -1).all()
    lacking = results.poses.annotation_id == 4
    np.testing.assert_array_equal(opinion.has_person, ~lacking)
    for column in (opinion.distance, opinion.score, opinion.agreement, opinion.pose_score):
        assert (column[..., lacking] == -1).all()
    others = np.delete(np.arange(17), [3])
    assert (opinion.distance[others][:, ~lacking] >= 0).all() and (opinion.agreement[~lacking] > 0).all()


def test_another_skeleton_is_read_by_its_names() -> None:
    truth, results = made_up(10)
    second = another(truth)
    index = COCO_17.index_in(BLAZEPOSE_33, missing="mark")
    wide = replace(second, skeleton=COCO_17).take_keypoints(index, BLAZEPOSE_33)
    size = size_of(results.poses)
    first_opinion, two = (
        read_opinion(results.poses, size, Second(some), COCO_17, trust=False) for some in (second, wide)
    )
    np.testing.assert_array_equal(first_opinion.distance, two.distance)
    with pytest.raises(InputError, match="second opinion 'wide': has 33 keypoints, expected 17"):
        read_opinion(results.poses, size, Second(replace(wide, skeleton=None), "wide"), COCO_17, trust=False)


def test_what_helps_is_kept_and_noise_is_left_out(fitted) -> None:
    exact, noise = fitted[2].calibrator.card.opinions
    assert exact.kept and exact.people == 300 and exact.change["pose.pearson"][1] > 0
    assert exact.after["explained"][0] > exact.before["explained"][0] + 0.05
    assert not noise.kept and noise.change["explained"][0] < 0.01
    card = fitted[2].calibrator.card
    assert card.explained["trees"] == exact.after["explained"]
    assert card.after["pose.pearson"] == exact.after["pose.pearson"]
    without = fit(fitted[0], fitted[1], ONLY_TREES).calibrator.card
    assert without.after["keypoint.pearson"] == exact.before["keypoint.pearson"]


def test_it_holds_on_other_people(fitted) -> None:
    truth, results = made_up(200, 3)
    predicted = fitted[2].calibrator(results.poses, second=another(truth))
    plain = fit(fitted[0], fitted[1], ONLY_TREES).calibrator(results.poses)
    area = 0.53 * size_of(results.poses) ** 2
    target = opks(results.poses.xy, truth.truth.xy, truth.truth.v, area, COCO_17.sigmas)
    error = [((one.quality - target) ** 2).mean() for one in (plain, predicted)]
    assert error[1] < 0.8 * error[0]


def test_people_without_a_second_opinion_still_get_trust(fitted) -> None:
    truth, results = made_up(60, 4)
    calibrator, other = fitted[2].calibrator, another(truth)
    whole = calibrator(results.poses, second={"exact": other})
    calibrated = calibrator(results.poses, second=other[other.annotation_id > 20])
    has = results.poses.annotation_id > 20
    np.testing.assert_array_equal(calibrated.quality[has], whole.quality[has])
    assert np.isfinite(calibrated.quality).all() and (calibrated.quality[~has] != whole.quality[~has]).any()
    nobody = calibrator.apply(results.poses, second=other[:0])
    assert any("has none of these people" in sentence for sentence in nobody.warnings)


def test_the_file_keeps_the_second_opinion(fitted, tmp_path) -> None:
    calibrator = fitted[2].calibrator
    truth, results = made_up(60, 4)
    calibrator.save(tmp_path / "two.cal")
    again = tp.Calibrator.load(tmp_path / "two.cal")
    assert again.card == calibrator.card
    expected = calibrator(results.poses, second=another(truth))
    np.testing.assert_array_equal(again(results.poses, second=another(truth)).quality, expected.quality)


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (lambda _: None, "was fitted with the second opinion 'exact': expected it beside the poses"),
        (lambda other: {"tiny": other}, "second opinion 'tiny': the calibrator was fitted with the second .* 'exact'"),
        (lambda other: [other] * 3, "expected 1 second opinion, as the calibrator was fitted with, got 3"),
        (lambda other: replace(other, score=None), "its poses have no score"),
        (lambda other: replace(other, score=other.score * 100), "keypoint scores range from .* another network"),
    ],
)
def test_the_second_opinion_of_fitting_is_required(fitted, second, message) -> None:
    truth, results = made_up(60, 4)
    with pytest.raises(InputError, match=message):
        fitted[2].calibrator(results.poses, second=second(another(truth)))


def test_another_network_of_the_same_name() -> None:
    truth, results = made_up(300)
    first, two = (Second(another(truth), "net", model=model) for model in ("aa", "bb"))
    calibrator = fit(truth, results, ONLY_TREES, lambda _: None, first).calibrator
    calibrator(results.poses, second=first)
    with pytest.raises(InputError, match="second opinion 'net': is not the network that was used at fitting"):
        calibrator(results.poses, second=two)


def test_all_of_the_fitted_ones_may_be_given(fitted) -> None:
    truth, results = made_up(60, 4)
    exact, noise = another(truth), another(truth, error=60.0)
    first, two = (fitted[2].calibrator(results.poses, second=given) for given in (exact, [exact, noise]))
    np.testing.assert_array_equal(first.quality, two.quality)


def test_an_opinion_unlike_the_fitted_one_gives_a_warning(fitted) -> None:
    truth, results = made_up(100, 4)
    other = another(truth, error=20.0)
    sentences = fitted[2].calibrator.apply(results.poses, second=replace(other, score=other.score**3)).warnings
    assert any(
        "second opinion 'exact': keypoint scores are distributed differently" in sentence for sentence in sentences
    )
    assert any("second opinion 'exact': its agreement" in sentence for sentence in sentences)
    assert fitted[2].calibrator.apply(results.poses, second=another(truth, 9)).warnings == ()


def test_an_audit_notes_the_effect_of_an_opinion(fitted) -> None:
    truth, results, _ = fitted
    kept, left = audit_notes(fitted[2].calibrator, truth, results, "segment")[1:3]
    assert kept.startswith("calibrator: second opinion 'exact': is used (out of fold explained variance 0.")
    assert left.startswith("calibrator: second opinion 'noise': improves too little and is left out (out of fold")


def test_refused_at_fitting() -> None:
    truth, results = made_up(60)
    elsewhere = replace(another(truth), image_id=another(truth).image_id + 500, annotation_id=None)
    with pytest.raises(InputError, match="second opinion 'far': has none of the people of made_up"):
        fit(truth, results, ONLY_TREES, lambda _: None, {"far": elsewhere})
    with pytest.raises(InputError, match="method: isotonic reads no second opinion"):
        fit(truth, results, replace(FEW, method="isotonic"), lambda _: None, another(truth))
    with pytest.raises(InputError, match="the calibrator was fitted without a second opinion"):
        fit(truth, results, replace(FEW, method="isotonic")).calibrator(results.poses, second=another(truth))


def test_its_own_trust_is_read_and_then_expected() -> None:
    truth, results = made_up(300)
    other = another(truth, error=8.0)
    size = np.sqrt((other.box[:, 2:] - other.box[:, :2]).prod(axis=1))
    order = np.argsort(truth.truth.annotation_id)[other.annotation_id - 1]
    quality = opks(other.xy, truth.truth.xy[order], truth.truth.v[order], 0.53 * size**2, COCO_17.sigmas)
    trusted = replace(other, quality=quality, pose_quality=quality.mean(axis=1))
    plain, better = (fit(truth, results, ONLY_TREES, lambda _: None, one).calibrator for one in (other, trusted))
    assert better.card.opinions[0].trust and not plain.card.opinions[0].trust
    assert better.card.after["keypoint.pearson"][0] > plain.card.after["keypoint.pearson"][0] + 0.01
    with pytest.raises(InputError, match="its poses have no quality"):
        better(results.poses, second=other)
