"""`Outputs` and `Candidates`: outputs by name, grids, and the best candidate of each joint."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from trustpose.codecs import Candidates, Grid, Outputs


def _ragged() -> Candidates:
    """Two photos, three joints: 2, 0, 1 and 1, 1, 1 places."""
    return Candidates(
        xy=np.arange(12.0).reshape(6, 2),
        score=np.array([0.9, 0.5, 0.7, 0.2, 0.8, 0.4]),
        input=np.array([0, 0, 0, 1, 1, 1]),
        joint=np.array([0, 0, 2, 0, 1, 2]),
        shape=(2, 3),
        tags=np.arange(6.0)[:, None],
        links=np.array([[0, 2], [1, 2]]),
        link_score=np.array([0.6, 0.1]),
    )


def test_no_candidates() -> None:
    nobody = Candidates(np.zeros((0, 2)), np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64), (0, 3))
    assert len(nobody) == 0 and len(nobody.best()) == 0


def test_the_best_of_each_joint() -> None:
    best = _ragged().best()
    assert best.score.tolist() == [0.9, 0.7, 0.2, 0.8, 0.4] and best.joint.tolist() == [0, 2, 0, 1, 2]
    assert best.tags is not None and best.tags[:, 0].tolist() == [0, 2, 3, 4, 5]
    assert best.links is None and best.link_score is None


def test_outputs_by_name() -> None:
    maps, tags = np.zeros((2, 3, 8, 6), np.float32), np.zeros((2, 3, 4, 3), np.float32)
    outputs = Outputs(
        heatmaps=[maps], extra={"tags": tags}, grids={"tags": Grid((8.0, 8.0)), "heatmaps": Grid((4.0, 4.0))}
    )
    assert outputs["tags"] is tags and outputs["heatmaps"][-1] is maps and outputs.names == ("heatmaps", "tags")
    for missing in ("features", "fields"):
        with pytest.raises(KeyError, match=f"{missing}: expected one of heatmaps, tags"):
            outputs[missing]
    with pytest.raises(KeyError, match="heatmaps: expected one of none"):
        Outputs([])["heatmaps"]


def test_a_grid_leads_there_and_back() -> None:
    grid = Grid((4.0, 8.0), offset=2.0)
    cells = np.array([[0.0, 0.0], [1.5, 3.0]])
    np.testing.assert_array_equal(grid.positions(cells), [[2, 2], [8, 26]])
    np.testing.assert_array_equal(grid.cells(grid.positions(cells)), cells)


class _Tagging(nn.Module):
    """A network with further outputs besides heatmaps."""

    def forward(self, image: Tensor) -> Outputs:
        return Outputs([image.mean(1, keepdim=True)], extra={"tags": image[:, :2]}, grids={"tags": Grid((1.0, 1.0))})


class _Tensors(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.network = _Tagging()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs = self.network(image)
        return outputs.heatmaps[-1], outputs["tags"]


def test_torch_traces_through_it() -> None:
    image = torch.rand(2, 3, 5, 7)
    traced: Any = torch.jit.trace(_Tensors(), (torch.rand(1, 3, 5, 7),))
    for first, second in zip(traced(image), (image.mean(1, keepdim=True), image[:, :2]), strict=True):
        assert torch.equal(first, second)
