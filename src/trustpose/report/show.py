"""Show a picture or a page to the user: in the notebook, or else in the browser."""

import sys
import tempfile
import webbrowser
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from trustpose.report.pictures import write_picture


def show_picture(pixels: UInt8[np.ndarray, "H W 3"]) -> None:
    """Show a picture (H, W, 3), RGB."""
    path = _new_folder() / "poses.jpg"
    write_picture(path, pixels)
    notebook = _notebook()
    if notebook is None:
        webbrowser.open(path.as_uri())
    else:
        notebook.display(notebook.Image(filename=str(path)))


def show_page(html: str) -> None:
    """Show a page of HTML that needs no other file."""
    notebook = _notebook()
    if notebook is not None:
        notebook.display(notebook.HTML(html))
        return
    path = _new_folder() / "page.html"
    path.write_text(html, encoding="utf-8")
    webbrowser.open(path.as_uri())


def _new_folder() -> Path:
    """Return a new temporary folder. It stays, since the browser reads it after this process has ended."""
    return Path(tempfile.mkdtemp(prefix="trustpose-"))


def _notebook() -> Any:
    """Return `IPython.display` in a notebook, None elsewhere."""
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    return import_module("IPython.display") if hasattr(shell, "kernel") else None
