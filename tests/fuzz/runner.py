"""Starts the worker, passes it files, and restarts it if one ends it."""

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.fuzz.worker import FILE, ITSELF, STDERR

ROOT = Path(__file__).parents[2]
CORPUS = Path(__file__).parent / "corpus"


class Runner:
    """One worker process in the folder `work`; failing files are copied to `keep`, where it is given."""

    def __init__(self, work: Path, keep: Path | None = None) -> None:
        self.work, self.keep = work, keep
        work.mkdir(parents=True, exist_ok=True)
        self._start()

    def __enter__(self) -> "Runner":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def mutate(self, target: str, seed: int, number: int) -> dict[str, Any]:
        """The outcome of one mutation."""
        return self._ask({"target": target, "seed": seed, "number": number})

    def replay(self, path: Path) -> dict[str, Any]:
        """The outcome of a file of the corpus, corpus/TARGET/FILE--WHAT."""
        return self._ask({"target": path.parent.name, "corpus": str(path)})

    def _start(self) -> None:
        command = [sys.executable, "-m", "tests.fuzz.worker", str(self.work)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self._process = subprocess.Popen(command, cwd=ROOT, **pipes)
        first = self._read()
        if first is None:
            raise RuntimeError((self.work / STDERR).read_text()[-3000:])
        self.targets: list[str] = first["targets"]

    def _read(self) -> dict[str, Any] | None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else None

    def _ask(self, request: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._read()
        if answer is None:
            code = self._process.wait()
            name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
            why = {"SIGPROF": "took over 10 s", "SIGALRM": "waited for ever"}.get(name, f"ended by {name}")
            trace = (self.work / STDERR).read_text(errors="replace")[-3000:]
            answer = request | {"outcome": "failed", "why": why, "trace": trace, "file": "?"}
            self._keep(answer)
            self._start()
        elif answer["outcome"] == "failed":
            self._keep(answer)
        return answer

    def _keep(self, answer: dict[str, Any]) -> None:
        if self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            name = f"{answer['target']}-{answer.get('seed')}-{answer.get('number')}"
            if answer["target"] != ITSELF:
                shutil.copy(self.work / FILE, self.keep / name)
            (self.keep / f"{name}.json").write_text(json.dumps(answer, indent=1))
