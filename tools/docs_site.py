"""MkDocs hooks: pages that live outside docs/, links that leave it, and notebooks, which run when the site is built.

CONTRIBUTING.md, CHANGELOG.md and the model cards stay where GitHub and the packages expect them, and are pages of the
site too. Links are written for the repository; on the site, one to such a file leads to its page, and one to any
other file outside docs/ becomes plain text.
"""

import posixpath
import re
import sys
from dataclasses import MISSING
from importlib import import_module
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File

sys.path.insert(0, str(Path(__file__).parent))
from notebook_page import page_of

from trustpose.options import flag, options_of

REPOSITORY = Path(__file__).parents[1]
_CARDS = list(REPOSITORY.glob("src/trustpose/models/*/README.md"))
_SHIPPED = REPOSITORY / "src/trustpose/calibration/shipped"
# page of the site: file of the repository
PAGES = {
    "CONTRIBUTING.md": "CONTRIBUTING.md",
    "CHANGELOG.md": "CHANGELOG.md",
    **{f"cards/{card.parent.name}.md": card.relative_to(REPOSITORY).as_posix() for card in _CARDS},
    **{f"cards/{card.name}": card.relative_to(REPOSITORY).as_posix() for card in sorted(_SHIPPED.glob("*.md"))},
}
_PAGE_OF = {path: page for page, path in PAGES.items()} | {
    _SHIPPED.relative_to(REPOSITORY).as_posix(): "cards/mediapipe.md",
    "docs": "index.md",
    "README.md": "index.md",
}
_OPTIONS = re.compile(r"<!-- options: ([\w.]+) -->")
_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")


def options_table(name: str) -> str:
    """Return the options of a record, such as trustpose.predict.options.RunOptions, as a table in Markdown."""
    module, _, record = name.rpartition(".")
    rows = ["| option | default | |", "|---|---|---|"]
    for field, option in options_of(getattr(import_module(module), record)).values():
        default = "" if field.default is MISSING else f"`{field.default!r}`"
        description = option.description.replace("|", "\\|")
        rows.append(f"| `{field.name}`, `{flag(field.name)}` | {default} | {description} |")
    return "\n".join(rows)


def on_files(files: Any, config: Any) -> Any:
    """Add the pages from outside docs/, and a page in the place of each notebook."""
    for file in [one for one in files if one.src_uri.endswith(".ipynb")]:
        files.remove(file)
        page = file.src_uri.replace(".ipynb", ".md")
        files.append(File.generated(config, page, content=page_of(REPOSITORY / "docs" / file.src_uri)))
    for page, path in PAGES.items():
        files.append(File.generated(config, page, content=(REPOSITORY / path).read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links of the repository into links of the site, outside code, and put in the tables of options."""
    uri = page.file.src_uri
    markdown = _OPTIONS.sub(lambda name: options_table(name[1]), markdown)
    parts = re.split(r"(^```.*?^```|`[^`\n]*`)", markdown, flags=re.MULTILINE | re.DOTALL)
    return "".join(part if i % 2 else _LINK.sub(lambda link: _on_site(link, uri), part) for i, part in enumerate(parts))


def _on_site(link: re.Match[str], uri: str) -> str:
    text, target = link.groups()
    if re.match(r"[a-z]+:|#", target):
        return link[0]
    path, _, anchor = target.partition("#")
    source = PAGES.get(uri, f"docs/{uri}")
    file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
    page = _PAGE_OF.get(file) or (file.removeprefix("docs/") if file.startswith("docs/") else None)
    if page is None:
        return text
    page = page.removesuffix(".ipynb") + ".md" if page.endswith(".ipynb") else page
    there = posixpath.relpath(page, posixpath.dirname(uri) or ".")
    if (REPOSITORY / file).is_dir() and file.startswith("docs/"):
        there += "/README.md"
    return f"[{text}]({there}{'#' + anchor if anchor else ''})"
