"""State dicts of OpenPose's and AlphaPose's files: names and shapes by rule.

The rules were checked against OpenPose's prototxt files, and against the state dicts of pytorch-openpose's, Lightweight
OpenPose's and AlphaPose's networks (docs/parity.md); none of their code is here.
"""

from tests.networks.official_names import K, Shapes, conv, norm, resnet50


def _vgg() -> Shapes:
    inputs = 3
    for block, (width, count) in enumerate(((64, 2), (128, 2), (256, 4)), start=1):
        for index in range(1, count + 1):
            yield from conv(f"conv{block}_{index}", inputs, width, 3, bias=True)
            inputs = width


def _to_conv4_4() -> Shapes:
    yield from _vgg()
    for name, inputs, width in (("1", 256, 512), ("2", 512, 512), ("3_CPM", 512, 256), ("4_CPM", 256, 128)):
        yield from conv(f"conv4_{name}", inputs, width, 3, bias=True)


def _sevens(end: str, inputs: int, outputs: int) -> Shapes:
    for index in range(1, 6):
        yield from conv(f"Mconv{index}_{end}", inputs if index == 1 else 128, 128, 7, bias=True)
    yield from conv(f"Mconv6_{end}", 128, 128, 1, bias=True)
    yield from conv(f"Mconv7_{end}", 128, outputs, 1, bias=True)


def openpose_2017(heatmaps: int = 19, fields: int = 38) -> Shapes:
    yield from _to_conv4_4()
    branches = {"L1": fields, "L2": heatmaps}
    for branch, outputs in branches.items():
        for index in range(1, 4):
            yield from conv(f"conv5_{index}_CPM_{branch}", 128, 128, 3, bias=True)
        yield from conv(f"conv5_4_CPM_{branch}", 128, 512, 1, bias=True)
        yield from conv(f"conv5_5_CPM_{branch}", 512, outputs, 1, bias=True)
    for stage in range(2, 7):
        for branch, outputs in branches.items():
            yield from _sevens(f"stage{stage}_{branch}", 128 + heatmaps + fields, outputs)


def openpose_2019(heatmaps: int = 26, fields: int = 52) -> Shapes:
    yield from _to_conv4_4()
    for name, width in (("4_2", 512), ("4_3_CPM", 256), ("4_4_CPM", 128)):
        yield f"prelu{name}.weight", (width,)
    stages = [(f"stage{index}_L2", fields * (index > 0), fields, index == 0) for index in range(4)]
    stages += [(f"stage{index}_L1", fields + heatmaps * (index > 0), heatmaps, index == 0) for index in range(2)]
    for end, more, outputs, is_first in stages:
        width, hidden = (96, 256) if is_first else (128, 512)
        inputs = 128 + more
        for block in range(1, 6):
            for layer in range(3):
                yield from conv(f"Mconv{block}_{end}_{layer}", inputs if layer == 0 else width, width, 3, bias=True)
                yield f"Mprelu{block}_{end}_{layer}.weight", (width,)
            inputs = 3 * width
        yield from conv(f"Mconv6_{end}", inputs, hidden, 1, bias=True)
        yield f"Mprelu6_{end}.weight", (hidden,)
        yield from conv(f"Mconv7_{end}", hidden, outputs, 1, bias=True)


def openpose_part(heatmaps: int = 22) -> Shapes:
    yield from _vgg()
    for name, inputs in (("4_1", 256), ("4_2", 512), ("4_3", 512), ("4_4", 512), ("5_1", 512), ("5_2", 512)):
        yield from conv(f"conv{name}", inputs, 512, 3, bias=True)
    yield from conv("conv5_3_CPM", 512, 128, 3, bias=True)
    yield from conv("conv6_1_CPM", 128, 512, 1, bias=True)
    yield from conv("conv6_2_CPM", 512, heatmaps, 1, bias=True)
    for stage in range(2, 7):
        yield from _sevens(f"stage{stage}", 128 + heatmaps, heatmaps)


def lightweight() -> Shapes:
    yield from conv("model.0.0", 3, 32, 3)
    yield from norm("model.0.1", 32)
    for index, (inputs, outputs) in enumerate(
        ((32, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 512), *[(512, 512)] * 5), start=1
    ):
        yield f"model.{index}.0.weight", (inputs, 1, 3, 3)
        yield from norm(f"model.{index}.1", inputs)
        yield from conv(f"model.{index}.3", inputs, outputs, 1)
        yield from norm(f"model.{index}.4", outputs)
    yield from conv("cpm.align.0", 512, 128, 1, bias=True)
    for index in range(3):
        yield f"cpm.trunk.{index}.0.weight", (128, 1, 3, 3)
        yield from conv(f"cpm.trunk.{index}.2", 128, 128, 1)
    yield from conv("cpm.conv.0", 128, 128, 3, bias=True)
    for index in range(3):
        yield from conv(f"initial_stage.trunk.{index}.0", 128, 128, 3, bias=True)
    yield from _heads("initial_stage", 512)
    for index in range(5):
        block = f"refinement_stages.0.trunk.{index}"
        yield from conv(f"{block}.initial.0", 128 if index else 185, 128, 1, bias=True)
        for layer in range(2):
            yield from conv(f"{block}.trunk.{layer}.0", 128, 128, 3, bias=True)
            yield from norm(f"{block}.trunk.{layer}.1", 128)
    yield from _heads("refinement_stages.0", 128)


def _heads(stage: str, hidden: int) -> Shapes:
    for name, outputs in (("heatmaps", 19), ("pafs", 38)):
        yield from conv(f"{stage}.{name}.0.0", 128, hidden, 1, bias=True)
        yield from conv(f"{stage}.{name}.1.0", hidden, outputs, 1, bias=True)


def fastpose() -> Shapes:
    for name, shape in resnet50("preact."):
        yield name, shape
        for layer, width in enumerate((256, 512, 1024, 2048), start=1):
            if name == f"preact.layer{layer}.0.bn3.num_batches_tracked":
                for index in (0, 2):
                    yield f"preact.layer{layer}.0.se.fc.{index}.weight", (width, width)
                    yield f"preact.layer{layer}.0.se.fc.{index}.bias", (width,)
    for index, (inputs, width) in enumerate(((512, 1024), (256, 512)), start=1):
        yield from conv(f"duc{index}.conv", inputs, width, 3)
        yield from norm(f"duc{index}.bn", width)
    yield from conv("conv_out", 128, K, 3, bias=True)
