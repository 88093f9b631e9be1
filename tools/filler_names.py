"""Share of bound names that are filler words, such as `found` or `one`, which say nothing about what they hold.

    python tools/filler_names.py [FOLDER ...]      default: src, tests and benchmarks

Names count where they are bound: assigned, or parameters of functions. Comparable packages have 0 to 0.2 %. Prints each
folder's share, and the rooms and names with the most fillers. Exits with 1 if `src` reaches 1 %.
"""

import ast
import collections
import sys
from collections.abc import Iterator
from pathlib import Path

LIMIT = 1.0  # per cent, of src
FILLERS = frozenset(
    "one some found given known wanted asked told what how at there apart made read taken kept here now own other "
    "others between beside several each most least place places it also then where who left coming waiting".split()
)


def bound_names(tree: ast.AST) -> Iterator[str]:
    """Yield the names that code assigns, and those of parameters."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.arg):
            yield node.arg


def filler_share(folder: Path) -> tuple[float, str]:
    """Return the share of fillers in per cent among the names that a folder's files bind, and a line about them."""
    total, fillers, rooms = 0, collections.Counter[str](), collections.Counter[str]()
    for path in sorted(folder.rglob("*.py")):
        names = list(bound_names(ast.parse(path.read_text(encoding="utf-8"))))
        total += len(names)
        filler = [name for name in names if name.strip("_") in FILLERS]
        fillers.update(filler)
        rooms[str(path.parent)] += len(filler)
    share = 100 * sum(fillers.values()) / max(total, 1)
    worst = ", ".join(f"{room} {count}" for room, count in rooms.most_common(4) if count)
    names = ", ".join(f"{name} {count}" for name, count in fillers.most_common(6))
    return share, f"{folder}: {share:.2f} % of {total} bound names are fillers ({worst or 'none'}; {names or 'none'})"


def main(folders: list[str]) -> int:
    """Print the share of each folder. Return 1 if that of `src` is too high, else 0."""
    status = 0
    for name in folders or ["src", "tests", "benchmarks"]:
        share, line = filler_share(Path(name))
        print(line)
        if Path(name).name == "src" and share >= LIMIT:
            print(f"{name}: expected less than {LIMIT:g} % fillers; name what the variables hold")
            status = 1
    return status


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
