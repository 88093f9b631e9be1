"""The error that an expected OPKS stands for, against the OKS kernel and drawn errors."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.geometry.expected_error import error_of, expected_error, gaussian_error
from trustpose.geometry.oks import opks
from trustpose.poses import ExpectedError, Poses
from trustpose.report.scene import prepare
from trustpose.skeletons import COCO_17, FLIC_11

DRAWS = 100_000


@pytest.mark.parametrize("expected", [0.05, 0.3, 0.5, 0.8, 0.97])
def test_a_gaussian_error_of_this_size_has_this_expected_opks(expected):
    """The mean of the kernel over errors with this deviation along each axis is the OPKS it was made from."""
    area, sigmas = np.array([5000.0]), COCO_17.sigmas
    error = gaussian_error(np.full((1, 17), expected), sigmas, area)
    drawn = np.random.default_rng(0).normal(size=(DRAWS, 17, 2)) * error[0, :, None]
    mean = opks(drawn, np.zeros_like(drawn), np.full((DRAWS, 17), 2), np.full(DRAWS, 5000.0), sigmas).mean(axis=0)
    np.testing.assert_allclose(mean, expected, atol=0.005)


def drawn_errors(error: ExpectedError) -> np.ndarray:
    """Draw errors (DRAWS, K, 2) of one person from the mixture."""
    generator = np.random.default_rng(0)
    is_gross = generator.uniform(size=(DRAWS, error.gross.shape[1])) < error.gross
    return generator.normal(size=(*is_gross.shape, 2)) * np.where(is_gross, error.gross_std, error.std)[..., None]


@pytest.mark.parametrize("expected", [0.02, 0.3, 0.6, 0.9, 0.98])
def test_the_mixture_has_this_expected_opks_and_its_discs_hold_their_share(expected):
    sigmas = COCO_17.sigmas
    error = error_of(np.full((1, 17), expected), sigmas, np.array([5000.0]))
    drawn = drawn_errors(error)
    mean = opks(drawn, np.zeros_like(drawn), np.full((DRAWS, 17), 2), np.full(DRAWS, 5000.0), sigmas).mean(axis=0)
    np.testing.assert_allclose(mean, expected, atol=0.005)
    distance = np.linalg.norm(drawn, axis=2)
    for share in (0.5, 0.8, 0.95):
        np.testing.assert_allclose((distance <= error.radius(share)).mean(axis=0), share, atol=0.008)
    np.testing.assert_allclose(np.sqrt((drawn**2).mean(axis=(0, 2))), error.total_std[0], rtol=0.03)
    np.testing.assert_allclose(np.median(distance, axis=0), error.median[0], rtol=0.03)


@given(
    q=st.floats(0, 1),
    k=st.floats(0.01, 0.4),
    area=st.floats(1, 1e7),
    share=st.floats(0.01, 0.99),
)
def test_every_quality_gives_a_mixture(q, k, area, share):
    error = error_of(np.array([[q]]), np.array([k / 2]), np.array([area]))
    assert 0 < error.std[0, 0] <= error.gross_std[0, 0] < np.inf
    assert 0 <= error.gross[0, 0] < 1
    np.testing.assert_allclose(error.probability_within(error.radius(share)), share, atol=1e-4)

    double = error_of(np.array([[q]]), np.array([k / 2]), np.array([4 * area]))
    np.testing.assert_allclose(double.std, 2 * error.std)  # errors are in proportion to the person's size


def test_better_keypoints_have_smaller_errors():
    q = np.linspace(0.01, 0.99, 200)[:, None]
    error = error_of(np.repeat(q, 17, axis=1), COCO_17.sigmas, np.full(200, 1e4))
    for column in (error.median, error.radius(0.95), error.gross):
        assert (np.diff(column, axis=0) < 0).all()


def test_the_ends():
    ends = gaussian_error(np.array([[1.0, 0.0]]), np.array([0.1, 0.1]), np.array([9.0]))
    np.testing.assert_array_equal(ends, [[0, np.inf]])
    with pytest.raises(ValueError, match="share"):
        error_of(np.array([[0.5]]), np.array([0.1]), np.array([9.0])).radius(1.0)
    nothing = error_of(np.array([[0.5, np.nan]]), np.array([0.1, 0.1]), np.array([0.0]))
    np.testing.assert_array_equal(nothing.median, [[0, np.nan]])


def test_only_the_error_of_a_keypoint_that_is_there():
    """quality = P(labelled) × E[OPKS if labelled]: halving P(labelled) does not change the error."""
    quality = np.full((1, 17), 0.6)
    box = np.array([[10.0, 20, 110, 220]])
    alone = Poses(xy=np.zeros((1, 17, 2)), quality=quality, box=box, skeleton=COCO_17)
    visibility = np.tile([0.5, 0.2, 0.3], (1, 17, 1))
    half = Poses(xy=np.zeros((1, 17, 2)), quality=quality / 2, visibility=visibility, box=box, skeleton=COCO_17)
    expected = error_of(quality, COCO_17.sigmas, np.array([0.53 * 100 * 200]))
    np.testing.assert_allclose(expected_error(alone).std, expected.std)
    np.testing.assert_allclose(half.expected_error().median, expected.median)
    np.testing.assert_array_equal(half.keypoint_std(), half.expected_error().std)
    missing = np.zeros((1, 17), bool)
    missing[0, 3] = True
    lost = Poses(xy=np.zeros((1, 17, 2)), quality=quality, box=box, missing=missing, skeleton=COCO_17)
    assert (np.isnan(lost.keypoint_std()) == missing).all()
    assert Poses(xy=np.zeros((1, 17, 2)), skeleton=COCO_17).keypoint_std() is None
    assert expected_error(Poses(xy=np.zeros((1, 11, 2)), quality=np.ones((1, 11)), skeleton=FLIC_11)) is None


def test_discs_of_drawings_have_this_radius():
    quality = np.linspace(0.2, 0.9, 17)[None]
    xy = np.random.default_rng(0).uniform(50, 950, (1, 17, 2))
    poses = Poses(xy=xy, quality=quality, box=np.array([[50.0, 50, 950, 950]]), skeleton=COCO_17)
    scene = prepare(poses, COCO_17, "trust", None, (1000, 1000, 3))
    error = expected_error(poses).median
    drawn = scene.error > 0
    assert drawn.sum() > 8
    np.testing.assert_array_equal(scene.error[drawn], error[drawn])
    assert (error[~drawn] <= 1.8 * scene.radius[~drawn]).all(), "only those hidden by their joint are not drawn"
