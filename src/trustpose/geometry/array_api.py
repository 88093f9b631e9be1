"""The array API's functions for the arrays at hand, so that one formula serves numpy and torch."""

from types import ModuleType
from typing import Any

import numpy as np


def namespace_of(*arrays: Any) -> ModuleType:
    """Return the module with the array API's functions for these arrays, all of one kind.

    numpy itself is such a module. array_api_compat, which other kinds need, would import all of numpy's parts for
    numpy's arrays too, twice the time of numpy itself.
    """
    if all(isinstance(array, np.ndarray | np.generic) for array in arrays):
        return np
    from array_api_compat import array_namespace

    return array_namespace(*arrays)
