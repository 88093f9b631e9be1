"""Run-time checks of the shapes and dtypes that annotations name: jaxtyping's import hook, without what it repeats.

What a call is checked for depends on the kinds of its arguments and result alone: types, dtypes, shapes, words. A call
whose kinds have passed before is not checked again, as in a loop; that takes a tenth of the time of a check.
"""

import re
import threading
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from functools import partial, update_wrapper, wraps
from inspect import isclass, isfunction
from types import FunctionType
from typing import Any, get_args

import jaxtyping
import numpy as np
from beartype import beartype

_decorate = jaxtyping.jaxtyped
_ADDED = re.compile(r"ret\d+")  # the parameter by which jaxtyping hands over what a function returned
_MANY = 500  # calls of different kinds that are remembered of a function
_LONG = 8  # values in a list or dictionary whose kinds are told; of longer ones beartype looks at one at random
_SMALL = 64  # numbers to this size, and words of this length, may be among an annotation's literals


def check_shapes(modules: Iterable[str]) -> None:
    """Check what functions and dataclasses of these modules get and return, those that name a shape; import them
    later.

    Others are left as they are: checking plain types too would take a tenth of the suite's time.
    """
    jaxtyping.jaxtyped = _where_shapes_are_named
    jaxtyping.install_import_hook(list(modules), f"{checked.__module__}.{checked.__name__}")


def checked(function: Callable) -> Callable:
    """Check what a call of jaxtyping's stand-ins for a function gets against their annotations.

    It makes two: one gets the arguments before the call; the other gets them once more, after it, with the result.
    jaxtyping knows the axes' sizes from the first, so the second only has to look at the result.
    """
    annotations = function.__annotations__
    if any(_ADDED.fullmatch(name) for name in annotations):
        function.__annotations__ = {"return": annotations["return"]} if "return" in annotations else {}
    return beartype(function)


def _where_shapes_are_named(defined: Any = None, *, typechecker: Callable) -> Any:
    """`jaxtyping.jaxtyped`, which the import hook decorates every function and class with."""
    if defined is None:
        return partial(_where_shapes_are_named, typechecker=typechecker)
    if isclass(defined):
        annotations = defined.__init__.__annotations__ if is_dataclass(defined) else {}
    else:
        annotations = getattr(defined, "__annotations__", {"unknown": "type"})
    if not any(map(_may_name_a_shape, annotations.values())):
        return defined
    if isclass(defined) and isfunction(defined.__init__):
        defined.__init__ = _checked_once(defined.__init__, typechecker)
        return defined
    return _checked_once(defined, typechecker) if isfunction(defined) else _decorate(defined, typechecker=typechecker)


def _may_name_a_shape(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return True
    is_shape = isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray)
    return is_shape or any(map(_may_name_a_shape, get_args(annotation)))


def _checked_once(function: Any, typechecker: Callable) -> Callable:
    """The function, whose calls are checked if one of these kinds has not passed before."""
    if any("{" in str(annotation) for annotation in function.__annotations__.values()):
        return _decorate(function, typechecker=typechecker)  # a size that is a number among the arguments
    waiting = _WAITING

    def call(*args: Any, **named: Any) -> Any:
        return waiting.results.pop() if waiting.results else function(*args, **named)

    call = FunctionType(call.__code__, function.__globals__, function.__name__, None, call.__closure__)
    check = _decorate(update_wrapper(call, function), typechecker=typechecker)
    passed: set[tuple] = set()  # kinds of arguments, and of arguments and result

    @wraps(function)
    def checked_once(*args: Any, **named: Any) -> Any:
        if jaxtyping.config.jaxtyping_disable:
            return function(*args, **named)
        try:
            given = (*map(_kind, args), *[(name, _kind(value)) for name, value in named.items()])
        except _UnknownKindError:
            return check(*args, **named)
        if given not in passed:
            made, is_checked = check(*args, **named), True
        else:
            made, is_checked = function(*args, **named), False
        try:
            both = (given, _kind(made))
        except _UnknownKindError:
            both = None
        if not is_checked and both not in passed:
            waiting.results.append(made)
            try:
                check(*args, **named)
            finally:
                waiting.results.clear()
        if len(passed) > _MANY:
            passed.clear()
        passed.update([given] if both is None else [given, both])
        return made

    return checked_once


class _Waiting(threading.local):
    """What calls gave that are over: the next call to be checked is such a one, and gives that."""

    def __init__(self) -> None:
        self.results: list[Any] = []


_WAITING = _Waiting()


class _UnknownKindError(Exception):
    """Its kind would take as long to tell as a check."""


def _kind(value: Any) -> Hashable:
    """All of a value that a check depends on. Raises _UnknownKindError."""
    kind = type(value)
    if kind is np.ndarray:
        return kind, value.dtype, value.shape
    if kind is int:
        return (kind, value) if -_SMALL <= value <= _SMALL else kind
    if kind is bool or (kind is str and len(value) <= _SMALL):
        return kind, value
    if kind is list or kind is tuple:
        if len(value) > _LONG:
            raise _UnknownKindError
        return kind, *map(_kind, value)
    if kind is dict:
        if len(value) > _LONG:
            raise _UnknownKindError
        return kind, *[(_kind(key), _kind(one)) for key, one in value.items()]
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple):
        if not all(type(side) is int for side in shape):  # while torch traces
            raise _UnknownKindError
        return kind, getattr(value, "dtype", None), shape
    if isinstance(value, (set, frozenset, Mapping, Sequence)):
        raise _UnknownKindError
    return kind
