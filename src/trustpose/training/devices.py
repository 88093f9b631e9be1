"""Fabric for the devices that the user named, in one process or many."""

import os
from typing import Any

from lightning_fabric import Fabric

from trustpose.files import InputError
from trustpose.training.recipe import Precision


def make_fabric(accelerator: str = "auto", devices: int = 1, precision: Precision = "32-true") -> Fabric:
    """For one process, several that Fabric starts itself (`devices` above 1), or as torchrun or `fabric run` started.

    accelerator: cpu, cuda, mps, or auto. Under torchrun and `fabric run` their own number of processes counts. Raises
    InputError for a device that is not there.
    """
    counts: dict[str, Any] = {"devices": devices, "accelerator": accelerator}
    if "LT_CLI_USED" in os.environ:
        counts = {}  # `fabric run` hands its own on by the environment
    elif "TORCHELASTIC_RUN_ID" in os.environ:
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        counts |= {"devices": here, "num_nodes": int(os.environ["WORLD_SIZE"]) // here}
    try:
        return Fabric(precision=precision, **counts)
    except (ValueError, RuntimeError, TypeError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"--accelerator {accelerator}, --devices {devices}: {said}") from None
