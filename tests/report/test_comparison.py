"""The sentences of a comparison, against the rows of its table."""

import re

import numpy as np
import pytest

from tests.report.cases import make_audit
from trustpose.evaluation.record import Audit, Comparison
from trustpose.report.comparison import Differences, comparison
from trustpose.report.page import CROWDING, FOLLOWING, HEADLINES, IN_PIXELS, PRESENCE

TABLE = HEADLINES | CROWDING | FOLLOWING | PRESENCE | IN_PIXELS
ROWS = [row for group in TABLE.values() for row in group]
TITLES = [title for _, title, _ in ROWS]


@pytest.fixture(scope="module")
def record(tmp_path_factory) -> Audit:
    return make_audit(tmp_path_factory.mktemp("comparison"), 24, extra=True)


def pair(metric: str, difference: float, low: float, high: float) -> Comparison:
    return Comparison("a", "b", metric, difference, low, high)


def both(rows: dict[str, tuple[float, float, float]]) -> Differences:
    """Differences of two files, A minus B and B minus A."""
    mine = {name: pair(name, *values) for name, values in rows.items()}
    theirs = {name: pair(name, -difference, -high, -low) for name, (difference, low, high) in rows.items()}
    return {(0, 1): mine, (1, 0): theirs}


@pytest.mark.parametrize("low", [-0.097, 0.020])
def test_equal_pearson_correlations_of_which_ranks_tell_one_the_better(record: Audit, low: float) -> None:
    rows = {name: (0.001, -0.01, 0.012) for name in ("ap.AP", "pose.pearson", "pose.ece")}
    found = both(rows | {"pose.spearman": (low + 0.0385, low, low + 0.077)})
    ranking = comparison([record, record], ["A", "B"], found, TABLE)[2]
    assert ranking.startswith("Correlation of score and OKS: ") and "the two are not distinguishable." in ranking
    assert f"But {'A' if low > 0 else 'B'} is better in “Correlation of ranks (Spearman)” (" in ranking


def test_no_sentence_stands_against_a_row_that_excludes_0(record: Audit) -> None:
    """Every row whose interval excludes 0, of tables drawn at random: a sentence says the same or names it."""
    random = np.random.default_rng(0)
    for _ in range(100):
        middle = {name: float(random.choice([-0.05, 0, 0.05])) for name, *_ in ROWS}
        found = both({name: (value, value - 0.02, value + 0.02) for name, value in middle.items()})
        sentences = comparison([record, record], ["A", "B"], found, TABLE)[1:]
        assert len(sentences) == 3
        verdicts = {match[1] for text in sentences if (match := re.search(r": (\w) is better\.", text)) is not None}
        clauses = dict.fromkeys("AB", "")
        for text in sentences:
            for file, rows in re.findall(r"But (\w) is better in (.*?)\.(?= But|$)", text):
                clauses[file] += rows
        for group, rows in TABLE.items():
            for name, title, higher in rows:
                row = f"“{title}”" if TITLES.count(title) == 1 else f"“{group}: {title}”"
                if higher is None or middle[name] == 0:
                    assert row not in clauses["A"] + clauses["B"]
                    continue
                better, worse = "AB" if (middle[name] > 0) == higher else "BA"
                assert row not in clauses[worse]
                assert row in clauses[better] or better in verdicts
        assert clauses["A"] or clauses["B"]
