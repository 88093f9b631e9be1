"""Discs that were fitted on people hold for others, whatever their errors' distribution."""

from dataclasses import replace

import numpy as np
import pytest

from trustpose.geometry.expected_error import (
    SHARES,
    LabelledErrors,
    area_of_person,
    error_of,
    expected_error,
    fit_error_model,
)
from trustpose.poses import ErrorModel, Poses, Truth
from trustpose.skeletons import COCO_17, Skeleton

SIGMAS = COCO_17.sigmas


def people(count: int, seed: int) -> tuple[Poses, Truth]:
    """Poses whose errors have a heavier tail than the mixture (Student's t with two degrees of freedom), twice as large
    at the wrists and at qualities below a half; their labels are at 0."""
    generator = np.random.default_rng(seed)
    quality = generator.uniform(0.1, 0.95, (count, 17))
    poses = Poses(
        xy=np.zeros((count, 17, 2)),
        score=np.ones((count, 17)),
        quality=quality,
        box=np.tile([0.0, 0.0, 100.0, 200.0], (count, 1)),
        skeleton=COCO_17,
    )
    error = error_of(quality, SIGMAS, area_of_person(poses))
    factor = np.where(quality < 0.5, 2.0, 1.0)
    factor[:, [COCO_17.index("left_wrist"), COCO_17.index("right_wrist")]] *= 2
    xy = generator.standard_t(2, (count, 17, 2)) * (factor * error.std)[..., None]
    truth = Truth(xy=np.zeros((count, 17, 2)), v=np.full((count, 17), 2), skeleton=COCO_17)
    return replace(poses, xy=xy), truth


def fitted(count: int = 4000) -> ErrorModel:
    poses, truth = people(count, 0)
    model = fit_error_model(LabelledErrors.of_poses(poses, truth, np.arange(count), SIGMAS), COCO_17, "made-up people")
    assert model is not None
    return model


def within(poses: Poses, share: float) -> np.ndarray:
    error = expected_error(poses)
    assert error is not None
    return np.hypot(*poses.xy.transpose(2, 0, 1)) <= error.radius(share)


def test_discs_hold_for_others_by_joint_and_by_quality() -> None:
    """Where the mixture's own discs do not."""
    model, (others, _) = fitted(), people(4000, 1)
    trusted = replace(others, error_model=model)
    wrist, low = COCO_17.index("left_wrist"), others.quality < 0.5
    for share in (0.5, 0.8, 0.95):
        inside = within(trusted, share)
        assert inside.mean() == pytest.approx(share, abs=0.01)
        assert inside[low].mean() == pytest.approx(share, abs=0.015)
        assert inside[:, wrist].mean() == pytest.approx(share, abs=0.025)
        assert within(others, share)[:, wrist].mean() < share - 0.04


def test_probability_and_radius_are_inverse() -> None:
    others, _ = people(50, 2)
    error = expected_error(replace(others, error_model=fitted()))
    assert error is not None
    for share in (0.33, 0.5, 0.8, 0.95, 0.98):
        np.testing.assert_allclose(error.probability_within(error.radius(share)), share, atol=2e-3)
    radii = np.stack([error.radius(share) for share in np.arange(0.02, 1, 0.02)])
    assert (np.diff(radii, axis=0) >= 0).all() and np.isfinite(radii).all()
    plain = expected_error(others)
    assert plain is not None
    for name in ("std", "gross", "gross_std"):  # that weight keypoints elsewhere
        np.testing.assert_array_equal(getattr(error, name), getattr(plain, name))


def test_depths_are_the_ranks_of_split_conformal_prediction() -> None:
    """⌈(n + 1) p⌉-th smallest of n = 199, by hand: p = .5 the 100th, .8 the 160th, .95 the 190th, .99 the 198th."""
    poses, truth = people(199, 3)
    only = np.zeros((199, 17), int)
    only[:, 0] = 2
    errors = LabelledErrors.of_poses(poses, replace(truth, v=only), np.arange(199), SIGMAS)
    model = fit_error_model(errors, COCO_17, cell=1000)
    assert model is not None and model.joints == (("nose",),) and model.quality == ((),)
    assert (model.people, model.keypoints) == (199, 199)
    ordered = np.sort(errors.error.depth_within(errors.distance))
    for share, rank in ((0.5, 100), (0.8, 160), (0.95, 190), (0.99, 198)):
        assert model.depths[0][0][SHARES.index(share)] == pytest.approx(ordered[rank - 1], abs=2e-4)


def test_coverage_of_small_fits_is_at_least_the_share_on_average() -> None:
    """The guarantee itself, over 400 fits of 100 keypoints each: ⌈101 p⌉ / 101 on average."""
    held = {0.8: [], 0.95: []}
    for seed in range(400):
        poses, truth = people(120, 1000 + seed)
        errors = LabelledErrors.of_poses(poses[:100], truth[:100], np.arange(100), SIGMAS)
        model = fit_error_model(errors[errors.joint == 0], COCO_17, cell=1000)
        others = replace(poses[100:], error_model=model)
        for share, rows in held.items():
            rows.append(within(others, share)[:, 0].mean())
    assert np.mean(held[0.8]) == pytest.approx(81 / 101, abs=0.012)
    assert np.mean(held[0.95]) == pytest.approx(96 / 101, abs=0.008)


def test_joints_are_found_by_name_and_others_keep_the_mixture() -> None:
    model, (poses, _) = fitted(), people(3, 4)
    trusted = replace(poses, error_model=model)
    order = np.arange(17)[::-1].copy()
    names = tuple(COCO_17.names[index] for index in order)
    turned = trusted.take_keypoints(order, replace_names(names))
    whole, part = expected_error(trusted, sigmas=SIGMAS), expected_error(turned, sigmas=SIGMAS[order])
    assert whole is not None and part is not None
    np.testing.assert_array_equal(part.radius(0.8), whole.radius(0.8)[:, order])
    unknown = expected_error(
        replace(trusted, skeleton=replace_names(tuple(f"joint {index}" for index in range(17)))), sigmas=SIGMAS
    )
    plain = expected_error(poses)
    assert unknown is not None and plain is not None
    np.testing.assert_allclose(unknown.radius(0.8), plain.radius(0.8), rtol=1e-5)


def replace_names(names: tuple[str, ...]) -> Skeleton:
    return replace(COCO_17, name="other", keypoints=names, edges=())


def test_too_few_keypoints_give_no_model() -> None:
    poses, truth = people(40, 5)
    assert fit_error_model(LabelledErrors.of_poses(poses, truth, np.arange(40), SIGMAS), COCO_17) is None


def test_concatenated_poses_keep_a_common_model_alone() -> None:
    model, (poses, _) = fitted(), people(4, 6)
    changed_poses = replace(poses, error_model=model)
    again = replace(poses, error_model=ErrorModel.of_json(model.to_json()))
    assert Poses.concatenate([changed_poses, again]).error_model == model
    assert Poses.concatenate([changed_poses, poses]).error_model is None
    assert changed_poses[1:2].error_model is model


def test_json_round_trip_and_wrong_values() -> None:
    model = fitted()
    value = model.to_json()
    assert ErrorModel.of_json(value) == model
    depths = [list(cell) for cell in value["depths"][0]]
    depths[0][3] = 0.0
    wrong = (
        ({"version": 2}, "errors.version: expected 1, got 2"),
        ({"more": 1}, "errors.more is unknown, expected one of shares, joints"),
        ({"shares": [0.5, 0.4]}, "errors.shares: expected ascending"),
        ({"depths": [depths, *value["depths"][1:]]}, "errors.depths: expected numbers from 0 to 10000 that never"),
        (
            {"quality": [[0.5, float("nan")], *value["quality"][1:]]},
            "errors.quality.0.1: expected a finite",
        ),
        ({"quality": [[0.5, 0.5], *value["quality"][1:]]}, "errors.quality: expected ascending"),
        ({"joints": [["nose"], ["nose"]]}, "errors.joints: expected each joint in one group"),
        ({"shares": None}, "errors.shares: expected a list, got None"),
    )
    for change, message in wrong:
        with pytest.raises(ValueError, match=message):
            ErrorModel.of_json({**value, **change})
