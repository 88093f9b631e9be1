"""The drawings of the README and the docs are those of tools/drawings; the drawing of the layers matches the code."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

ASSETS = REPOSITORY / "docs" / "assets"


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawings")
    subprocess.run([sys.executable, str(REPOSITORY / "tools" / "drawings"), str(folder)], check=True)
    return folder


def test_the_drawings_are_up_to_date(drawn: Path) -> None:
    names = {path.name for path in drawn.iterdir()}
    assert names == {path.name for path in ASSETS.glob("*.svg")} and len(names) > 8
    for name in names:
        assert (drawn / name).read_text() == (ASSETS / name).read_text(), f"{name}: run `python tools/drawings`"


def test_every_drawing_is_shown(drawn: Path) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (REPOSITORY / "docs").glob("*.md"))
    for path in drawn.iterdir():
        assert f"](assets/{path.name})" in pages, path.name


def test_every_picture_is_shown_and_small() -> None:
    """Pictures of the program depend on a machine's fonts, so only their size and place are checked."""
    docs = REPOSITORY / "docs"
    shown = {
        (page.parent / path).resolve()
        for page in docs.rglob("*.md")
        for path in re.findall(r"!\[[^\]]+\]\(([^)]+\.(?:png|jpg))\)", page.read_text(encoding="utf-8"))
    }
    pictures = {path.resolve() for path in ASSETS.iterdir() if path.suffix in (".png", ".jpg")}
    assert pictures == shown and len(pictures) >= 5
    for path in pictures:
        assert path.stat().st_size < 150_000, path.name


def test_the_layers_are_those_that_the_imports_are_checked_against(drawn: Path) -> None:
    contracts = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (house,) = [contract["layers"] for contract in contracts if contract["type"] == "layers"]
    in_code = [set(re.split(r" \| ", layer)) for layer in house]
    rows: dict[str, set[str]] = {}
    for y, names in re.findall(r'y="([\d.]+)"[^>]* font-weight="bold">([^<]+)<', (drawn / "layers.svg").read_text()):
        rows.setdefault(y, set()).update(names.split(", "))
    *above, ground = rows.values()
    assert above == in_code[1 : len(above) + 1]
    # without a box of their own
    small = {"addresses", "extras", "json_records", "names", "notebook", "options", "threads", "version"}
    assert ground | small == set().union(*in_code[len(above) + 1 :])
