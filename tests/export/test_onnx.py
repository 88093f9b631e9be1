"""Every network of the zoo gives the same numbers from its ONNX file."""

import numpy as np
import onnxruntime
import pytest
import torch

from tests.networks.random_weights import build_random
from tests.networks.test_zoo import COMPUTED
from trustpose.export.onnx import export_onnx
from trustpose.networks.zoo import build


@pytest.mark.slow
@pytest.mark.parametrize("name", COMPUTED)
def test_onnx_gives_the_same_numbers_for_any_batch_size(name, tmp_path):
    network = build_random(lambda: build(name)).train()
    path = tmp_path / "network.onnx"
    export_onnx(network, path, 64, 64, features=True)
    assert network.training
    assert list(tmp_path.iterdir()) == [path]
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    assert [output.shape for output in session.get_outputs()] == [
        ["batch", 17, 16, 16],
        ["batch", network.feature_channels, 16, 16],
    ]
    network.eval()
    for batch in (1, 3):
        images = torch.randn(batch, 3, 64, 64, generator=torch.Generator().manual_seed(batch))
        with torch.no_grad():
            outputs = network(images)
        found = session.run(None, {"image": images.numpy()})
        for ours, theirs in zip((outputs.heatmaps[-1].numpy(), outputs.features.numpy()), found, strict=True):
            scale = max(1.0, float(np.abs(ours).max()))  # random weights do not keep heatmaps within 0–1
            assert ours.std(axis=(2, 3)).max() > 1e-3 * scale  # else agreement would say little
            assert np.abs(ours - theirs).max() < 1e-4 * scale
