"""Combine any network of the zoo and a head into one module; all heads by name."""

from collections.abc import Sequence
from threading import get_ident
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs import Outputs
from trustpose.heads.heads import Source, Tensors, Trust, TrustHead, estimates_of
from trustpose.heads.hpcvnet import HPCVNet
from trustpose.heads.keypoint_tokens import KeypointTokens
from trustpose.heads.oks_net import OKSNet
from trustpose.heads.visibility import VisibilityHead
from trustpose.names import expected_one_of
from trustpose.networks.cascade_feature_aggregation import CascadeFeatureAggregation
from trustpose.networks.cascaded_pyramid import CascadedPyramid
from trustpose.networks.convolutional_pose_machine import ConvolutionalPoseMachine
from trustpose.networks.coupled_unets import CoupledUNets
from trustpose.networks.deep_pose import DeepPose
from trustpose.networks.guided_hourglass import GuidedHourglass
from trustpose.networks.hourglass import Hourglass, StackedHourglass
from trustpose.networks.layers import PoseNetwork
from trustpose.networks.movenet import MoveNetPose
from trustpose.networks.mspn import MSPN
from trustpose.networks.rtmpose import RTMPose
from trustpose.networks.spatial_context import SpatialContext
from trustpose.networks.structure_aware import StructureAware
from trustpose.networks.tompson import Tompson

HEADS: dict[str, type[TrustHead]] = {
    "oks-net": OKSNet,
    "hpcvnet": HPCVNet,
    "metamodel": VisibilityHead,
    "keypoint-tokens": KeypointTokens,
}


class TrustNetwork(nn.Module):
    """Maps crops (B, 3, H, W), normalised, to the network's unchanged `Outputs` and the head's `Trust`."""

    def __init__(self, network: nn.Module, head: TrustHead):
        super().__init__()
        self.network = network
        self.head = head

    def forward(
        self,
        image: Float[Tensor, "B 3 H W"],
        box: Float[Tensor, "B 2"] | None = None,
        xy: Float[Tensor, "B K 2"] | None = None,
    ) -> tuple[Outputs, Trust]:
        outputs, raw = self.raw(image, box, xy)
        return outputs, self.head.trust(raw)

    def raw(
        self,
        image: Float[Tensor, "B 3 H W"],
        box: Float[Tensor, "B 2"] | None = None,
        xy: Float[Tensor, "B K 2"] | None = None,
    ) -> tuple[Outputs, Any]:
        """Return the network's outputs and the input of the head's losses.

        `box` must be given for heads that read it (`TrustHead.reads_box`) and for no others; `xy` gives positions to
        read at (`TrustHead.forward`). Raises ValueError otherwise.
        """
        if (box is not None) != self.head.reads_box:
            raise ValueError(f"box: this head {'reads it, got None' if box is None else 'does not read it'}")
        outputs, maps = run(self.network, image, self.head.reads)
        return outputs, self.head.raw(*maps, *estimates_of(outputs), *(() if box is None else (box,)), xy=xy)


def attach(head: str, network: nn.Module, height: int, width: int, **options: Any) -> TrustNetwork:
    """Attach a new head of that name to a network for crops of height × width pixels; `options` go to the head.

    Raises ValueError for an unknown head.
    """
    if head not in HEADS:
        raise ValueError(f"head: {expected_one_of(HEADS, head)}")
    builder = HEADS[head]
    was_training = network.training
    device = next(network.parameters()).device
    try:  # the sizes depend on padding and rounding, so run the network
        with torch.no_grad():
            outputs, maps = run(network.eval(), torch.zeros(1, 3, height, width, device=device), builder.reads)
    finally:
        network.train(was_training)
    estimates = estimates_of(outputs)
    shapes, tokens = (
        [tuple(tensor.shape[1:]) for tensor in maps],
        None if outputs.heatmaps else estimates[-1].shape[2],
    )
    built = new_head(head, shapes, estimates[0].shape[1], tokens=tokens, **options)
    return TrustNetwork(network, built.to(device))


def new_head(
    head: str, shapes: Sequence[tuple[int, ...]], keypoints: int, *, tokens: int | None = None, **options: Any
) -> TrustHead:
    """Build the head of that name for maps of `shapes` (C, h, w), those that it reads in its order.

    tokens: the width of the keypoint tokens of a SimCC network; None for one with heatmaps. Raises ValueError if the
    head needs heatmaps and there are none.
    """
    ((channels, height, width),) = shapes
    if tokens is not None:
        if HEADS[head].needs_heatmaps:
            raise ValueError("reads heatmaps, which a SimCC network does not give")
        options |= {"tokens": tokens} if HEADS[head].reads_tokens else {}
    return HEADS[head](channels, height, width, keypoints, **options)


def run(network: nn.Module, image: Float[Tensor, "B 3 H W"], reads: tuple[Source, ...]) -> tuple[Outputs, Tensors]:
    """Return the network's outputs, and the maps (B, C, h, w) that a head reads: "features", or the encoder's,
    "backbone".

    Raises ValueError if the network has no known encoder.
    """
    if "backbone" not in reads:
        outputs = network(image)
        return outputs, (outputs.features,) * len(reads)
    encoded: list[Tensor] = []
    thread = get_ident()

    def keep(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if get_ident() == thread:  # prediction runs two batches in parallel, and each triggers the other's hook
            encoded.append(inputs[0])

    handle = _after_encoder(network).register_forward_pre_hook(keep)
    try:
        outputs = network(image)
    finally:
        handle.remove()
    return outputs, tuple(encoded[0] if name == "backbone" else outputs.features for name in reads)


_WITH_ENCODED = (
    *(CascadedPyramid, CascadeFeatureAggregation, ConvolutionalPoseMachine, CoupledUNets, DeepPose, GuidedHourglass),
    *(SpatialContext, StructureAware, Tompson),
)


def _after_encoder(network: nn.Module) -> nn.Module:
    """Return the module whose input is the output of the (last) encoder.

    Its input is used instead of the encoder's output, because MSPN adds the previous stage's features in between.
    """
    if isinstance(network, PoseNetwork):
        return getattr(network.backbone, "encoded", network.neck)
    if isinstance(network, _WITH_ENCODED):
        return network.encoded
    if isinstance(network, MoveNetPose):
        return network.encoder.context
    if isinstance(network, RTMPose):
        return network.head.final_layer
    if isinstance(network, MSPN):
        return network.get_submodule(f"stages.{len(network.stages) - 1}.up.0.lateral")
    if isinstance(network, StackedHourglass):
        last = network.get_submodule(f"stacks.{len(network.stacks) - 1}.hourglass")
        assert isinstance(last, Hourglass)
        return last.encoded
    raise ValueError(
        f"network: expected one of the zoo's with an encoder, like PoseNetwork or MSPN, got {type(network).__name__}"
    )
