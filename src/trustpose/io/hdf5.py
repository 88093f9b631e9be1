"""What an HDF5 file holds: its datasets and attributes, read in a process of its own (`hdf5_process`).

Links, to other files too, values outside of the file and pickled values are not followed. A file that ends the HDF5
library or keeps it for ever, as damaged ones can, ends that process alone.
"""

import importlib.util
import io
import json
import signal
import subprocess
import sys
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

_SIGNATURE = b"\x89HDF\r\n\x1a\n"
_SECONDS = 300
_START = "import sys; sys.path[:] = sys.argv[1:]; from trustpose.io.hdf5_process import main; main()"


@dataclass(frozen=True, eq=False)
class Node:
    """A group, dataset or link, with its attributes; None stands for one that cannot be read.

    `values` of a dataset are numbers, bytes, rows of them, or texts of any length as objects of bytes; if it is None,
    `reason` says why.
    """

    kind: str
    attributes: dict[str, bytes | str | float | None]
    values: np.ndarray | None = None
    reason: str = "expected values in the file itself"


def is_hdf5(content: bytes) -> bool:
    """Return whether a file's content is HDF5, which MATLAB 7.3 files are too."""
    return content.startswith(_SIGNATURE) or content[512:520] == _SIGNATURE


def hdf5_nodes(content: bytes) -> dict[str, Node]:
    """Return the nodes by their paths without a leading "/"; the file itself is "".

    Raises ValueError for a damaged file, ImportError if h5py is not installed.
    """
    if importlib.util.find_spec("h5py") is None:
        raise ImportError("h5py is not installed", name="h5py")
    nodes = _nodes_or_reason(content)
    if isinstance(nodes, str):
        raise ValueError(nodes)
    return nodes


@lru_cache(maxsize=1)  # several readers look at a file before one of them takes it
def _nodes_or_reason(content: bytes) -> dict[str, Node] | str:
    """Return the nodes, or why there are none."""
    command = [sys.executable, "-c", _START, *sys.path]
    try:
        ended = subprocess.run(command, input=content, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return "the HDF5 library did not finish"
    code = ended.returncode
    if code in (-getattr(signal, "SIGXCPU", 0), -getattr(signal, "SIGKILL", 0)):
        return "the HDF5 library did not finish"
    if code:
        reason = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the HDF5 library ended with {reason}"
    with np.load(io.BytesIO(ended.stdout), allow_pickle=False) as arrays:
        tree = json.loads(arrays["tree"].tobytes())
        if "error" in tree:
            return str(tree["error"])
        return {path: _node(node, arrays) for path, node in tree["nodes"].items()}


def _node(node: dict[str, Any], arrays: Any) -> Node:
    attributes = {
        name: value["bytes"].encode("latin-1") if isinstance(value, dict) else value
        for name, value in node["attributes"].items()
    }
    if "number" in node:
        return Node(node["kind"], attributes, arrays[str(node["number"])])
    if "texts" in node:
        texts = np.empty(len(node["texts"]), object)
        texts[:] = [text.encode("latin-1") for text in node["texts"]]
        return Node(node["kind"], attributes, texts.reshape(node["shape"]))
    return Node(node["kind"], attributes, None, node.get("reason", Node.reason))
