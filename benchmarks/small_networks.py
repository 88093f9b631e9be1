"""The speed of exported small networks: PP-TinyPose and PicoDet-S as published, and as we export them, on one CPU.

    python benchmarks/small_networks.py [--rounds N] [--batch N]

Milliseconds per picture in ONNX Runtime, networks alone: the published graph, the same network exported layer by layer,
and as trustpose exports it (`networks.inference`). They take turns; the fastest round and the median, then one line of
JSON. Needs the `train` extra and TRUSTPOSE_DATA.
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnxruntime
from torch import nn

from trustpose.export import onnx as export
from trustpose.networks.lite_hrnet import tinypose
from trustpose.networks.onnx_weights import read_onnx_weights
from trustpose.networks.picodet import PicoDet

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "small-networks"


class Listed(nn.Module):
    """PicoDet's two outputs that are read."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        self.detector = detector

    def forward(self, image):
        found = self.detector(image)
        return found.scores[:, None], found.boxes


def written(network: nn.Module, names: list[str], size: tuple[int, int], folder: Path) -> dict[str, Path]:
    """The network's graphs, layer by layer and as trustpose writes it."""
    paths = {"layer by layer": folder / "plain.onnx", "as exported": folder / "fast.onnx"}
    with patch.object(export, "for_inference", lambda network: network):
        export.write_onnx(network, names, paths["layer by layer"], *size)
    export.write_onnx(network, names, paths["as exported"], *size)
    return paths


def session_of(path: Path) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def timed(paths: dict[str, Path], image: np.ndarray, rounds: int) -> dict[str, list[float]]:
    """Milliseconds per picture of each graph in each round; the second of two runs, so that caches are its own."""
    sessions = {name: session_of(path) for name, path in paths.items()}
    taken: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(rounds):
        for name, session in sessions.items():
            for _ in range(2):
                started = time.perf_counter()
                session.run(None, {"image": image})
                seconds = time.perf_counter() - started
            taken[name].append(1000 * seconds / len(image))
    return taken


def run(rounds: int, batch: int) -> None:
    detector, network = PicoDet().eval(), tinypose().eval()
    detector.read(DATA / "picodet-s.onnx")
    network.load_state_dict(read_onnx_weights(DATA / "tinypose.onnx", network))
    tests = {
        "tinypose": (export._LastStage(network, features=False), ["heatmaps"], (256, 192), batch),
        "picodet-s": (Listed(detector), ["scores", "boxes"], (320, 320), 1),
    }
    result = {}
    for name, (module, names, size, count) in tests.items():
        image = np.random.default_rng(0).normal(size=(count, 3, *size)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            paths = {"published": DATA / f"{name}.onnx"} | written(module, names, size, Path(folder))
            taken = timed(paths, image, rounds)
        rows = {how: {"fastest ms": min(some), "median ms": statistics.median(some)} for how, some in taken.items()}
        result[name] = rows
        print(f"\n{name}, {size[1]} × {size[0]}, batch {count}")
        for how, row in rows.items():
            faster = rows["published"]["fastest ms"] / row["fastest ms"]
            print(f"  {how:<16}{row['fastest ms']:7.2f} ms, median {row['median ms']:6.2f}   {faster:.2f} × as fast")
    print(f"\nload: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    print(json.dumps(result))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=60)
    parser.add_argument("--batch", type=int, default=1, help="crops a run")
    given = parser.parse_args()
    run(given.rounds, given.batch)
