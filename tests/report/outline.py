"""Parse a page of the report strictly, and check that it is valid and self-contained."""

import re
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "wbr", "path", "use", "image", "rect", "circle", "line"}


class Outline(HTMLParser):
    """Tags, attributes and text of a page; raises where tags do not close as they opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def check(text: str) -> Outline:
    """Parse a page; fails unless it is well formed, semantic and self-contained."""
    outline = Outline(text)
    assert text.startswith("<!DOCTYPE html>")
    assert len(outline.all("h1")) == 1
    assert not outline.all("script")
    assert not re.search(r"https?:|//[a-z]", re.sub(r'="data:[^"]*"', "", text)), "an address outside the page"
    assert not re.search(r"@import|@font-face", text)
    for tag, attributes in outline.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        for name in ("src", "href", "xlink:href", "srcset", "action", "data", "poster"):
            assert attributes.get(name, "#").startswith(("#", "data:")), (tag, name)
    for content in re.findall(r"url\(([^)]*)\)", text):
        assert content.startswith("#"), content
    ids = [attributes["id"] for _, attributes in outline.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in outline.tags:
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
    assert all(attributes.get("scope") for attributes in outline.all("th"))
    assert all(attributes.get("alt") for attributes in outline.all("img"))
    assert all(attributes.get("aria-label") for attributes in outline.all("svg"))
    policy = next(one for one in outline.all("meta") if one.get("http-equiv") == "Content-Security-Policy")
    assert policy["content"].startswith("default-src 'none'; img-src data:; style-src 'unsafe-inline'")
    return outline
