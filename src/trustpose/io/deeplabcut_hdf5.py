"""Read DeepLabCut's HDF5, its default: a pandas table in the layout "table" or "fixed".

Layout: pandas' documentation of HDFStore, and files written by pandas 1.5 and 3.0 and found in public projects. It is
read with h5py, as pandas would unpickle, and so run, a file's content. "table" stores rows as a compound dataset and
its columns' names as a pickle (plain_pickle.py); "fixed" stores axes and blocks of values as separate datasets. Links
to other files, values outside of the file and pickled values are refused (hdf5.py).
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.io.deeplabcut import Table, poses_of_table
from trustpose.io.hdf5 import Node, hdf5_nodes, is_hdf5
from trustpose.io.plain_pickle import read_plain_pickle
from trustpose.io.tool_poses import ToolPoses

_INSTEAD = "DeepLabCut writes the same as CSV (save_as_csv=True, or analyze_videos_converth5_to_csv)"
_MOST_LEVELS = 8
_ABSENT = Node("absent", {})


def fits(content: bytes) -> bool:
    """Return whether a file is HDF5."""
    return is_hdf5(content)


def read(content: bytes, path: str) -> ToolPoses:
    """Return the poses of a file. Raises InputError, also if h5py is not installed."""
    try:
        nodes = hdf5_nodes(content)
    except ImportError as missing:
        raise InputError(f"{not_installed(missing.name, 'deeplabcut')}; or {_INSTEAD}") from None
    except ValueError as error:
        raise _no_table(path, error) from None
    try:
        table = _read_store(_Store(nodes, _only_frame(nodes)))
    except Exception as error:  # a damaged file may have anything
        raise _no_table(path, error) from None
    return poses_of_table(table, path)


def _no_table(path: str, error: Exception) -> InputError:
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"{path}: is not a table that DeepLabCut writes ({reason}); {_INSTEAD}")


def _only_frame(nodes: dict[str, Node]) -> str:
    frames = [path for path, node in nodes.items() if path and "/" not in path and "pandas_type" in node.attributes]
    if len(frames) != 1:
        raise ValueError(f"expected one table of pandas in it, got {len(frames)}")
    return frames[0]


@dataclass(frozen=True, eq=False)
class _Store:
    """A group of the file: its attributes as texts and its datasets as arrays."""

    nodes: dict[str, Node]
    group: str

    def text(self, name: str, of: str | None = None) -> str:
        """Return an attribute of the group, or of one of its datasets."""
        return self.content(name, of).decode("utf-8")

    def content(self, name: str, of: str | None = None) -> bytes:
        value = self.attribute(name, of)
        if not isinstance(value, bytes):
            raise ValueError(f"attribute {name!r}: expected a text")
        return value

    def attribute(self, name: str, of: str | None = None) -> Any:
        """Return an attribute, None if there is none."""
        return self.nodes[self.group if of is None else f"{self.group}/{of}"].attributes.get(name)

    def has(self, name: str) -> bool:
        return f"{self.group}/{name}" in self.nodes

    def array(self, name: str) -> np.ndarray:
        """Return a dataset's values: numbers, texts, or a compound of these."""
        node = self.nodes.get(f"{self.group}/{name}", _ABSENT)
        if node.values is None:
            raise ValueError(f"{name!r}: {node.reason}")
        fields = node.values.dtype.fields or {"": (node.values.dtype,)}
        if any(field.base.kind not in "iufS" for field, *_ in fields.values()):
            raise ValueError(f"{name!r}: expected numbers or texts")
        return node.values


def _read_store(store: _Store) -> Table:
    kind = store.text("pandas_type")
    if kind == "frame_table":
        keys, index, blocks = _of_table(store)
    elif kind == "frame":
        keys, index, blocks = _of_fixed(store)
    else:
        raise ValueError(f"expected a pandas DataFrame, got {kind[:30]!r}")
    with np.errstate(invalid="ignore", over="ignore"):  # of a damaged file's numbers, which are then not finite
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
        if not store.has(f"block{number}_values"):
            break
        values = store.array(f"block{number}_values")
        is_transposed = store.attribute("transposed", of=f"block{number}_values")
        blocks.append(values if is_transposed else values.T)
        keys += _axis(store, f"block{number}_items")
    if not blocks or any(block.ndim != 2 or block.dtype.kind == "S" for block in blocks):
        raise ValueError("expected blocks of numbers")
    return keys, _axis(store, "axis1"), blocks


def _axis(store: _Store, name: str) -> list[tuple[str, ...]]:
    """Return the names of rows or columns, with one level or several."""
    variety = store.text(f"{name}_variety")
    if variety == "regular":
        return [(name,) for name in _names(store.array(name), store.text("kind", of=name))]
    count = store.attribute(f"{name}_nlevels")
    if variety != "multi" or not isinstance(count, int) or not 1 <= count <= _MOST_LEVELS:
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
