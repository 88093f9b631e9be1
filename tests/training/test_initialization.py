"""Initial weights from the ONNX file of a network with the same layers, and the message for a mismatch."""

import warnings
from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch

from tests.training.tiny import equal, tiny_recipe
from trustpose.files import InputError
from trustpose.networks.light_baseline import light_baseline
from trustpose.training.initialization import starting_network
from trustpose.training.recipes import RECIPES

RECIPE = replace(tiny_recipe(), network="light-mobilenetv2-050")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A network, and its ONNX file with the batch norms in it, as other projects' exporters leave them."""
    torch.manual_seed(0)
    network, path = light_baseline().eval(), tmp_path_factory.mktemp("network") / "network.onnx"
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        options = {"training": torch.onnx.TrainingMode.PRESERVE, "do_constant_folding": False, "dynamo": False}
        torch.onnx.export(_Heatmaps(network), (torch.zeros(1, 3, 64, 64),), path, opset_version=18, **options)
    return network, path


class _Heatmaps(torch.nn.Module):
    def __init__(self, network):
        super().__init__()
        self.network = network

    def forward(self, image):
        return self.network(image).heatmaps[-1]


def test_from_an_onnx_file(written):
    network, path = written
    assert equal(starting_network(RECIPE, path).state_dict(), network.state_dict())


def test_an_onnx_file_of_another_network(written, tmp_path):
    _, path = written
    counted = r"network\.onnx: has 117 convolutions and batch norms, the network has "
    with pytest.raises(InputError, match=counted):
        starting_network(replace(RECIPE, network="light-efficientnet-lite0"), path)
    lsp = replace(RECIPE, data=replace(RECIPE.data, skeleton="lsp14"))
    with pytest.raises(
        InputError, match=r"expected shape \(14, 128, 1, 1\), as head\.weight has, got \(17, 128, 1, 1\)"
    ):
        starting_network(lsp, path)
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    for name, message in (("broken.onnx", "is not a readable ONNX file"), ("none.onnx", "no such file")):
        with pytest.raises(InputError, match=rf"^\S+{name}: {message}") as error:
            starting_network(RECIPE, tmp_path / name)
        assert "\n" not in str(error.value) and str(error.value).count(name) == 1


def test_the_light_network_starts_from_simplepose(data_dir):
    """One of the real heatmaps again, so that the recipe and the file agree."""
    path = data_dir / "networks" / "simplepose.onnx"
    network = starting_network(RECIPES["light-network"], path).eval()
    image = np.random.default_rng(1).normal(size=(1, 3, 256, 192)).astype(np.float32)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    with torch.no_grad():
        found = network(torch.from_numpy(image)).heatmaps[-1].numpy()
    np.testing.assert_allclose(found, session.run(None, {"data": image})[0], atol=1e-5)


@pytest.mark.parametrize("name", ["default-network", "light-network", "light-detector", "default-detector"])
def test_our_recipes_ask_for_a_trained_network(name):
    network = RECIPES[name].network
    with pytest.raises(InputError, match=f"{name}: starts from a trained {network}; give its folder or file"):
        starting_network(RECIPES[name], None)
