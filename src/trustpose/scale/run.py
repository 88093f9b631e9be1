"""Predict on a Ray cluster: Ray Data reads, predicts and writes block by block.

Scheduling, back-pressure and retries are Ray Data's: blocks are read by actors, then predicted and written by actors
with a predictor each.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, TypeVar

from trustpose.io.companions import write_errors
from trustpose.models.runtime.sessions import AUTO
from trustpose.models.spec import DEFAULT
from trustpose.predict.base_predictor import BasePredictor
from trustpose.predict.load import load
from trustpose.predict.options import PredictOptions, RunOptions
from trustpose.predict.run import settings_of
from trustpose.scale.cluster import Cluster, ClusterChangedError, Share, cluster, import_ray, unwrap_error
from trustpose.scale.folder import POSES, RunFolder, Total
from trustpose.scale.options import ScaleOptions
from trustpose.scale.stages import Predict, Read, Work, counts_of
from trustpose.scale.storage import StoragePath
from trustpose.scale.table import Counts
from trustpose.scale.units import LAST, Inputs, Unit, find_inputs


class Part(Protocol):
    """A dataclass that describes what one task reads: its number in the run, the digest in its blocks' names, and the
    numbers of the blocks that an earlier run finished."""

    @property
    def number(self) -> int: ...

    @property
    def digest(self) -> str: ...

    @property
    def done(self) -> tuple[int, ...]: ...


P = TypeVar("P", bound=Part)


def write_blocks(
    machines: Cluster,
    workers: tuple[int | None, str | None],
    parts: list[P],
    finished: Iterable[str],
    write: Callable[[Share, list[P]], Iterator[tuple[str, Counts]]],
) -> Iterator[Counts]:
    """Yield the counts of each block that is not among the finished ones, as soon as its file is written.

    workers: their number, None for the cluster's, and their device. write: processes some of the parts, and yields each
    block's name and counts; raises ClusterChangedError if machines leave or join. The rest is then divided among the
    machines of the cluster: Ray would let the blocks of a worker whose machine is lost wait until another machine has
    room for it.
    """
    done = set(finished)
    share = machines.share(*workers)
    while todo := remaining(parts, done):
        try:
            for name, counts in write(share, todo):
                done.add(name)
                yield counts
        except ClusterChangedError:
            share = machines.share_again(*workers)


def remaining(parts: Iterable[P], finished: Iterable[str]) -> list[P]:
    """Return the parts with missing blocks, each with the numbers of its finished blocks. Blocks of other inputs, which
    have other names, do not count."""
    done: dict[str, list[int]] = {}
    last: dict[str, int] = {}
    for name in finished:
        part, number, digest, is_last = name[:7], int(name[8:13]), name[14:26], name.endswith(LAST)
        done.setdefault(f"{part}-{digest}", []).append(number)
        if is_last:
            last[f"{part}-{digest}"] = number
    parts_left = []
    for part in parts:
        key = f"{part.number:07d}-{part.digest}"
        done_numbers = sorted(done.get(key, []))
        if key not in last or len(done_numbers) <= last[key]:
            parts_left.append(replace(part, done=tuple(done_numbers)))  # type: ignore every part is a dataclass
    return parts_left


@dataclass(frozen=True)
class Progress:
    """A finished block: its counts, and the number of photos or frames of the run (None: unknown before reading)."""

    counts: Counts
    total: int | None


def predict_at_scale(
    model: str,
    names: Sequence[str],
    out: str,
    options: PredictOptions = PredictOptions(),  # noqa: B008
    scale_options: ScaleOptions = ScaleOptions(),  # noqa: B008
    tell: Callable[[Progress], None] | None = None,
) -> Total:
    """Predict photos, or the frames of videos, on a Ray cluster, and write Parquet files to the folder `out`.

    names: files, folders, patterns or addresses (s3://, gs://) of photos, Parquet files, tars or videos, as
    `units.find_inputs` takes them. The poses are those of `tp.load(model, options)`. A run that was stopped or killed
    continues with `scale_options.resume`, and no row is lost or written twice. Photos that cannot be read are counted
    and listed in errors.parquet. Raises InputError, also if Ray is not installed.

    """
    import_ray()
    model, options = _everywhere(model, options)
    folder = RunFolder(StoragePath.of(out))
    inputs = find_inputs(
        names, scale_options.block, recursive=scale_options.recursive, column=scale_options.column, out=folder.location
    )
    predictor = load(model, replace(options, device=AUTO))  # without a GPU, which this machine need not have
    settings = _settings(predictor, options, inputs, scale_options)
    folder.begin(settings, is_resumed=scale_options.resume, is_replaced=scale_options.overwrite)
    total, started = Total(), time.perf_counter()
    finished = folder.finished() if scale_options.resume else {}
    for counts in finished.values():
        _count(total, counts, inputs, tell)
    earlier = total.photos
    if remaining(inputs.units, finished):
        work = Work(model, options, settings["model"])
        with cluster(scale_options.address) as machines:
            write = partial(_through, machines, work, folder)
            for counts in write_blocks(
                machines, (scale_options.workers, options.device), inputs.units, finished, write
            ):
                _count(total, counts, inputs, tell)
    about = {
        "seconds": round(time.perf_counter() - started, 1),
        "photos_of_earlier_runs": earlier,
        "inputs": {"names": list(names), "kind": inputs.kind, "ids": "counted" if inputs.is_numbered_here else "given"},
        "versions": {name: version(name) for name in ("trustpose", "ray", "pyarrow", "numpy", "onnxruntime")},
    }
    folder.finish(settings, total, about)
    if folder.location.is_local:
        write_errors(folder.location.local / POSES, predictor.error_model)
    return total


def _count(total: Total, counts: Counts, inputs: Inputs, tell: Callable[[Progress], None] | None) -> None:
    total.add(counts)
    if tell is not None:
        tell(Progress(counts, inputs.total))


def _settings(
    predictor: BasePredictor, options: PredictOptions, inputs: Inputs, scale_options: ScaleOptions
) -> dict[str, Any]:
    """Return the settings on which poses and blocks depend: those of a run in one process, and the inputs."""
    settings = settings_of(predictor, RunOptions())
    settings |= {"device": options.device, "max_pixels": options.max_pixels}
    return settings | {"sources": inputs.fingerprint, "kind": inputs.kind, "block": scale_options.block}


def _everywhere(model: str, options: PredictOptions) -> tuple[str, PredictOptions]:
    """Replace relative paths: workers run in folders of their own."""

    def absolute(value: Any) -> Any:
        is_path = isinstance(value, (str, Path)) and Path(value).exists() and str(value) != DEFAULT
        return type(value)(Path(value).absolute()) if is_path else value

    names = ("detector", "detector_weights", "calibrator")
    return absolute(model), replace(options, **{name: absolute(getattr(options, name)) for name in names})


def _through(
    machines: Cluster, work: Work, folder: RunFolder, share: Share, todo: list[Unit]
) -> Iterator[tuple[str, Counts]]:
    """Run the stages once: yield each block's name and counts. Raises ClusterChangedError."""
    data = machines.ray.data
    with machines.settings():
        units = data.from_items([{"unit": unit.to_json()} for unit in todo], override_num_blocks=len(todo))
        # reading waits for disks and networks: it takes no CPU from the predictors
        blocks = units.flat_map(
            Read,
            fn_constructor_args=(folder,),
            compute=data.ActorPoolStrategy(size=min(share.workers, len(todo))),
            num_cpus=0,
        )
        done = blocks.map(
            Predict,
            fn_constructor_args=(work.with_threads(share.cpus), folder),
            compute=data.ActorPoolStrategy(size=share.workers),
            num_cpus=share.cpus,
            num_gpus=share.gpus,
        )
        try:
            for row in done.iter_rows():
                yield counts_of(row)
        except Exception as error:
            raise unwrap_error(error) from error
