"""Wrong shapes and dtypes are found, in the first call and in any later one."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import jaxtyping
import numpy as np
import pytest
from jaxtyping import Float

from tests.shape_checks import _where_shapes_are_named, checked

NUMBERS = np.zeros(3)
Vector = Float[np.ndarray, " N"]


def check(defined: Any) -> Any:
    return _where_shapes_are_named(defined, typechecker=checked)


def refused(call: Callable, *args: Any, **named: Any) -> bool:
    try:
        call(*args, **named)
    except jaxtyping.TypeCheckError:
        return True
    return False


@check
def halves(one: Vector, other: Vector, how: Literal["up", "down"] = "up", give: Any = None) -> Vector:
    assert other.shape == one.shape and how
    return one / 2 if give is None else give


def test_arguments_are_checked_in_every_call() -> None:
    for _ in range(3):
        assert not refused(halves, NUMBERS, NUMBERS)
        assert not refused(halves, NUMBERS, other=NUMBERS, how="down")
        assert refused(halves, NUMBERS, np.zeros(4))
        assert refused(halves, NUMBERS, other=np.zeros(4))
        assert refused(halves, NUMBERS, NUMBERS.astype(int))
        assert refused(halves, NUMBERS, NUMBERS[None])
        assert refused(halves, NUMBERS, NUMBERS.tolist())
        assert refused(halves, NUMBERS, NUMBERS, "sideways")
    with pytest.raises(TypeError, match="missing a required argument"):
        halves(NUMBERS)


def test_results_are_checked_in_every_call() -> None:
    right = np.ones(3)
    for give in (right, right.astype(int), right[:2], right[None], [1.0, 1.0, 1.0], right):
        is_right = give is right
        assert refused(halves, NUMBERS, NUMBERS, give=give) != is_right
    box = Changing()
    for box.give, is_right in ((right, True), (right[:2], False), (right.astype(int), False), (right, True)):
        assert refused(box.numbers, NUMBERS) != is_right  # nothing but the result tells


class Changing:
    give: Any = None

    @check
    def numbers(self, like: Vector) -> Vector:
        assert like is NUMBERS
        return self.give


def test_lists_and_dictionaries() -> None:
    @check
    def total(parts: list[Vector], named: dict[str, Vector]) -> float:
        return float(sum(part.sum() for part in [*parts, *named.values()]))

    short, long = np.zeros(3), np.zeros(4)
    for _ in range(3):
        assert not refused(total, [short, short], {"one": short})
        assert refused(total, [long], {"one": short})
        assert not refused(total, [long], {"one": long})
        assert refused(total, [short.astype(int)], {})
        assert refused(total, [], {"one": short.astype(int)})
        assert not refused(total, [short] * 100, {})
        assert refused(total, [short[None]] * 100, {})


def test_dataclasses_and_calls_within_calls() -> None:
    @check
    @dataclass
    class Points:
        x: Vector
        y: Vector

    @check
    def again(one: Vector, times: int) -> Vector:
        return again(one, times - 1) if times else halves(one, one)

    for _ in range(3):
        assert not refused(Points, NUMBERS, NUMBERS)
        assert refused(Points, NUMBERS, y=np.zeros(2))
        assert not refused(again, NUMBERS, 3)
        assert refused(again, NUMBERS.astype(int), 3)


def test_sizes_that_are_numbers_among_the_arguments() -> None:
    @check
    def zeros(count: int, give: int) -> Float[np.ndarray, "{count}"]:  # noqa: F821
        assert count
        return np.zeros(give)

    for _ in range(2):
        assert not refused(zeros, 100, 100)
        assert refused(zeros, 101, 100)


def test_a_check_that_fails_leaves_nothing_behind() -> None:
    for _ in range(3):
        assert refused(halves, NUMBERS, NUMBERS, give=np.zeros(2))
        np.testing.assert_array_equal(halves(NUMBERS + 4, NUMBERS), NUMBERS + 2)
