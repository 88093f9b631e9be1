"""The arrays behind the numbers of an audit."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.poses import Poses, Truth


@dataclass(frozen=True, eq=False)
class Draws:
    """Every number with an interval in each of B bootstrap draws: `values` by dotted name, each (B,).

    Audits over the same images `image_id` (I,) with the same `seed` have the same images in every draw.
    """

    values: dict[str, Float[np.ndarray, " B"]]
    image_id: Int[np.ndarray, " I"]
    seed: int


@dataclass(frozen=True, eq=False)
class Details:
    """Arrays behind the numbers, for plots, pictures and comparisons; not part of the JSON.

    `pose_score` (N,) is what is compared with OKS; `person` (N,) is each pose's matched truth row or -1; `oks` (N,) its
    OKS with that person, NaN if unmatched or without labels. `measured` (n,) are the rows behind the trust numbers,
    with `keypoint_score`, `opks`, `labelled` (n, K). `precision_75` maps an occlusion benchmark to interpolated
    precision (101,) at OKS 0.75, ranked by score and by the true OKS.
    """

    poses: Poses
    truth: Truth
    pose_score: Float[np.ndarray, " N"]
    person: Int[np.ndarray, " N"]
    oks: Float[np.ndarray, " N"]
    measured: Int[np.ndarray, " n"]
    keypoint_score: Float[np.ndarray, "n K"]
    opks: Float[np.ndarray, "n K"]
    labelled: Bool[np.ndarray, "n K"]
    sigmas: Float[np.ndarray, " K"]
    keypoint_names: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]
    flip_pairs: tuple[tuple[int, int], ...]
    file_names: dict[int, str]
    precision_75: dict[str, tuple[Float[np.ndarray, " R"], Float[np.ndarray, " R"]]]
    draws: Draws
