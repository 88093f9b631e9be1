"""Overfit one batch: gradients reach all parameters, through the codec and the OKS kernel."""

import numpy as np
import torch
from torch import nn

from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.geometry.oks import oks
from trustpose.skeletons import COCO_17

HEIGHT, WIDTH, PEOPLE = 128, 96, 2
AREA = 0.53 * (HEIGHT / 1.25) * (WIDTH / 1.25)  # of a person whose box was padded by 1.25


def overfit(network: nn.Module, steps: int, enough: float = 0.96) -> tuple[float, int]:
    """Mean OKS of the learnt batch as in evaluation, and the steps taken: `steps`, or fewer once it is `enough`.

    Random images, random keypoints anywhere between pixels, the quarter-offset codec, Adam at 10⁻³. Batch norm's
    running statistics, which trail the weights, are set to the batch's own before each evaluation.
    """
    random = np.random.default_rng(0)
    codec = HeatmapCodec(WIDTH // 4, HEIGHT // 4, stride=4.0)
    truth = random.uniform((8, 8), (WIDTH - 8, HEIGHT - 8), (PEOPLE, len(COCO_17), 2))
    images = torch.from_numpy(random.normal(size=(PEOPLE, 3, HEIGHT, WIDTH)).astype(np.float32))
    targets = torch.from_numpy(codec.encode(truth))
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
    mean_oks = 0.0
    for step in range(1, steps + 1):
        network.train()
        loss = torch.stack([((maps - targets) ** 2).mean() for maps in network(images).heatmaps]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 10 == 0 or step == steps:
            mean_oks = _mean_oks(network, images, codec, truth)
            if mean_oks > enough:
                return mean_oks, step
    return mean_oks, steps


@torch.no_grad()
def _mean_oks(network: nn.Module, images: torch.Tensor, codec: HeatmapCodec, truth: np.ndarray) -> float:
    def take(norm: nn.BatchNorm2d, inputs: tuple[torch.Tensor], _: torch.Tensor) -> None:
        assert norm.running_mean is not None and norm.running_var is not None
        norm.running_mean.copy_(inputs[0].mean((0, 2, 3)))
        norm.running_var.copy_(inputs[0].var((0, 2, 3), correction=0))

    norms = [layer for layer in network.modules() if isinstance(layer, nn.BatchNorm2d)]
    hooks = [norm.register_forward_hook(take) for norm in norms]
    network(images)
    for hook in hooks:
        hook.remove()
    network.eval()
    decoded = codec.decode(Outputs([network(images).heatmaps[-1].numpy()]))
    visible = np.full(truth.shape[:2], 2)
    return float(oks(decoded.xy, truth, visible, np.full(len(truth), AREA), COCO_17.sigmas).mean())
