"""A process that reads mutated files, one after another and within limits, and reports each outcome.

One JSON line in: the target, and the number and seed of a mutation or a file of the corpus. One JSON line out:
`outcome` "read", "refused" or "failed", with `why`. A file that takes more than ten seconds of processor time ends the
process by SIGPROF, one that waits for ever by SIGALRM; the parent process records the file.
"""

import faulthandler
import json
import os
import resource
import signal
import sys
import traceback
import warnings
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.mutations import mutate_bytes

SECONDS, WAITING = 10, 60  # of processor time for one file, and of waiting on a busy machine
MOST_BYTES = 2_000_000_000  # beyond what the process has when it begins
ITSELF = "itself"  # a target that fails on purpose
SEEDS, SCRATCH, FILE, STDERR = "seeds", "scratch", "file", "stderr.txt"


def main(work: Path) -> None:
    """Answer requests from standard input until it ends. `work` is a folder of this process's own."""
    answers = os.fdopen(os.dup(1), "w")
    with Path(os.devnull).open("w") as nowhere, (work / STDERR).open("w+") as errors:
        os.dup2(nowhere.fileno(), 1)
        os.dup2(errors.fileno(), 2)
    for number in (signal.SIGPROF, signal.SIGALRM):  # ignored by what started this process, they would end nothing
        signal.signal(number, signal.SIG_DFL)
    faulthandler.register(signal.SIGPROF, chain=True)
    faulthandler.enable()
    from tests.fuzz.seeds import write_seeds
    from tests.fuzz.targets import TARGETS

    if not (work / SEEDS).exists():
        write_seeds(work / SEEDS)
    warnings.simplefilter("error", RuntimeWarning)  # numpy's: a number that should have been refused
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (_memory("VmSize") + MOST_BYTES,) * 2)
    targets = {target.name: target for target in TARGETS}
    print(json.dumps({"targets": list(targets)}), file=answers, flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        if request["target"] == ITSELF:
            answer = _watched(lambda number=request["number"]: _misbehave(number), work, seconds=1)
            print(json.dumps(request | answer), file=answers, flush=True)
            continue
        target = targets[request["target"]]
        file, content = _content(target, request, work / SEEDS)
        (work / FILE).write_bytes(content)
        target.prepare(work / SEEDS, work / SCRATCH, file, content)
        answer = _watched(lambda: target.read(work / SCRATCH, file), work)  # noqa: B023  # called at once
        print(json.dumps(request | {"file": str(file)} | answer), file=answers, flush=True)


def _content(target: Any, request: dict[str, Any], seeds: Path) -> tuple[Path, bytes]:
    """The file's name in the target's folder, and what is in it; as it was where the mutation's number is below 0."""
    known = target.seeds(seeds)
    if request.get("number", 0) < 0:
        file = known[-request["number"] % len(known)]
        return file, (seeds / target.folder / file).read_bytes()
    if "corpus" in request:
        path = Path(request["corpus"])
        return next((one for one in known if one.name == path.name.split("--")[0]), known[0]), path.read_bytes()
    random = np.random.default_rng([request["seed"], zlib.crc32(target.name.encode()), request["number"]])
    file = known[random.integers(len(known))]
    content = (seeds / target.folder / file).read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of numbers that become none on purpose
            return file, target.mutate(content, random)
    except RecursionError:  # a value that became too deep to be written
        return file, mutate_bytes(content, random)


def _misbehave(number: int) -> bool:
    """Forbidden behaviour of a reader, to test that it is detected."""
    if number == 0:
        raise RuntimeError("on purpose")
    if number == 1:
        return os.write(2, b"another's words\n") > 0
    while number == 2:
        pass
    return len(np.ones(MOST_BYTES // 4)) > 0


def _watched(read: Callable[[], bool], work: Path, seconds: float = SECONDS) -> dict[str, Any]:
    """The outcome of one file."""
    os.truncate(work / STDERR, 0)
    os.lseek(2, 0, os.SEEK_SET)
    before = _memory("VmHWM")
    signal.setitimer(signal.ITIMER_PROF, seconds)
    signal.alarm(WAITING)
    try:
        answer: dict[str, Any] = {"outcome": "read" if read() else "refused"}
    except BaseException as error:
        lines = traceback.format_exception(error)
        answer = {"outcome": "failed", "why": f"{type(error).__name__}: {error}"[:300], "trace": "".join(lines)[-3000:]}
    signal.setitimer(signal.ITIMER_PROF, 0)
    signal.alarm(0)
    sys.stderr.flush()
    noise = [line for line in (work / STDERR).read_text(errors="replace").splitlines() if not _is_ours(line)]
    if noise and answer["outcome"] != "failed":
        answer = {"outcome": "failed", "why": f"said: {noise[0][:300]}"}
    if _memory("VmHWM") - before > MOST_BYTES:
        answer = {"outcome": "failed", "why": f"took {_memory('VmHWM') - before} bytes"}
    return answer


def _is_ours(line: str) -> bool:
    return line.startswith(("trustpose: ", "note: ")) or not line.strip()


def _memory(name: str) -> int:
    """Bytes: "VmSize", all that the process may touch; "VmHWM", the most that it has."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    raise ValueError(name)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
