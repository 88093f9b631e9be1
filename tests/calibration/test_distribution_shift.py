"""Distribution shift: no warning for people like the fitted ones, a warning for others."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import ks_2samp, kstwobign

from trustpose.calibration.shift import Domain, Shift
from trustpose.files import InputError


def _people(
    count: int, seed: int, shift: float = 0.0, stretch: float = 1.0
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    random = np.random.default_rng(seed)
    latent = random.normal(size=(2, count))
    noise = random.normal(size=(6, count))
    features = {f"f{i}": (latent[i % 2] + 0.3 * noise[i] * stretch + shift).astype(np.float32) for i in range(6)}
    return features, random.beta(2, 2, (4, count)).astype(np.float32)


def test_people_like_the_fitted_ones_raise_no_warning() -> None:
    domain = Domain.of(*_people(3000, 0))
    for seed, count in ((1, 1000), (2, 200), (3, 20), (4, 1)):
        shift = domain.compare(*_people(count, seed))
        assert shift.warnings() == [], (count, shift)
    assert domain.compare(*_people(3000, 5)).share_outside == pytest.approx(0.01, abs=0.006)


def test_few_fitted_people_give_no_false_warnings() -> None:
    random = np.random.default_rng(0)
    fitted, others = ({f"f{i}": row for i, row in enumerate(random.normal(size=(150, n)))} for n in (100, 1000))
    domain = Domain.of(fitted, random.random((4, 100)))
    assert domain.compare(others, random.random((4, 1000))).share_outside < 0.03


def test_other_people_and_other_scores_raise_warnings() -> None:
    domain = Domain.of(*_people(3000, 0))
    moved = domain.compare(*_people(500, 1, shift=0.7))
    assert [warning[:12] for warning in moved.warnings()] == ["these people"]
    features, score = _people(500, 1)
    comparison = domain.compare(features, score**3)
    assert len(comparison.warnings()) == 1 and comparison.warnings()[0].startswith("keypoint scores")
    odd = domain.compare(*_people(500, 1, stretch=4))  # each feature alone is hardly unusual; together they are
    assert odd.share_outside > 0.5 and any("more extreme" in warning for warning in odd.warnings())


@given(st.integers(0, 10**6), st.floats(-1, 1), st.booleans())
@settings(max_examples=30)
def test_distances_are_kolmogorovs_and_smirnovs(seed: int, shift: float, coarse: bool) -> None:
    features, score = _people(400, seed)
    others, other_score = _people(300, seed + 1, shift=shift)
    if coarse:  # counts, where many people share a value
        features, others = ({name: row.round() for name, row in one.items()} for one in (features, others))
    domain = Domain.of(features, score)
    comparison = domain.compare(others, other_score)
    exact = np.mean([ks_2samp(features[name], others[name]).statistic for name in features])
    assert comparison.feature_distance == pytest.approx(exact, abs=0.02)  # at 101 quantiles, not at every value
    assert comparison.score_distance == pytest.approx(ks_2samp(score.ravel(), other_score.ravel()).statistic, abs=0.02)


def test_other_features_are_refused() -> None:
    features, score = _people(100, 0)
    domain = Domain.of(features, score)
    with pytest.raises(InputError, match="features that this version"):
        domain.compare(dict(list(features.items())[1:]), score)


@pytest.mark.parametrize(
    ("test", "threshold"), [("score_distance", 0.15), ("feature_distance", 0.1), ("share_outside", 0.05)]
)
def test_a_hundred_people_may_differ_by_14_hundredths_more_than_many(test: str, threshold: float) -> None:
    """1.4 / √100; the 95th percentile of Kolmogorov's distribution (scipy's) is 1.358."""
    assert kstwobign.ppf(0.95) == pytest.approx(1.4, abs=0.05)
    quiet = {"score_distance": 0.0, "feature_distance": 0.0, "share_outside": 0.0}
    for distance, warned in ((threshold + 0.135, 0), (threshold + 0.145, 1)):
        shift = Shift(people=100, features=(), **(quiet | {test: distance}))
        assert len(shift.warnings()) == warned, distance
