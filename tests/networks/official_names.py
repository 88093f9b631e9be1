"""State dicts as the public projects write them: names and shapes by rule.

The rules were checked against state dicts of the projects' own networks (docs/parity.md); none of their code is here.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from tests.networks.random_weights import fill

Shapes = Iterator[tuple[str, tuple[int, ...]]]
K = 17


def norm(name: str, channels: int) -> Shapes:
    for part in ("weight", "bias", "running_mean", "running_var"):
        yield f"{name}.{part}", (channels,)
    yield f"{name}.num_batches_tracked", ()


def conv(name: str, inputs: int, outputs: int, kernel: int, bias: bool = False) -> Shapes:
    yield f"{name}.weight", (outputs, inputs, kernel, kernel)
    if bias:
        yield f"{name}.bias", (outputs,)


def conv_norm(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
    """A Sequential of the two."""
    yield from conv(f"{name}.0", inputs, outputs, kernel)
    yield from norm(f"{name}.1", outputs)


def bottleneck(name: str, inputs: int, width: int, downsample: bool) -> Shapes:
    for i, (a, b, kernel) in enumerate([(inputs, width, 1), (width, width, 3), (width, 4 * width, 1)], start=1):
        yield from conv(f"{name}.conv{i}", a, b, kernel)
        yield from norm(f"{name}.bn{i}", b)
    if downsample:
        yield from conv_norm(f"{name}.downsample", inputs, 4 * width, 1)


def resnet50(prefix: str = "") -> Shapes:
    yield from conv(f"{prefix}conv1", 3, 64, 7)
    yield from norm(f"{prefix}bn1", 64)
    inputs = 64
    for layer, blocks in enumerate((3, 4, 6, 3)):
        width = 64 * 2**layer
        for block in range(blocks):
            yield from bottleneck(f"{prefix}layer{layer + 1}.{block}", inputs, width, downsample=block == 0)
            inputs = 4 * width


def classifier(name: str, inputs: int) -> Shapes:
    yield f"{name}.weight", (1000, inputs)
    yield f"{name}.bias", (1000,)


def pose_resnet50(backbone: str = "", head: str = "") -> Shapes:
    yield from resnet50(backbone)
    for i, inputs in enumerate((2048, 256, 256)):
        yield f"{head}deconv_layers.{3 * i}.weight", (inputs, 256, 4, 4)
        yield from norm(f"{head}deconv_layers.{3 * i + 1}", 256)
    yield from conv(f"{head}final_layer", 256, K, 1, bias=True)


def hrnet_w32(prefix: str = "", last_outputs: int = 1) -> Shapes:
    for i, inputs in enumerate((3, 64), start=1):
        yield from conv(f"{prefix}conv{i}", inputs, 64, 3)
        yield from norm(f"{prefix}bn{i}", 64)
    for block in range(4):
        yield from bottleneck(f"{prefix}layer1.{block}", 64 if block == 0 else 256, 64, downsample=block == 0)
    widths = [32, 64, 128, 256]
    yield from conv_norm(f"{prefix}transition1.0", 256, 32, 3)
    for stage, modules in ((2, 1), (3, 4), (4, 3)):
        new = widths[stage - 1]
        yield from conv_norm(f"{prefix}transition{stage - 1}.{stage - 1}.0", 256 if stage == 2 else new // 2, new, 3)
        for module in range(modules):
            outputs = last_outputs if (stage, module) == (4, 2) else stage
            yield from exchange_module(f"{prefix}stage{stage}.{module}", widths[:stage], outputs)


def exchange_module(name: str, widths: list[int], outputs: int) -> Shapes:
    for branch, width in enumerate(widths):
        for block in range(4):
            for i in (1, 2):
                yield from conv(f"{name}.branches.{branch}.{block}.conv{i}", width, width, 3)
                yield from norm(f"{name}.branches.{branch}.{block}.bn{i}", width)
    for i in range(outputs):
        for j in range(len(widths)):
            if j > i:
                yield from conv_norm(f"{name}.fuse_layers.{i}.{j}", widths[j], widths[i], 1)
            for step in range(i - j):
                out = widths[i] if step == i - j - 1 else widths[j]
                yield from conv_norm(f"{name}.fuse_layers.{i}.{j}.{step}", widths[j], out, 3)


def pose_hrnet_w32(backbone: str = "", head: str = "") -> Shapes:
    yield from hrnet_w32(backbone)
    yield from conv(f"{head}final_layer", 32, K, 1, bias=True)


def imagenet_hrnet_w32() -> Shapes:
    yield from hrnet_w32(last_outputs=4)
    yield from bottleneck("incre_modules.0.0", 32, 32, downsample=True)
    yield from conv("downsamp_modules.0.0", 128, 256, 3, bias=True)
    yield from conv("final_layer.0", 1024, 2048, 1, bias=True)
    yield from classifier("classifier", 2048)


def efficientnet_lite0() -> Shapes:
    """Rows of EfficientNet-B0's table as they are, without squeeze-and-excitation; blocks counted through."""
    yield from conv("_conv_stem", 3, 32, 3)
    yield from norm("_bn0", 32)
    inputs, block = 32, 0
    rows = [(1, 16, 3, 1), (6, 24, 3, 2), (6, 40, 5, 2), (6, 80, 3, 3), (6, 112, 5, 3), (6, 192, 5, 4), (6, 320, 3, 1)]
    for expansion, outputs, kernel, repeats in rows:
        for _ in range(repeats):
            name, width = f"_blocks.{block}", expansion * inputs
            if expansion > 1:
                yield from conv(f"{name}._expand_conv", inputs, width, 1)
                yield from norm(f"{name}._bn0", width)
            yield from conv(f"{name}._depthwise_conv", 1, width, kernel)
            yield from norm(f"{name}._bn1", width)
            yield from conv(f"{name}._project_conv", width, outputs, 1)
            yield from norm(f"{name}._bn2", outputs)
            inputs, block = outputs, block + 1
    yield from conv("_conv_head", 320, 1280, 1)
    yield from norm("_bn1", 1280)
    yield from classifier("_fc", 1280)


def hourglass(stacks: int) -> Shapes:
    yield from conv("conv1", 3, 64, 7, bias=True)
    yield from norm("bn1", 64)
    for layer, (inputs, outputs) in enumerate([(64, 128), (128, 256), (256, 256)], start=1):
        yield from preactivated(f"layer{layer}.0", inputs, outputs)
    for s in range(stacks):
        for level in range(4):
            for index in range(4 if level == 0 else 3):
                yield from preactivated(f"hg.{s}.hg.{level}.{index}.0", 256, 256)
        yield from preactivated(f"res.{s}.0", 256, 256)
        yield from conv(f"fc.{s}.0", 256, 256, 1, bias=True)
        yield from norm(f"fc.{s}.1", 256)
        yield from conv(f"score.{s}", 256, K, 1, bias=True)
        if s < stacks - 1:
            yield from conv(f"fc_.{s}", 256, 256, 1, bias=True)
            yield from conv(f"score_.{s}", K, 256, 1, bias=True)


def preactivated(name: str, inputs: int, outputs: int) -> Shapes:
    width = outputs // 2
    for i, (a, b, kernel) in enumerate([(inputs, width, 1), (width, width, 3), (width, outputs, 1)], start=1):
        yield from norm(f"{name}.bn{i}", a)
        yield from conv(f"{name}.conv{i}", a, b, kernel, bias=True)
    if inputs != outputs:
        yield from conv(f"{name}.downsample.0", inputs, outputs, 1, bias=True)


def mspn(stages: int) -> Shapes:
    def unit(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
        yield from conv(f"{name}.conv", inputs, outputs, kernel, bias=True)
        yield from norm(f"{name}.bn", outputs)

    yield from unit("top.conv", 3, 64, 7)
    for s in range(stages):
        inputs = 64
        for layer, blocks in enumerate((3, 4, 6, 3)):
            width = 64 * 2**layer
            for block in range(blocks):
                name = f"stage{s}.downsample.layer{layer + 1}.{block}"
                yield from unit(f"{name}.conv_bn_relu1", inputs, width, 1)
                yield from unit(f"{name}.conv_bn_relu2", width, width, 3)
                yield from unit(f"{name}.conv_bn_relu3", width, 4 * width, 1)
                if block == 0:
                    yield from unit(f"{name}.downsample", inputs, 4 * width, 1)
                inputs = 4 * width
        for i, width in enumerate((2048, 1024, 512, 256), start=1):
            name = f"stage{s}.upsample.up{i}"
            yield from unit(f"{name}.u_skip", width, 256, 1)
            if i > 1:
                yield from unit(f"{name}.up_conv", 256, 256, 1)
            if s < stages - 1:
                yield from unit(f"{name}.skip1", width, width, 1)
                yield from unit(f"{name}.skip2", 256, width, 1)
                if i == 4:
                    yield from unit(f"{name}.cross_conv", 256, 64, 1)
            yield from unit(f"{name}.res_conv1", 256, 256, 1)
            yield from unit(f"{name}.res_conv2", 256, K, 3)


def mmpose_mspn(stages: int, head: str) -> Shapes:
    def unit(name: str, inputs: int, outputs: int, kernel: int) -> Shapes:
        yield from conv(f"{name}.conv", inputs, outputs, kernel)
        yield from norm(f"{name}.bn", outputs)

    yield from unit("backbone.top.top.0", 3, 64, 7)
    for s in range(stages):
        inputs, stage = 64, f"backbone.multi_stage_mspn.{s}"
        for layer, blocks in enumerate((3, 4, 6, 3)):
            width = 64 * 2**layer
            for block in range(blocks):
                name = f"{stage}.downsample.layer{layer + 1}.{block}"
                sizes = ((inputs, width, 1), (width, width, 3), (width, 4 * width, 1))
                for i, size in enumerate(sizes, start=1):
                    yield from conv(f"{name}.conv{i}", *size)
                    yield from norm(f"{name}.bn{i}", size[1])
                if block == 0:
                    yield from unit(f"{name}.downsample", inputs, 4 * width, 1)
                inputs = 4 * width
        for i, width in enumerate((2048, 1024, 512, 256), start=1):
            name = f"{stage}.upsample.up{i}"
            yield from unit(f"{name}.in_skip", width, 256, 1)
            if i > 1:
                yield from unit(f"{name}.up_conv", 256, 256, 1)
            if s < stages - 1:
                yield from unit(f"{name}.out_skip1", width, width, 1)
                yield from unit(f"{name}.out_skip2", 256, width, 1)
                if i == 4:
                    yield from unit(f"{name}.cross_conv", 256, 64, 1)
    for i in range(4 * stages):
        yield from unit(f"{head}predict_layers.{i}.conv_layers.0", 256, 256, 1)
        yield from unit(f"{head}predict_layers.{i}.conv_layers.1", 256, K, 3)


def openpifpaf_shufflenet(units: tuple[int, int, int] = (4, 8, 4), widths: tuple[int, ...] = (24, 348, 696)) -> Shapes:
    """A network of OpenPifPaf on shufflenetv2k16, and with other `units` and `widths` on -k30, fields at stride 8."""
    yield from conv_norm("base_net.input_block.0", 3, widths[0], 3)
    last = 2 * widths[-1]
    for stage, (count, inputs, outputs) in enumerate(zip(units, widths, (*widths[1:], last), strict=True), start=2):
        half = outputs // 2
        for unit in range(count):
            name = f"base_net.stage{stage}.{unit}"
            if unit == 0:
                yield from _depthwise_norm(f"{name}.branch1", inputs, 0)
                yield from _conv_norm_at(f"{name}.branch1", inputs, half, 2)
            yield from _conv_norm_at(f"{name}.branch2", inputs if unit == 0 else half, half, 0)
            yield from _depthwise_norm(f"{name}.branch2", half, 3)
            yield from _conv_norm_at(f"{name}.branch2", half, half, 5)
    yield from conv_norm("base_net.conv5", last, last, 1)
    yield from _openpifpaf_fields(last)


def openpifpaf_resnet50() -> Shapes:
    table = {"conv1": "input_block.0", "bn1": "input_block.1"} | {f"layer{i}": f"block{i + 1}" for i in range(1, 5)}
    for name, shape in resnet50():
        first, _, rest = name.partition(".")
        yield f"base_net.{table[first]}.{rest}", shape
    yield from _openpifpaf_fields(2048)


def _conv_norm_at(name: str, inputs: int, outputs: int, index: int) -> Shapes:
    yield from conv(f"{name}.{index}", inputs, outputs, 1)
    yield from norm(f"{name}.{index + 1}", outputs)


def _depthwise_norm(name: str, channels: int, index: int) -> Shapes:
    yield from conv(f"{name}.{index}", 1, channels, 5)
    yield from norm(f"{name}.{index + 1}", channels)


def _openpifpaf_fields(channels: int) -> Shapes:
    yield from conv("head_nets.0.conv", channels, 4 * 5 * K, 1, bias=True)
    yield from conv("head_nets.1.conv", channels, 4 * 8 * 19, 1, bias=True)


def state_dict(shapes: Shapes, filled: bool = False) -> dict[str, Tensor]:
    """Tensors of these shapes: zeros, which cost nothing, or the numbers of `random_weights.fill`, always the same."""
    tensors = {name: torch.zeros(shape) for name, shape in shapes}
    if filled:
        fill(tensors)
    return tensors
