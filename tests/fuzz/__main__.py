"""By hand: `python -m tests.fuzz --count 10000`, or one mutation again: `--target photo --number 17`."""

import argparse
import collections
import tempfile
from contextlib import ExitStack, suppress
from fnmatch import fnmatch
from pathlib import Path

from tests.fuzz import uploads
from tests.fuzz.runner import Runner


def main() -> int:
    """Run, print a row a target and each kind of failure, and give how many failed (at most 1)."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="mutations of all targets together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--target", action="append", help="a target's name or a pattern, such as cameras-*; repeatable; default: all"
    )
    parser.add_argument("--number", type=int, help="only the mutation of this number")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-failures"), help="where files that failed go")
    options = parser.parse_args()
    outcomes: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    reasons: collections.Counter[str] = collections.Counter()
    with ExitStack() as opened, suppress(KeyboardInterrupt):  # Ctrl-C ends it with the table so far
        work = Path(opened.enter_context(tempfile.TemporaryDirectory()))
        runner = opened.enter_context(Runner(work, options.keep))
        patterns = options.target or ["*"]
        names = [
            name for name in (*runner.targets, uploads.NAME) if any(fnmatch(name, pattern) for pattern in patterns)
        ]
        if not names:
            parser.error(f"--target: expected one of {', '.join((*runner.targets, uploads.NAME))}")
        server = opened.enter_context(uploads.Uploads(work, options.keep)) if uploads.NAME in names else None
        numbers = range(-(-options.count // len(names))) if options.number is None else [options.number]
        for number in numbers:
            for name in names:
                mutate = runner.mutate if server is None or name != uploads.NAME else server.mutate
                answer = mutate(name, options.seed, number)
                outcomes[name][answer["outcome"]] += 1
                if answer["outcome"] == "failed":
                    reasons[f"{name}: {answer['why']}"[:160]] += 1
                    print(f"{name} {number}: {answer['why']}", flush=True)
                if options.number is not None:
                    print(answer.get("trace", answer["outcome"]))
    print(f"{'target':18} {'read':>7} {'refused':>7} {'failed':>7}")
    total: collections.Counter[str] = collections.Counter()
    for name, counts in [*outcomes.items(), ("all", total)]:
        print(f"{name:18} {counts['read']:7} {counts['refused']:7} {counts['failed']:7}")
        total.update(counts if name != "all" else {})
    return min(total["failed"], 1)


if __name__ == "__main__":
    raise SystemExit(main())
