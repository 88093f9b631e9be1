"""Folds over images."""

import numpy as np

from trustpose.images import fold_of


def test_folds_divide_images_and_cover_them():
    ids = np.repeat(np.random.default_rng(0).integers(0, 10**12, 4000), 2)
    fold = fold_of(ids, 5)
    assert (fold[::2] == fold[1::2]).all()
    share = np.bincount(fold, minlength=5) / len(fold)
    assert np.abs(share - 0.2).max() < 0.02
    assert fold_of(np.array([7, 139]), 5).tolist() == [0, 1]  # SHA-256's, which no version changes
