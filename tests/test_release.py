"""What a release states in several files is the same in all."""

import re
import tomllib
from typing import Any

import pytest

from tests.conftest import REPOSITORY
from trustpose.version import __version__

PROJECT: dict[str, Any] = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
ON_CONDA = {"matplotlib": "matplotlib-base", "opencv-python-headless": "py-opencv"}
RECIPE = (REPOSITORY / "packaging" / "conda" / "recipe.yaml").read_text()


@pytest.mark.parametrize(
    ("file", "pattern"),
    [
        ("CITATION.cff", r"^version: (.+)$"),
        ("packaging/conda/recipe.yaml", r"^  version: (.+)$"),
        ("CHANGELOG.md", r"^## ([\d.]+)"),
    ],
)
def test_the_version_is_the_same(file: str, pattern: str) -> None:
    versions = re.findall(pattern, (REPOSITORY / file).read_text(), re.M)
    assert versions and versions[0] == __version__


def test_conda_asks_for_the_same_packages() -> None:
    run = RECIPE.split("\n  run:\n")[1].split("\n\n")[0]
    asked = {name: least for name, least in re.findall(r"- ([\w-]+) >=([\d.]+)", run)}
    ours = dict(re.findall(r"^([\w-]+)>=([\d.]+)", "\n".join(PROJECT["dependencies"]), re.M))
    ours = {ON_CONDA.get(name, name): least for name, least in ours.items()}
    assert asked == {**ours, "python": PROJECT["requires-python"].removeprefix(">=")}


def test_links_of_the_readme_lead_on_an_index_where_they_lead_here() -> None:
    """The rules of pyproject.toml leave no relative link, and each names a file that is here."""
    rules = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]["hooks"]
    text = (REPOSITORY / "README.md").read_text()
    for file in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (REPOSITORY / file).is_file(), file
    for rule in rules["fancy-pypi-readme"]["substitutions"]:
        text = re.sub(rule["pattern"], rule["replacement"], text)
    addresses = re.findall(r"\]\(([^)]+)\)", text)
    assert len(addresses) > 10 and all(address.startswith("https://") for address in addresses)
