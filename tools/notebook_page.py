"""Run a notebook and write it as a page, as Jupyter would show it: text, HTML and pictures under each cell.

Without a kernel: cells run in this process, one after the other, without the seconds that Jupyter needs to start one.
"""

import ast
import base64
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import matplotlib as mpl


def page_of(notebook: Path) -> str:
    """Return the Markdown of the notebook with what its cells print and show. Whatever a cell raises is raised."""
    import matplotlib.pyplot as plt

    mpl.use("agg")
    names: dict[str, Any] = {"__name__": "__main__"}
    parts = []
    for number, cell in enumerate(json.loads(notebook.read_text(encoding="utf-8"))["cells"], 1):
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            parts.append(source)
            continue
        parts.append(f"```python\n{source}\n```")
        parts += _outputs(source, f"{notebook.name}, cell {number}", names)
        for figure in map(plt.figure, plt.get_fignums()):
            file = io.BytesIO()
            figure.savefig(file, format="png", dpi=100)
            parts.append(_picture(file.getvalue()))
        plt.close("all")
    return "\n\n".join(parts) + "\n"


def _outputs(source: str, where: str, names: dict[str, Any]) -> list[str]:
    """Run a cell; return what it printed, and what its last expression shows."""
    body = ast.parse(source, where).body
    last = body.pop() if isinstance(body[-1], ast.Expr) else None
    printed, value = io.StringIO(), None
    with contextlib.redirect_stdout(printed):
        exec(compile(ast.Module(body, []), where, "exec"), names)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), where, "eval"), names)
    text = printed.getvalue().rstrip()
    shown = [f"```text\n{text}\n```"] if text else []
    return shown if value is None else [*shown, _shown(value)]


def _shown(value: Any) -> str:
    if hasattr(value, "_repr_html_"):
        return _block(value._repr_html_())
    if hasattr(value, "_repr_png_"):
        return _picture(value._repr_png_())
    return f"```text\n{value!r}\n```"


def _picture(png: bytes) -> str:
    data = base64.b64encode(png).decode()
    return _block(f'<img alt="output of the cell" src="data:image/png;base64,{data}">')


def _block(html: str) -> str:
    return f'<div class="notebook-output" markdown="0">\n{html}\n</div>'
