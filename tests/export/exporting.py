"""How far a network's ONNX file is from the network itself."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch
from torch import nn

from tests.networks.random_weights import build_random
from trustpose.export.onnx import export_onnx

SIDE = 64


def largest_difference(make: Callable[[], nn.Module], path: Path) -> float:
    """Between the heatmaps and features of what `make` builds and those of its ONNX file, which is written to `path`.

    As a share of the largest heatmap (or feature) where that is above 1: random weights do not keep heatmaps within
    0–1. In batches of 1 and 3. Raises AssertionError where the file's outputs are others, or hardly change over a map.
    """
    network = build_random(make).train()
    export_onnx(network, path, SIDE, SIDE, features=True)
    assert network.training
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    shapes = [output.shape for output in session.get_outputs()]
    assert shapes == [["batch", channels, 16, 16] for channels in (17, network.feature_channels)]
    network.eval()
    found = 0.0
    for batch in (1, 3):
        images = torch.randn(batch, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            outputs = network(images)
        arrays = session.run(None, {"image": images.numpy()})
        for ours, theirs in zip((outputs.heatmaps[-1].numpy(), outputs.features.numpy()), arrays, strict=True):
            scale = max(1.0, float(np.abs(ours).max()))
            assert ours.std(axis=(2, 3)).max() > 1e-3 * scale  # else agreement would say little
            found = max(found, float(np.abs(ours - theirs).max()) / scale)
    return found
