"""Read DeepLabCut's CSV: `analyze_videos(…, save_as_csv=True)`, `analyze_videos_converth5_to_csv`.

It has three header rows, scorer, bodyparts, coords, or four, with individuals after the scorer; then a row per frame.
The first cell names the frame; in newer projects with folders of photos, several cells do.
"""

import numpy as np

from trustpose.files import InputError
from trustpose.io.csv_rows import read_rows
from trustpose.io.deeplabcut import Table, poses_of_table
from trustpose.io.tool_poses import ToolPoses


def fits(content: bytes) -> bool:
    """Return whether a CSV file begins like DeepLabCut's."""
    return content[:10].removeprefix(b"\xef\xbb\xbf").startswith(b"scorer")


def read(content: bytes, path: str) -> ToolPoses:
    """Return the poses of a file. Raises InputError."""
    lines = read_rows(content, path)
    names = {line[0]: line for line in lines[:4]}
    header = ["scorer", *(["individuals"] if "individuals" in names else []), "bodyparts", "coords"]
    if [line[0] for line in lines[: len(header)]] != header:
        raise InputError(f"{path}: expected DeepLabCut's header rows scorer, (individuals,) bodyparts, coords")
    coords, parts = names["coords"], names["bodyparts"]
    owners = names.get("individuals", [""] * len(parts))
    index = next((column for column, name in enumerate(coords) if column and name), len(coords))
    if not len(coords) == len(parts) == len(owners) or index == len(coords):
        raise InputError(f"{path}: header rows: expected the same number of columns in each, with x, y, likelihood")
    columns = list(zip(owners[index:], parts[index:], coords[index:], strict=True))
    rows = lines[len(header) :]
    for row, line in enumerate(rows):
        if len(line) < len(coords):
            raise InputError(f"{path}: line {len(header) + row + 1}: expected {len(coords)} cells, got {len(line)}")
    frames = ["/".join(line[:index]) for line in rows]
    cells = [[cell or "nan" for cell in line[index : len(coords)]] for line in rows]
    return poses_of_table(Table(columns, frames, _numbers(cells, columns, path)), path)


def _numbers(cells: list[list[str]], columns: list[tuple[str, str, str]], path: str) -> np.ndarray:
    """Convert the cells (F, C) to numbers."""
    try:
        return np.array(cells, dtype=np.float64).reshape(len(cells), len(columns))
    except ValueError:
        for row, line in enumerate(cells):
            for cell, (_, part, coord) in zip(line, columns, strict=True):
                try:
                    float(cell)
                except ValueError:
                    location = f"{path}: frame row {row}: {part!r} {coord!r}"
                    raise InputError(f"{location}: expected a number, got the text {cell[:30]!r}") from None
        raise InputError(f"{path}: expected a number in each cell") from None
