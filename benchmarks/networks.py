"""Parameters and multiply-adds of every zoo network, beside what the papers print.

    python benchmarks/networks.py
    python benchmarks/networks.py --overfit NAME…    overfits one batch instead, with mean OKS and steps
    python benchmarks/networks.py --export [NAME…]   writes ONNX files instead, of all where none is named, and prints
                                                     the largest difference of their outputs (random weights)

Counted are convolutions and linear layers, with 17 keypoints, in two ways:

- G: all multiply-adds that a forward pass does, in 10⁹. A transposed convolution does its kernel once for each pixel
  that goes in.
- "as printed": as the paper that the row is compared with counts.
  HRNet: as its repository does (lib/utils/utils.py, get_model_summary), for its peers in table 1 too: in 2³⁰, and a
  transposed convolution's kernel once for each pixel that comes out, four times as many.
  MSPN: in 2³⁰, without the heads that only supervise, which prediction does not need (and ONNX files do not have);
  inferred: with this count its hourglasses and its own networks both agree. Its numbers are as commonly quoted; the
  paper's table was not at hand to check them, and the official repository prints none.
  mmpose: in 10⁹, everything, batch norm and activations too (by under 1%), for its own MSPN, which has no biases before
  batch norm (open-mmlab/mmpose, docs/en/inference_speed_summary.md). It says what the MSPN rows cannot: parameters.
  OpenPose: in 10⁹. Its papers print neither; M are the sizes of the published weights (pose_iter_584000.caffemodel
  and its siblings, 105, 209, 206, 147 and 154 MB) in float32. Osokin (Lightweight OpenPose, 2018) has 9 G as 15 % of
  the network of 2017 with two stages, and prints 4.1 M and 9 G for his own.
  PifPaf's newer networks are counted as OpenPose's; M were counted on OpenPifPaf 0.13.11's networks (docs/parity.md).
  AlphaPose: in 10⁹, counted on the authors' own network (docs/parity.md), as neither RMPE nor CrowdPose prints them.
  Bottom-up networks: as HRNet, in the table of HigherHRNet's repository, which has HRNet with tags ("Bottom-up HRNet"),
  without the repository's own heads.
  EfficientNet: 10⁹, the classifiers at their own input sizes (Tan and Le, table 2; looked up in the READMEs of
  lukemelas/EfficientNet-PyTorch and eruditepanda/efficientnet.pytorch, which repeat it).

The JSON has for each row parameters (M), G, and both as ratios ours / paper, null where the paper has none.
Exits with 1 if a ratio is off (1% of parameters, 5% of G) in a row that says no reason.
"""

import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import torch
from harness import parser, run, table, write
from torch import nn

from trustpose.networks.backbones import timm
from trustpose.networks.bottom_up import BottomUpNetwork, Kind
from trustpose.networks.layers import PoseNetwork
from trustpose.networks.openpose import openpose_2017
from trustpose.networks.zoo import BOTTOM_UP, COMPOSITE_FIELDS, PARTS, ZOO, build

SMALL, LARGE = (256, 192), (384, 288)


@dataclass(frozen=True)
class Printed:
    """A paper's numbers for a network at one input size (M, G), its way of counting, and why ours may differ."""

    size: tuple[int, int]
    parameters: float | None
    gflops: float | None
    counts: str = "HRNet"
    why: str = ""


_HOURGLASS = (
    "unknown: HRNet's table says neither which hourglass nor whose count, and MSPN's gives another number for as many "
    "stacks; this one has every tensor of pytorch-pose's hg8 and gives its heatmaps"
)
_UNCLEAR = "a little; how the paper counts is inferred"
_DIGITS = "the paper rounds to two digits"
PAPERS: dict[str, list[Printed]] = {
    "simple-baseline-r50": [Printed(SMALL, 34.0, 8.9)],
    "simple-baseline-r101": [Printed(SMALL, 53.0, 12.4)],
    "simple-baseline-r152": [Printed(SMALL, 68.6, 15.7)],
    "hrnet-w32": [Printed(SMALL, 28.5, 7.1), Printed(LARGE, 28.5, 16.0)],
    "hrnet-w48": [Printed(SMALL, 63.6, 14.6), Printed(LARGE, 63.6, 32.9)],
    "hourglass-1": [Printed(SMALL, None, 3.9, "MSPN")],
    "hourglass-2": [Printed(SMALL, None, 6.2, "MSPN")],
    "hourglass-4": [Printed(SMALL, None, 10.6, "MSPN")],
    "hourglass-8": [Printed(SMALL, None, 19.5, "MSPN"), Printed(SMALL, 25.1, 14.3, why=_HOURGLASS)],
    "fastpose-r50": [Printed(SMALL, 40.58, 5.89, "AlphaPose")],
    "mspn-1": [Printed(SMALL, None, 4.4, "MSPN", _UNCLEAR), Printed(SMALL, 25.11, 5.11, "mmpose")],
    "mspn-2": [Printed(SMALL, None, 9.6, "MSPN"), Printed(SMALL, 56.8, 11.35, "mmpose")],
    "mspn-3": [Printed(SMALL, None, 14.7, "MSPN"), Printed(SMALL, 88.49, 17.59, "mmpose")],
    "mspn-4": [Printed(SMALL, None, 19.9, "MSPN"), Printed(SMALL, 120.18, 23.82, "mmpose")],
}
PHOTO = (368, 368)  # pixels of OpenPose's photos and crops in training
VGA = (480, 640)
_SHARE = "9 G and 15 % are both rounded"
OPENPOSE: dict[str, tuple[Callable[[], nn.Module], Printed]] = {
    "openpose-2017-body15": (BOTTOM_UP["openpose-2017-body15"], Printed(PHOTO, 206 / 4, None, "OpenPose")),
    "openpose-2017-body18": (BOTTOM_UP["openpose-2017-body18"], Printed(PHOTO, 209 / 4, None, "OpenPose")),
    "the same with two stages": (partial(openpose_2017, stages=2), Printed(PHOTO, None, 9 / 0.15, "OpenPose", _SHARE)),
    "openpose-2019-body25": (BOTTOM_UP["openpose-2019-body25"], Printed(PHOTO, 105 / 4, None, "OpenPose")),
    "lightweight-openpose": (BOTTOM_UP["lightweight-openpose"], Printed(PHOTO, 4.1, 9.0, "OpenPose")),
    "openpose-hand": (PARTS["openpose-hand"], Printed(PHOTO, 147 / 4, None, "OpenPose")),
    "openpose-face": (PARTS["openpose-face"], Printed(PHOTO, 154 / 4, None, "OpenPose")),
    "pifpaf-shufflenetv2k16": (COMPOSITE_FIELDS["pifpaf-shufflenetv2k16"], Printed(VGA, 10.13, None, "OpenPose")),
    "pifpaf-shufflenetv2k30": (COMPOSITE_FIELDS["pifpaf-shufflenetv2k30"], Printed(VGA, 29.98, None, "OpenPose")),
    "pifpaf-r50": (COMPOSITE_FIELDS["pifpaf-r50"], Printed(VGA, 25.45, None, "OpenPose")),
}
WHOLE = (512, 512)
ON_BACKBONES: list[tuple[str, Kind, Printed]] = [
    ("hrnet-w32", "tags", Printed(WHOLE, 28.5, 38.9)),
    ("hrnet-w32", "centres", Printed(WHOLE, None, None)),
    ("hrnet-w32", "fields", Printed(WHOLE, None, None)),
    ("dla-34", "centres", Printed(WHOLE, None, None)),
    ("hourglass-104", "centres", Printed(WHOLE, None, None)),
    ("pose-ae-4", "tags", Printed(WHOLE, None, None)),
    ("multi-pose-net-r50", "boxed", Printed((480, 480), None, None)),
    ("multi-pose-net-r101", "boxed", Printed((480, 480), None, None)),
    ("tinypose", "tags", Printed((256, 256), None, None)),
    ("tinypose", "centres", Printed((256, 256), None, None)),
    ("tinypose", "fields", Printed((256, 256), None, None)),
    ("tinypose", "composite-fields", Printed((256, 256), None, None)),
    ("tinypose", "disks", Printed((256, 256), None, None)),
]
LIMBS = 35  # 19 and 16 redundant ones: `trustpose train bottom-up-fields` on COCO's joints
CLASSIFIERS: list[Printed] = [
    Printed((224, 224), 5.3, 0.39, "EfficientNet"),
    Printed((240, 240), 7.8, 0.70, "EfficientNet"),
    Printed((260, 260), 9.2, 1.0, "EfficientNet"),
    Printed((300, 300), 12.0, 1.8, "EfficientNet", _DIGITS),
    Printed((380, 380), 19.0, 4.2, "EfficientNet", _DIGITS),
    Printed((456, 456), 30.0, 9.9, "EfficientNet", _DIGITS),
    Printed((528, 528), 43.0, 19.0, "EfficientNet"),
    Printed((600, 600), 66.0, 37.0, "EfficientNet"),
]


@dataclass
class Count:
    """Multiply-adds of one crop: all of them, and as HRNet and MSPN print them (before the division by 2³⁰)."""

    done: int = 0
    by_output: int = 0
    without_supervision: int = 0


def count(network: nn.Module, height: int, width: int) -> Count:
    """The multiply-adds of `network`, which is on the meta device."""
    total = Count()

    def hook(supervises: bool) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
        def add(layer: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
            weights = cast(torch.Tensor, layer.weight).numel()
            spatial = not isinstance(layer, nn.Linear)
            by_output = weights * (output.shape[-2:].numel() if spatial else 1)
            done = weights * inputs[0].shape[-2:].numel() if isinstance(layer, nn.ConvTranspose2d) else by_output
            total.done += done
            total.by_output += by_output
            total.without_supervision += 0 if supervises else done

        return add

    kinds = (nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    hooks = [
        layer.register_forward_hook(hook(bool(_head(name)) and _head(name) != _head(_last_head(network))))
        for name, layer in network.named_modules()
        if isinstance(layer, kinds)
    ]
    network.eval()(torch.zeros(1, 3, height, width, device="meta"))
    for handle in hooks:
        handle.remove()
    return total


def _head(name: str) -> str:
    """Which of MSPN's heads a layer belongs to ("stages.0.up.3"), "" for none."""
    match = re.match(r"(stages\.\d+\.up\.\d+)\.(feature|head)\.", name)
    return match[1] if match else ""


def _last_head(network: nn.Module) -> str:
    return next((name for name, _ in reversed(list(network.named_modules())) if _head(name)), "")


def row(name: str, network: nn.Module, paper: Printed) -> dict[str, Any]:
    """One line of the table, as the JSON has it."""
    parameters = sum(parameter.numel() for parameter in network.parameters())
    total = count(network, *paper.size)
    as_printed = {
        "HRNet": total.by_output / 2**30,
        "MSPN": total.without_supervision / 2**30,
        "EfficientNet": total.done / 1e9,
        "mmpose": total.done / 1e9,
        "OpenPose": total.done / 1e9,
        "AlphaPose": total.done / 1e9,
    }[paper.counts]
    done = total.done
    return {
        "network": name,
        "input": f"{paper.size[0]}x{paper.size[1]}",
        "parameters": round(parameters / 1e6, 3),
        "gflops": round(done / 1e9, 3),
        "gflops_as_printed": round(as_printed, 3),
        "paper": {"counts": paper.counts, "parameters": paper.parameters, "gflops": paper.gflops},
        "parameters_ratio": round(parameters / 1e6 / paper.parameters, 4) if paper.parameters else None,
        "gflops_ratio": round(as_printed / paper.gflops, 4) if paper.gflops else None,
        "why": paper.why,
    }


def is_off(line: dict[str, Any]) -> bool:
    """Whether a ratio is further from 1 than 1% (parameters) or 5% (G)."""
    limits = {"parameters_ratio": 0.01, "gflops_ratio": 0.05}
    return any(line[key] is not None and abs(line[key] - 1) > limit for key, limit in limits.items())


def rows_of_all() -> list[dict[str, Any]]:
    """Every zoo network at 256×192 and, where a paper has it, at 384×288; OpenPose's, networks without boxes, and
    EfficientNet's classifiers."""
    lines = []
    with torch.device("meta"):
        for name in ZOO:
            network = build(name)
            lines += [row(name, network, paper) for paper in PAPERS.get(name, [Printed(SMALL, None, None)])]
        lines += [row(name, make(), paper) for name, (make, paper) in OPENPOSE.items()]
        for name, kind, paper in ON_BACKBONES:
            backbone = cast(PoseNetwork, build(name))
            style = "convolution" if kind == "disks" else "separable"  # as in their recipes
            network = BottomUpNetwork(backbone, [kind], LIMBS, branch_style=style)
            lines.append(row(f"{name}, {kind}", network, paper))
        for size, paper in enumerate(CLASSIFIERS):
            classifier = timm.create_model(f"tf_efficientnet_b{size}")
            lines.append(row(f"efficientnet-b{size} classifier", classifier, paper))
    return lines


def show(lines: list[dict[str, Any]]) -> None:
    rows, off = {}, {}
    for line in lines:
        paper, label = line["paper"], f"{line['network']} {line['input']}"
        if paper["gflops"]:
            label += f", counted as {paper['counts']}"
        if is_off(line):
            off[label] = line["why"] or "no reason known"
        rows[label] = {
            "M": line["parameters"],
            "paper": None if paper["parameters"] is None else f"{paper['parameters']:g}",
            "G": line["gflops"],
            "as printed": line["gflops_as_printed"],
            "the paper's": None if paper["gflops"] is None else f"{paper['gflops']:g}",
        }
    table("", rows, ".2f")
    for label, reason in off.items():
        print(f"{label} is off: {reason}")


def overfit(names: list[str], steps: int) -> list[dict[str, Any]]:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.networks.overfitting import overfit as learn

    results = []
    for name in names:
        torch.manual_seed(0)
        mean_oks, step_count = learn(build(name), steps)
        results.append({"network": name, "mean_oks": round(mean_oks, 4), "steps": step_count})
        print(f"{name:28}mean OKS {mean_oks:.4f} after {step_count} steps", flush=True)
    return results


def export(names: list[str]) -> list[dict[str, Any]]:
    sys.path.insert(0, str(Path(__file__).parents[1]))
    from tests.export.exporting import largest_difference

    results = []
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            difference = largest_difference(partial(build, name), Path(folder) / "network.onnx")
            results.append({"network": name, "largest_difference": difference})
            print(f"{name:28}largest difference {difference:.1e}", flush=True)
    return results


def main(options):
    if options.overfit:
        records = overfit(options.overfit, options.steps)
        is_right = all(record["mean_oks"] > 0.95 for record in records)
    elif options.export is not None:
        records = export(options.export or list(ZOO))
        is_right = all(record["largest_difference"] < 1e-4 for record in records)
    else:
        records = rows_of_all()
        show(records)
        is_right = all(line["why"] or not is_off(line) for line in records)
    write(records)
    raise SystemExit(0 if is_right else 1)


if __name__ == "__main__":
    options_parser = parser(__doc__)
    names = {"metavar": "NAME", "choices": list(ZOO)}
    options_parser.add_argument("--overfit", nargs="+", **names, help="overfit one batch with these instead")
    options_parser.add_argument("--steps", type=int, default=150, help="of overfitting, at most")
    options_parser.add_argument("--export", nargs="*", **names, help="write ONNX files of these instead; none: of all")
    run(main, options_parser)
