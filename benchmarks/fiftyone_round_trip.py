"""A results file to a FiftyOne data set and back: are all rows equal, and how long does it take?

python benchmarks/fiftyone_round_trip.py PHOTOS GT.json RESULTS.json (the extra `fiftyone` and its database)
"""

import json
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

from harness import parser, run, timed

from trustpose.integrations.fiftyone import to_fiftyone, write_fiftyone_results


def sorted_rows(path: Path) -> list[str]:
    """The rows in an order that is the same in both files: that of the photos may differ."""
    return sorted(json.dumps(row, sort_keys=True) for row in json.loads(path.read_text()))


def main(options):
    fiftyone: Any = import_module("fiftyone")
    dataset = fiftyone.Dataset()
    try:
        dataset.add_samples([fiftyone.Sample(filepath=str(path)) for path in sorted(options.photos.glob("*.jpg"))])
        there = timed(lambda: to_fiftyone(options.results, dataset, images=options.gt))
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder) / "back.json"
            back = timed(lambda: write_fiftyone_results(copy, dataset))
            rows, again = sorted_rows(options.results), sorted_rows(copy)
    finally:
        dataset.delete()
    equal = len(rows) if rows == again else sum(row == copied for row, copied in zip(rows, again, strict=False))
    print(f"{equal} of {len(rows)} rows come back equal, {len(again)} in all; {there.result} photos")
    print(f"to FiftyOne {there.seconds:.1f} s, back {back.seconds:.1f} s")
    return {"rows": len(rows), "equal": equal, "there_s": there.seconds, "back_s": back.seconds}


if __name__ == "__main__":
    options_parser = parser(__doc__)
    for name in ("photos", "gt", "results"):
        options_parser.add_argument(name, type=Path)
    run(main, options_parser)
