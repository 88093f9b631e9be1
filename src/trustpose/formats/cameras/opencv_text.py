"""The YAML and XML that OpenCV's `cv2.FileStorage` writes, read without it: a matrix of −1 columns makes it free memory
twice, which ends the process.

XML: maps of elements, sequences of `<_>`, or of tokens between white space. YAML: a subset of 1.0, maps and sequences
by indentation or in brackets, without anchors. Both: matrices (`opencv-matrix`) with `rows`, `cols`, the letter of
their numbers in `dt` and `data` (OpenCV's documentation of "XML/YAML/JSON file storages").
"""

import math
import re
from typing import Any
from xml.etree import ElementTree

import numpy as np

Line = tuple[int, int, str]  # its number in the file, its indentation, its text without it

_DEEPEST = 20  # maps and sequences within one another
_NUMBER = re.compile(r"[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d{1,9})?")
_NOT_FINITE = {".nan": np.nan, ".inf": np.inf, "+.inf": np.inf, "-.inf": -np.inf}
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_TOKEN = re.compile(r'"((?:[^"]|"(?=\S))*)"(?!\S)|(\S+)')  # of XML, whose escapes are entities
_NAME = re.compile(rf"{_QUOTED}(?=\s*:)|[^\s:\"\[\]{{}}][^:]*")
_FLOW = re.compile(rf"\s*({_QUOTED}|'(?:[^']|'')*'|[\[\]{{}},:]|[^\s\[\]{{}},:\"][^\[\]{{}},:]*)")
_COMMENT = re.compile(rf"(?:[^\"#]|{_QUOTED}|\"|(?<=\S)#)*")
_CHANNELS = re.compile(r"(\d{0,2})[a-z]")


def parse_xml(content: bytes) -> Any:
    """Return the value of a file's root. Raises ValueError with the reason if it is not read."""
    if b"<!ENTITY" in content:  # which can name other files, or grow without end
        raise ValueError("holds an XML entity")
    try:
        root = ElementTree.fromstring(content)
    except (ElementTree.ParseError, LookupError, RecursionError) as error:
        raise ValueError(f"{error}") from None
    return _of_element(root, 0)


def _of_element(element: ElementTree.Element, depth: int) -> Any:
    if depth > _DEEPEST:
        raise ValueError(f"<{element.tag}>: more than {_DEEPEST} elements within one another")
    if any(child.tag != "_" for child in element):
        return _of_map([(child.tag, _of_element(child, depth + 1)) for child in element])
    items: list[Any] = _tokens(element.text)
    for child in element:
        items += [_of_element(child, depth + 1), *_tokens(child.tail)]
    is_sequence = len(element) or len(items) > 1
    return items if is_sequence else items[0] if items else None


def _tokens(text: str | None) -> list[float | str]:
    return [one[1] if one[2] is None else _scalar(one[2]) for one in _TOKEN.finditer(text or "")]


def parse_yaml(content: bytes) -> Any:
    """Return the value of a file. Raises ValueError with the reason if it is not read."""
    lines = _lines(content.decode("utf-8-sig"))
    if not lines:
        return None
    value, at = _block(lines, 0, 0)
    if at < len(lines):
        raise ValueError(f"line {lines[at][0]}: expected another indentation")
    return value


def _lines(text: str) -> list[Line]:
    """Return lines without comments and blank ones; what is in brackets is one line."""
    lines: list[Line] = []
    opened = 0
    for number, whole in enumerate(text.splitlines(), 1):
        found = _COMMENT.match(whole)
        line = (whole if found is None else found[0]).rstrip()
        if not line.strip() or (not opened and line.startswith(("%", "---", "..."))):
            continue
        indent = len(line) - len(line.lstrip(" "))
        if opened:
            lines[-1] = (*lines[-1][:2], f"{lines[-1][2]} {line.strip()}")
        else:
            lines.append((number, indent, line.lstrip(" ")))
        brackets = re.sub(_QUOTED, "", line)
        opened += sum(map(brackets.count, "[{")) - sum(map(brackets.count, "]}"))
    return lines


def _block(lines: list[Line], at: int, depth: int) -> tuple[Any, int]:
    """Return the map, sequence or scalar that begins at a line, and the line after it."""
    number, indent, text = lines[at]
    if depth > _DEEPEST:
        raise ValueError(f"line {number}: more than {_DEEPEST} maps and sequences within one another")
    if text == "-" or text.startswith("- "):
        return _sequence(lines, at, depth)
    if _entry(text) is None:
        return _flow(text, number), at + 1
    pairs = []
    while at < len(lines) and lines[at][1] == indent:
        number, _, text = lines[at]
        entry = _entry(text)
        if entry is None:
            raise ValueError(f"line {number}: expected a name and a value, got {text[:40]!r}")
        name, rest = entry
        at += 1
        if rest:
            value = _flow(rest, number)
        elif at < len(lines) and (lines[at][1] > indent or (lines[at][1] == indent and lines[at][2][:1] == "-")):
            value, at = _block(lines, at, depth + 1)
        else:
            value = None
        pairs.append((name, value))
    return _of_map(pairs), at


def _entry(text: str) -> tuple[str, str] | None:
    """Return a line's name and the value after the colon, without a tag; None if it has no name."""
    found = _NAME.match(text)
    if found is None or not found[0]:
        return None
    name, value = found[0].rstrip(), text[found.end() :].lstrip()
    if value[:1] != ":" or not (value[1:2].isspace() or value == ":"):
        return None
    return (str(_scalar(name)) if name[0] == '"' else name), _without_tag(value[1:].lstrip())


def _without_tag(text: str) -> str:
    return text.partition(" ")[2].lstrip() if text.startswith("!") else text


def _sequence(lines: list[Line], at: int, depth: int) -> tuple[list[Any], int]:
    indent, items = lines[at][1], []
    while at < len(lines) and lines[at][1] == indent and (lines[at][2] == "-" or lines[at][2].startswith("- ")):
        number, _, text = lines[at]
        rest = _without_tag(text[1:].lstrip())
        if rest:  # what follows the dash is the first line of the item
            lines[at] = (number, indent + len(text) - len(rest), rest)
        else:
            at += 1
            if at == len(lines) or lines[at][1] <= indent:
                items.append(None)
                continue
        value, at = _block(lines, at, depth + 1)
        items.append(value)
    return items, at


def _flow(text: str, number: int) -> Any:
    """Return a value on one line: a scalar, or a sequence or map in brackets."""
    if text[:1] not in "[{":
        return _scalar(text)
    tokens, end = [], 0
    while end < len(text):
        found = _FLOW.match(text, end)
        if found is None:
            raise ValueError(f"line {number}: cannot be read from {text[end : end + 40]!r} on")
        tokens.append(found[1].rstrip())
        end = found.end()
    try:
        value, end = _bracket(tokens, 0, 0)
    except IndexError:
        raise ValueError(f"line {number}: a bracket is not closed") from None
    if end < len(tokens):
        raise ValueError(f"line {number}: expected nothing after the bracket, got {tokens[end][:40]!r}")
    return value


def _bracket(tokens: list[str], at: int, depth: int) -> tuple[Any, int]:
    if tokens[at] not in ("[", "{"):
        return _scalar(tokens[at]), at + 1
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} brackets within one another")
    is_map, closing = tokens[at] == "{", "}" if tokens[at] == "{" else "]"
    items: list[Any] = []
    at += 1
    while tokens[at] != closing:
        if tokens[at] in ("]", "}", ",", ":"):
            raise ValueError(f"expected a value or {closing!r}, got {tokens[at]!r}")
        value, at = _bracket(tokens, at, depth + 1)
        if is_map:
            if tokens[at] != ":":
                raise ValueError(f"expected ':', got {tokens[at][:40]!r}")
            key = value
            value, at = _bracket(tokens, at + 1, depth + 1)
            value = (str(key), value)
        items.append(value)
        if tokens[at] == ",":
            at += 1
        elif tokens[at] != closing:
            raise ValueError(f"expected ',' or {closing!r}, got {tokens[at][:40]!r}")
    return (_of_map(items) if is_map else items), at + 1


def _scalar(token: str) -> float | str:
    token = token.strip()
    if _NUMBER.fullmatch(token) and len(token) < 100:
        return float(token)
    if token.lower() in _NOT_FINITE:
        return _NOT_FINITE[token.lower()]
    if len(token) > 1 and token[0] == token[-1] and token[0] in "\"'":
        return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), token[1:-1], flags=re.DOTALL)
    return token


def _of_map(pairs: list[tuple[str, Any]]) -> Any:
    """Return a map, or the matrix that it describes. Raises ValueError if a name is there twice or sizes contradict the
    numbers."""
    value: dict[str, Any] = {}
    for name, one in pairs:
        if name in value:
            raise ValueError(f"field '{name[:40]}' is there twice")
        value[name] = one
    if not {"rows", "cols", "dt", "data"} <= value.keys():
        return value
    data = value["data"] if isinstance(value["data"], list) else [value["data"]]
    channels = _CHANNELS.fullmatch(str(value["dt"]))
    sides = [value["rows"], value["cols"], 1.0 if channels is None else float(channels[1] or 1)]
    if channels is None or not all(type(side) is float and side % 1 == 0 and side >= 0 for side in sides):
        raise ValueError(
            "a matrix: expected whole numbers of rows and cols, and a letter in dt, got "
            + ", ".join(f"{value[name]!r:.20}" for name in ("rows", "cols", "dt"))
        )
    if not all(type(number) is float for number in data) or len(data) != math.prod(sides):
        expected = " × ".join(f"{side:g}" for side in (sides if sides[2] > 1 else sides[:2]))
        raise ValueError(f"a matrix: expected {expected} numbers in data, got {len(data)} values")
    shape = [int(side) for side in (sides if sides[2] > 1 else sides[:2])]
    return np.array(data, dtype=np.float64).reshape(shape)
