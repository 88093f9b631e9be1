"""Create Fabric for the devices that the user named, in one process or many."""

import logging
import os
from typing import Any

from lightning_fabric import Fabric

from trustpose.files import InputError
from trustpose.training.recipe import Precision


def launch_fabric(accelerator: str = "auto", devices: int = 1, precision: Precision = "32-true") -> Fabric:
    """Return Fabric for one process, for several that it starts (`devices` above 1), or for torchrun and `fabric run`.

    All processes are connected when this returns; those started by Fabric run the program's command from its beginning.

    accelerator: cpu, cuda, mps, or auto. torchrun and `fabric run` set their own number of processes. Raises InputError
    for a device that does not exist.
    """
    counts: dict[str, Any] = {"devices": devices, "accelerator": accelerator}
    if "LT_CLI_USED" in os.environ:
        counts = {}  # `fabric run` passes its own by the environment
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        local_processes = int(os.environ["LOCAL_WORLD_SIZE"])
        counts |= {"devices": local_processes, "num_nodes": int(os.environ["WORLD_SIZE"]) // local_processes}
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # hide messages about joining processes
    try:
        fabric = Fabric(precision=precision, **counts)
    except (ValueError, RuntimeError, TypeError, ImportError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"--accelerator {accelerator}, --devices {devices}: {reason}") from None
    if "LT_CLI_USED" not in os.environ:  # otherwise the processes are connected already
        fabric.launch()
    return fabric
