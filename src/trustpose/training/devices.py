"""Fabric for the devices that the user named, in one process or many."""

import logging
import os
from typing import Any

from lightning_fabric import Fabric

from trustpose.files import InputError
from trustpose.training.recipe import Precision


def launched(accelerator: str = "auto", devices: int = 1, precision: Precision = "32-true") -> Fabric:
    """For one process, several that Fabric starts itself (`devices` above 1), or as torchrun or `fabric run` started.

    All processes have met when this returns; those that Fabric starts run the program's command from its beginning.

    accelerator: cpu, cuda, mps, or auto. Under torchrun and `fabric run` their own number of processes counts. Raises
    InputError for a device that is not there.
    """
    counts: dict[str, Any] = {"devices": devices, "accelerator": accelerator}
    if "LT_CLI_USED" in os.environ:
        counts = {}  # `fabric run` hands its own on by the environment
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        counts |= {"devices": here, "num_nodes": int(os.environ["WORLD_SIZE"]) // here}
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)  # who joined whom is nobody's news
    try:
        fabric = Fabric(precision=precision, **counts)
    except (ValueError, RuntimeError, TypeError, ImportError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"--accelerator {accelerator}, --devices {devices}: {said}") from None
    if "LT_CLI_USED" not in os.environ:  # there the processes know each other already
        fabric.launch()
    return fabric
