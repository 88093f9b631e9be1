"""The files and folders of the package that the docs send a reader to are there."""

import re

import pytest

from tests.conftest import REPOSITORY

PACKAGE = REPOSITORY / "src" / "trustpose"


@pytest.mark.parametrize(
    "page", ["docs/architecture.md", "docs/papers.md", "docs/evaluation.md", "docs/trust.md", "CONTRIBUTING.md"]
)
def test_the_files_that_the_page_names_exist(page: str) -> None:
    text = (REPOSITORY / page).read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:\w+/)+(?:\w+\.py)?)`", text))
    missing = {
        name
        for name in named
        if "NAME" not in name and not (PACKAGE / name).exists() and not (REPOSITORY / name).exists()
    }
    assert named and not missing


def test_the_architecture_names_five_files_to_read_first() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text(encoding="utf-8")
    table = text.partition("## Five files")[2].partition("\n## ")[0]
    files = re.findall(r"^\| `([\w/]+\.py)` \|", table, re.M)
    assert len(files) == 5
    for name in files:
        assert len((PACKAGE / name).read_text(encoding="utf-8").splitlines()) <= 500, name
