"""Lengths with a unit."""

import pytest

from trustpose.geometry.expected_error import metres_of, parse_length


def test_lengths_are_metres() -> None:
    for text, metres in (("60mm", 0.06), ("1.72 m", 1.72), (" 2.5cm", 0.025), ("1e1in", 0.254), ("1ft", 0.3048)):
        assert parse_length(text) == pytest.approx(metres, rel=1e-15)
    assert metres_of("mm") == 0.001


@pytest.mark.parametrize("text", ["60", "mm", "-1mm", "0 m", "1 yard", "1.2.3m", "1e999m", "inf m", "nanm", ""])
def test_without_a_unit_or_not_above_0_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a length above 0 with its unit"):
        parse_length(text)
    with pytest.raises(ValueError, match="expected a unit of length"):
        metres_of("yard")
