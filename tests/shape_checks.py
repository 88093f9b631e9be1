"""Run-time checks of the shapes and dtypes that annotations name: jaxtyping's import hook, without what it repeats."""

import re
from collections.abc import Callable, Iterable
from dataclasses import is_dataclass
from functools import partial
from inspect import isclass
from typing import Any, get_args

import jaxtyping
from beartype import beartype

_decorate = jaxtyping.jaxtyped
_ADDED = re.compile(r"ret\d+")  # the parameter by which jaxtyping hands over what a function returned


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
    shaped = any(map(_may_name_a_shape, annotations.values()))
    return _decorate(defined, typechecker=typechecker) if shaped else defined


def _may_name_a_shape(annotation: Any) -> bool:
    if isinstance(annotation, str):
        return True
    is_shape = isclass(annotation) and issubclass(annotation, jaxtyping.AbstractArray)
    return is_shape or any(map(_may_name_a_shape, get_args(annotation)))
