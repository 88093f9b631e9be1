"""What notebooks show of a record (`_repr_html_`): its line and a small table, with texts from files escaped."""

from collections.abc import Iterable, Sequence
from html import escape

_CELL = "text-align:right;padding:0 8px"


def html_line(text: str) -> str:
    """Return a line of text in the font of code."""
    return f"<div><code>{escape(text)}</code></div>"


def html_table(names: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table: a heading for each column, and the rows' cells."""
    lines = [_table_row("th", names), *(_table_row("td", row) for row in rows)]
    return f"<table>{''.join(lines)}</table>"


def html_record(line: str, fields: Iterable[tuple[str, object]]) -> str:
    """Return a record's line, and under it a table with a row for each field."""
    return html_line(line) + "\n" + html_table(("field", "value"), fields)


def _table_row(tag: str, cells: Sequence[object]) -> str:
    return "<tr>" + "".join(f'<{tag} style="{_CELL}">{escape(str(cell))}</{tag}>' for cell in cells) + "</tr>"
