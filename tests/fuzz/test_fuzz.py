"""Mutated files, read by every command: no traceback, no hang, no gigabytes, no messages of other libraries. Seeded, so
that a failure can be reproduced: `python -m tests.fuzz --target NAME --seed 0 --number N`.
"""

import numpy as np
import pytest

from tests.fuzz import mutations
from tests.fuzz.runner import CORPUS, Runner
from tests.fuzz.targets import TARGETS

MUTATIONS = 6  # of each target, here; by hand thousands (docs/reliability.md)


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    with Runner(tmp_path_factory.mktemp("fuzz"), tmp_path_factory.getbasetemp() / "fuzz-failures") as runner:
        yield runner


def _report(answer):
    return (
        f"{answer['target']} {answer.get('number', answer.get('corpus'))}: {answer.get('why')}\n{answer.get('trace')}"
    )


@pytest.mark.parametrize("target", [target.name for target in TARGETS])
def test_the_files_that_mutations_start_from_are_read(runner, target):
    answer = runner.mutate(target, 0, -1)
    assert answer["outcome"] == "read", _report(answer)


@pytest.mark.parametrize("target", [target.name for target in TARGETS])
def test_mutations_are_read_or_refused(runner, target):
    for number in range(MUTATIONS):
        answer = runner.mutate(target, 0, number)
        assert answer["outcome"] in ("read", "refused"), _report(answer)


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*")), ids=lambda path: f"{path.parent.name}/{path.name}")
def test_what_was_found_before(runner, path):
    if path.parent.name not in runner.targets:
        pytest.skip("needs the train extra")
    answer = runner.replay(path)
    assert answer["outcome"] in ("read", "refused"), _report(answer)


@pytest.mark.parametrize("mutate", [mutations.mutate_bytes, mutations.mutate_json, mutations.mutate_lines])
def test_mutations_repeat_themselves_and_change_something(mutate):
    content = b'{"a": [1, 2, {"b": "text"}], "c": null}'
    first, second = ([mutate(content, np.random.default_rng(seed)) for seed in range(20)] for _ in range(2))
    assert first == second and sum(changed != content for changed in first) > 15


def test_a_failure_is_seen(runner):
    """The worker's own checks: an exception, another library's output, a hang and too much memory are failures."""
    for number, message in enumerate(
        ("RuntimeError: on purpose", "said: another's words", "took over 10 s", "MemoryError")
    ):
        answer = runner.mutate("itself", 0, number)
        assert answer["outcome"] == "failed" and message in answer["why"], _report(answer)
