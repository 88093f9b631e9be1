"""Names of layers in public files of OpenPose's networks, and ours, as tables of `tensor_names`.

Names of OpenPose's layers are those of its published prototxt files; pytorch-openpose's files have the same. In 2017's
networks L1 is the branch of fields and L2 that of heatmaps, in 2019's these are the stages. Lightweight OpenPose's are
those in its checkpoints.
"""

Table = dict[str, str]  # their prefix → ours
_VGG = (2, 2, 4)  # convolutions before each of the three poolings
_BRANCHES = {"L1": "fields", "L2": "heatmaps"}
_STAGES = {"L2": ("field_stages", 4), "L1": ("heatmap_stages", 2)}


def openpose_2017() -> Table:
    """Bodies of 2017: two branches in each of six stages."""
    table = _backbone("4_1", "4_2", "4_3_CPM", "4_4_CPM")
    for theirs, ours in _BRANCHES.items():
        table |= {f"conv5_{i + 1}_CPM_{theirs}": f"stages.0.{ours}.{2 * i}" for i in range(5)}
        for stage in range(1, 6):
            table |= {f"Mconv{i + 1}_stage{stage + 1}_{theirs}": f"stages.{stage}.{ours}.{2 * i}" for i in range(7)}
    return table


def openpose_2019() -> Table:
    """Bodies of 2019: stages of fields, then of heatmaps, with PReLU."""
    table = _backbone("4_1", "4_2", "4_3_CPM", "4_4_CPM")
    last = len(_layers("4_1", "4_2", "4_3_CPM", "4_4_CPM"))
    for index, name in enumerate(("4_2", "4_3_CPM", "4_4_CPM"), start=last - 3):
        table[f"prelu{name}"] = f"backbone.{_index_in_backbone(index) + 1}"
    for theirs, (ours, stages) in _STAGES.items():
        for stage in range(stages):
            end, whole = f"stage{stage}_{theirs}", f"{ours}.{stage}"
            for block in range(5):
                for layer in range(3):
                    inside = f"{whole}.blocks.{block}.layers.{layer}"
                    table[f"Mconv{block + 1}_{end}_{layer}"] = f"{inside}.0"
                    table[f"Mprelu{block + 1}_{end}_{layer}"] = f"{inside}.1"
            table |= {f"Mconv6_{end}": f"{whole}.head.0", f"Mprelu6_{end}": f"{whole}.head.1"}
            table[f"Mconv7_{end}"] = f"{whole}.head.2"
    return table


def openpose_part() -> Table:
    """Hands and faces: six stages of heatmaps."""
    table = _backbone("4_1", "4_2", "4_3", "4_4", "5_1", "5_2", "5_3_CPM")
    table |= {"conv6_1_CPM": "stages.0.0", "conv6_2_CPM": "stages.0.2"}
    for stage in range(1, 6):
        table |= {f"Mconv{i + 1}_stage{stage + 1}": f"stages.{stage}.{2 * i}" for i in range(7)}
    return table


def lightweight_openpose() -> Table:
    """Lightweight OpenPose: MobileNet's layers, and stages of one trunk and two heads."""
    parts = {"trunk": "trunk"}
    for theirs, ours in (("heatmaps", "heatmaps"), ("pafs", "fields")):
        parts |= {f"{theirs}.0.0": f"{ours}.0", f"{theirs}.1.0": f"{ours}.2"}
    table = {"model": "backbone", **{f"cpm.{name}": f"neck.{name}" for name in ("align", "trunk")}}
    table["cpm.conv"] = "neck.last"
    for stage, theirs in enumerate(("initial_stage", "refinement_stages.0")):
        table |= {f"{theirs}.{name}": f"stages.{stage}.{ours}" for name, ours in parts.items()}
    return table


def _backbone(*after: str) -> Table:
    """VGG-19's layers to the third pooling, then these, as in a `Sequential` with activations."""
    return {f"conv{name}": f"backbone.{_index_in_backbone(index)}" for index, name in enumerate(_layers(*after))}


def _layers(*after: str) -> list[str]:
    of_vgg = [f"{block + 1}_{i + 1}" for block, count in enumerate(_VGG) for i in range(count)]
    return [*of_vgg, *after]


def _index_in_backbone(convolution: int) -> int:
    """Return the index of a convolution among convolutions, activations and poolings."""
    poolings = sum(convolution >= sum(_VGG[: block + 1]) for block in range(len(_VGG)))
    return 2 * convolution + poolings
