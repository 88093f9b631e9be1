"""The cost of a trust head relative to its network: parameters, latency and processor time, in one run.

    python benchmarks/trust_latency.py [MODEL_DIR…] [--network FILE] [--rounds N] [--zoo-rounds N]

MODEL_DIR are folders of `trustpose train simplepose-trust`, all on the network named by --network. That network alone,
with its batch size freed as in those folders, is run beside each of them, network and head in one graph; both by
onnxruntime with one thread, on the same random crops. To show the cost for ordinary networks too, our head is put, with
random weights, on two networks of the zoo, 256 × 192 (--zoo-rounds 0 leaves them out).

A round runs every pair in turn, network first in even rounds and last in odd ones; each is run for about 50 ms at a
time. A round's overhead is time with head / time without − 1, and the table has the median over rounds, in % of the
network: of elapsed time, and of processor time, the steadier of the two on a machine that does other things. Behind
them stand the quartiles: an overhead smaller than their distance was not measured. Parameters of the network are the
numbers in its graph's weights. Needs the extra `train`. Last comes one line of JSON.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from trustpose.export.inner_tensors import expose
from trustpose.export.onnx import export_onnx as export_network
from trustpose.export.onnx_graphs import free_batch
from trustpose.export.trust import export_onnx as export_joined
from trustpose.files import InputError
from trustpose.models.spec import ModelSpec
from trustpose.networks.zoo import build
from trustpose.runtime.sessions import open_session, session_of
from trustpose.trust.network import attach

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
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


@dataclass(frozen=True)
class Timed:
    """Seconds of one run: elapsed, and of the processor."""

    elapsed: float
    processor: float


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
    counts = [sum(one.numel() for one in module.parameters()) for module in (network, joined.head)]
    return Pair(f"{name}, {OUR_HEAD}", alone, both, *counts)


def run(session: onnxruntime.InferenceSession, crops: np.ndarray, times: int) -> Timed:
    """Crops (B, 3, H, W), and boxes (B, 2) that fill them for a head that reads boxes."""
    boxes = np.ones((len(crops), 2), np.float32)
    blob = {one.name: crops if len(one.shape) == 4 else boxes for one in session.get_inputs()}
    start, processor = time.perf_counter(), time.process_time()
    for _ in range(times):
        session.run(None, blob)
    return Timed((time.perf_counter() - start) / times, (time.process_time() - processor) / times)


def compare(pairs: list[Pair], rounds: int) -> dict[tuple[str, int], list[tuple[Timed, Timed]]]:
    """(alone, joined) of every pair and batch size, all rounds."""
    random = np.random.default_rng(0)
    crops = {batch: random.standard_normal((batch, 3, HEIGHT, WIDTH), dtype=np.float32) for batch in BATCHES}
    times: dict[tuple[str, int], int] = {}
    for pair in pairs:
        for batch, tensor in crops.items():
            run(pair.joined, tensor, 1)
            times[pair.name, batch] = max(1, round(SECONDS / run(pair.alone, tensor, 1).elapsed))
    found: dict[tuple[str, int], list[tuple[Timed, Timed]]] = {key: [] for key in times}
    for at in range(rounds):
        for pair in pairs:
            for batch, tensor in crops.items():
                key = (pair.name, batch)
                order = (pair.alone, pair.joined) if at % 2 == 0 else (pair.joined, pair.alone)
                one, other = (run(session, tensor, times[key]) for session in order)
                found[key].append((one, other) if at % 2 == 0 else (other, one))
    return found


def show(pairs: list[Pair], rounds: int) -> dict[str, object]:
    """The table of these pairs, and the same for scripts."""
    found = compare(pairs, rounds)
    summary: dict[str, object] = {}
    for pair in pairs:
        share = 100 * pair.head_parameters / pair.network_parameters
        print(
            f"\n{pair.name}: {pair.head_parameters / 1e6:.3f} M parameters, "
            f"{share:.1f} % of the network's {pair.network_parameters / 1e6:.2f} M; median of {rounds} rounds"
        )
        print(f"{'batch':>8}{'network, ms':>14}{'head, ms':>11}{'elapsed':>10}{'':18}{'processor':>10}")
        row: dict[str, object] = {"parameters": pair.head_parameters, "of_network": round(share / 100, 4)}
        for batch in BATCHES:
            both = found[pair.name, batch]
            alone = 1000 * statistics.median(one.elapsed for one, _ in both) / batch
            cells, medians = [], []
            for kind in ("elapsed", "processor"):
                ratios = [100 * (getattr(other, kind) / getattr(one, kind) - 1) for one, other in both]
                low, middle, high = np.quantile(ratios, [0.25, 0.5, 0.75])
                cells.append(f"{middle:8.1f} %{f'({low:.1f} to {high:.1f})':>18}")
                medians.append(round(float(middle) / 100, 4))
            print(f"{batch:8}{alone:14.3f}{alone * medians[0]:11.3f}" + "".join(cells))
            row[f"batch_{batch}"] = {"elapsed": medians[0], "processor": medians[1]}
        summary[pair.name] = row
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, metavar="MODEL_DIR")
    parser.add_argument("--network", type=Path, default=DATA / "networks" / "simplepose.onnx")
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--zoo-rounds", type=int, default=5)
    options = parser.parse_args()
    try:
        pairs = folder_pairs(options.network, options.models) if options.models else []
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    print("latency of a person in ms, and what the head adds in % of the network (quartiles)")
    summary = show(pairs, options.rounds) if pairs else {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ZOO if options.zoo_rounds else ():
            summary |= show([zoo_pair(name, Path(folder))], options.zoo_rounds)
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
