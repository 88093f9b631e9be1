"""The cost of a trust head relative to its network: parameters, latency and processor time, in one run.

    python benchmarks/trust_latency.py [MODEL_DIR…] [--network FILE] [--rounds N] [--zoo-rounds N]

MODEL_DIR are folders of `trustpose train simplepose-trust`, all on the network named by --network. That network alone,
with its batch size freed as in those folders, is run beside each of them, network and head in one graph; both by
onnxruntime with one thread, on the same random crops. To show the cost for ordinary networks too, our head is put, with
random weights, on two networks of the zoo, 256 × 192 (--zoo-rounds 0 leaves them out).

A round runs every network with and without its head in turn, each for about 50 ms at a time. A round's overhead is time
with head / time without − 1, and the table has the median over rounds, in % of the network: of elapsed time, and of
processor time, the steadier of the two on a machine that does other things. Behind them stand the quartiles: an
overhead smaller than their distance was not measured. Parameters of the network are the numbers in its graph's weights.
Needs the extra `train`.
"""

import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
from harness import DATA, Timing, cell, in_turns, parser, run, table, timed

from trustpose.export.inner_tensors import expose
from trustpose.export.onnx import export_onnx as export_network
from trustpose.export.onnx_graphs import free_batch
from trustpose.export.trust_folder import export_onnx as export_joined
from trustpose.files import InputError
from trustpose.heads.network import attach
from trustpose.models.runtime.sessions import open_session, session_of
from trustpose.models.spec import ModelSpec
from trustpose.networks.zoo import build

ZOO = {"HRNet-W32": "hrnet-w32", "SimpleBaseline-R50": "simple-baseline-r50"}
OUR_HEAD = "keypoint-tokens"
HEIGHT, WIDTH = 256, 192
BATCHES = (1, 4, 16)
SECONDS = 0.05  # at least, of one measurement


@dataclass(frozen=True, eq=False)
class Pair:
    """A network alone and with a head, both opened, and the number of their weights."""

    name: str
    alone: onnxruntime.InferenceSession
    joined: onnxruntime.InferenceSession
    network_parameters: int
    head_parameters: int


def parameters(model: onnx.ModelProto) -> int:
    """Numbers in a graph's weights, shapes and indices left out."""
    floats = (onnx.TensorProto.FLOAT, onnx.TensorProto.FLOAT16)
    return sum(int(np.prod(tensor.dims)) for tensor in model.graph.initializer if tensor.data_type in floats)


def folder_pairs(network: Path, folders: list[Path]) -> list[Pair]:
    """The network of a file beside each of its model folders. Raises InputError."""
    source = ModelSpec.read(network)
    model = expose(source, {})
    free_batch(model)
    alone = session_of(model.SerializeToString(), network)
    pairs = []
    for folder in folders:
        spec = ModelSpec.read(folder)
        if spec.trust is None:
            raise InputError(f"{folder}: has no trust head")
        joined = session_of(spec.onnx.read_bytes(), spec.onnx)
        name = f"{source.name}, {spec.trust.head} ({folder.name})"
        pairs.append(Pair(name, alone, joined, parameters(model), spec.trust.parameters))
    return pairs


def zoo_pair(name: str, folder: Path) -> Pair:
    """A network of the zoo and our head on it, random weights; their graphs are left in `folder`."""
    network = build(ZOO[name])
    joined = attach(OUR_HEAD, network, HEIGHT, WIDTH)
    paths = folder / f"{ZOO[name]}.onnx", folder / f"{ZOO[name]}-{OUR_HEAD}.onnx"
    export_network(network, paths[0], HEIGHT, WIDTH)
    export_joined(joined, paths[1], HEIGHT, WIDTH)
    alone, both = (open_session(path, 1) for path in paths)
    counts = [sum(parameter.numel() for parameter in module.parameters()) for module in (network, joined.head)]
    return Pair(f"{name}, {OUR_HEAD}", alone, both, *counts)


def repeated(session: onnxruntime.InferenceSession, crops: np.ndarray, times: int) -> Callable[[], None]:
    """Return a run of crops (B, 3, H, W), and of boxes (B, 2) that fill them for a head that reads boxes, repeated."""
    boxes = np.ones((len(crops), 2), np.float32)
    blob = {tensor.name: crops if len(tensor.shape) == 4 else boxes for tensor in session.get_inputs()}

    def work() -> None:
        for _ in range(times):
            session.run(None, blob)

    return work


def compare(pairs: list[Pair], rounds: int) -> dict[tuple[str, int], list[tuple[Timing, Timing, int]]]:
    """(alone, joined, runs) of every pair and batch size, all rounds."""
    random = np.random.default_rng(0)
    crops = {batch: random.standard_normal((batch, 3, HEIGHT, WIDTH), dtype=np.float32) for batch in BATCHES}
    times, candidates = {}, {}
    for pair in pairs:
        for batch, tensor in crops.items():
            key = pair.name, batch
            times[key] = max(1, round(SECONDS / timed(repeated(pair.alone, tensor, 1)).seconds))
            candidates[key, "alone"] = repeated(pair.alone, tensor, times[key])
            candidates[key, "joined"] = repeated(pair.joined, tensor, times[key])
    timings = in_turns(candidates, rounds)
    return {
        key: [
            (alone, joined, runs) for alone, joined in zip(timings[key, "alone"], timings[key, "joined"], strict=True)
        ]
        for key, runs in times.items()
    }


def show(pairs: list[Pair], rounds: int) -> dict[str, object]:
    """The table of these pairs, and the same for scripts."""
    timings = compare(pairs, rounds)
    summary: dict[str, object] = {}
    for pair in pairs:
        share = pair.head_parameters / pair.network_parameters
        print(
            f"\n{pair.head_parameters / 1e6:.3f} M parameters, {share:.1%} of the network's "
            f"{pair.network_parameters / 1e6:.2f} M; median of {rounds} rounds"
        )
        rows = {}
        record: dict[str, object] = {"parameters": pair.head_parameters, "of_network": round(share, 4)}
        for batch in BATCHES:
            turns = timings[pair.name, batch]
            milliseconds = 1000 * statistics.median(alone.seconds / runs for alone, _, runs in turns) / batch
            rows[f"batch {batch}"] = row = {"network, ms": milliseconds}
            medians = {}
            for name, field in (("elapsed", "seconds"), ("processor", "cpu_seconds")):
                ratios = [100 * (getattr(joined, field) / getattr(alone, field) - 1) for alone, joined, _ in turns]
                low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
                row[f"{name}, %"] = cell([middle, low, high], ".1f")
                medians[name] = round(float(middle) / 100, 4)
            row["head, ms"] = milliseconds * medians["elapsed"]
            record[f"batch_{batch}"] = medians
        table(pair.name, rows)
        summary[pair.name] = record
    return summary


def main(options):
    print("latency of a person in ms, and what the head adds in % of the network (quartiles)")
    summary = show(folder_pairs(options.network, options.models), options.rounds) if options.models else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ZOO if options.zoo_rounds else ():
            summary |= show([zoo_pair(name, Path(folder))], options.zoo_rounds)
    return summary


if __name__ == "__main__":
    options_parser = parser(__doc__, rounds=40)
    add = options_parser.add_argument
    add("models", nargs="*", type=Path, metavar="MODEL_DIR", help="folders of trustpose train")
    add("--network", type=Path, default=DATA / "networks" / "simplepose.onnx", help="the network alone")
    add("--zoo-rounds", type=int, default=5, help="rounds of the networks of the zoo; 0: without them")
    run(main, options_parser)
