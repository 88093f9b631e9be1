"""Addresses in messages, help and docstrings lead to pages and headings that the site has."""

import re

from tests.conftest import REPOSITORY
from trustpose.addresses import SITE, page

SOURCES = [path for path in (REPOSITORY / "src").rglob("*") if path.suffix in {".py", ".json", ".md", ".html"}]
ADDRESS = re.compile(re.escape(SITE) + r"/(?P<name>[\w/-]+)\.html|\bpage\(['\"](?P<page>[^'\"#]+)")


def test_addresses_lead_to_pages():
    names = [match["name"] or match["page"] for path in SOURCES for match in ADDRESS.finditer(path.read_text())]
    missing = {name for name in names if not (REPOSITORY / "docs" / f"{name}.md").is_file()}
    assert len(names) > 20 and not missing


def test_what_is_installed_names_no_file_of_the_repository():
    file = re.compile(r"(?<![\w./-])docs/[\w/-]+\.md|\bcheckout\b")
    named = {
        path: match[0] for path in SOURCES for match in file.finditer(path.read_text()) if not _is_of_others(match)
    }
    assert not named


def _is_of_others(match: re.Match[str]) -> bool:
    return match[0] == "docs/run.md"  # AlphaPose's


def test_a_heading():
    assert page("evaluation#parity") == f"{SITE}/evaluation.html#parity"
