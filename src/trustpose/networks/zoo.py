"""All networks by name: `ZOO` with heatmaps or coordinates, small ones in `small.SMALL`, `SIMCC`, `BOTTOM_UP` for whole
photos, and `PARTS` for hands and faces."""

from collections import ChainMap
from collections.abc import Callable
from functools import partial

from torch import nn

from trustpose.names import expected_one_of
from trustpose.networks.associative_embedding import pose_ae
from trustpose.networks.attention_hourglass import attention_hourglass
from trustpose.networks.cascade_feature_aggregation import cascade_feature_aggregation
from trustpose.networks.cascaded_pyramid import cascaded_pyramid
from trustpose.networks.convolutional_pose_machine import convolutional_pose_machine
from trustpose.networks.coupled_unets import coupled_unets
from trustpose.networks.deep_layer_aggregation import dla_34
from trustpose.networks.deep_pose import deep_pose
from trustpose.networks.efficientnet import efficientnet
from trustpose.networks.fastpose import fastpose
from trustpose.networks.guided_hourglass import guided_hourglass
from trustpose.networks.hourglass import hourglass
from trustpose.networks.hourglass_104 import hourglass_104
from trustpose.networks.hrnet import hrnet
from trustpose.networks.layers import STRIDE
from trustpose.networks.light_baseline import light_baseline
from trustpose.networks.lightweight_openpose import LightweightOpenPose
from trustpose.networks.lite_hrnet import lite_hrnet, tinypose
from trustpose.networks.movenet import MoveNetPose
from trustpose.networks.mspn import mspn
from trustpose.networks.multi_pose_net import KeypointSubnet
from trustpose.networks.openpose import openpose_2017, openpose_2019, openpose_part
from trustpose.networks.picodet import PicoDet
from trustpose.networks.pifpaf import PifPaf
from trustpose.networks.pyramid_hourglass import pyramid_hourglass
from trustpose.networks.quantised_convolution import Bits
from trustpose.networks.rtmpose import rtmpose
from trustpose.networks.simple_baseline import simple_baseline
from trustpose.networks.small import SMALL
from trustpose.networks.spatial_context import spatial_context
from trustpose.networks.structure_aware import structure_aware
from trustpose.networks.tompson import tompson

ZOO: dict[str, Callable[..., nn.Module]] = {
    "simple-baseline-r50": partial(simple_baseline, "resnet50"),
    "simple-baseline-r101": partial(simple_baseline, "resnet101"),
    "simple-baseline-r152": partial(simple_baseline, "resnet152"),
    "simple-baseline-r50-caffe": partial(simple_baseline, "resnet50", caffe=True),
    "simple-baseline-r101-caffe": partial(simple_baseline, "resnet101", caffe=True),
    "simple-baseline-r152-caffe": partial(simple_baseline, "resnet152", caffe=True),
    "hrnet-w32": partial(hrnet, 32),
    "hrnet-w48": partial(hrnet, 48),
    "lite-hrnet-18": partial(lite_hrnet, 18),
    "lite-hrnet-30": partial(lite_hrnet, 30),
    "lite-hrnet-18-naive": partial(lite_hrnet, 18, block="naive", width=30),
    "lite-hrnet-18-wider-naive": partial(lite_hrnet, 18, block="naive"),
    "tinypose": tinypose,
    "hourglass-1": partial(hourglass, 1),
    "hourglass-2": partial(hourglass, 2),
    "hourglass-4": partial(hourglass, 4),
    "hourglass-8": partial(hourglass, 8),
    "pyranet-2": partial(pyramid_hourglass, 2),
    "pyranet-2-a": partial(pyramid_hourglass, 2, kind="A"),
    "pyranet-2-c": partial(pyramid_hourglass, 2, kind="C"),
    "pyranet-2-d": partial(pyramid_hourglass, 2, kind="D"),
    "pyranet-8": partial(pyramid_hourglass, 8),
    "cu-net-2": partial(coupled_unets, 2),
    "cu-net-8": partial(coupled_unets, 8, order=7),
    "du-net-8": partial(coupled_unets, 8),
    "du-net-16": partial(coupled_unets, 16),
    "du-net-16-quantised": partial(coupled_unets, 16, bits=Bits()),
    "attention-hourglass-2": partial(attention_hourglass, 2),
    "attention-hourglass-8": partial(attention_hourglass, 8),
    "spatial-context-2": partial(spatial_context, 2),
    "spatial-context-8": partial(spatial_context, 8),
    "structure-aware-2": partial(structure_aware, 2),
    "structure-aware-8": partial(structure_aware, 8),
    "cfa-r50-3": partial(cascade_feature_aggregation, "resnet50", 3),
    "cfa-r101-3": partial(cascade_feature_aggregation, "resnet101", 3),
    "guided-hourglass-2": partial(guided_hourglass, 2),
    "cpm-1": partial(convolutional_pose_machine, 1),
    "cpm-3": partial(convolutional_pose_machine, 3),
    "cpm-6": partial(convolutional_pose_machine, 6),
    "cpn-r50": partial(cascaded_pyramid, "resnet50"),
    "cpn-r101": partial(cascaded_pyramid, "resnet101"),
    "deep-pose-1": partial(deep_pose, "alexnet", 1),
    "deep-pose-3": partial(deep_pose, "alexnet", 3),
    "deep-pose-r50-1": partial(deep_pose, "resnet50", 1, size=224),
    "deep-pose-r50-3": partial(deep_pose, "resnet50", 3, size=224),
    "tompson-4-coarse": partial(tompson, 4, fine=False),
    "tompson-8-coarse": partial(tompson, 8, fine=False),
    "tompson-16-coarse": partial(tompson, 16, fine=False),
    "tompson-4": partial(tompson, 4),
    "tompson-8": partial(tompson, 8),
    "tompson-16": partial(tompson, 16),
    "mspn-1": partial(mspn, 1),
    "mspn-2": partial(mspn, 2),
    "mspn-3": partial(mspn, 3),
    "mspn-4": partial(mspn, 4),
    "efficientnet-b0": partial(efficientnet, 0),
    "efficientnet-b1": partial(efficientnet, 1),
    "efficientnet-b2": partial(efficientnet, 2),
    "efficientnet-b3": partial(efficientnet, 3),
    "efficientnet-b4": partial(efficientnet, 4),
    "efficientnet-b5": partial(efficientnet, 5),
    "efficientnet-b6": partial(efficientnet, 6),
    "efficientnet-b7": partial(efficientnet, 7),
    "efficientnet-b0-wide": partial(efficientnet, 0, wide=True),
    "efficientnet-b6-wide": partial(efficientnet, 6, wide=True),
    "fastpose-r50": partial(fastpose, "resnet50"),
    "light-mobilenetv2-050": partial(light_baseline, "mobilenetv2-050"),
    "light-efficientnet-lite0": partial(light_baseline, "efficientnet-lite0"),
    "dla-34": dla_34,
    "hourglass-104": hourglass_104,
    "pose-ae-4": partial(pose_ae, 4),
    "multi-pose-net-r50": partial(KeypointSubnet, "resnet50"),
    "multi-pose-net-r101": partial(KeypointSubnet, "resnet101"),
    "movenet-thunder": partial(MoveNetPose, "thunder"),
    "movenet-multipose": partial(MoveNetPose, "multipose"),
}
SIMCC: dict[str, Callable[..., nn.Module]] = {  # networks that classify columns and rows, for crops of one size
    "rtmpose-t": partial(rtmpose, "tiny"),
    "rtmpose-s": partial(rtmpose, "s"),
    "rtmpose-m": partial(rtmpose, "m"),
    "rtmpose-l": partial(rtmpose, "l"),
    "rtmpose-x": partial(rtmpose, "x"),
}
BOX_DETECTORS = {"picodet-s": PicoDet}  # list the boxes of a whole photo
BOTTOM_UP: dict[str, Callable[..., nn.Module]] = {  # see the parts and limbs of all people of a whole photo
    "openpose-2017-body15": partial(openpose_2017, "body15"),
    "openpose-2017-body18": partial(openpose_2017, "body18"),
    "openpose-2019-body25": partial(openpose_2019, "body25"),
    "lightweight-openpose": LightweightOpenPose,
}
COMPOSITE_FIELDS: dict[str, Callable[..., nn.Module]] = {  # give PifPaf's fields of all people of a whole photo
    "pifpaf-shufflenetv2k16": partial(PifPaf, "k16"),
    "pifpaf-shufflenetv2k30": partial(PifPaf, "k30"),
    "pifpaf-r50": partial(PifPaf, "resnet50"),
}
PARTS: dict[str, Callable[..., nn.Module]] = {  # see a crop of a hand or a face
    "openpose-hand": partial(openpose_part, "hand"),
    "openpose-face": partial(openpose_part, "face"),
}
STRIDES = dict.fromkeys(("cpm-1", "cpm-3", "cpm-6", "tompson-8", "tompson-8-coarse"), 8) | dict.fromkeys(
    ("tompson-16", "tompson-16-coarse"), 16
)  # crop pixels per heatmap pixel, where it is not 4
NETWORKS = ChainMap(SMALL, PARTS, COMPOSITE_FIELDS, BOTTOM_UP, SIMCC, ZOO)  # all of these, in reverse order


def build(name: str, keypoints: int | None = None, *, height: int = 256, width: int = 192) -> nn.Module:
    """Build the zoo's network of that name with random weights, for any number of keypoints (None: 17); those in
    `BOTTOM_UP`, `COMPOSITE_FIELDS` and `PARTS` have their own.

    height, width: of the crops, for networks in `SIMCC`; the others take any size. Raises ValueError for an unknown
    name (the message lists the known ones), and for a size or number of keypoints that it does not support.
    """
    if name in SIMCC:
        return SIMCC[name](keypoints=17 if keypoints is None else keypoints, height=height, width=width)
    if name not in NETWORKS:
        raise ValueError(f"name: {expected_one_of(NETWORKS, name)}")
    if name in ZOO or name in SMALL:
        return NETWORKS[name](keypoints=17 if keypoints is None else keypoints)
    network = NETWORKS[name]()
    if keypoints not in (None, network.keypoints):
        raise ValueError(f"keypoints: expected {network.keypoints} for {name}, got {keypoints}")
    return network


def stride_of(name: str) -> int:
    """Return the crop pixels per pixel of the network's heatmaps: 4, except for those in `STRIDES`."""
    return STRIDES.get(name, STRIDE)
