"""No module imports itself by way of others, neither at run time nor for types."""

import ast
from collections.abc import Iterator
from functools import cache

from tests.conftest import SOURCE

MODULES = {
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): path
    for path in sorted((SOURCE / "trustpose").rglob("*.py"))
}


@cache
def trees() -> dict[str, ast.Module]:
    """Every module, parsed."""
    return {name: ast.parse(path.read_text()) for name, path in MODULES.items()}


def imports(statements: list[ast.stmt], *, for_types: bool) -> Iterator[str]:
    """The modules of ours that these statements import, outside functions."""
    for statement in statements:
        if isinstance(statement, ast.Import):
            yield from (alias.name for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            names = [f"{statement.module}.{alias.name}" for alias in statement.names]
            yield from (name if name in MODULES else str(statement.module) for name in names)
        elif isinstance(statement, ast.If) and "TYPE_CHECKING" in ast.unparse(statement.test):
            yield from imports(statement.body if for_types else statement.orelse, for_types=for_types)
        elif not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef):
            for block in ("body", "orelse", "finalbody"):
                yield from imports(getattr(statement, block, []), for_types=for_types)


def circles(*, for_types: bool) -> list[set[str]]:
    """Sets of modules that reach each other by imports."""
    graph = {
        name: set(imports(tree.body, for_types=for_types)) & set(MODULES) - {name} for name, tree in trees().items()
    }
    reached = {name: set(targets) for name, targets in graph.items()}
    for middle in graph:  # Warshall's algorithm
        for targets in reached.values():
            if middle in targets:
                targets |= reached[middle]
    in_circle = {name for name, targets in reached.items() if name in targets}
    mutual = {frozenset(other for other in in_circle & reached[name] if name in reached[other]) for name in in_circle}
    return [set(circle) for circle in mutual]


def test_no_circles_at_run_time() -> None:
    assert circles(for_types=False) == []


def test_no_circles_for_types() -> None:
    assert circles(for_types=True) == []
