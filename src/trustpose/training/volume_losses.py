"""Losses of volumes: H1, Gaussians in 3D, and I1, the L1 distance of the integral, at every stage of a network.

Sources: Pavlakos et al., Coarse-to-Fine Volumetric Prediction, CVPR 2017, equation 3, and Sun et al., Integral Human
Pose Regression, ECCV 2018, section 2 and its code: their sums are ours times the number of keypoints (I1) or of voxels
and keypoints (H1, also without our ½).
"""

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float, Real
from torch import Tensor

from trustpose.codecs.coordinates import soft_argmax
from trustpose.codecs.volumes import VolumeCodec
from trustpose.training.learner import heatmap_loss
from trustpose.training.recipe import TrainOptions

Stages = Sequence[Float[Tensor, "B _ h w"]]


def volume_terms(
    stages: Stages,
    batch: Mapping[str, Tensor],
    people: Real[Tensor, ""],
    codec: VolumeCodec,
    options: TrainOptions,
) -> dict[str, Tensor]:
    """Return the loss of a network's maps by the objective's name.

    batch: xyz (B, K, 3), as the codec takes it, and weights (B, K). people: the number in the whole batch.
    """
    learning = stages if options.supervised == "all-stages" else stages[-1:]
    volumes = [codec.volumes(stage.float()) for stage in learning]  # (B, K, D, h, w)
    if options.objective == "integral":
        return {"integral": volume_integral_loss(volumes, batch, people, codec)}
    target = codec.encode(batch["xyz"], batch["weights"] > 0)
    flat = [volume.flatten(2, 3) for volume in volumes]  # (B, K, D × h, w): a mean over pixels is one over voxels
    return {"heatmap": heatmap_loss(flat, target.flatten(2, 3), batch["weights"], people, options.hard_keypoints)}


def volume_integral_loss(
    volumes: Sequence[Float[Tensor, "B K D h w"]],
    batch: Mapping[str, Tensor],
    people: Real[Tensor, ""],
    codec: VolumeCodec,
) -> Float[Tensor, ""]:
    """Compute the mean over people and keypoints of |x − x*| + |y − y*| + |z − z*|, summed over stages, in units of the
    volume's sides."""
    sides = batch["xyz"].new_tensor(codec.sides)
    target = codec.voxels(batch["xyz"])
    terms = []
    for volume in volumes:
        distance = ((soft_argmax(volume) - target).abs() / sides).sum(dim=2)
        terms.append((distance * batch["weights"]).mean())
    return torch.stack(terms).sum() * (len(target) / people)
