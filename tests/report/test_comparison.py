"""The sentences of a comparison, against the rows of its table."""

from pathlib import Path

import pytest

from tests.report.cases import make_audit
from trustpose.audit.record import Comparison
from trustpose.report.comparison import comparison


def pair(metric: str, difference: float, low: float, high: float) -> Comparison:
    return Comparison("a", "b", metric, difference, low, high)


@pytest.mark.parametrize("low", [-0.097, 0.020])
def test_no_sentence_stands_against_a_row_that_excludes_0(tmp_path: Path, low: float) -> None:
    """Two files with equal Pearson correlations, of which rank correlation tells one the better."""
    record = make_audit(tmp_path, 24, extra=True)
    numbers = {"ap.AP": 0.0, "pose.pearson": 0.001, "pose.ece": 0.0}
    same = {name: pair(name, value, -0.01, 0.012) for name, value in numbers.items()}
    rank = pair("pose.spearman", low + 0.0385, low, low + 0.077)
    found = {(i, 1 - i): same | {"pose.spearman": rank} for i in range(2)}
    sentences = comparison([record, record], ["A", "B"], found)
    ranking = next(sentence for sentence in sentences if sentence.startswith("The correlation"))
    assert "best" not in ranking and "the two are not distinguishable." in ranking
    leader, follower = ("A", "B") if ranking.startswith("The correlation of score and OKS: A") else ("B", "A")
    assert f"By rank correlation (Spearman), {leader if low > 0 else follower} is better, by" in ranking
