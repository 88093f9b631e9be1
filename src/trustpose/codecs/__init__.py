"""Targets and network outputs, encode beside decode; and the two records that a codec stands between."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, eq=False)
class Outputs:
    """What a network says about B crops; what it does not have is empty or None.

    Arrays are numpy's, or torch's tensors where a network made of torch is asked.

    heatmaps: one (B, K, h, w) for each stage, the last one is decoded; features: (B, C, h, w), what the last heatmaps
    were made from; coordinates: (B, K, 3), where the network prints those itself, as it prints them; simcc: logits over
    a crop's columns (B, K, X) and rows (B, K, Y); tokens: (B, K, D), what those were made from.
    """

    heatmaps: list[Float[Any, "B K h w"]]
    features: Float[Any, "B C h w"] | None = None
    coordinates: Float[Any, "B K 3"] | None = None
    simcc: tuple[Float[Any, "B K X"], Float[Any, "B K Y"]] | None = None
    tokens: Float[Any, "B K D"] | None = None


@dataclass(frozen=True, eq=False)
class Candidates:
    """What a codec reads out of B crops: one place (B, K, 2) in crop pixels for each keypoint type and its raw score.

    Every keypoint has a place, however low its score.
    """

    xy: Float[np.ndarray, "B K 2"]
    score: Float[np.ndarray, "B K"]
