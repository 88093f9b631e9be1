"""Messages about a name that is not among those there are: which were expected, and which one was probably meant."""

from collections.abc import Iterable
from difflib import get_close_matches

_LEAST_SIMILAR = 0.6  # difflib's ratio; "defualt" and "default" have 0.86


def closest(name: str, names: Iterable[str]) -> str | None:
    """Return the one of `names` that is spelt most like `name`, whatever the case; None if none is similar."""
    by_lower_case = {candidate.lower(): candidate for candidate in names}
    similar = get_close_matches(name.lower(), by_lower_case, n=1, cutoff=_LEAST_SIMILAR)
    return by_lower_case[similar[0]] if similar else None


def did_you_mean(name: object, names: Iterable[str]) -> str:
    """Return " (did you mean 'default'?)" for the end of a message, or "" if none of `names` is similar to `name`."""
    similar = closest(str(name), names)
    return "" if similar is None else f" (did you mean {similar!r}?)"


def expected_one_of(names: Iterable[str], name: object) -> str:
    """Return "expected one of a, b, c, got 'x'" for a message, with the similar name if there is one."""
    names = list(names)
    return f"expected one of {', '.join(names)}, got {name!r}{did_you_mean(name, names)}"


def unknown_option(name: str, names: Iterable[str]) -> str:
    """Return "unknown option 'devise' (did you mean 'device'?)" for a message."""
    return f"unknown option {name!r}{did_you_mean(name, names)}"
