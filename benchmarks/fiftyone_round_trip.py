"""A results file to a FiftyOne data set and back: are all rows equal, and how long does it take?

python benchmarks/fiftyone_round_trip.py PHOTOS GT.json RESULTS.json (the extra `fiftyone` and its database)
"""

import argparse
import json
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any

from trustpose.integrations.fiftyone import to_fiftyone, write_fiftyone_results


def _rows(path: Path) -> list[str]:
    """The rows in an order that is the same in both files: that of the photos may differ."""
    return sorted(json.dumps(row, sort_keys=True) for row in json.loads(path.read_text()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("photos", "gt", "results"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args()
    fiftyone: Any = import_module("fiftyone")
    dataset = fiftyone.Dataset()
    try:
        dataset.add_samples([fiftyone.Sample(filepath=str(path)) for path in sorted(given.photos.glob("*.jpg"))])
        started = time.perf_counter()
        photos = to_fiftyone(given.results, dataset, images=given.gt)
        there = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            write_fiftyone_results(Path(folder) / "back.json", dataset)
            back = time.perf_counter()
            rows, again = _rows(given.results), _rows(Path(folder) / "back.json")
    finally:
        dataset.delete()
    equal = len(rows) if rows == again else sum(one == other for one, other in zip(rows, again, strict=False))
    print(f"{equal} of {len(rows)} rows come back equal, {len(again)} in all; {photos} photos")
    print(f"to FiftyOne {there - started:.1f} s, back {back - there:.1f} s")
    print(json.dumps({"rows": len(rows), "equal": equal, "there_s": there - started, "back_s": back - there}))


if __name__ == "__main__":
    main()
