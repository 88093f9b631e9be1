"""Lengths with a unit, as users and camera files state them: "60mm" is 0.06 metres."""

import math
import re

METRES = {"m": 1.0, "cm": 0.01, "mm": 0.001, "in": 0.0254, "ft": 0.3048}
"""Metres of one unit."""
_LENGTH = re.compile(r"\s*([0-9.eE+-]+)\s*([a-z]+)\s*")


def metres_of(unit: str) -> float:
    """Return how many metres one `unit` is. Raises ValueError if the unit is unknown."""
    if unit not in METRES:
        raise ValueError(f"expected a unit of length ({', '.join(METRES)}), got {unit!r}")
    return METRES[unit]


def parse_length(text: str) -> float:
    """Return a length such as "60mm" or "1.7 m" in metres. Raises ValueError without a unit, or below 0."""
    match = _LENGTH.fullmatch(text)
    try:
        length = float(match[1]) * METRES[match[2]] if match else math.nan
    except (KeyError, ValueError):
        length = math.nan
    if not 0 < length < math.inf:
        raise ValueError(f"expected a length above 0 with its unit ({', '.join(METRES)}), such as 60mm, got {text!r}")
    return length
