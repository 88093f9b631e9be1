"""Values of the options of `trustpose audit`: listed in --help, completed by the shell."""

from collections.abc import Callable, Iterable
from typing import Any

Names = Callable[[], Iterable[str]]

AREAS = ("auto", "segment", "box", "box*0.53", "file")


def completed(names: Names) -> dict[str, Any]:
    """Return the arguments of a `typer.Option` whose values the shell completes from `names`, called on each
    completion."""

    def complete(incomplete: str) -> list[str]:
        return [name for name in names() if name.startswith(incomplete)]

    return {"autocompletion": complete}


def skeletons() -> Iterable[str]:
    """Return the names of the known skeletons."""
    from trustpose.skeletons import SKELETONS

    return SKELETONS


def metrics() -> Iterable[str]:
    """Return the names of the metrics of joints."""
    from trustpose.evaluation.localisation import METRICS

    return METRICS


def tables() -> Iterable[str]:
    """Return the further tables of an audit."""
    from trustpose.evaluation.tables import TABLES

    return TABLES
