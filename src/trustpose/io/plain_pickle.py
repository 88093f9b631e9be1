"""Read lists, tuples, dictionaries, texts, numbers and numpy arrays from a pickle without running code.

PyTables stores the column names of a pandas table as a pickle, numpy an array of objects. A pickle is a program for a
machine that can call any function; this reader supports the instructions that build plain values, and the three calls
by which numpy writes an array. It makes these itself: numpy's code sees bytes of which type and number are checked.
"""

import math
import pickletools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

_MARK = object()
_VALUES = frozenset(
    "INT LONG FLOAT STRING UNICODE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT SHORT_BINSTRING BINSTRING "
    "SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8".split()
)
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_STARTS = {"MARK": lambda: _MARK, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict}
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_IGNORED = frozenset(("PROTO", "FRAME"))
_DAMAGED = "a damaged pickle"
_MODULES = ("numpy.core.multiarray", "numpy._core.multiarray", "numpy", "_codecs")
_NAMES = frozenset(("_reconstruct", "scalar", "ndarray", "dtype", "encode"))
_KINDS = "biuf"


@dataclass(eq=False)
class PickledArray:
    """An array of numbers, or of objects (`values` is then their flat list)."""

    shape: tuple[int, ...] = ()
    values: "np.ndarray | list[Any]" = field(default_factory=list)

    def build(self, state: Any) -> None:
        """Take what numpy writes of an array. Raises ValueError if numbers do not match their shape."""
        _, shape, kind, is_fortran, data = state
        if not isinstance(shape, tuple) or not isinstance(kind, _Kind):
            raise ValueError(_DAMAGED)
        if not all(type(length) is int and 0 <= length < 2**48 for length in shape) or len(shape) > 8:
            raise ValueError(_DAMAGED)
        size = math.prod(shape)
        if kind.name.startswith("O"):
            if not isinstance(data, list) or len(data) != size:
                raise ValueError(_DAMAGED)
            self.shape, self.values = shape, data
            return
        if isinstance(data, str):  # as Python 2 writes bytes
            data = data.encode("latin-1")
        if not isinstance(data, bytes) or len(data) != size * kind.numpy.itemsize:
            raise ValueError("a pickled array whose numbers do not match its shape")
        array = np.frombuffer(data, kind.numpy).reshape(shape, order="F" if is_fortran else "C")
        self.shape, self.values = shape, array.astype(kind.numpy.newbyteorder("="))


@dataclass(eq=False)
class _Kind:
    """A numpy dtype: "f4", with its byte order."""

    name: str
    order: str = "="

    def build(self, state: Any) -> None:
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", ">", "|", "="):
            raise ValueError(_DAMAGED)
        self.order = state[1]

    @property
    def numpy(self) -> np.dtype:
        if self.name[:1] not in _KINDS or not self.name[1:].isdecimal() or int(self.name[1:]) not in (1, 2, 4, 8):
            raise ValueError(f"a pickled array of {self.name[:20]!r}, expected numbers")
        return np.dtype(f"{self.order}{self.name}")


def read_plain_pickle(content: bytes) -> Any:
    """Return the value of a pickle. Raises ValueError if it is damaged or holds more than plain values and arrays."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for instruction, argument, _ in pickletools.genops(content):
        name = instruction.name
        if name == "STOP":
            if len(stack) != 1 or stack[0] is _MARK:
                raise ValueError(_DAMAGED)
            return stack[0]
        try:
            if not _build_value(name, argument, stack) and not _recall(name, argument, stack, memo):
                _build_array(name, argument, stack)
        except (IndexError, KeyError, TypeError, AttributeError, OverflowError):
            raise ValueError(_DAMAGED) from None
    raise ValueError(_DAMAGED)


def _build_value(name: str, argument: Any, stack: list[Any]) -> bool:
    """Execute an instruction that pushes a value, or adds to one; return False for any other."""
    if name in _VALUES:
        stack.append(argument)
    elif name in _CONSTANTS:
        stack.append(_CONSTANTS[name])
    elif name in _STARTS:
        stack.append(_STARTS[name]())
    elif name in _TUPLES:
        items = [stack.pop() for _ in range(_TUPLES[name])]
        stack.append(tuple(items[::-1]))
    elif name in ("LIST", "TUPLE", "DICT"):
        items = _since_mark(stack)
        stack.append(items if name == "LIST" else tuple(items) if name == "TUPLE" else _pairs(items))
    elif name in ("APPEND", "APPENDS"):
        items = [stack.pop()] if name == "APPEND" else _since_mark(stack)
        stack[-1].extend(items)
    elif name == "SETITEM":
        last, key = stack.pop(), stack.pop()
        stack[-1][key] = last
    elif name == "SETITEMS":
        pairs = _pairs(_since_mark(stack))
        stack[-1].update(pairs)
    else:
        return name in _IGNORED
    return True


def _recall(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> bool:
    """Execute an instruction that remembers a value or repeats it; return False for any other."""
    if name in ("PUT", "BINPUT", "LONG_BINPUT"):
        memo[argument] = stack[-1]
    elif name == "MEMOIZE":
        memo[len(memo)] = stack[-1]
    elif name in ("GET", "BINGET", "LONG_BINGET"):
        stack.append(memo[argument])
    else:
        return False
    return True


def _build_array(name: str, argument: Any, stack: list[Any]) -> None:
    """Execute an instruction that names a function, calls it, or gives an array its content."""
    if name == "GLOBAL":
        stack.append(_function(*argument.split(" ", 1)))
    elif name == "STACK_GLOBAL":
        function, module = stack.pop(), stack.pop()
        stack.append(_function(module, function))
    elif name == "REDUCE":
        arguments, function = stack.pop(), stack.pop()
        stack.append(_call_constructor(function, arguments))
    elif name == "BUILD":
        state = stack.pop()
        if not isinstance(stack[-1], PickledArray | _Kind):
            raise ValueError(_DAMAGED)
        stack[-1].build(state)
    else:
        raise ValueError(f"a pickle that does more than hold names and numbers ({name})")


@dataclass(frozen=True)
class _Function:
    name: str


def _function(module: Any, name: Any) -> _Function:
    if module not in _MODULES or name not in _NAMES:
        raise ValueError(f"a pickle that does more than hold names and numbers ({str(module)[:30]}.{str(name)[:30]})")
    return _Function(name)


def _call_constructor(function: Any, arguments: Any) -> Any:
    """Return what numpy's functions would, as records of ours."""
    if not isinstance(function, _Function) or not isinstance(arguments, tuple):
        raise ValueError(_DAMAGED)
    if function.name == "_reconstruct":
        return PickledArray()
    if function.name == "dtype" and isinstance(arguments[0], str):
        return _Kind(arguments[0])
    if function.name == "encode":  # bytes, as protocol 2 writes them
        return arguments[0].encode("latin-1")
    if function.name == "scalar" and isinstance(arguments[0], _Kind) and isinstance(arguments[1], bytes):
        array = PickledArray()
        array.build((1, (), arguments[0], False, arguments[1]))
        return np.asarray(array.values).item()
    raise ValueError(_DAMAGED)


def _pairs(items: list[Any]) -> dict[Any, Any]:
    return dict(zip(items[::2], items[1::2], strict=True))


def _since_mark(stack: list[Any]) -> list[Any]:
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]
