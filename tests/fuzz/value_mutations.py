"""Seeded mutations of a value of objects and lists, as JSON or a torch file holds one."""

from typing import Any

import numpy as np

_TEXTS = (
    "",
    "x" * 5000,
    "../../x",
    "/etc/passwd",
    "a\0b",
    "NaN",
    "1e999",
    "-1",
    "ü\u2028",
    "%s%n{0}",
    "0" * 400,
    "none",
)
_NUMBERS = (
    0,
    1,
    -1,
    2,
    0.5,
    -0.0,
    1e308,
    -1e308,
    5e-324,
    1e-300,
    2**31,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63) - 1,
)
_OTHERS: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"a": 1}, [0] * 300)


def changed_value(value: Any, random: np.random.Generator, more: tuple[Any, ...] = ()) -> Any:
    """A copy of a tree of objects and lists with one to three nodes changed."""
    for _ in range(random.integers(1, 4)):
        paths: list[tuple[Any, ...]] = []
        _walk(value, (), paths)
        path = paths[random.integers(len(paths))]
        if random.random() < 0.5:  # the first levels are few nodes among thousands of numbers
            path = path[: random.integers(0, len(path) + 1)]
        value = _at(value, path, random, more)
    return value


def with_other_numbers(value: Any, random: np.random.Generator) -> Any:
    """A copy of a tree with one to thirty numbers changed and all else as it was: what readers rather take."""
    paths: list[tuple[Any, ...]] = []
    _walk(value, (), paths)
    for _ in range(random.integers(1, 31)):
        value = _with_number(value, paths[random.integers(len(paths))], random)
    return value


def _with_number(value: Any, path: tuple[Any, ...], random: np.random.Generator) -> Any:
    if path:
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[path[0]] = _with_number(value[path[0]], path[1:], random)
        return copy
    if not isinstance(value, int | float) or isinstance(value, bool):
        return value
    new = float(random.choice([-value, 0, 1, 2, -1, value + 1, value * 10, value / 3, 1e-9, 1e6, 1e11, -1e11]))
    return int(new) if isinstance(value, int) else new


def _walk(value: Any, path: tuple[Any, ...], paths: list[tuple[Any, ...]]) -> None:
    paths.append(path)
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list | tuple) else ()
    for key, item in items:
        _walk(item, (*path, key), paths)


def _at(value: Any, path: tuple[Any, ...], random: np.random.Generator, more: tuple[Any, ...]) -> Any:
    """The tree with what stands at the path changed."""
    if len(path) > 1:
        copy = dict(value) if isinstance(value, dict) else list(value)
        copy[path[0]] = _at(value[path[0]], path[1:], random, more)
        return copy
    if not path:
        return _other(value, random, more)
    copy, key = (dict(value) if isinstance(value, dict) else list(value)), path[0]
    kind = random.integers(0, 8)
    if kind == 0:
        del copy[key]
    elif kind == 1 and isinstance(copy, list):
        copy[key:key] = copy[key : key + 1] * int(random.choice([1, 2, 200]))
    elif kind == 1:
        copy[str(key) + "x"] = copy.pop(key)
    elif kind == 2:
        other = list(copy)[random.integers(len(copy))] if isinstance(copy, dict) else int(random.integers(len(copy)))
        copy[key], copy[other] = copy[other], copy[key]
    else:
        copy[key] = _other(copy[key], random, more)
    return copy


def _other(value: Any, random: np.random.Generator, more: tuple[Any, ...]) -> Any:
    kind = random.integers(0, 7)
    if isinstance(value, int | float) and not isinstance(value, bool) and random.random() < 0.5:
        scaled = value * float(random.choice([-1, 0.5, 10, 1e6, 1e30]))
        return int(scaled) if isinstance(value, int) and abs(scaled) < 1e15 else scaled
    if kind == 1:
        return [value] * int(random.integers(1, 4))
    if kind == 2:
        return {"a": value}
    if kind == 3:
        deep: Any = value
        for _ in range(int(random.choice([50, 300]))):
            deep = [deep]
        return deep
    pool = (*_NUMBERS, *_NUMBERS, *_TEXTS, *_OTHERS, *more, *more)
    return pool[random.integers(len(pool))]
