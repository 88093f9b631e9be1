"""A Ray cluster: started on this machine or connected to, its settings, and each worker's share of CPUs and GPUs."""

import importlib
import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.scale.options import LOCAL
from trustpose.threads import cpu_count

_CPUS = 4  # of a worker without a GPU, where its machine has as many
_LOOK = 2.0  # seconds between looks at the cluster's machines
_SETTLED = 20.0  # seconds for which they must have been others, since several often come and go together
_WAIT = 600.0  # seconds for a machine when none is left
_GPU_DEVICES = (None, "auto", "cuda")


@dataclass(frozen=True)
class Share:
    """The number of workers, and the CPUs and GPUs of each."""

    workers: int
    cpus: int
    gpus: float


@dataclass(frozen=True)
class Cluster:
    """A cluster in use; `ray` is the package."""

    ray: Any

    def share(self, workers: int | None, device: str | None) -> Share:
        """Divide the cluster: a worker on each GPU, or else on every four CPUs, unless their number is given; the CPUs
        are divided among them. Raises InputError if there are too few for that many."""
        nodes = [node["Resources"] for node in self.ray.nodes() if node["Alive"]]
        sizes = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in nodes]
        return share(sizes, workers, device)

    def share_again(self, workers: int | None, device: str | None) -> Share:
        """Divide what is left of the cluster: for as many workers, or as many as there is room for. Waits for a while
        if nothing is left. Raises InputError if nothing comes."""
        end = time.monotonic() + _WAIT
        while True:
            try:
                largest = self.share(None, device)
                break
            except InputError:
                if time.monotonic() > end:
                    raise InputError("the cluster has lost all its machines; --resume continues") from None
                time.sleep(1)
        for count in range(workers or 0, 0, -1):
            with suppress(InputError):
                return self.share(count, device)
        return largest

    @contextmanager
    def settings(self) -> Iterator[None]:
        """Inside the block, Ray Data keeps rows apart, each of which is one of our blocks, and prints nothing; and a
        run ends with ClusterChangedError if machines leave or join."""
        contexts = self.ray.data.DataContext
        context = contexts.get_current().copy()
        context.enable_progress_bars = False
        context.target_max_block_size = context.target_min_block_size = 1  # bytes
        context.custom_execution_callback_classes = [*context.custom_execution_callback_classes, MachineWatch]
        with contexts.current(context):
            yield


class ClusterChangedError(Exception):
    """Machines have left the cluster or joined it for long enough that what is left should be divided anew."""


class MachineWatch:
    """A callback of Ray Data's: looks at the cluster's machines while a run goes on. Raises ClusterChangedError."""

    def before_execution_starts(self, _executor: Any) -> None:
        """Note the machines."""
        self._before, self._looked, self._changed = self._alive(), time.monotonic(), 0.0

    def on_execution_step(self, _executor: Any) -> None:
        """Compare the machines with those of the start, every few seconds."""
        seconds = time.monotonic()
        if seconds - self._looked < _LOOK:
            return
        self._looked = seconds
        if self._alive() == self._before:
            self._changed = 0.0
            return
        self._changed = self._changed or seconds
        if seconds - self._changed >= _SETTLED:
            raise ClusterChangedError

    def after_execution_succeeds(self, _executor: Any) -> None:
        """Nothing is to be done."""

    def after_execution_fails(self, _executor: Any, _error: Exception) -> None:
        """Nothing is to be done."""

    @staticmethod
    def _alive() -> set[str]:
        return {node["NodeID"] for node in import_ray().nodes() if node["Alive"]}


def share(sizes: list[tuple[int, int]], workers: int | None, device: str | None) -> Share:
    """See `Cluster.share`; `sizes` are the CPUs and GPUs of each machine."""
    gpus = sum(gpu for _, gpu in sizes) if device in _GPU_DEVICES else 0
    cpus = sum(cpu for cpu, _ in sizes)
    count = workers or gpus or sum(max(1, cpu // _CPUS) for cpu, _ in sizes if cpu)
    together = -(-count // gpus) if gpus else 0  # workers on one GPU
    for cpus_each in range(max(1, cpus // max(1, count)), 0, -1):
        slots = [min(cpu // cpus_each, gpu * together) if gpus else cpu // cpus_each for cpu, gpu in sizes]
        if count and sum(slots) >= count:
            return Share(count, cpus_each, 1 / together if together else 0)
    has = f"{cpus} CPUs" + (f" and {gpus} GPUs" if gpus else "")
    raise InputError(f"--workers: the cluster has {has}, too few for {count} workers")


def import_ray() -> Any:
    """Return Ray, with Ray Data. Raises InputError with the install line."""
    try:
        importlib.import_module("ray.data")
        warnings.filterwarnings("ignore", "The (minimum|maximum) number of concurrent", UserWarning)  # for few blocks
        return importlib.import_module("ray")
    except ImportError:
        raise InputError(f"--engine ray: {not_installed('ray', 'ray')}") from None


@contextmanager
def cluster(address: str) -> Iterator[Cluster]:
    """Start a cluster on this machine (LOCAL), or connect to one, for as long as the block runs; one that the program
    is connected to already is used and left as it is. Raises InputError if there is none at the address."""
    ray = import_ray()
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    if ray.is_initialized():
        yield Cluster(ray)
        return
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray would report its use over the network
    os.environ.setdefault("RAY_worker_niceness", "0")  # 15 by default: then any other program would come first
    local_options = {"num_cpus": cpu_count(), "include_dashboard": False} if address == LOCAL else {}
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **local_options)
    except (ConnectionError, RuntimeError, ValueError) as error:
        hint = "; RAY_AUTH_MODE=token, if it was started with a token" if "RAY_AUTH_MODE" not in os.environ else ""
        raise InputError(f"--address {address}: no Ray cluster ({str(error).splitlines()[0]}{hint})") from None
    try:
        yield Cluster(ray)
    finally:
        ray.shutdown()


def unwrap_error(error: BaseException) -> BaseException:
    """Return the InputError, or ClusterChangedError, behind an error that Ray carried to us, else the error itself."""
    seen: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in seen:
        seen.append(cause)
        if isinstance(cause, ClusterChangedError):
            return cause
        if isinstance(cause, InputError):
            return _plain(cause)
        cause = getattr(cause, "cause", None) or cause.__cause__ or cause.__context__
    return error


def _plain(error: InputError) -> InputError:
    """Return the error as it was raised: Ray's copies also are of a class of its own, with the trace in their text."""
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, InputError) else error
