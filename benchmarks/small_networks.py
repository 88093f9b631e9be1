"""The speed of exported small networks: PP-TinyPose and PicoDet-S as published, and as we export them, on one CPU.

    python benchmarks/small_networks.py [--rounds N] [--batch N]

Milliseconds per picture in ONNX Runtime, networks alone: the published graph, the same network exported layer by layer,
and as trustpose exports it (`networks.inference`). They take turns; the fastest round and the median. Needs the `train`
extra.
"""

import os
import statistics
import tempfile
from functools import partial
from pathlib import Path
from unittest.mock import patch

import numpy as np
import onnxruntime
from harness import in_turns, parser, run, table, timed
from torch import nn

from trustpose.export import onnx as export
from trustpose.networks.lite_hrnet import tinypose
from trustpose.networks.onnx_weights import read_onnx_weights
from trustpose.networks.picodet import PicoDet


class ScoresAndBoxes(nn.Module):
    """PicoDet's two outputs that are read."""

    def __init__(self, detector: nn.Module):
        super().__init__()
        self.detector = detector

    def forward(self, image):
        detected = self.detector(image)
        return detected.scores[:, None], detected.boxes


def exported(network: nn.Module, names: list[str], size: tuple[int, int], folder: Path) -> dict[str, Path]:
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


def second_run(session: onnxruntime.InferenceSession, image: np.ndarray) -> float:
    """Seconds of the second of two runs, so that caches are its own."""
    return [timed(lambda: session.run(None, {"image": image})).seconds for _ in range(2)][1]


def main(options):
    data = options.data / "small-networks"
    detector, network = PicoDet().eval(), tinypose().eval()
    detector.read(data / "picodet-s.onnx")
    network.load_state_dict(read_onnx_weights(data / "tinypose.onnx", network))
    tests = {
        "tinypose": (export._LastStage(network, features=False), ["heatmaps"], (256, 192), options.batch),
        "picodet-s": (ScoresAndBoxes(detector), ["scores", "boxes"], (320, 320), 1),
    }
    result = {}
    for name, (module, names, size, count) in tests.items():
        image = np.random.default_rng(0).normal(size=(count, 3, *size)).astype(np.float32)
        with tempfile.TemporaryDirectory() as folder:
            paths = {"published": data / f"{name}.onnx"} | exported(module, names, size, Path(folder))
            work = {graph: partial(second_run, session_of(path), image) for graph, path in paths.items()}
            timings = in_turns(work, options.rounds, warm_up=False)
        times = {graph: [1000 * timing.result / count for timing in rounds] for graph, rounds in timings.items()}
        rows = {graph: {"fastest ms": min(ms), "median ms": statistics.median(ms)} for graph, ms in times.items()}
        result[name] = rows
        fastest = rows["published"]["fastest ms"]
        table(
            f"{name}, {size[1]} × {size[0]}, batch {count}",
            {graph: row | {"times as fast": fastest / row["fastest ms"]} for graph, row in rows.items()},
            ".2f",
        )
    print(f"\nload: {os.getloadavg()[0]:.1f} on {os.cpu_count()} CPUs")
    return result


if __name__ == "__main__":
    options_parser = parser(__doc__, "data", rounds=60)
    options_parser.add_argument("--batch", type=int, default=1, help="crops a run")
    run(main, options_parser)
