"""Read DeepLabCut's HDF5, its default: a pandas table in the layout "table" or "fixed".

Layout: pandas' documentation of HDFStore, and files written by pandas 1.5 and 3.0 and found in public projects. It is
read with h5py, as pandas would unpickle, and so run, a file's content. "table" stores rows as a compound dataset and
its columns' names as a pickle (plain_pickle.py); "fixed" stores axes and blocks of values as separate datasets. Links
to other files, values outside of the file and pickled values are refused.
"""

import io
import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.formats.deeplabcut import Table, poses_of_table
from trustpose.formats.found_poses import FoundPoses
from trustpose.formats.plain_pickle import read_plain_pickle

if TYPE_CHECKING:
    import h5py

_INSTEAD = "DeepLabCut writes the same as CSV (save_as_csv=True, or analyze_videos_converth5_to_csv)"
_MOST_LEVELS = 8


def fits(content: bytes) -> bool:
    """Return whether a file is HDF5."""
    return content.startswith(b"\x89HDF\r\n\x1a\n")


def read(content: bytes, path: str) -> FoundPoses:
    """Return the poses of a file. Raises InputError, also if h5py is not installed."""
    try:
        import h5py
    except ImportError as missing:
        raise InputError(f"{not_installed(missing.name, 'deeplabcut')}; or {_INSTEAD}") from None
    try:
        with h5py.File(io.BytesIO(content), "r") as file:
            table = _read_store(_Store(_only_frame(file), 20 * len(content) + 2**20))
    except Exception as error:  # h5py may raise anything for a damaged file
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise InputError(f"{path}: is not a table that DeepLabCut writes ({reason}); {_INSTEAD}") from None
    return poses_of_table(table, path)


def _only_frame(file: "h5py.File") -> "h5py.Group":
    import h5py

    names = [name for name in file if isinstance(file.get(name, getlink=True), h5py.HardLink)]
    groups = [found for found in map(file.__getitem__, names) if isinstance(found, h5py.Group)]
    frames = [group for group in groups if "pandas_type" in group.attrs]
    if len(frames) != 1:
        raise ValueError(f"expected one table of pandas in it, got {len(frames)}")
    return frames[0]


class _Store:
    """A group of the file: its attributes as texts and its datasets as arrays of at most `limit` bytes."""

    def __init__(self, group: "h5py.Group", limit: int) -> None:
        self.group = group
        self.limit = limit

    def text(self, name: str, of: str | None = None) -> str:
        """Return an attribute of the group, or of one of its datasets."""
        return self.content(name, of).decode("utf-8")

    def content(self, name: str, of: str | None = None) -> bytes:
        value: Any = (self.group if of is None else self.dataset(of)).attrs[name]
        if not isinstance(value, bytes):
            raise ValueError(f"attribute {name!r}: expected a text")
        return value

    def dataset(self, name: str) -> "h5py.Dataset":
        import h5py

        link = self.group.get(name, getlink=True)
        found = self.group[name] if isinstance(link, h5py.HardLink) else None
        if not isinstance(found, h5py.Dataset) or found.is_virtual or found.external is not None:
            raise ValueError(f"{name!r}: expected values in the file itself")
        return found

    def array(self, name: str) -> np.ndarray:
        """Return a dataset's values: numbers, texts, or a compound of these."""
        found = self.dataset(name)
        fields = [found.dtype] if found.dtype.fields is None else [field for field, *_ in found.dtype.fields.values()]
        if any(field.base.kind not in "iufS" for field in fields):
            raise ValueError(f"{name!r}: expected numbers or texts")
        if found.nbytes > self.limit:
            raise ValueError(f"{name!r}: claims {found.nbytes} bytes, far more than the file has")
        return found[()]


def _read_store(store: _Store) -> Table:
    kind = store.text("pandas_type")
    if kind == "frame_table":
        keys, index, blocks = _of_table(store)
    elif kind == "frame":
        keys, index, blocks = _of_fixed(store)
    else:
        raise ValueError(f"expected a pandas DataFrame, got {kind[:30]!r}")
    values = np.concatenate([block.astype(np.float64) for block in blocks], axis=1)
    if values.shape != (len(index), len(keys)):
        raise ValueError(f"{values.shape[0]} x {values.shape[1]} values for {len(index)} rows and {len(keys)} columns")
    levels = set(map(len, keys))
    if levels not in ({3}, {4}):
        raise ValueError("expected columns of scorer, (individuals,) bodyparts, coords")
    columns = [(key[1] if len(key) == 4 else "", key[-2], key[-1]) for key in keys]
    return Table(columns, ["/".join(names) for names in index], values)


_Read = tuple[list[tuple[str, ...]], list[tuple[str, ...]], list[np.ndarray]]


def _of_table(store: _Store) -> _Read:
    """Return names of columns and of rows, and blocks of values (F, C), for the layout "table"."""
    rows = store.array("table")
    blocks = [name for name in rows.dtype.names or () if name.startswith("values_block_")]
    if not blocks or set(rows.dtype.names or ()) != {"index", *blocks} or rows.ndim != 1:
        raise ValueError("'table': expected an index and blocks of values")
    keys: list[tuple[str, ...]] = []
    for name in blocks:
        named = read_plain_pickle(store.content(f"{name}_kind", of="table"))
        if not isinstance(named, list) or not all(map(_is_key, named)):
            raise ValueError(f"'{name}_kind': expected the names of its columns")
        keys += named
    index = _names(rows["index"], store.text("index_kind", of="table"))
    return keys, [(name,) for name in index], [rows[name].reshape(len(rows), -1) for name in blocks]


def _is_key(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(name, str) for name in value)


def _of_fixed(store: _Store) -> _Read:
    """Return the same for the layout "fixed"."""
    keys: list[tuple[str, ...]] = []
    blocks: list[np.ndarray] = []
    for number in itertools.count():
        if f"block{number}_values" not in store.group:
            break
        values = store.array(f"block{number}_values")
        is_transposed = store.dataset(f"block{number}_values").attrs.get("transposed", 0)
        blocks.append(values if is_transposed else values.T)
        keys += _axis(store, f"block{number}_items")
    if not blocks or any(block.ndim != 2 or block.dtype.kind == "S" for block in blocks):
        raise ValueError("expected blocks of numbers")
    return keys, _axis(store, "axis1"), blocks


def _axis(store: _Store, name: str) -> list[tuple[str, ...]]:
    """Return the names of rows or columns, with one level or several."""
    variety = store.text(f"{name}_variety")
    if variety == "regular":
        return [(one,) for one in _names(store.array(name), store.text("kind", of=name))]
    count = store.group.attrs.get(f"{name}_nlevels", 0)
    if variety != "multi" or not 1 <= count <= _MOST_LEVELS:
        raise ValueError(f"{name!r}: expected names of rows or columns")
    levels: list[Sequence[str]] = []
    for level in range(int(count)):
        names = _names(store.array(f"{name}_level{level}"), store.text("kind", of=f"{name}_level{level}"))
        codes = store.array(f"{name}_label{level}")
        if codes.ndim != 1 or codes.dtype.kind != "i" or not ((codes >= 0) & (codes < len(names))).all():
            raise ValueError(f"'{name}_label{level}': expected a name for each row or column")
        levels.append([names[code] for code in codes])
    return list(zip(*levels, strict=True))


def _names(array: np.ndarray, kind: str) -> list[str]:
    """Return the names (n,) of an index, as texts; dates and pickled objects are refused."""
    if array.ndim == 1 and kind == "string" and array.dtype.kind == "S":
        return [name.decode("utf-8") for name in array.tolist()]
    if array.ndim == 1 and kind == "integer" and array.dtype.kind in "iu":
        return [str(number) for number in array.tolist()]
    raise ValueError(f"expected rows named by numbers or texts, got {kind[:30]!r}")
