"""Tensor names of public projects, as pairs of their name and ours.

A pair names a dotted prefix: ("deconv_layers", "neck") maps deconv_layers.0.weight to neck.0.weight. The longest prefix
applies. Names of tensors are facts visible in every file; those of pytorch-pose, MSPN and OpenPifPaf were listed from
state dicts, without reading those projects' code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from trustpose.networks import openpose_names

Table = dict[str, str]  # their prefix → ours
COUNTER = "num_batches_tracked"  # of batch norm, since torch 0.4; absent from older files and unused in evaluation

# Tensors of an ImageNet file besides the backbone.
_CLASSIFIER = ("fc.", "classifier.", "head.", "conv_head.", "bn2.", "norm.")
_EFFICIENTNET_CLASSIFIER = ("_conv_head.", "_bn1.", "_fc.")
_HRNET_CLASSIFIER = ("incre_modules.", "downsamp_modules.", "final_layer.")
_HRNET_LOWER_OUTPUTS = tuple(f"stage4.2.fuse_layers.{i}." for i in (1, 2, 3))  # pose networks read only the first

_BACKBONE = "backbone.features."
_CASCADE_STAGES = tuple(f"stages.{stage}.body.body.features." for stage in range(3))  # DeepPose's, one backbone each


@dataclass(frozen=True)
class Family:
    """One project's names. If several of its networks share a layout, each has a table.

    prefixes are removed from a name before the look-up. `imagenet` marks classifiers' files, of which only the backbone
    is used. `has_biases`: also before batch norm, where they have no effect.
    """

    name: str
    matches: Callable[[Mapping[str, object]], bool]
    tables: tuple[Table, ...]
    prefixes: tuple[str, ...] = ()
    imagenet: bool = False
    has_biases: bool = True

    def targets(self, name: str) -> list[str]:
        """Return the possible names of their tensor `name` in our networks; empty if it is not one of theirs."""
        bare = next((name.removeprefix(prefix) for prefix in self.prefixes if name.startswith(prefix)), name)
        targets = []
        for table in self.tables:
            head, tail = _longest_prefix(bare, table)
            if head in table:
                targets += [ours + tail for ours in table[head].split()]
        if self.imagenet:  # timm flattens or wraps some networks' names when it removes the classifier
            flat = bare.replace(".", "_", 1)
            targets += [f"{_BACKBONE}{name}" for name in (bare, flat, f"model.{bare}")]
            in_stages = [(stage, target) for stage in _CASCADE_STAGES for target in targets]
            targets += [target.replace(_BACKBONE, stage, 1) for stage, target in in_stages]
        return list(dict.fromkeys(targets))

    def source_name(self, ours: str) -> str:
        """Return the name of our tensor in their files, without a wrapper's prefix."""
        for stage in _CASCADE_STAGES:
            if ours.startswith(stage):
                ours = _BACKBONE + ours.removeprefix(stage)
        for table in self._reversed:
            head, tail = _longest_prefix(ours, table)
            if head in table:
                return table[head] + tail
        return ours.removeprefix(_BACKBONE)

    def drops(self, name: str) -> bool:
        """Return whether their tensor is not part of the network: a classifier's, or mmpose's pixel mean and
        deviation."""
        if name in ("data_preprocessor.mean", "data_preprocessor.std"):
            return self.name == "mmpose-1.x"
        network_classifiers = _EFFICIENTNET_CLASSIFIER + _HRNET_CLASSIFIER + _HRNET_LOWER_OUTPUTS
        return self.imagenet and name.startswith(_CLASSIFIER + network_classifiers)

    def gives(self, ours: str) -> bool:
        """Return whether our tensor has to come from their file."""
        return not self.imagenet or ours.startswith(("backbone.", "stem.", *_CASCADE_STAGES)) or ".down." in ours

    @cached_property
    def _reversed(self) -> list[Table]:
        return [
            {ours: theirs for theirs, our_names in table.items() for ours in our_names.split()} for table in self.tables
        ]


def _longest_prefix(name: str, table: Table) -> tuple[str, str]:
    """Return the longest dotted prefix of `name` in `table`, and the rest of the name; "" if there is none."""
    head = name
    while head and head not in table:
        head = head.rpartition(".")[0]
    return head, name[len(head) :]


def _simple_baseline() -> Table:
    backbone = ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4")
    return {name: f"backbone.features.{name}" for name in backbone} | {"deconv_layers": "neck", "final_layer": "head"}


def _hrnet_backbone() -> Table:
    table = {f"{kind}{i + 1}": f"backbone.stem.{i}.{j}" for i in range(2) for j, kind in enumerate(("conv", "bn"))}
    for stage in range(3):
        table[f"transition{stage + 1}"] = f"backbone.stages.{stage}.transition"
        table[f"stage{stage + 2}"] = f"backbone.stages.{stage}.units"
    return table | {"layer1": "backbone.layer1"}


def _hourglass() -> Table:
    stem = {"conv1": "0", "bn1": "1", "layer1.0": "3", "layer2.0": "5", "layer3.0": "6"}
    table = {theirs: f"stem.{ours}" for theirs, ours in stem.items()}
    table |= {f"{theirs}.downsample.0": f"stem.{ours}.shortcut" for theirs, ours in stem.items() if "." in theirs}
    for s in range(8):
        for level in range(4):  # their index starts at the lowest resolution
            prefix = f"stacks.{s}.hourglass" + ".inner" * (3 - level)
            branches = ("skip", "down", "up", "inner")[: 4 if level == 0 else 3]
            table |= {f"hg.{s}.hg.{level}.{i}.0": f"{prefix}.{branch}" for i, branch in enumerate(branches)}
        table |= {f"res.{s}.0": f"stacks.{s}.residual", f"fc.{s}": f"stacks.{s}.feature"}
        table |= {f"fc_.{s}": f"stacks.{s}.remap_features", f"score_.{s}": f"stacks.{s}.remap_heatmaps"}
        table[f"score.{s}"] = f"stacks.{s}.head"
    return table


def _mspn() -> Table:
    table = {"top.conv": "stem"}
    parts = {"u_skip": "lateral", "up_conv": "enlarged", "res_conv1": "feature", "res_conv2": "head"}
    parts |= {"skip1": "skip_down", "skip2": "skip_up"}
    for s in range(4):
        for layer, block in _RESNET50_BLOCKS:
            theirs, ours = f"stage{s}.downsample.layer{layer + 1}.{block}", f"stages.{s}.down.{layer}.{block}"
            table |= {f"{theirs}.conv_bn_relu{i}": f"{ours}.conv{i}" for i in (1, 2, 3)}
            table[f"{theirs}.downsample"] = f"{ours}.shortcut"
        for i in range(4):
            table |= {f"stage{s}.upsample.up{i + 1}.{t}": f"stages.{s}.up.{i}.{o}" for t, o in parts.items()}
        table[f"stage{s}.upsample.up4.cross_conv"] = f"stages.{s}.cross"
    return table


def _rtmpose() -> Table:
    backbone = ("stem", *(f"stage{number}" for number in range(1, 5)))
    head = ("final_layer", "mlp", "gau", "cls_x", "cls_y")
    return {name: f"backbone.{name}" for name in backbone} | {name: f"head.{name}" for name in head}


def _mmpose_mspn() -> Table:
    table = {"top.top.0": "stem"}
    parts = {"in_skip": "lateral", "up_conv": "enlarged", "out_skip1": "skip_down", "out_skip2": "skip_up"}
    for s in range(4):
        for layer, block in _RESNET50_BLOCKS:
            theirs, ours = (
                f"multi_stage_mspn.{s}.downsample.layer{layer + 1}.{block}",
                f"stages.{s}.down.{layer}.{block}",
            )
            for i in (1, 2, 3):
                table |= {f"{theirs}.conv{i}": f"{ours}.conv{i}.conv", f"{theirs}.bn{i}": f"{ours}.conv{i}.bn"}
            table[f"{theirs}.downsample"] = f"{ours}.shortcut"
        for i in range(4):
            unit = f"multi_stage_mspn.{s}.upsample.up{i + 1}"
            table |= {f"{unit}.{t}": f"stages.{s}.up.{i}.{o}" for t, o in parts.items()}
            for j, part in enumerate(("feature", "head")):
                table[f"predict_layers.{4 * s + i}.conv_layers.{j}"] = f"stages.{s}.up.{i}.{part}"
        table[f"multi_stage_mspn.{s}.upsample.up4.cross_conv"] = f"stages.{s}.cross"
    return table


def _resnet50_into_mspn() -> Table:
    """Map one ResNet-50 to every stage: several names of ours, separated by spaces, for one of theirs."""

    def stages(name: str) -> str:
        return " ".join(f"stages.{s}.down.{name}" for s in range(4))

    table = {"conv1": "stem.conv", "bn1": "stem.bn"}
    for layer, block in _RESNET50_BLOCKS:
        theirs, ours = f"layer{layer + 1}.{block}", f"{layer}.{block}"
        for i in (1, 2, 3):
            table |= {
                f"{theirs}.conv{i}": stages(f"{ours}.conv{i}.conv"),
                f"{theirs}.bn{i}": stages(f"{ours}.conv{i}.bn"),
            }
        table[f"{theirs}.downsample.0"] = stages(f"{ours}.shortcut.conv")
        table[f"{theirs}.downsample.1"] = stages(f"{ours}.shortcut.bn")
    return table


def _pifpaf_on_shufflenet() -> Table:
    """OpenPifPaf's names on a ShuffleNet, as its state dicts show them."""
    table = {"base_net.input_block.0": "backbone.stem", "base_net.conv5": "backbone.last"} | _PIFPAF_FIELDS
    for stage in range(3):
        for unit in range(16):
            theirs, ours = f"base_net.stage{stage + 2}.{unit}", f"backbone.stages.{stage}.{unit}"
            table |= {f"{theirs}.branch1": f"{ours}.shortcut", f"{theirs}.branch2": f"{ours}.branch"}
    return table


def _pifpaf_on_resnet() -> Table:
    ours = "backbone.features"
    table = {f"base_net.block{layer + 1}": f"{ours}.layer{layer}" for layer in range(1, 5)}
    return table | {"base_net.input_block.0": f"{ours}.conv1", "base_net.input_block.1": f"{ours}.bn1"} | _PIFPAF_FIELDS


def _fastpose() -> Table:
    """FastPose on a ResNet of any depth; its squeeze-and-excitation has fully connected layers for 1×1 convolutions."""
    ours = "backbone.features"
    table = {"preact": ours, "conv_out": "head"}
    for layer in range(1, 5):
        theirs = f"preact.layer{layer}.0.se.fc"
        table |= {
            f"{theirs}.{layer_index}": f"{ours}.layer{layer}.0.se.factors.{layer_index + 1}" for layer_index in (0, 2)
        }
    for stage in (1, 2):
        table |= {f"duc{stage}.conv": f"neck.{stage}.0.conv", f"duc{stage}.bn": f"neck.{stage}.0.bn"}
    return table


def _efficientnet_lite0() -> Table:
    """Names of EfficientNet-Lite0 in the PyTorch port of TensorFlow's, with consecutive blocks, and timm's names.

    Only the first block has no expansion convolution, so its batch norms have other indices in timm.
    """
    ours = "backbone.features"
    table = {"_conv_stem": f"{ours}.conv_stem", "_bn0": f"{ours}.bn1"}
    blocks = [(stage, i) for stage, repeats in enumerate((1, 2, 2, 3, 3, 4, 1)) for i in range(repeats)]
    first = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
    parts = {"_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2"}
    parts |= {"_project_conv": "conv_pwl", "_bn2": "bn3"}
    for index, (stage, i) in enumerate(blocks):
        names = parts if index else first
        table |= {f"_blocks.{index}.{theirs}": f"{ours}.blocks.{stage}.{i}.{name}" for theirs, name in names.items()}
    return table


def _has(*starts: str) -> Callable[[Mapping[str, object]], bool]:
    """Return whether each of `starts` begins a name; of several in one text, separated by spaces, one must."""
    return lambda names: all(any(name.startswith(tuple(start.split())) for name in names) for start in starts)


def _are_ours(names: Mapping[str, object]) -> bool:
    """timm's ConvNeXt has stem, stages and head as well, but none of these."""
    telling = any(name.startswith(("backbone.", "stacks.", "stages.0.down.")) for name in names)
    return telling and all(_longest_prefix(name, _OURS)[0] for name in names)


_RESNET50_BLOCKS = [(layer, block) for layer, blocks in enumerate((3, 4, 6, 3)) for block in range(blocks)]
_PIFPAF_FIELDS = {"head_nets.0.conv": "intensity", "head_nets.1.conv": "association"}
_HRNET = _hrnet_backbone() | {"final_layer": "head"}
_OURS_PARTS = ("backbone", "neck", "head", "stem", "stacks", "stages", "field_stages", "heatmap_stages")
_FIELDS = ("intensity", "association")
_SINGLE_PERSON = (
    *("first", "first_features", "first_beliefs", "trunk", "coarse", "fine", "body", "global_net", "refine_net"),
    *("mixed", "displacement_mean", "displacement_variance", "down", "lowest", "up", "between", "norms", "heads"),
    *("regression", "aggregations", "projections", "auxiliary"),
)
_TRANSFORMED = ("network", "localisation")  # the parts of a symmetric transformer
_OURS = {name: name for name in (*_OURS_PARTS, *_FIELDS, *_TRANSFORMED, *_SINGLE_PERSON)}
_MMPOSE = (_simple_baseline(), _HRNET, _mmpose_mspn(), _rtmpose())
_OPENPOSE = (openpose_names.openpose_2017(), openpose_names.openpose_2019(), openpose_names.openpose_part())
_FAMILIES = (
    Family(
        "mmpose-0.x", _has("backbone.", "keypoint_head."), _MMPOSE, ("backbone.", "keypoint_head."), has_biases=False
    ),
    Family(
        "mmpose-1.x",
        _has("backbone.", "head.final_layer. head.predict_layers."),
        _MMPOSE,
        ("backbone.", "head."),
        has_biases=False,
    ),
    Family("pose_resnet", _has("layer4.", "deconv_layers.", "final_layer."), (_simple_baseline(),)),
    Family("pytorch-pose", _has("hg.0.hg.", "score.0."), (_hourglass(),)),
    Family("mspn", _has("top.conv.", "stage0.downsample."), (_mspn(),)),
    Family("openpose", _has("conv1_1.", "conv4_2.", "Mconv7_stage"), _OPENPOSE),
    Family(
        "lightweight-openpose", _has("model.0.", "cpm.", "initial_stage."), (openpose_names.lightweight_openpose(),)
    ),
    Family(
        "openpifpaf",
        _has("base_net.input_block.", "head_nets.0.conv.", "head_nets.1.conv."),
        (_pifpaf_on_shufflenet(), _pifpaf_on_resnet()),
    ),
    Family("alphapose", _has("preact.", "duc1.", "conv_out."), (_fastpose(),)),
    Family("trustpose", _are_ours, (_OURS,)),
    Family(
        "imagenet",
        lambda names: any(name.startswith(("fc.", "classifier.", "head.", "conv_head.")) for name in names),
        (_hrnet_backbone(), _resnet50_into_mspn()),
        imagenet=True,
        has_biases=False,
    ),
    Family(
        "efficientnet-lite0",
        _has("_conv_stem.", "_blocks.0._depthwise_conv."),
        (_efficientnet_lite0(),),
        imagenet=True,
    ),
    # after ImageNet's, whose HRNet has these names plus a classifier's
    Family("pose_hrnet", _has("stage4.", "final_layer."), (_HRNET,)),
)
FAMILIES: dict[str, Family] = {family.name: family for family in _FAMILIES}
