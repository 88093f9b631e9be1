"""The pose residual network: as its authors' code, its size, and its folder."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from tests.networks.without_data import without_data  # noqa: E402
from trustpose.files import InputError  # noqa: E402
from trustpose.grouping.box_grids import BoxGrid  # noqa: E402
from trustpose.networks.multi_pose_net import (  # noqa: E402
    PoseResidualNetwork,
    read_residual,
    residual_function,
    write_residual,
)
from trustpose.networks.zoo import build  # noqa: E402

SMALL = BoxGrid(height=28, width=18)
# every 1999th number that PRN(node_count=8, coeff=1) of salihkaragoz/pose-residual-network-pytorch (c721006) gives in
# evaluation, with the weights and input of `_like_the_authors`
AUTHORS = [
    *(2.107767214e-04, 7.715482207e-05, 1.716373808e-04, 8.007346332e-05, 9.356049122e-05),
    *(8.961310959e-05, 7.715974061e-05, 1.683807204e-04, 7.936209295e-05),
]


def _like_the_authors() -> tuple[PoseResidualNetwork, "torch.Tensor"]:
    network = PoseResidualNetwork(SMALL, hidden=8).eval()
    for parameter in network.parameters():
        wave = torch.sin(torch.arange(parameter.numel(), dtype=torch.float64) * 0.7) * 0.05
        parameter.data = wave.reshape(parameter.shape).float()
    cells = 2 * 28 * 18 * 17
    maps = torch.cos(torch.arange(cells, dtype=torch.float64) * 0.3).reshape(2, 28, 18, 17).float().clamp(min=0)
    return network, maps


def test_as_the_authors_code():
    network, maps = _like_the_authors()
    with torch.no_grad():
        answer = network(maps)
    assert np.allclose(answer.flatten()[::1999].numpy(), AUTHORS, rtol=1e-4, atol=0)
    assert np.allclose(answer.sum(dim=(1, 2, 3)).numpy(), 1, atol=1e-5)
    assert np.allclose(residual_function(network)(maps.numpy()), answer.numpy(), atol=1e-9)


def test_size_of_the_authors():
    with torch.device("meta"):
        network = PoseResidualNetwork(BoxGrid())
    assert sum(parameter.numel() for parameter in network.parameters()) == 71_273_952  # as their code counts


def test_keypoint_subnet():
    """Millions of parameters as of LiMeng95/MultiPoseNet.pytorch without its second pyramid and with 17 heatmaps."""
    with without_data(), torch.no_grad():
        network = build("multi-pose-net-r50").eval()
        outputs = network(torch.zeros(1, 3, 256, 192))
    assert [tuple(maps.shape) for maps in outputs.heatmaps] == [(1, 17, 64, 48)] * 5
    assert [tuple(maps.shape) for maps in outputs["stage_features"]] == [(1, 256, 64, 48)] * 5
    assert outputs.features.shape == (1, network.feature_channels, 64, 48)


def test_folder_there_and_back(tmp_path):
    network, maps = _like_the_authors()
    write_residual(tmp_path, network)
    again = read_residual(tmp_path)
    assert again.grid == SMALL and not again.training
    with torch.no_grad():
        assert torch.equal(again(maps), network(maps))
    (tmp_path / "residual.json").write_text('{"grid": {"height": 0}, "hidden": 8}')
    with pytest.raises(InputError, match=r"residual\.json: field 'grid\.height': expected"):
        read_residual(tmp_path)
