"""The site builds without a warning, and a reader needs no network: every page loads files of the site only."""

import html
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote

import pytest

import trustpose as tp
from tests.conftest import REPOSITORY
from trustpose.extras import not_installed

pytestmark = pytest.mark.slow

# what a browser fetches by itself when it opens a page or reads its style; links for the reader are none of these
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed|input|object)\b[^>]*?\s(?:src|data|srcset)=["']?([^"'\s>]+)"""
    r"""|<link\b(?=[^>]*rel=["']?(?:stylesheet|preconnect|preload|dns-prefetch|icon|manifest))[^>]*?href=["']?([^"'\s>]+)""",
)
IN_STYLE = re.compile(r"""(?:@import\s+|url\()["']?([^"')\s]+)""")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mkdocs", reason=not_installed("mkdocs", "docs"))
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_every_page_of_docs_is_on_the_site(site: Path) -> None:
    pages = [page.relative_to(REPOSITORY / "docs") for page in (REPOSITORY / "docs").rglob("*.md")]
    assert len(pages) > 25
    for page in pages:
        built = site / (page.parent / "index.html" if page.stem == "README" else page.with_suffix(".html"))
        assert built.is_file(), page


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 35
    for page in pages:
        text = page.read_text(encoding="utf-8")
        loaded = {first or second for first, second in LOADED.findall(text)}
        assert any("search" in one or "bundle" in one for one in loaded), f"{page}: no script found, so nothing checked"
        elsewhere = {one for one in loaded if re.match(r"(?:[a-z]+:)?//", one)}
        assert not elsewhere, f"{page.name} loads {elsewhere}"
        assert 'class="mermaid"' not in text  # the theme would fetch mermaid's script
    for sheet in site.rglob("*.css"):
        elsewhere = {match for match in IN_STYLE.findall(sheet.read_text()) if re.match(r"(?:https?:)?//", match)}
        assert not elsewhere, f"{sheet.name} loads {elsewhere}"


def test_search_needs_no_server(site: Path) -> None:
    index = (site / "search" / "search_index.js").read_text(encoding="utf-8")
    assert index.startswith("var __index") and "headroom" in index and "trustpose.evaluation.audit.audit" in index


def test_every_link_leads_to_a_file_of_the_site(site: Path) -> None:
    assert 'href="cards/default.html"' in (site / "default-model.html").read_text(encoding="utf-8")  # ../src/… there
    for page in site.rglob("*.html"):
        links = re.findall(r"""<a\b[^>]*?href=["']?([^"'\s>]+)""", page.read_text(encoding="utf-8"))
        inside = {unquote(link.partition("#")[0]) for link in links if not re.match(r"[a-z]+:|#", link)}
        missing = [link for link in inside if page.name != "404.html" and not (page.parent / link).exists()]
        assert not missing, f"{page.relative_to(site)} links to {missing}"


def test_notebooks_are_kept_without_outputs() -> None:
    notebooks = list((REPOSITORY / "docs").rglob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        notebook = json.loads(path.read_text(encoding="utf-8"))
        cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
        assert notebook["nbformat"] == 4 and len(cells) > 4
        assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in cells), path.name


def test_the_notebook_ran_and_shows_what_it_says(site: Path) -> None:
    page = (site / "notebooks" / "first-look.html").read_text(encoding="utf-8")
    text = html.unescape(re.sub("<[^>]+>", "", page))
    assert "Poses(1 person, 17 keypoints (coco17)" in text
    rows = {words[0]: words[1:] for line in text.splitlines() if len(words := line.split()) == 6}
    score, quality, absent = (float(one) for one in rows["left_elbow"][:3])
    assert (
        score > 0.3 and quality < 0.1 and absent > 0.9
    )  # "a score that many would keep": the elbow is not in the photo
    distances = re.findall(r"(?:printed|calibrated): mean distance of score and OKS ([\d.]+)", text)
    assert float(distances[-2]) > 2 * float(distances[-1])
    assert page.count('src="data:image/png;base64,') >= 2


def test_the_python_api_has_every_public_name(site: Path) -> None:
    pages = "".join(page.read_text(encoding="utf-8") for page in (site / "api").glob("*.html"))
    documented = set(re.findall(r'<h\d[^>]* id="trustpose\.[\w.]*?(\w+)" class="doc doc-heading"', pages))
    assert len(documented) > 60
    assert set(tp.__all__) - {"SKELETONS"} <= documented and "<code>tp.SKELETONS</code>" in pages
