"""AlphaPose's symmetric spatial transformer: a network sees the person centred, and its heatmaps are moved back.

Fang et al., RMPE, ICCV 2017, section 3.1. A spatial transformer (Jaderberg et al., NeurIPS 2015) predicts an affine θ
and cuts the person out of an inaccurate crop (STN); the network finds the pose there; the inverse affine γ moves its
heatmaps back to the crop (SDTN):

    (x_s, y_s) = [θ₁ θ₂] (x_t, y_t) + θ₃        [γ₁ γ₂] = [θ₁ θ₂]⁻¹,  γ₃ = −[γ₁ γ₂] θ₃

in coordinates from −1 to 1 across the crop, corners included; `theta_for_maps` has them for maps, whose pixel m is at
crop pixel m × stride. In training a parallel branch, the same network frozen and without SDTN, compares its heatmaps
with those of the centred person, so that its errors teach the STN to centre.
"""

import copy
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from trustpose.codecs import Outputs
from trustpose.networks.backbones import ImageNetBackbone
from trustpose.networks.layers import PoseNetwork

OWN = "own"
_EPSILON = 1e-6  # of a map's pixel: a channel that is positive nowhere lies in the middle
_MIN_DETERMINANT = 0.05  # of |det θ|: a transform that shrinks the crop to less has no useful inverse
_IDENTITY = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


class Localisation(nn.Module):
    """Maps crops (B, 3, H, W) to θ (B, 2, 3); the identity at first. `body`: crops of half the size to feature maps.

    The paper's body is a ResNet-18. Of every channel θ reads, linearly, its mean, and where it is positive the centre
    and the spread along x and y: a mean alone says little about where in the crop somebody is.
    """

    def __init__(self, body: nn.Module, channels: int):
        super().__init__()
        self.body = body
        self.theta = nn.Linear(5 * channels, 6)
        nn.init.zeros_(self.theta.weight)
        with torch.no_grad():
            self.theta.bias.copy_(torch.tensor(_IDENTITY))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B 2 3"]:
        maps = self.body(functional.avg_pool2d(image, 2))
        return self.theta(torch.cat([maps.mean(dim=(2, 3)), *_centres_and_spreads(maps)], dim=1)).reshape(-1, 2, 3)


def localisation(name: str, network: nn.Module) -> Localisation:
    """Build the localisation network of that name: "own", a copy of `network` up to its features with its weights, or
    one of timm's with random weights, such as "resnet18".

    Raises ValueError for an unknown name, and for "own" with a network of several stages.
    """
    if name != OWN:
        body = ImageNetBackbone(name)
        return Localisation(body, body.channels)
    if not isinstance(network, PoseNetwork):
        raise ValueError(
            f"localisation: own needs a network of one stage, got {type(network).__name__}; name a timm network"
        )
    return Localisation(copy.deepcopy(nn.Sequential(network.backbone, network.neck)), network.feature_channels)


def _centres_and_spreads(maps: Float[Tensor, "B C h w"]) -> list[Float[Tensor, "B C"]]:
    """Return centre and spread of each channel's positive part, along x and y, from −1 to 1 across the map."""
    weight = maps.relu() + _EPSILON
    weight = weight / weight.sum(dim=(2, 3), keepdim=True)
    moments = []
    for side, coordinate in zip((2, 3), _coordinates(maps), strict=True):
        share = weight.sum(dim=5 - side)  # (B, C, h or w)
        centre = (share * coordinate).sum(dim=2)
        moments += [centre, ((coordinate - centre[..., None]).square() * share).sum(dim=2).sqrt()]
    return moments


def _coordinates(maps: Float[Tensor, "B C h w"]) -> tuple[Float[Tensor, " h"], Float[Tensor, " w"]]:
    """Return y of each row and x of each column, from −1 to 1."""
    high, wide = maps.shape[2:]
    return tuple(torch.linspace(-1, 1, length, device=maps.device, dtype=maps.dtype) for length in (high, wide))  # type: ignore


def inverse_theta(theta: Float[Tensor, "B 2 3"]) -> Float[Tensor, "B 2 3"]:
    """Return γ (B, 2, 3), the inverse of each affine. Those that shrink to nearly nothing have the identity's."""
    linear, shift = theta[:, :, :2], theta[:, :, 2:]
    determinant = linear[:, 0, 0] * linear[:, 1, 1] - linear[:, 0, 1] * linear[:, 1, 0]
    usable = (determinant.abs() >= _MIN_DETERMINANT)[:, None, None]
    determinant = torch.where(usable, determinant[:, None, None], 1.0)
    rows = [linear[:, 1, 1], -linear[:, 0, 1], -linear[:, 1, 0], linear[:, 0, 0]]
    inverse = torch.stack(rows, dim=1).reshape(-1, 2, 2) / determinant
    inverse = torch.where(usable, inverse, torch.eye(2, device=theta.device, dtype=theta.dtype))
    return torch.cat([inverse, torch.where(usable, -inverse @ shift, 0.0)], dim=2)


def theta_for_maps(
    theta: Float[Tensor, "B 2 3"], crop: tuple[int, int], maps: tuple[int, int]
) -> Float[Tensor, "B 2 3"]:
    """Return the affine in the coordinates of maps (h, w) that is θ in those of their crop (H, W)."""

    def half(size: tuple[int, int]) -> Tensor:
        return torch.tensor([(size[1] - 1) / 2, (size[0] - 1) / 2], device=theta.device, dtype=theta.dtype)

    stride = torch.tensor([crop[1] / maps[1], crop[0] / maps[0]], device=theta.device, dtype=theta.dtype)
    of_crop, of_maps = half(crop), half(maps) * stride  # crop pixels from the middle of either to its edge
    linear = theta[:, :, :2] * of_crop[:, None] / of_crop  # in crop pixels
    shift = of_crop * (theta[:, :, 2] + 1) - linear @ of_crop  # of crop pixel 0
    shift = (shift + linear @ of_maps) / of_maps - 1
    return torch.cat([linear / of_maps[:, None] * of_maps, shift[:, :, None]], dim=2)


def warp_maps(maps: Float[Tensor, "B C h w"], theta: Float[Tensor, "B 2 3"]) -> Float[Tensor, "B C h w"]:
    """Return maps whose value at (x_t, y_t) is that of `maps` at θ (x_t, y_t); bilinear, 0 outside."""
    y, x = torch.meshgrid(*_coordinates(maps), indexing="ij")
    homogeneous = torch.stack([x, y, torch.ones_like(x)], dim=-1).reshape(-1, 3)  # (h × w, 3); ONNX has no affine_grid
    grid = (homogeneous @ theta.transpose(1, 2)).reshape(-1, *x.shape, 2)
    return functional.grid_sample(maps, grid, align_corners=True)


class SymmetricTransformer(nn.Module):
    """A network with heatmaps between STN and SDTN; `network` is any of the zoo's, `localisation` maps crops to θ."""

    def __init__(self, network: nn.Module, localisation: nn.Module):
        super().__init__()
        self.network = network
        self.localisation = localisation
        self.keypoints = network.keypoints
        self.feature_channels = network.feature_channels

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Map crops (B, 3, H, W) to the network's outputs; heatmaps and features are those of the crop."""
        theta = self.localisation(image)
        return self._moved_back(
            self.network(warp_maps(image, theta)), theta, (int(image.shape[2]), int(image.shape[3]))
        )

    def with_parallel(
        self, image: Float[Tensor, "B 3 H W"], frozen: nn.Module
    ) -> tuple[Outputs, list[Float[Tensor, "B K h w"]]]:
        """Return `forward`'s outputs, and the heatmaps of the parallel branch: of the person as the STN centres it.

        `frozen`: see `frozen_branch`.
        """
        theta = self.localisation(image)
        seen = warp_maps(image, theta)
        outputs = self._moved_back(self.network(seen), theta, (int(image.shape[2]), int(image.shape[3])))
        return outputs, frozen(seen).heatmaps

    def _moved_back(self, outputs: Outputs, theta: Float[Tensor, "B 2 3"], crop: tuple[int, int]) -> Outputs:
        inverse = inverse_theta(theta)

        def back(maps: Tensor) -> Tensor:
            return warp_maps(maps, theta_for_maps(inverse, crop, (int(maps.shape[2]), int(maps.shape[3]))))

        features = None if outputs.features is None else back(outputs.features)
        return replace(outputs, heatmaps=[back(maps) for maps in outputs.heatmaps], features=features)


def symmetric(network: nn.Module, name: str) -> SymmetricTransformer:
    """Put a network between STN and SDTN, with a new `localisation` of that name. Raises ValueError as it does."""
    return SymmetricTransformer(network, localisation(name, network))


def frozen_branch(network: nn.Module) -> nn.Module:
    """Return a copy of a network as the parallel branch: no weight of it is trained, no statistic changes.

    Gradients pass through it to its input. Call `eval` on it again if `train` was called on a module that holds it.
    """
    return copy.deepcopy(network).requires_grad_(False).eval()
