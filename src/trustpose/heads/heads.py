"""The base class of trust heads and their result."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, fields
from typing import Any, Literal

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from trustpose.codecs import Outputs

Source = Literal["features", "backbone"]
Squash = Literal["sigmoid", "clip"]
Tensors = tuple[Tensor, ...]

_BINS, _BUMP = 64, 2.0  # of the Gaussians that stand for coordinates


@dataclass(frozen=True, eq=False)
class Trust:
    """A head's predictions for B poses. A field that it does not predict is None.

    quality (B, K): expected OPKS, 0–1. visibility (B, K, 3): P(unlabelled), P(occluded), P(visible), COCO's v = 0, 1,
    2; sums to 1. pose_quality (B,): expected OKS, 0–1. labelled (B, K): P(v > 0) of a head that does not predict
    visibility. presence (B,): P(the box holds a person), for a detector's boxes; the other fields are given that it
    does.
    """

    quality: Float[Tensor, "B K"] | None = None
    visibility: Float[Tensor, "B K 3"] | None = None
    pose_quality: Float[Tensor, " B"] | None = None
    labelled: Float[Tensor, "B K"] | None = None
    presence: Float[Tensor, " B"] | None = None

    def filled(self) -> dict[str, Tensor]:
        """Return the fields that are not None, by name, in order."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


class TrustHead(nn.Module, ABC):
    """The base class of heads: the maps they read, whether gradients reach the network, the shapes they are built for.

    A head is called with the maps in `reads`, in that order, then the network's estimates (`estimates_of`: the
    heatmaps, or SimCC's logits and tokens), then, if it `reads_box`, the box (B, 2): width and height of the person's
    box as fractions of the crop's, before it was extended to the crop's shape. There are three steps: `pool` reduces
    the inputs without parameters, `logits` computes the input of the losses, `trust` converts it to probabilities. A
    frozen network's pooled maps are computed once and stored. Raises ValueError for a size below 1.
    """

    reads: tuple[Source, ...] = ("features",)
    reads_box: bool = False
    reads_tokens: bool = False
    """Whether it is built with `tokens`, their width, for a SimCC network."""
    needs_heatmaps: bool = False
    reads_positions: bool = False
    """Whether it reads maps at keypoint positions: its own peaks, or those passed as `xy`."""

    def __init__(self, channels: int, height: int, width: int, keypoints: int = 17, detach: bool = True):
        super().__init__()
        for name, number in (("channels", channels), ("height", height), ("width", width), ("keypoints", keypoints)):
            if number < 1:
                raise ValueError(f"{name}: expected 1 or more, got {number}")
        self.shapes: tuple[tuple[int, int, int], ...] = ((channels, height, width),)
        self.keypoints = keypoints
        self.detach = detach

    def forward(self, *maps: Float[Tensor, "B ..."], xy: Float[Tensor, "B K 2"] | None = None) -> Trust:
        """Predict trust from the maps (B, C, h, w) in `reads`, the output of `estimates_of`, and the box (B, 2) if
        read.

        xy: positions to read at, in pixels of the heatmaps or bins of the logits, for other estimators' keypoints; NaN,
        or None for all, means the network's own peaks.
        """
        return self.trust(self.raw(*maps, xy=xy))

    def raw(self, *maps: Float[Tensor, "B ..."], xy: Float[Tensor, "B K 2"] | None = None) -> Any:
        """Return the input of the losses from the input of `forward`; `detach` stops the gradients to the network.

        Raises ValueError if a map has another shape than the head was built for, and for `xy` if the head reads whole
        maps.
        """
        if xy is not None and not self.reads_positions:
            raise ValueError("xy: this head reads maps as a whole, expected None")
        for name, expected, features in zip(self.reads, self.shapes, maps, strict=False):
            if tuple(features.shape[1:]) != expected:
                raise ValueError(f"{name}: expected (B, {', '.join(map(str, expected))}), got {tuple(features.shape)}")
        cut = tuple(map.detach() for map in maps) if self.detach else maps
        return self.logits(self.pool(cut) if xy is None else self.pool(cut, xy))

    def pool(self, maps: Tensors, xy: Float[Tensor, "B K 2"] | None = None) -> Tensors:  # noqa: ARG002
        """Reduce the input of `forward` to what `logits` needs, without parameters."""
        return maps

    @abstractmethod
    def logits(self, pooled: Tensors) -> Any:
        """Return the input of the losses."""

    @abstractmethod
    def trust(self, raw: Any) -> Trust:
        """Convert the output of `raw` to probabilities and expectations."""


def estimates_of(outputs: Outputs) -> Tensors:
    """Return the inputs of heads besides maps: the last stage's heatmaps (B, K, h, w); for a SimCC network the logits
    over columns (B, K, X) and rows (B, K, Y), and the tokens (B, K, D); for a network of coordinates the same, with a
    Gaussian of height 1 about each in place of logits. Raises ValueError if there is neither."""
    if outputs.coordinates is not None and outputs.tokens is not None:
        return _bumps(outputs.coordinates[..., 0]), _bumps(outputs.coordinates[..., 1]), outputs.tokens
    if outputs.heatmaps:
        return (outputs.heatmaps[-1],)
    if outputs.simcc is None or outputs.tokens is None:
        raise ValueError("outputs: expected heatmaps, or simcc and tokens, got neither")
    return *outputs.simcc, outputs.tokens


def _bumps(positions: Float[Tensor, "B K"]) -> Float[Tensor, "B K bins"]:
    """Return Gaussians about positions in units of the crop's side, as SimCC's maxima: bin i is at i / bins."""
    bins = torch.arange(_BINS, device=positions.device, dtype=torch.float32)
    return torch.exp(-((bins - positions.float()[..., None] * _BINS) ** 2) / (2 * _BUMP**2))


def apply_squash(values: Float[Tensor, "*B"], squash: Squash) -> Float[Tensor, "*B"]:
    """Apply a sigmoid, or nothing if `squash` is "clip": then the final result is clipped, but not the loss's input.

    Raises ValueError for another name.
    """
    if squash not in ("sigmoid", "clip"):
        raise ValueError(f"squash: expected sigmoid or clip, got {squash!r}")
    return values.sigmoid() if squash == "sigmoid" else values


def average_flipped(trust: Trust, flipped: Trust, flip_index: Int[Tensor, " K"]) -> Trust:
    """Flip test: average a head's predictions for crops and for their mirror images.

    `flipped` is for the mirrored crops, with left and right not yet swapped back; `flip_index` (K,) is the skeleton's.
    Source: OKS-Net paper, section IV-A ("averaging the predicted OKS of original and flipped input").
    """

    def mean(name: str) -> Tensor | None:
        original, mirrored = getattr(trust, name), getattr(flipped, name)
        if original is None or mirrored is None:
            return None
        return (original + (mirrored if original.ndim == 1 else mirrored[:, flip_index])) / 2

    return Trust(**{field.name: mean(field.name) for field in fields(Trust)})


def mean_where(values: Float[Tensor, "*B"], selected: Bool[Tensor, "*B"]) -> Float[Tensor, ""]:
    """Return the mean of the selected values; 0, with zero gradients, if there are none."""
    return torch.where(selected, values, torch.zeros_like(values)).sum() / selected.sum().clamp(min=1)
