"""AlphaPose's symmetric spatial transformer: a network sees the person centred, and its heatmaps are moved back.

Fang et al., RMPE, ICCV 2017, section 3.1. A spatial transformer (Jaderberg et al., NeurIPS 2015) predicts an affine θ
and cuts the person out of an inaccurate crop (STN); the network finds the pose there; the inverse affine γ moves its
heatmaps back to the crop (SDTN):

    (x_s, y_s) = [θ₁ θ₂] (x_t, y_t) + θ₃        [γ₁ γ₂] = [θ₁ θ₂]⁻¹,  γ₃ = −[γ₁ γ₂] θ₃

in coordinates from −1 to 1 across the crop, corners included; `for_maps` has them for maps, whose pixel m is at crop
pixel m × stride. In training a parallel branch, the same network frozen
and without SDTN, compares its heatmaps with those of the centred person, so that its errors teach the STN to centre.
"""

import copy
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trustpose.codecs import Outputs
from trustpose.networks.backbones import ImageNetBackbone

_SMALLEST = 0.05  # of |det θ|: a transform that shrinks the crop to less has no useful inverse
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class Localisation(nn.Module):
    """Maps crops (B, 3, H, W) to θ (B, 2, 3); the identity at first. The paper's is a ResNet-18."""

    def __init__(self, backbone: str = "resnet18", pretrained: bool = False):
        super().__init__()
        self.body = ImageNetBackbone(backbone, pretrained)
        self.theta = nn.Linear(self.body.channels, 6)
        nn.init.zeros_(self.theta.weight)
        with torch.no_grad():
            self.theta.bias.copy_(torch.tensor(_IDENTITY))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2 3"]:
        return self.theta(self.body(image).mean(dim=(2, 3))).reshape(-1, 2, 3)


def inverse_theta(theta: Float[Tensor, "B 2 3"]) -> Float[Tensor, "B 2 3"]:
    """Return γ (B, 2, 3), the inverse of each affine. Those that shrink to nearly nothing have the identity's."""
    linear, shift = theta[:, :, :2], theta[:, :, 2:]
    determinant = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
    usable = (determinant.abs() >= _SMALLEST)[:, None, None]
    identity = torch.eye(2, 3, device=theta.device, dtype=theta.dtype)
    linear = torch.where(usable, linear, identity[:, :2])
    shift = torch.where(usable, shift, torch.zeros_like(shift))
    inverse = torch.linalg.inv(linear)
    return torch.cat([inverse, -inverse @ shift], dim=2)


def for_maps(theta: Float[Tensor, "B 2 3"], crop: tuple[int, int], maps: tuple[int, int]) -> Float[Tensor, "B 2 3"]:
    """Return the affine in the coordinates of maps (h, w) that is θ in those of their crop (H, W)."""

    def half(size: tuple[int, int]) -> Tensor:
        return torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2], device=theta.device, dtype=theta.dtype)

    stride = torch.tensor([crop[1] / maps[1], crop[0] / maps[0]], device=theta.device, dtype=theta.dtype)
    of_crop, of_maps = half(crop), half(maps) * stride  # crop pixels from the middle of either to its edge
    linear = theta[:, :, :2] * of_crop[:, None] / of_crop  # in crop pixels
    shift = of_crop * (theta[:, :, 2] + 1) - linear @ of_crop  # of crop pixel 0
    shift = (shift + linear @ of_maps) / of_maps - 1
    return torch.cat([linear / of_maps[:, None] * of_maps, shift[:, :, None]], dim=2)


def moved(maps: Float[Tensor, "B C h w"], theta: Float[Tensor, "B 2 3"]) -> Float[Tensor, "B C h w"]:
    """Return maps whose value at (x_t, y_t) is that of `maps` at θ (x_t, y_t); bilinear, 0 outside."""
    grid = functional.affine_grid(theta, list(maps.shape), align_corners=True)
    return functional.grid_sample(maps, grid, align_corners=True)


class SymmetricTransformer(nn.Module):
    """A network with heatmaps between STN and SDTN; `network` is any of the zoo's, `localisation` maps crops to θ."""

    def __init__(self, network: nn.Module, localisation: nn.Module | None = None):
        super().__init__()
        self.network = network
        self.localisation = Localisation() if localisation is None else localisation
        self.keypoints = network.keypoints
        self.feature_channels = network.feature_channels

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Map crops (B, 3, H, W) to the network's outputs; heatmaps and features are those of the crop."""
        theta = self.localisation(image)
        outputs, inverse = self.network(moved(image, theta)), inverse_theta(theta)
        high, wide = image.shape[2:]

        def back(maps: Tensor) -> Tensor:
            return moved(maps, for_maps(inverse, (high, wide), (maps.shape[2], maps.shape[3])))

        features = None if outputs.features is None else back(outputs.features)
        return replace(outputs, heatmaps=[back(maps) for maps in outputs.heatmaps], features=features)

    def centred(self, image: Float[Tensor, "B 3 H W"], frozen: nn.Module) -> list[Float[Tensor, "B K h w"]]:
        """Return the heatmaps of the parallel branch: of the person as the STN centres it. `frozen`: see
        `frozen_branch`."""
        return frozen(moved(image, self.localisation(image))).heatmaps


def frozen_branch(network: nn.Module) -> nn.Module:
    """Return a copy of a network as the parallel branch: no weight of it is trained, no statistic changes.

    Gradients pass through it to its input. Call `eval` on it again if `train` was called on a module that holds it.
    """
    return copy.deepcopy(network).requires_grad_(False).eval()
