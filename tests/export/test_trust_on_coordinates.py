"""Trust heads on networks without heatmaps that regress coordinates: what they read, and the exported graph."""

from pathlib import Path

import numpy as np
import pytest
import torch

from trustpose.codecs import Outputs
from trustpose.export.trust_folder import Fitted, save_trust_network
from trustpose.heads.heads import estimates_of
from trustpose.heads.network import TrustNetwork, attach
from trustpose.models.outputs.crops import CoordinateOutput
from trustpose.models.runtime.sessions import run_tensors, session_of
from trustpose.models.runtime.weights import load_trust_network
from trustpose.models.spec import HeatmapOutput, InputSpec, ModelSpec
from trustpose.networks.small import SMALL
from trustpose.skeletons import LSP_14
from trustpose.training.crops import MEAN, STD


@pytest.fixture(scope="module")
def network() -> TrustNetwork:
    torch.manual_seed(0)
    deep_pose = SMALL["small-deep-pose-3"](keypoints=14)
    for stage in deep_pose.stages:
        torch.nn.init.normal_(stage.last.weight, std=0.05)
        torch.nn.init.normal_(stage.last.bias, std=0.2)
    return attach("keypoint-tokens", deep_pose.eval(), 64, 64).eval()


def spec_of(output: CoordinateOutput | HeatmapOutput) -> ModelSpec:
    pixels = InputSpec("image", "NCHW", "float32", 64, 64, "RGB", 1 / 255, MEAN, STD)
    name = "small-deep-pose-3"
    return ModelSpec(Path("network.onnx"), name, "unknown", "a test", pixels, output, LSP_14, 1.0, network=name)


COORDINATES = CoordinateOutput(14, ("x", "y", "score"), normalised=True, name="coordinates")


def test_heads_read_bumps_about_coordinates():
    coordinates = torch.tensor([[[0.25, 0.5, 1.0], [0.75, 0.0, 1.0]]])
    columns, rows, tokens = estimates_of(Outputs([], coordinates=coordinates, tokens=torch.zeros(1, 2, 3)))
    assert columns.argmax(dim=2).tolist() == [[16, 48]] and rows.argmax(dim=2).tolist() == [[32, 0]]
    assert tokens.shape == (1, 2, 3) and float(columns.max()) == 1
    with pytest.raises(ValueError, match="got neither"):
        estimates_of(Outputs([], coordinates=coordinates))


def test_the_graph_gives_coordinates_and_trust(network, tmp_path):
    spec = save_trust_network(tmp_path / "model", spec_of(COORDINATES), network, Fitted("keypoint-tokens", "file"))
    assert spec.output.kind == "coordinates" and spec.trust is not None
    image, box = torch.rand(3, 3, 64, 64), torch.rand(3, 2)
    outputs, trust = network(image, box)
    names = ["coordinates", "quality", "visibility", "pose_quality"]
    session = session_of(spec.onnx.read_bytes(), spec.onnx)
    tensors = run_tensors(session, spec.onnx, names, {"image": image.numpy(), "box": box.numpy()})
    expected = [outputs.coordinates, trust.quality, trust.visibility, trust.pose_quality]
    for first, second in zip(tensors, expected, strict=True):
        assert np.abs(first - second.detach().numpy()).max() < 1e-5
    again, _ = load_trust_network(spec)(image, box)
    torch.testing.assert_close(again.coordinates, outputs.coordinates)


def test_another_kind_of_output_is_reported(network, tmp_path):
    heatmaps = HeatmapOutput(14, 16, 16, 4.0, name="heatmaps")
    with pytest.raises(ValueError, match=r"spec.output: expected the kind that the network gives, got heatmaps"):
        save_trust_network(tmp_path / "model", spec_of(heatmaps), network, Fitted("keypoint-tokens", "file"))
