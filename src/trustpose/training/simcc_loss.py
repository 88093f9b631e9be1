"""The loss of SimCC networks: two classifications per keypoint with smoothed labels.

Sources: Li et al., SimCC, ECCV 2022, section 3.2 (Kullback-Leibler divergence); Jiang et al., RTMPose, 2023, section
3.3.2 (both distributions as a softmax with β = 10).
"""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

BETA = 10.0


def simcc_loss(
    logits: tuple[Float[Tensor, "B K X"], Float[Tensor, "B K Y"]],
    labels: tuple[Float[Tensor, "B K X"], Float[Tensor, "B K Y"]],
    weights: Float[Tensor, "B K"],
    *,
    beta: float = BETA,
) -> Float[Tensor, ""]:
    """Compute the divergence of softmax(β · logits) from softmax(β · labels), over columns plus over rows, as mean over
    bins, people and keypoints; `weights` are 0 for unlabelled keypoints.

    mmpose's `KLDiscretLoss` is this times B. `labels` are `SimCCCodec.encode`'s, with maximum 1.
    """
    total = torch.zeros((), device=weights.device)
    for found, wanted in zip(logits, labels, strict=True):
        log_found = functional.log_softmax(found.float() * beta, dim=-1)
        divergence = functional.kl_div(log_found, functional.softmax(wanted * beta, dim=-1), reduction="none")
        total = total + (divergence.mean(dim=-1) * weights).sum()  # (B, K) summed
    return total / weights.numel()
