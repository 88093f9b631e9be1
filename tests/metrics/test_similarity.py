"""OPKS tables against plain numpy on each keypoint's labelled rows."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import quantile

from trustpose.metrics.similarity import similarity_table


@given(st.integers(0, 30), st.integers(1, 5), st.data())
def test_against_the_labelled_rows(n, k, data):
    opks = data.draw(hnp.arrays(np.float64, (n, k), elements=st.integers(0, 20).map(lambda i: i / 20)))
    labelled = data.draw(hnp.arrays(np.bool_, (n, k)))
    table = similarity_table(opks, labelled)
    assert table.share.shape == (3, k)
    for i in range(k):
        values = opks[labelled[:, i], i]
        assert table.count[i] == len(values)
        if len(values) == 0:
            assert np.isnan([table.mean[i], table.lower_quartile[i], table.median[i], *table.share[:, i]]).all()
            continue
        assert np.isclose(table.mean[i], values.mean())
        quartiles = [table.lower_quartile[i], table.median[i], table.upper_quartile[i]]
        np.testing.assert_allclose(quartiles, quantile(values, np.array([0.25, 0.5, 0.75])), atol=1e-12)
        np.testing.assert_allclose(table.share[:, i], [np.mean(values >= t) for t in (0.5, 0.75, 0.95)])


def test_own_thresholds():
    table = similarity_table(np.array([[0.2, 0.0], [0.6, 0.9]]), np.array([[True, False], [True, True]]), (0.3,))
    assert table.share.tolist() == [[0.5, 1.0]] and table.thresholds == (0.3,)
