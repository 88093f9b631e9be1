"""Small versions of single-person networks, of like cost, for comparisons within minutes on a CPU.

Their layers are the papers'; they have fewer channels and blocks, and no published numbers. Their
results: https://trustpose.github.io/trustpose/benchmarks/single-person.html
"""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from trustpose.networks.attention_hourglass import attention_hourglass
from trustpose.networks.cascade_feature_aggregation import cascade_feature_aggregation
from trustpose.networks.cascaded_pyramid import cascaded_pyramid
from trustpose.networks.convolutional_pose_machine import convolutional_pose_machine
from trustpose.networks.coupled_unets import coupled_unets
from trustpose.networks.deep_pose import deep_pose
from trustpose.networks.guided_hourglass import guided_hourglass
from trustpose.networks.hourglass import hourglass
from trustpose.networks.hrnet import hrnet
from trustpose.networks.pyramid_hourglass import pyramid_hourglass
from trustpose.networks.quantised_convolution import Bits
from trustpose.networks.simple_baseline import simple_baseline
from trustpose.networks.spatial_context import spatial_context
from trustpose.networks.structure_aware import structure_aware
from trustpose.networks.tompson import tompson

_RESNET: dict[str, Any] = {"channels": (16, 32, 64, 128), "stem_type": "deep", "stem_width": 8}  # ResNet-18, a quarter
_MACHINE: dict[str, Any] = {
    "width": 24,
    "wide": 96,
    "narrow": 16,
    "kernels": (5, 5),
    "poolings": 2,
    "pooling": "padded",
}
_CASCADE: dict[str, Any] = {"size": 64, "refined_size": 32, "sigma": 2.0, **_RESNET}
_LITE: dict[str, Any] = {"size": 80, "refined_size": 64, "sigma": 1.5}  # of crops of 160 × 160 pixels
_UNETS: dict[str, Any] = {"channels": 48, "growth": 16, "depth": 3}
_TOMPSON: dict[str, Any] = {"width": 16, "wide": 64, "middle": 64, "window": 16}

SMALL: dict[str, Callable[..., nn.Module]] = {
    "small-cpm-1": partial(convolutional_pose_machine, 1, **_MACHINE),
    "small-cpm-3": partial(convolutional_pose_machine, 3, **_MACHINE),
    "small-cpm-6": partial(convolutional_pose_machine, 6, **_MACHINE),
    "small-deep-pose-1": partial(deep_pose, "resnet18", 1, **_CASCADE),
    "small-deep-pose-3": partial(deep_pose, "resnet18", 3, **_CASCADE),
    "small-deep-pose-lite0-1": partial(deep_pose, "tf_efficientnet_lite0", 1, size=160),
    "small-deep-pose-lite0-2": partial(deep_pose, "tf_efficientnet_lite0", 2, **_LITE),
    "small-tompson-coarse": partial(tompson, 4, fine=False, **_TOMPSON),
    "small-tompson": partial(tompson, 4, **_TOMPSON),
    "small-cpn": partial(cascaded_pyramid, "resnet18", filters=48, **_RESNET),
    "small-simple-baseline": partial(simple_baseline, "resnet18", filters=64, **_RESNET),
    "small-hourglass-1": partial(hourglass, 1, channels=64, depth=3),
    "small-hourglass-2": partial(hourglass, 2, channels=64, depth=3),
    "small-pyranet-2": partial(pyramid_hourglass, 2, channels=64, depth=3),
    "small-cu-net-2": partial(coupled_unets, 2, **_UNETS),
    "small-cu-net-2-quantised": partial(coupled_unets, 2, bits=Bits(), **_UNETS),
    "small-attention-hourglass-2": partial(
        attention_hourglass, 2, channels=48, depth=3, units=1, kernel=5, strided_stem=True
    ),
    "small-spatial-context-2": partial(spatial_context, 2, channels=64, depth=3),
    "small-structure-aware-2": partial(structure_aware, 2, channels=64, depth=3),
    "small-cfa-2": partial(cascade_feature_aggregation, "resnet18", 2, filters=48, **_RESNET),
    "small-guided-hourglass-2": partial(guided_hourglass, 2, channels=64, depth=3),
    "small-hrnet": partial(hrnet, 16, stem=16, bottlenecks=2, exchanges=(1, 1, 1), residuals=2),
}
