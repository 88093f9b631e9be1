"""Tompson et al.'s cascade: coarse heatmaps from three scales, then fine heatmaps around every coarse joint.

Tompson, Goroshin, Jain, LeCun and Bregler, Efficient Object Localization Using Convolutional Networks, CVPR 2015.
Coarse (section 3): three scales of the image, each normalised by its local contrast (Jarrett et al., ICCV 2009) and
seen by a bank of convolutions and poolings; the banks' maps are added at the finest scale, SpatialDropout, 1×1
convolutions. Fine (section 4): a window about each coarse joint is cut out of the finest bank's maps at every
resolution, the same part of the image in all; a network with weights shared by all joints reads the windows, and a 1×1
convolution per joint gives its fine heatmap. Training (section 4.3): the coarse part alone, the fine part alone, both
with E₁ + 0.1 E₂ (`training.learner`).

Kernels and widths that the text at hand does not give are ours.
"""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn import functional

from trustpose.codecs import Outputs
from trustpose.geometry.crops import Grid
from trustpose.networks.layers import check_keypoints, heatmap_head

SCALES = 3
WINDOW = 32  # pixels; a multiple of the pooling
_CONTRAST = 9  # pixels, of the local mean and deviation


def tompson(
    pooling: int = 4,
    keypoints: int = 17,
    *,
    width: int = 128,
    wide: int = 512,
    middle: int = 256,
    kernels: tuple[int, int] = (5, 9),
    window: int = WINDOW,
    dropout: float = 0.2,
    fine: bool = True,
) -> "Tompson":
    """Build the cascade; `pooling`: pixels per pixel of the coarse heatmaps, 4, 8 or 16 in the paper's table.

    width, wide, middle: channels of the banks, of their last layer and of the 1×1 layers. kernels: of the banks and of
    their last layer. window: side of what the fine part sees of a joint, pixels. fine: without, the coarse part alone.
    Raises ValueError for another pooling, or a window that is not a multiple of it.
    """
    check_keypoints(keypoints)
    if pooling not in (2, 4, 8, 16):
        raise ValueError(f"pooling: expected 2, 4, 8 or 16, got {pooling}")
    if window < pooling or window % pooling:
        raise ValueError(f"window: expected a multiple of {pooling}, got {window}")
    coarse = Coarse(pooling.bit_length() - 1, keypoints, (width, wide, middle), kernels, dropout)
    return Tompson(coarse, Fine(coarse.levels, width, keypoints, kernels[0]) if fine else None, pooling, window)


class Tompson(nn.Module):
    """Maps crops (B, 3, H, W), sides multiples of 4 × pooling, to coarse heatmaps and, with the fine part,
    coordinates."""

    def __init__(self, coarse: "Coarse", fine: "Fine | None", pooling: int, window: int) -> None:
        super().__init__()
        self.coarse = coarse
        if fine is not None:
            self.fine = fine
        self.has_fine = fine is not None
        self.stride, self.window = pooling, window
        self.keypoints, self.feature_channels = coarse.keypoints, coarse.middle

    @property
    def parts(self) -> list[nn.Module]:
        """The coarse part and the fine part, which are trained one after the other, then together."""
        return [self.coarse, self.fine] if self.has_fine else []

    @property
    def objectives(self) -> tuple[str, ...]:
        """The supported values of `train.objective`: part by part, or without the fine part by its heatmaps."""
        return ("coarse-to-fine",) if self.has_fine else ("heatmaps", "integral")

    @property
    def encoded(self) -> nn.Module:
        """The module whose input is the sum of the banks' maps."""
        return self.coarse.dropout

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> Outputs:
        """Return coarse heatmaps (B, K, H/p, W/p) and features; with the fine part, coordinates (B, K, 3): x, y in
        units of the crop's sides at the fine heatmap's peak, and its height; "fine", the fine heatmaps (B, K, s, s),
        and "centres" (B, K, 2), the pixel at their middle."""
        heatmaps, features, levels = self.coarse(image)
        grid = Grid((float(self.stride), float(self.stride)))
        grids = {"heatmaps": grid, "features": grid}
        if not self.has_fine:
            return Outputs([heatmaps], features, grids=grids)
        fine, centres = self._fine(heatmaps, levels)
        side = fine.shape[3]
        score, peak = fine.flatten(2).max(dim=2)
        offset = torch.stack([peak % side, peak // side], dim=2) - side // 2
        unit = image.new_tensor([image.shape[3], image.shape[2]], dtype=torch.float32)
        coordinates = torch.cat([(centres + offset).float() / unit, score.float()[..., None]], dim=2)
        return Outputs([heatmaps], features, coordinates, extra={"fine": fine, "centres": centres}, grids=grids)

    def learn(self, image: Float[Tensor, "B 3 H W"], part: int | None) -> Mapping[str, Tensor]:
        """Return "coarse", the heatmaps (B, K, h, w); unless the coarse part is trained alone, "fine", "centres"."""
        heatmaps, _, levels = self.coarse(image)
        if part == 0:
            return {"coarse": heatmaps}
        fine, centres = self._fine(heatmaps, levels)
        return {"coarse": heatmaps, "fine": fine, "centres": centres}

    def _fine(
        self, heatmaps: Float[Tensor, "B K h w"], levels: list[Tensor]
    ) -> tuple[Float[Tensor, "B K s s"], Int[Tensor, "B K 2"]]:
        """Return fine heatmaps around the peaks of coarse ones, and the peaks' pixels."""
        wide = heatmaps.shape[3]
        peak = heatmaps.detach().flatten(2).argmax(dim=2)
        centres = torch.stack([peak % wide, peak // wide], dim=2) * self.stride
        windows = [cut_windows(x, centres, 2**number, self.window) for number, x in enumerate(levels)]
        return self.fine(windows), centres


class Coarse(nn.Module):
    """Three scales to one map per joint."""

    def __init__(
        self,
        poolings: int,
        keypoints: int,
        widths: tuple[int, int, int],
        kernels: tuple[int, int],
        dropout: float,
    ) -> None:
        super().__init__()
        width, wide, middle = widths
        self.banks = nn.ModuleList(Bank(poolings, width, wide, kernels) for _ in range(SCALES))
        self.dropout = nn.Dropout2d(dropout)  # whole maps: SpatialDropout
        self.body = nn.Sequential(*_convolution(wide, middle, 1), *_convolution(middle, middle, 1))
        self.head = heatmap_head(middle, keypoints)
        self.keypoints, self.middle, self.levels = keypoints, middle, poolings + 1

    def forward(
        self, image: Float[Tensor, "B 3 H W"]
    ) -> tuple[Float[Tensor, "B K h w"], Float[Tensor, "B C h w"], list[Tensor]]:
        """Return heatmaps, the input of their layer, and the finest bank's maps at every resolution."""
        total, levels = None, []
        for number, bank in enumerate(self.banks):
            seen, bank_levels = bank(local_contrast(functional.avg_pool2d(image, 2**number) if number else image))
            if total is None:
                total, levels = seen, bank_levels
            else:
                total = total + functional.interpolate(seen, size=total.shape[-2:], mode="nearest")
        assert total is not None
        features = self.body(self.dropout(total))
        return self.head(features), features, levels


class Bank(nn.Module):
    """Convolutions with a pooling by two after each but the last two."""

    def __init__(self, poolings: int, width: int, wide: int, kernels: tuple[int, int]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(*_convolution(width if number else 3, width, kernels[0])) for number in range(poolings + 1)
        )
        self.last = nn.Sequential(*_convolution(width, wide, kernels[1]))

    def forward(self, image: Float[Tensor, "B 3 H W"]) -> tuple[Float[Tensor, "B C h w"], list[Tensor]]:
        """Return the last map, and those before each pooling, of strides 1, 2, 4, …, with that of the last stride."""
        levels = []
        x = image
        for number, layer in enumerate(self.layers):
            x = layer(functional.max_pool2d(x, 2) if number else x)
            levels.append(x)
        return self.last(x), levels


class Fine(nn.Module):
    """Windows of all resolutions to one fine heatmap per joint, at one pixel of the crop each."""

    def __init__(self, levels: int, width: int, keypoints: int, kernel: int) -> None:
        super().__init__()
        self.each = nn.ModuleList(nn.Sequential(*_convolution(width, width, kernel)) for _ in range(levels))
        self.shared = nn.Sequential(*_convolution(width, width, kernel), *_convolution(width, width, kernel))
        self.weight = nn.Parameter(torch.randn(keypoints, width) * 0.001)  # one 1×1 convolution per joint
        self.bias = nn.Parameter(torch.zeros(keypoints))

    def forward(self, windows: list[Float[Tensor, "B K C _s _s"]]) -> Float[Tensor, "B K s s"]:
        count, side = windows[0].shape[1], windows[0].shape[3]
        total = None
        for layer, window in zip(self.each, windows, strict=True):
            seen = functional.interpolate(layer(window.flatten(0, 1)), size=(side, side), mode="nearest")
            total = seen if total is None else total + seen
        assert total is not None
        shared = self.shared(total).reshape(-1, count, self.weight.shape[1], side, side)
        return (shared * self.weight[:, :, None, None]).sum(dim=2) + self.bias[:, None, None]


def cut_windows(
    maps: Float[Tensor, "B C h w"], centres: Int[Tensor, "B K 2"], stride: int, window: int
) -> Float[Tensor, "B K C s s"]:
    """Cut windows of `window` pixels of the crop about `centres`, its pixels, from maps of that stride; 0 outside.

    s = window / stride; cell s // 2 of a window is the centre's. Centres are multiples of the stride, so cells are
    whole.
    """
    side = window // stride
    high, wide = maps.shape[2:]
    steps = torch.arange(side, device=maps.device) - side // 2
    x = (centres[..., 0] // stride)[..., None] + steps  # (B, K, s)
    y = (centres[..., 1] // stride)[..., None] + steps
    inside = ((y >= 0) & (y < high))[..., :, None] & ((x >= 0) & (x < wide))[..., None, :]
    cell = y.clamp(0, high - 1)[..., :, None] * wide + x.clamp(0, wide - 1)[..., None, :]  # (B, K, s, s)
    count, channels = centres.shape[1], maps.shape[1]
    index = cell.flatten(1)[:, None].expand(-1, channels, -1)
    windows = maps.flatten(2).gather(2, index).reshape(-1, channels, count, side, side).transpose(1, 2)
    return windows * inside[:, :, None]


def local_contrast(image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B C H W"]:
    """Subtract the local mean over a Gaussian window and all channels, then divide by the local deviation, at least
    its mean over the image (Jarrett et al., What is the Best Multi-Stage Architecture for Object Recognition?, ICCV
    2009, section 2)."""
    offsets = np.arange(_CONTRAST) - _CONTRAST // 2
    bump = np.exp(-(offsets**2) / (2 * (_CONTRAST / 4) ** 2))
    kernel = np.tile(bump[:, None] * bump, (1, image.shape[1], 1, 1))
    kernel = torch.from_numpy((kernel / kernel.sum()).astype(np.float32)).to(image.device)
    image = image.float()
    pad = [_CONTRAST // 2] * 4
    centred = image - functional.conv2d(functional.pad(image, pad, mode="reflect"), kernel)
    variance = functional.conv2d(functional.pad(centred.square(), pad, mode="reflect"), kernel)
    deviation = variance.clamp(min=1e-8).sqrt()
    return centred / torch.maximum(deviation, deviation.mean(dim=(2, 3), keepdim=True))


def _convolution(inputs: int, outputs: int, kernel: int) -> list[nn.Module]:
    convolution = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    assert convolution.bias is not None
    nn.init.zeros_(convolution.bias)
    return [convolution, nn.ReLU(inplace=True)]
