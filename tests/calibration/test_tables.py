"""Trees as tables give LightGBM's predictions."""

import lightgbm
import numpy as np
import pytest

from trustpose.calibration.trees import MAX_SPLITS, TreeTables


def _booster(seed: int, leaves: int = MAX_SPLITS + 1, trees: int = 25) -> tuple[lightgbm.Booster, np.ndarray]:
    random = np.random.default_rng(seed)
    table = random.normal(size=(600, 6)).astype(np.float32).round(1)  # rounded: rows lie on thresholds
    target = 1 / (1 + np.exp(-(table[:, 0] * table[:, 1] + np.sin(2 * table[:, 2]))))
    options = {"objective": "cross_entropy", "num_leaves": leaves, "min_data_in_leaf": 5, "verbose": -1, "seed": seed}
    return lightgbm.train(options | {"num_threads": 1}, lightgbm.Dataset(table, target), trees), table


@pytest.mark.parametrize("seed", range(5))
def test_tables_equal_lightgbm(seed: int) -> None:
    booster, table = _booster(seed)
    random = np.random.default_rng(seed)
    others = np.concatenate([table[:50], random.normal(0, 3, (50, 6)).astype(np.float32)])
    ours = TreeTables.of(booster.dump_model()).raw_score(list(others.T.copy()))
    np.testing.assert_allclose(ours, booster.predict(others, raw_score=True), atol=2e-6)


def test_rows_on_a_threshold_go_the_same_way() -> None:
    booster, _ = _booster(0)
    tables = TreeTables.of(booster.dump_model())
    questions = zip(tables.feature.ravel(), tables.threshold.ravel(), strict=True)
    # LightGBM keeps 0 apart by a threshold of 1e-35, on which no feature of ours ever lies
    asked = [(feature, threshold) for feature, threshold in questions if feature >= 0 and abs(threshold) > 1e-30][:40]
    rows = np.zeros((3 * len(asked), 6), dtype=np.float32)
    for index, (feature, threshold) in enumerate(asked):
        below, above = np.nextafter(threshold, np.float32(-9)), np.nextafter(threshold, np.float32(9))
        rows[3 * index : 3 * index + 3, feature] = (below, threshold, above)
    np.testing.assert_allclose(tables.raw_score(list(rows.T.copy())), booster.predict(rows, raw_score=True), atol=2e-6)


def test_features_of_a_person_count_for_all_its_keypoints() -> None:
    booster, table = _booster(1)
    tables = TreeTables.of(booster.dump_model())
    shaped = table[:120].reshape(4, 30, 6)  # (K, N, F)
    shaped[:, :, 3:] = shaped[:1, :, 3:]
    flat = tables.raw_score(list(shaped.reshape(120, 6).T.copy()))
    own = [np.ascontiguousarray(shaped[:, :, index]) for index in range(3)]
    shared = [np.ascontiguousarray(shaped[:1, :, index]) for index in range(3, 6)]
    np.testing.assert_array_equal(tables.raw_score([*own, *shared]), flat.reshape(4, 30))


def test_a_tree_with_more_splits_is_refused() -> None:
    booster, _ = _booster(0, leaves=MAX_SPLITS + 3, trees=1)
    with pytest.raises(ValueError, match="expected at most 8"):
        TreeTables.of(booster.dump_model())
