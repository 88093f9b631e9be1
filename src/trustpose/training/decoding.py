"""Decode heatmaps on their device, so that training steps do not wait for a transfer."""

import torch
from jaxtyping import Float
from torch import Tensor

from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import HeatmapCodec


def decode_keypoints(codec: HeatmapCodec, heatmaps: Float[Tensor, "B K h w"]) -> Float[Tensor, "B K 2"]:
    """Return the keypoints (B, K, 2) in crop pixels of `codec.decode`, on the heatmaps' device, without gradients.

    Argmax + quarter, which trains the head in every recipe of the papers, is computed on the device; the other decoders
    use numpy, so their maps go to the CPU and back.
    """
    heatmaps = heatmaps.detach().float()
    if codec.decoding != "argmax-quarter" or codec.smoothing is not None:
        return torch.from_numpy(codec.decode(Outputs([heatmaps.cpu().numpy()])).xy).to(heatmaps)
    height, width = heatmaps.shape[2:]
    flat = heatmaps.flatten(2)  # (B, K, h × w)
    peak = flat.argmax(dim=2, keepdim=True)  # the first in ties
    x, y = peak % width, peak // width  # (B, K, 1)
    inside = (x > 0) & (x < width - 1) & (y > 0) & (y < height - 1)
    last = height * width - 1
    slopes = [
        flat.gather(2, (peak + step).clamp(max=last)) - flat.gather(2, (peak - step).clamp(min=0))
        for step in (1, width)  # along x, along y
    ]
    quarter = 0.25 * torch.cat(slopes, dim=2).sign() * inside  # (B, K, 2)
    strides = heatmaps.new_tensor(codec.strides)
    return (torch.cat([x, y], dim=2) + quarter) * strides + codec.offset
