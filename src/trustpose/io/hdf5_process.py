"""Read HDF5 from standard input in a process of its own, and write what it holds to standard output as NPZ.

The HDF5 library does not withstand damaged files: of 360 with a few changes, one ended the process that read it by
SIGSEGV, another corrupted its memory, a third kept it for ever. `io.hdf5` starts this process, and reads what it
writes without unpickling.
"""

import io
import json
import sys
import warnings
from contextlib import suppress
from typing import Any

import numpy as np

_MOST_NODES, _MOST_LEVELS = 10_000, 16
_SECONDS, _BYTES_A_SECOND = 5, 10_000_000
_LARGEST_BYTES = 2**20  # of a dataset of single bytes: larger ones are embedded images


def main() -> None:
    """Read the file and write `tree`, JSON with a node for each name, and the values of the datasets by its numbers."""
    warnings.simplefilter("ignore")
    arrays: dict[str, np.ndarray] = {}
    content = sys.stdin.buffer.read()
    _limit_time(content)
    try:
        tree: dict[str, Any] = {"nodes": _nodes(content, arrays)}
    except Exception as error:  # h5py may raise anything for a damaged file
        arrays, tree = {}, {"error": _line(error)}
    arrays["tree"] = np.frombuffer(json.dumps(tree).encode(), np.uint8)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)  # type: ignore[arg-type]
    sys.stdout.buffer.write(file.getvalue())


def _limit_time(content: bytes) -> None:
    """End this process by SIGXCPU if it takes far longer than the file's size explains; not on Windows."""
    with suppress(ImportError):
        import resource

        seconds = _SECONDS + len(content) // _BYTES_A_SECOND
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


def _nodes(content: bytes, arrays: dict[str, np.ndarray]) -> dict[str, dict[str, Any]]:
    import h5py

    nodes: dict[str, dict[str, Any]] = {}
    limit = 100 * len(content) + 2**20
    with h5py.File(io.BytesIO(content), "r") as file:
        pending: list[tuple[str, Any]] = [("", file)]
        while pending and len(nodes) < _MOST_NODES:
            path, node = pending.pop()
            nodes[path] = {"attributes": _attributes(node)}
            if not isinstance(node, h5py.Group):
                nodes[path] |= {"kind": "dataset"} | _values(node, limit, arrays)
                continue
            nodes[path]["kind"] = "group"
            for name in node if path.count("/") < _MOST_LEVELS else ():
                inner = f"{path}/{name}" if path else name
                if isinstance(node.get(name, getlink=True), h5py.HardLink):
                    pending.append((inner, node[name]))
                else:
                    nodes[inner] = {"kind": "link", "attributes": {}}
    return nodes


def _attributes(node: Any) -> dict[str, Any]:
    """Texts as they are, bytes as {"bytes": Latin-1}, numbers; None for what cannot be read."""
    attributes: dict[str, Any] = {}
    for name in node.attrs:
        try:
            value = node.attrs[name]
        except Exception:  # h5py may raise anything for a damaged file
            value = None
        if isinstance(value, np.bool_ | np.integer | np.floating):
            value = value.item()
        attributes[name] = {"bytes": value.decode("latin-1")} if isinstance(value, bytes) else value
        if value is not None and not isinstance(value, bytes | int | float):
            attributes[name] = str(value)
    return attributes


def _values(node: Any, limit: int, arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Return the number in `arrays` of a dataset's values, or the texts and their shape, or the reason for neither."""
    import h5py

    try:
        if not isinstance(node, h5py.Dataset) or node.is_virtual or node.external is not None:
            return {"reason": "expected values in the file itself"}
        is_text = h5py.check_string_dtype(node.dtype) is not None and node.dtype.kind == "O"
        is_image = node.dtype.itemsize == 1 and node.dtype.kind in "iu" and node.nbytes > _LARGEST_BYTES
        if is_image or not (is_text or _is_plain(node.dtype)):
            return {"reason": "expected numbers or texts"}
        if node.nbytes > limit:
            return {"reason": f"claims {node.nbytes} bytes, far more than the file has"}
        array = np.asarray(node[()])
        if is_text:
            return {"texts": [text.decode("latin-1") for text in array.ravel().tolist()], "shape": array.shape}
    except Exception as error:  # h5py may raise anything for a damaged file
        return {"reason": _line(error)}
    arrays[str(len(arrays))] = array
    return {"number": len(arrays) - 1}


def _is_plain(dtype: np.dtype) -> bool:
    fields = [dtype] if dtype.fields is None else [field for field, *_ in dtype.fields.values()]
    return all(field.base.kind in "iufbS" for field in fields)


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
