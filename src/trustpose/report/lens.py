"""A page of a camera's calibration: where the board's corners were in the image, and how far off each photo is. One
self-contained HTML file without any script."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from trustpose.files import atomic_write
from trustpose.version import __version__

MAGNIFIED = 50  # times: residuals are fractions of a pixel
_WIDTH, _HEIGHT = 560, 640  # of the drawing at most, CSS pixels
_TEMPLATES = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined)


def write_lens_page(
    path: str | Path,
    name: str,
    size: tuple[int, int],
    uses: Sequence[tuple[str, float | None, str]],
    corners: Sequence[Float[np.ndarray, "N 2"]],
    residuals: Float[np.ndarray, "P N 2"],
    lens: Sequence[tuple[str, str]],
) -> None:
    """Write the page of the camera `name` with images of `size` (width, height).

    uses: each photo's name, reprojection error in pixels (None without a board) and why it was left out ("" if not);
    corners: (N, 2) in image pixels of the photos with a board, and residuals (P, N, 2) of these; lens: what was found,
    as label and text. Raises InputError if the file cannot be written.
    """
    marks = []
    for seen, off in zip(corners, residuals, strict=True):
        is_finite = np.isfinite(seen).all(axis=1)
        ends = seen + MAGNIFIED * np.nan_to_num(off)
        marks += np.concatenate([seen[is_finite], ends[is_finite]], axis=1).round(1).tolist()
    errors = [error for _, error, _ in uses if error is not None]
    html = _TEMPLATES.get_template("lens.html.jinja").render(
        name=name,
        size=size,
        shown=tuple(round(side * min(_WIDTH / size[0], _HEIGHT / size[1])) for side in size),
        uses=uses,
        most=max(errors, default=1.0),
        marks=marks,
        magnified=MAGNIFIED,
        lens=lens,
        version=__version__,
    )
    with atomic_write(path) as file:
        file.write(html.encode())
