"""RAFT against torchvision's own call of it, and weights of a file."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from trustpose.files import InputError
from trustpose.networks.raft import Raft
from trustpose.tracking import FlowOfFrames


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from torchvision.models.optical_flow import raft_small

    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("raft") / "raft.safetensors"
    save_file(raft_small(weights=None).state_dict(), path)
    return path


def _frames(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    noise = np.random.default_rng(0).integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
    last = cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)
    return last, np.roll(last, 5, axis=1)


def test_the_flow_is_torchvisions(weights: Path) -> None:
    from torchvision.models.optical_flow import Raft_Small_Weights

    raft = Raft(weights)
    assert (
        sum(parameter.numel() for parameter in raft.module.parameters())
        == Raft_Small_Weights.DEFAULT.meta["num_params"]
    )
    last, now = _frames(128, 136)
    pair = (torch.from_numpy(one).permute(2, 0, 1)[None] for one in (last, now))
    pair = Raft_Small_Weights.DEFAULT.transforms()(*pair)
    with torch.no_grad():
        expected = raft.module(*pair)[-1][0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(raft(last, now), expected, atol=1e-4)


def test_any_size_gives_a_field_of_its_size(weights: Path) -> None:
    last, now = _frames(96, 133)
    motions = FlowOfFrames(Raft(weights))
    assert motions(last) is None
    flow = motions(now)
    assert flow is not None and flow.field.shape == (*last.shape[:2], 2) and np.isfinite(flow.field).all()


def test_a_file_of_other_weights_is_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match=r"a\.safetensors: tensor .*: RAFT has \[32, 3, 7, 7\], the file none"):
        Raft(tmp_path / "a.safetensors")
