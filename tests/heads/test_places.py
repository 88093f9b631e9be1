"""Heads at given positions: at their own peaks nothing changes, elsewhere they read there."""

import pytest
import torch

from tests.heads.small import crops, network
from trustpose.heads.heads import Trust
from trustpose.heads.network import TrustNetwork, attach
from trustpose.heads.peaks import peaks, pixels_at
from trustpose.networks.rtmpose import rtmpose

BOX = torch.full((2, 2), 0.7)


def made(kind: str) -> TrustNetwork:
    torch.manual_seed(0)
    if kind == "heatmaps":
        return attach("keypoint-tokens", network(), 64, 64).eval()
    return attach("keypoint-tokens", rtmpose("tiny", 5, height=64, width=64).eval(), 64, 64).eval()


def own_places(module: TrustNetwork) -> torch.Tensor:
    """(B, K, 2), pixels of the heatmaps or bins."""
    with torch.no_grad():
        outputs, _ = module(crops(), BOX)
    if not outputs.heatmaps:
        return torch.stack([logits.argmax(dim=2) for logits in outputs.simcc], dim=2).float()
    peak, _ = peaks(outputs.heatmaps[-1])
    columns = outputs.heatmaps[-1].shape[3]
    return torch.stack([peak % columns, peak // columns], dim=2).float()


def trust_at(module: TrustNetwork, xy: torch.Tensor | None) -> Trust:
    with torch.no_grad():
        return module(crops(), BOX, xy)[1]


@pytest.mark.parametrize("kind", ["heatmaps", "simcc"])
def test_its_own_peaks_are_the_default(kind: str) -> None:
    module = made(kind)
    xy = own_places(module)
    alone = trust_at(module, None).filled()
    for positions in (xy, xy + 0.4, torch.full_like(xy, float("nan"))):  # the nearest pixel counts
        for name, value in trust_at(module, positions).filled().items():
            torch.testing.assert_close(value, alone[name])


@pytest.mark.parametrize("kind", ["heatmaps", "simcc"])
def test_elsewhere_it_reads_elsewhere(kind: str) -> None:
    """One keypoint of one person is moved: only that person's trust changes; positions beyond the border are
    clipped."""
    module = made(kind)
    xy = own_places(module)
    moved, beyond, rim = xy.clone(), xy.clone(), xy.clone()
    moved[0, 2] = torch.where(xy[0, 2] > 3, xy[0, 2] - 3, xy[0, 2] + 3)
    beyond[0, 2], rim[0, 2] = -50.0, 0.0
    alone, second_quality, third_quality, two = (
        trust_at(module, positions).quality for positions in (None, moved, beyond, rim)
    )
    assert alone is not None and second_quality is not None and third_quality is not None and two is not None
    assert (alone[0] != second_quality[0]).any()
    torch.testing.assert_close(alone[1], second_quality[1])
    torch.testing.assert_close(third_quality, two)


def test_what_is_read_there() -> None:
    heatmaps = torch.arange(2 * 1 * 3 * 4, dtype=torch.float32).reshape(2, 1, 3, 4)
    peak, height = pixels_at(heatmaps, torch.tensor([[[1.2, 1.6]], [[float("nan"), 0.0]]]))
    assert peak.tolist() == [[2 * 4 + 1], [11]] and height.flatten().tolist() == [9.0, 23.0]


@pytest.mark.parametrize("head", ["oks-net", "hpcvnet", "metamodel"])
def test_heads_that_read_whole_maps_take_no_positions(head: str) -> None:
    module = attach(head, network(), 64, 64).eval()
    with pytest.raises(ValueError, match="xy: this head reads maps as a whole"):
        module(crops(), None, torch.zeros(2, 5, 2))
