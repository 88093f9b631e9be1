"""Rows of the tables that tell the lineage of single-person systems, as printed in one lecture (Cao, 2D Human Pose
Estimation, 2019) from their papers.

FLIC: the share of joints within 0.05 of the torso's diameter, of Tompson et al., CVPR 2015, and of DeepPose in the same
table. MPII: PCKh@0.5 on its test set, whose labels are not public: compare with validation. SimpleBaseline's table of
hourglass, CPN and its own, COCO val2017 with a detector's boxes. The ranking of systems on COCO: HRNet on val2017; rows
on test-dev, whose labels are not public, cannot be run; CPN+ is an ensemble, and ResNet-50 is SimpleBaseline's row.
Human3.6M: integral regression at both stages of two hourglasses, `volumes.py`; in 2D the same is
`lspet/hourglass-2-integral`.

Schedules that the lecture does not print are our choice: SimpleBaseline's 140 epochs, 10⁻³, divided by 10 at 90 and
120. DeepPose's stages and Tompson's parts have 140 epochs each. Printed are DeepPose's batches of 128, random
translation and flip, and Tompson's λ of 0.1; by how much DeepPose translates is our choice.
"""

from collections.abc import Mapping
from dataclasses import replace

from trustpose.heads.stages import Stage, Strategy
from trustpose.training.recipe import DataOptions, Evaluation, PaperResult, Recipe, TrainOptions
from trustpose.training.recipes.rows import by_name, printed_numbers
from trustpose.training.recipes.volumes import human36m_recipe

_USUAL = Strategy((Stage(140, 1.0, 0.0),), 1e-3, (90, 120), "scratch")
_PRETRAINED = replace(_USUAL, starts_from="imagenet")
STRUCTURE = 0.1  # weight of the structure-aware loss; the text at hand does not print it
_JOINTS = ("head", "shoulder", "elbow", "wrist")
_BASE = Recipe(
    name="",
    title="",
    strategy=_USUAL,
    data=DataOptions(augmentation="simple-baseline", folds=0),
    train=TrainOptions(flip_test=True),
)


def _source(table: str, row: str, numbers: Mapping[str, float]) -> tuple[PaperResult, ...]:
    return (PaperResult("single-person", table, row, numbers),)


def _flic(name: str, row: str, network: str, size: int, *numbers: float) -> Recipe:
    """Return a row of FLIC; of the four joints that the table has, the last ones have numbers."""
    is_cascade = network.startswith("deep-pose")
    parts = tuple(Stage(140, 1.0, 0.0, part=part) for part in range(3 if is_cascade else 2))
    stages = parts if is_cascade else (*parts, Stage(140, 1.0, 0.0))
    return replace(
        _BASE,
        name=f"single-person/flic/{name}",
        title=row,
        strategy=Strategy(stages, 5e-4, (), "scratch"),
        network=network,
        height=size,
        width=size,
        data=replace(
            _BASE.data,
            dataset="flic",
            skeleton="flic11",
            augmentation="deep-pose" if is_cascade else "simple-baseline",
        ),
        train=replace(
            _BASE.train,
            objective="cascade" if is_cascade else "coarse-to-fine",
            batch_size=128,
            schedule="cosine",
            area="box*0.53",
            flip_test=False,
        ),
        sources=_source("FLIC, FCK", row, printed_numbers(_JOINTS[-len(numbers) :], *numbers)),
        evaluation=Evaluation(split="test"),
    )


def _mpii(name: str, row: str, network: str, size: int, number: float, *, is_integral: bool = False) -> Recipe:
    starts = _PRETRAINED if network.startswith(("hrnet", "simple-baseline", "cfa")) else _USUAL
    return replace(
        _BASE,
        name=f"single-person/mpii/{name}",
        title=row,
        strategy=starts,
        network=network,
        height=size,
        width=size,
        data=replace(
            _BASE.data, dataset="mpii", skeleton="mpii16", codec="integral" if is_integral else "argmax-quarter"
        ),
        train=replace(_BASE.train, objective="integral" if is_integral else "heatmaps", area="box*0.53"),
        sources=_source("MPII, PCKh", row, {"PCKh": number}),
        evaluation=Evaluation(split="test"),
    )


def _structure_aware(number: float) -> Recipe:
    """Return the row of Ke et al., who add keypoint masking in fine-tuning; here it is there from the start."""
    recipe = _mpii("structure-aware", "Multi-Scale Structure-Aware Network", "structure-aware-8", 256, number)
    return replace(
        recipe,
        data=replace(recipe.data, augmentation="keypoint-masking"),
        train=replace(recipe.train, structure=STRUCTURE),
    )


def _coco(network: str, height: int, width: int, ap: float, *, hard_keypoints: int = 0) -> Recipe:
    label = {"hourglass-8": "8-stage hourglass", "cpn-r50": "CPN", "simple-baseline-r50": "SimpleBaseline"}[network]
    mined = ", hard keypoints mined" if hard_keypoints else ""
    return replace(
        _BASE,
        name=f"single-person/coco/{network}-{height}x{width}{'-mining' if hard_keypoints else ''}",
        title=f"{label}{mined}",
        strategy=_USUAL if network == "hourglass-8" else _PRETRAINED,
        network=network,
        height=height,
        width=width,
        train=replace(_BASE.train, hard_keypoints=hard_keypoints),
        sources=_source("SimpleBaseline, AP", f"{label}, {height}×{width}{mined}", {"AP": ap}),
        evaluation=Evaluation(boxes="detections", suppression="oks-nms", suppression_threshold=0.9),
    )


def _ranked(row: str, network: str, ap: float, *, split: str = "val2017") -> Recipe:
    """Return a row of the ranking on COCO, 384 × 288."""
    is_test = split != "val2017"
    return replace(
        _coco("simple-baseline-r50", 384, 288, ap),
        name=f"single-person/coco/{network}-384x288{'-test' * is_test}",
        title=row,
        strategy=_PRETRAINED if network.startswith("hrnet") else _USUAL,
        network=network,
        sources=_source("COCO ranking, AP", f"{row}, {split}", {"AP": ap}),
        evaluation=Evaluation(split=split, boxes="detections", suppression="oks-nms", suppression_threshold=0.9),
        not_runnable="test-dev's labels are not public" if is_test else "",
    )


def _human36m(stage: int, *, is_integral: bool, number: float) -> Recipe:
    kind = "I1" if is_integral else "H1"
    return replace(
        human36m_recipe(is_integral=is_integral),
        name=f"single-person/human36m/{kind.lower()}-stage-{stage}",
        title=f"Integral regression's {kind} at stage {stage} of two hourglasses, 3D",
        sources=_source("Human3.6M, mm", f"{kind}, stage {stage}", {"MPJPE": number}),
        evaluation=Evaluation(split="S9, S11"),
    )


SINGLE_PERSON_RECIPES: dict[str, Recipe] = by_name(
    _flic("deep-pose", "Toshev et al.", "deep-pose-3", 220, 25.2, 26.4),
    _flic("tompson-4", "Tompson et al. 4×", "tompson-4", 256, 92.6, 73.0, 57.1, 60.4),
    _flic("tompson-8", "Tompson et al. 8×", "tompson-8", 256, 92.1, 75.8, 55.6, 56.6),
    _flic("tompson-16", "Tompson et al. 16×", "tompson-16", 256, 91.6, 73.0, 47.7, 45.5),
    _mpii("cpm", "Convolutional Pose Machines", "cpm-6", 368, 88.52),
    _mpii("hourglass", "Stacked Hourglass Networks", "hourglass-8", 256, 90.9),
    _mpii("integral", "Integral Regression", "simple-baseline-r101", 256, 91.0, is_integral=True),
    _mpii("hrnet", "HRNet-32", "hrnet-w32", 256, 92.3),
    _mpii("cascade-feature-aggregation", "Cascade Feature Aggregation", "cfa-r101-3", 256, 93.9),
    _mpii("spatial-context", "Spatial Context", "spatial-context-8", 256, 92.5),
    _structure_aware(92.1),
    _mpii("pyranet", "Pyramid Residual Modules (PRMs)", "pyranet-8", 256, 92.0),
    _mpii("multi-context-attention", "Multi-Context Attention", "attention-hourglass-8", 256, 91.5),
    _mpii("guided-fractal", "Stacked hourglass + Inception-resnet", "guided-hourglass-2", 256, 91.2),
    _mpii("du-net", "DU-Net", "du-net-16", 256, 91.2),
    _mpii("cu-net", "CU-Net", "cu-net-8", 256, 89.4),
    _coco("hourglass-8", 256, 192, 66.9),
    _coco("hourglass-8", 256, 256, 67.1),
    _coco("cpn-r50", 256, 192, 68.6),
    _coco("cpn-r50", 384, 288, 70.6),
    _coco("cpn-r50", 256, 192, 69.4, hard_keypoints=8),
    _coco("cpn-r50", 384, 288, 71.6, hard_keypoints=8),
    _coco("simple-baseline-r50", 256, 192, 70.4),
    _coco("simple-baseline-r50", 384, 288, 72.2),
    _ranked("HRNet-32", "hrnet-w32", 75.8),
    _ranked("HRNet-48", "hrnet-w48", 76.3),
    _ranked("HRNet-48", "hrnet-w48", 75.5, split="test-dev"),
    _ranked("MSPN", "mspn-4", 76.1, split="test-dev"),
    _human36m(1, is_integral=False, number=85.5),
    _human36m(1, is_integral=True, number=78.7),
    _human36m(2, is_integral=False, number=68.0),
    _human36m(2, is_integral=True, number=64.1),
)
