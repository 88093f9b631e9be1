"""`python -m tests.training.killed_run FOLDER STEP`: a training that is killed in the middle of a step."""

import os
import signal
import sys
from pathlib import Path

import torch

from tests.training.tiny import one_process, resumable_task
from trustpose.training.loop import fit


def main(folder: Path, step: int) -> None:
    torch.set_num_threads(1)
    task = resumable_task()
    compute, calls = task.losses, []

    def losses(*arguments):
        calls.append(0)
        if len(calls) > step:
            os.kill(os.getpid(), signal.SIGKILL)
        return compute(*arguments)

    task.losses = losses
    fit(task, task.recipe, folder, one_process())


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
