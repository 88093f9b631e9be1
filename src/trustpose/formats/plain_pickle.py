"""Read lists, tuples, dictionaries, texts and numbers from a pickle without running code.

PyTables stores the column names of a pandas table as a pickle of protocol 0. A pickle is a program for a machine that
can call any function; this reader supports only the instructions that build plain values, and none that calls.
"""

import pickletools
from typing import Any

_MARK = object()
_VALUES = {"INT", "LONG", "FLOAT", "STRING", "UNICODE"}


def read_plain_pickle(content: bytes) -> Any:
    """Return the value of a pickle of protocol 0. Raises ValueError if it is damaged or holds more than plain
    values."""
    stack: list[Any] = []
    memo: dict[int, Any] = {}
    for instruction, argument, _ in pickletools.genops(content):
        name = instruction.name
        if name == "STOP":
            if len(stack) != 1 or stack[0] is _MARK:
                raise ValueError("a damaged pickle")
            return stack[0]
        try:
            _execute(name, argument, stack, memo)
        except (IndexError, KeyError, TypeError, AttributeError):
            raise ValueError("a damaged pickle") from None
    raise ValueError("a damaged pickle")


def _execute(name: str, argument: Any, stack: list[Any], memo: dict[int, Any]) -> None:
    if name in _VALUES:
        stack.append(argument)
    elif name == "MARK":
        stack.append(_MARK)
    elif name == "NONE":
        stack.append(None)
    elif name in ("LIST", "TUPLE", "DICT"):
        items = _since_mark(stack)
        stack.append(
            items
            if name == "LIST"
            else tuple(items)
            if name == "TUPLE"
            else dict(zip(items[::2], items[1::2], strict=True))
        )
    elif name == "PUT":
        memo[argument] = stack[-1]
    elif name == "GET":
        stack.append(memo[argument])
    elif name == "APPEND":
        last = stack.pop()
        stack[-1].append(last)
    elif name == "SETITEM":
        last, key = stack.pop(), stack.pop()
        stack[-1][key] = last
    else:
        raise ValueError(f"a pickle that does more than hold names ({name})")


def _since_mark(stack: list[Any]) -> list[Any]:
    items: list[Any] = []
    while (item := stack.pop()) is not _MARK:
        items.append(item)
    return items[::-1]
