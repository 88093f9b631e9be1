"""Processes that are killed or stopped: copies of the tests' own, which have imported everything."""

import multiprocessing
import os
import signal
import sys
import traceback
from collections.abc import Callable
from multiprocessing.context import ForkProcess
from pathlib import Path

import torch


def start(call: Callable[[], object], errors: Path) -> ForkProcess:
    """A process that calls; it ends with the call's exit code, and what it says as errors goes to a file."""

    def run() -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        torch.set_num_threads(1)  # makes the pool that the fork lost; two threads that did so at once would fail
        with errors.open("w", buffering=1) as file:
            os.dup2(file.fileno(), 2)
            sys.stderr = file
            try:
                call()
            except Exception:
                traceback.print_exc()
                raise

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process


def wait(process: ForkProcess, seconds: float = 120) -> int:
    """Its exit code, the negative signal that ended it; it is killed where it does not end in time."""
    process.join(seconds)
    if process.exitcode is None:
        process.kill()
        process.join()
    code = process.exitcode
    assert code is not None
    return code
