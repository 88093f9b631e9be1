"""The way of one photo: the modules and functions of ours that run between `tp.load("default")` and the results file.

    python tools/way_of_a_photo.py PHOTO.jpg

Everything is imported before counting starts, and one photo is predicted, so that what Python does once on import is
left out. Functions count in every thread. Prints a line a module, its functions in the order of their first call, and
last a line of JSON: {"modules": …, "functions": …}.
"""

import json
import sys
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import trustpose as tp
from trustpose.poses import write_results

PACKAGE = Path(tp.__file__).parent


def walk(photo: str | Path, results: Path) -> None:
    """What a user writes: a photo in, a results file out."""
    write_results(results, tp.load("default")(photo))


def functions_of(work: Callable[[], object]) -> dict[str, list[str]]:
    """The functions of this package that `work` calls, by module, in the order of their first call."""
    found: dict[tuple[str, str], None] = {}

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(str(PACKAGE)):
            found.setdefault((code.co_filename, code.co_qualname))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(None)
        threading.setprofile(None)  # type: ignore[arg-type]
    modules: dict[str, list[str]] = {}
    for file, name in found:
        place = Path(file).relative_to(PACKAGE).with_suffix("").as_posix().removesuffix("/__init__")
        modules.setdefault(place.replace("/", "."), []).append(name)
    return modules


def show(modules: dict[str, list[str]]) -> None:
    """Print a line a module, and their number."""
    for module, functions in modules.items():
        print(f"{module:24} {', '.join(functions)}")
    print(json.dumps({"modules": len(modules), "functions": sum(map(len, modules.values()))}))


def main() -> None:
    """Print the way of the given photo, which should show a person."""
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/way_of_a_photo.py PHOTO.jpg")
    with tempfile.TemporaryDirectory() as folder:
        results = Path(folder) / "results.json"
        walk(sys.argv[1], results)
        modules = functions_of(lambda: walk(sys.argv[1], results))
    show(modules)


if __name__ == "__main__":
    main()
