"""Predict on a Ray cluster: Ray Data reads, predicts and writes block by block.

Scheduling, back-pressure and retries are Ray Data's: blocks are read by actors, then predicted and written by actors
with a predictor each.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from trustpose.formats.error_files import write_errors
from trustpose.models.spec import DEFAULT
from trustpose.predict.base import BasePredictor
from trustpose.predict.load import load
from trustpose.predict.options import PredictOptions, RunOptions
from trustpose.predict.run import settings_of
from trustpose.runtime.sessions import AUTO
from trustpose.scale.blocks import remaining, write_blocks
from trustpose.scale.cluster import Cluster, Share, cluster, import_ray, unwrap_error
from trustpose.scale.folder import POSES, RunFolder, Total
from trustpose.scale.options import ScaleOptions
from trustpose.scale.stages import Predict, Read, Work, counts_of
from trustpose.scale.storage import StoragePath
from trustpose.scale.table import Counts
from trustpose.scale.units import Inputs, Unit, find_inputs


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
