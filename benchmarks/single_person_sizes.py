"""Sizes of the single-person systems as published: parameters, multiply-adds of a crop, stride, receptive field of CPM.

    python benchmarks/single_person_sizes.py

Multiply-adds are those of convolutions and fully connected layers, counted by torch. A table, then one line of JSON.
"""

import json
from fnmatch import fnmatch

import torch
from torch.utils.flop_counter import FlopCounterMode

from trustpose.networks.convolutional_pose_machine import receptive_field
from trustpose.networks.deep_pose import deep_pose
from trustpose.networks.zoo import build, stride_of


def sizes() -> dict[str, dict[str, float]]:
    """Print and return the sizes of the networks."""
    listed = (("deep-pose-1", 220, 220), ("deep-pose-3", 220, 220), ("deep-pose-r50-1", 224, 224))
    listed += tuple((f"tompson-{pooling}{part}", 256, 256) for pooling in (4, 8, 16) for part in ("-coarse", ""))
    listed += (("cpm-1", 368, 368), ("cpm-3", 368, 368), ("cpm-6", 368, 368))
    listed += (("cpn-r50", 256, 192), ("cpn-r50", 384, 288), ("cpn-r101", 384, 288))
    table = {}
    for name, height, width in listed:
        with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
            network = build(name, 17 if name.startswith("cpn") else 14).eval()
            network(torch.zeros(1, 3, height, width))
        millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
        row = {"parameters": millions, "multiply-adds": counter.get_total_flops() / 2e9, "stride": stride_of(name)}
        table[f"{name} {height}×{width}"] = row
        print(f"{name:18} {height}×{width}  {millions:6.1f} M  {row['multiply-adds']:6.1f} G  stride {row['stride']}")
    table |= _parts()
    seen = receptive_field(6)
    print("a belief of CPM depends on, by stage:", ", ".join(f"{side} × {side}" for side in seen))
    return table | {"receptive field of CPM": {str(number): side for number, side in enumerate(seen, start=1)}}


def _parts() -> dict[str, dict[str, float]]:
    """Print and return where the sizes lie that differ from the papers': DeepPose's parameters, CPN's multiply-adds."""
    with torch.device("meta"), torch.no_grad():
        one = deep_pose("alexnet", 1, 14, hidden=(4096,))
        network, counter = build("cpn-r50", 17).eval(), FlopCounterMode(display=False, depth=4)
        with counter:
            network(torch.zeros(1, 3, 256, 192))
    fewer = sum(parameter.numel() for parameter in one.parameters()) / 1e6
    print(f"deep-pose-1 with one fully connected layer of 4096: {fewer:.1f} M")
    counts = {name: sum(ops.values()) / 2e9 for name, ops in counter.get_flop_counts().items()}

    def of(*patterns: str) -> float:
        return sum(value for name, value in counts.items() if any(fnmatch(name, one) for one in patterns))

    first = "CascadedPyramid."
    parts = {
        "ResNet-50": counts[first + "body"],
        "GlobalNet's pyramid": of(*(f"{first}global_net.?.{part}" for part in ("lateral", "from_above"))),
        "GlobalNet's heatmaps": of(*(f"{first}global_net.?.{part}" for part in ("before", "head"))),
        "RefineNet": of(f"{first}refine_net.?", f"{first}mixed", f"{first}head"),
        # a ResNet as first published halves the map in a block's first 1 × 1 convolution, which then costs a quarter
        "saved by strides as in the first ResNet": 0.75 * of(*(f"{first}body.layer{n}.0.conv1" for n in (2, 3, 4))),
    }
    print("cpn-r50 256×192, G: " + ", ".join(f"{name} {value:.2f}" for name, value in parts.items()))
    return {"deep-pose-1, one fully connected": {"parameters": fewer}, "parts of cpn-r50 256×192": parts}


if __name__ == "__main__":
    print(json.dumps(sizes()))
