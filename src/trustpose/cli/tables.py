"""Tables on standard output."""

from collections.abc import Sequence
from typing import Any


def print_columns(
    rows: Sequence[dict[str, Any]], columns: Sequence[str], *, width: int = 200, unwrapped: str = ""
) -> None:
    """Print rows as columns; those that are empty in all rows are left out.

    Args:
        rows: cells by column.
        columns: the columns, in order.
        width: characters of a line that is not on a terminal.
        unwrapped: a column whose cells stay on one line.
    """
    from rich.console import Console
    from rich.table import Table

    if not rows:
        return
    console = Console(width=None if Console().is_terminal else width)
    table = Table(box=None, pad_edge=False, header_style="bold")
    filled = [column for column in columns if any(row[column] not in ({}, "") for row in rows)]
    for column in filled:
        is_number = isinstance(rows[0][column], (int, float))
        justify, is_unwrapped = "right" if is_number else "left", column == unwrapped
        table.add_column(column, justify=justify, no_wrap=is_unwrapped, overflow="fold")
    for row in rows:
        table.add_row(*(_cell(row[column]) for column in filled))
    console.print(table)


def _cell(value: Any) -> str:
    from rich.markup import escape

    if isinstance(value, dict):
        return ", ".join(f"{name} {number}" for name, number in value.items())
    return f"{value:,}" if isinstance(value, int) else escape(str(value))
