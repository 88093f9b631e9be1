"""The visibility metamodel's tables 1 to 8.

Guesdon, Crispim-Junior and Tougne, Multitask Metamodel for Keypoint Visibility Prediction in Human Pose Estimation.
Section 4: COCO 2017, ground-truth boxes, heatmaps with a deviation of 1 map pixel, three strategies; tables 5 and 7
"were trained successively while freezing the feature extractor", which is S3, the best of table 1, also used for tables
2 to 4. MSPN starts from public weights, so only S3's last 80 epochs remain. Not in the text, and taken from
SimpleBaseline's own configuration: crops of 256 × 192, batches of 32, augmentation, flip test. The EfficientNets are
the wide ones, which match the printed parameters (`heads/visibility.py`); MSPN's printed 104.6 M include 10.5 M unused
ones. Printed parameters are millions.

DriPE's rows are fine-tuned from table 1's S3, network and head, on DriPE's labels as a COCO keypoint file:
train_gt.json with train/ in the folder of --data, and its test split for the numbers.
"""

from collections.abc import Mapping
from dataclasses import replace

from trustpose.heads.stages import ALPHA, METAMODEL, Stage, Strategy
from trustpose.training.recipe import DataOptions, Evaluation, PaperResult, Recipe, TrainOptions
from trustpose.training.recipes.rows import AP_AND_AR, by_name, printed_numbers

F1 = tuple(f"visibility.ternary.{name}.f1" for name in ("absent", "occluded", "visible", "total"))
PARTS = ("head", "shoulder", "elbow", "wrist", "hip", "knee", "ankle", "mean")
SBL, B0, B6, MSPN = "simple-baseline-r50", "efficientnet-b0-wide", "efficientnet-b6-wide", "mspn-2"
LABELS = {SBL: "SBl", B0: "EfficientNet B0", B6: "EfficientNet B6", MSPN: "MSPN 2-stg"}
SHORT = {SBL: "sbl", B0: "efficientnet-b0", B6: "efficientnet-b6", MSPN: "mspn-2"}
PARAMETERS = {SBL: 71.2, B0: 55.6, B6: 95.5, MSPN: 104.6}  # millions

HEATMAPS_ONLY = Strategy(METAMODEL["S3"].stages[:1], 1e-3, (90, 120), "imagenet")
HEAD_ONLY = Strategy(METAMODEL["S3"].stages[1:], 1e-5, (), "trained")  # S3's rate after both drops
FINE_TUNED = Strategy((Stage(10, 1 - ALPHA, ALPHA),), 1e-4, (), "trained")  # section 4.2; its α is not printed


def _recipe(
    table: int,
    slug: str,
    row: str,
    numbers: Mapping[str, float],
    network: str = SBL,
    strategy: Strategy = METAMODEL["S3"],
    *,
    is_dripe: bool = False,
) -> Recipe:
    """Build a recipe with the metamodel on a network, on COCO, or fine-tuned on DriPE if `is_dripe`."""
    return Recipe(
        name=f"metamodel/table-{table}/{slug}",
        title=f"Visibility metamodel on {LABELS[network]}{', DriPE' if is_dripe else ''}: {row}",
        strategy=FINE_TUNED if is_dripe else strategy,
        network=network,
        head="metamodel",
        data=DataOptions(dataset="dripe" if is_dripe else "coco", augmentation="simple-baseline", sigma=1.0, folds=0),
        train=TrainOptions(batch_size=32, flip_test=True),
        sources=(PaperResult("metamodel", f"Table {table}", row, numbers),),
        evaluation=Evaluation(split="DriPE test" if is_dripe else "val2017"),
    )


def _strategies() -> list[Recipe]:
    rows = {"S1": (0.72, 0.21, 0.76, 0.71), "S2": (0.75, 0.34, 0.79, 0.74), "S3": (0.77, 0.37, 0.80, 0.76)}
    return [
        _recipe(1, name.lower(), name, printed_numbers(F1, *row), strategy=METAMODEL[name])
        for name, row in rows.items()
    ]


def _fine_tuning() -> list[Recipe]:
    before = _recipe(2, "coco", "COCO baseline", printed_numbers(F1, 0.71, 0.34, 0.64, 0.60))
    return [
        replace(before, evaluation=Evaluation(split="DriPE test")),
        _recipe(2, "dripe", "Finetuned on DriPE", printed_numbers(F1, 0.81, 0.70, 0.76, 0.76), is_dripe=True),
    ]


def _keypoints(table: int, ap: list[tuple[float, ...]], ar: list[tuple[float, ...]], *, is_dripe: bool) -> list[Recipe]:
    """Build tables 3 and 4: mAPK of the network without the head, with it, and without keypoints predicted
    unlabelled."""
    variants = {"sbl": "SBl", "visibility": "SBl + visibility", "visibility-non-0": "SBl + visibility + non-0"}
    recipes = []
    for (slug, row), precision, recall in zip(variants.items(), ap, ar, strict=True):
        recipe = _recipe(table, slug, row, {}, is_dripe=is_dripe)
        if slug == "sbl":
            strategy = recipe.strategy if is_dripe else HEATMAPS_ONLY
            title = f"{LABELS[SBL]} alone{', DriPE' if is_dripe else ''}"
            recipe = replace(recipe, title=title, head=None, strategy=_without_head(strategy))
        both = {"AP": precision, "AR": recall}
        sources = tuple(
            PaperResult("metamodel", f"Table {table}", f"{kind}, {row}", printed_numbers(_mapk(kind), *values))
            for kind, values in both.items()
        )
        keypoints = "non-0" if slug == "visibility-non-0" else "all"
        recipes.append(replace(recipe, sources=sources, evaluation=replace(recipe.evaluation, keypoints=keypoints)))
    return recipes


def _mapk(kind: str) -> tuple[str, ...]:
    return tuple(f"mAPK.{kind}.{part}" for part in PARTS)


def _without_head(strategy: Strategy) -> Strategy:
    """Return the same epochs with heatmaps only."""
    return replace(
        strategy, stages=tuple(replace(stage, heatmap_weight=1.0, trust_weight=0.0) for stage in strategy.stages)
    )


def _base_models(table: int, columns: tuple[str, ...], rows: Mapping[str, tuple[float, ...]]) -> list[Recipe]:
    """Build tables 5 and 7 on COCO, 6 and 8 on DriPE."""
    return [
        _recipe(
            table,
            SHORT[network],
            LABELS[network],
            {"parameters": PARAMETERS[network], **printed_numbers(columns, *values)},
            network,
            HEAD_ONLY if network == MSPN else METAMODEL["S3"],
            is_dripe=table in (6, 8),
        )
        for network, values in rows.items()
    ]


_TABLES_3_4 = [
    *_keypoints(
        3,
        ap=[
            (0.66, 0.76, 0.73, 0.70, 0.74, 0.74, 0.74, 0.72),
            (0.66, 0.76, 0.72, 0.70, 0.73, 0.73, 0.73, 0.72),
            (0.71, 0.78, 0.77, 0.73, 0.73, 0.76, 0.74, 0.75),
        ],
        ar=[
            (0.73, 0.77, 0.73, 0.70, 0.70, 0.72, 0.72, 0.72),
            (0.73, 0.76, 0.73, 0.69, 0.70, 0.72, 0.72, 0.72),
            (0.43, 0.72, 0.58, 0.68, 0.68, 0.66, 0.35, 0.59),
        ],
        is_dripe=False,
    ),
    *_keypoints(
        4,
        ap=[
            (0.85, 0.90, 0.94, 0.96, 0.98, 0.95, 0.68, 0.89),
            (0.84, 0.90, 0.94, 0.96, 0.98, 0.95, 0.68, 0.89),
            (0.86, 0.90, 0.94, 0.97, 0.98, 0.96, 0.72, 0.90),
        ],
        ar=[
            (0.87, 0.96, 0.96, 0.97, 0.98, 0.95, 0.80, 0.93),
            (0.87, 0.96, 0.96, 0.97, 0.98, 0.95, 0.80, 0.93),
            (0.44, 0.96, 0.85, 0.97, 0.98, 0.93, 0.77, 0.84),
        ],
        is_dripe=True,
    ),
]
_COCO_AP = {
    SBL: (71.9, 91.5, 79.0, 69.2, 76.4, 75.3, 92.8, 81.8, 72.1, 80.1),
    B0: (67.1, 90.4, 74.9, 63.9, 71.7, 70.3, 91.1, 77.0, 66.8, 75.5),
    B6: (72.5, 92.4, 80.1, 69.8, 76.9, 75.8, 93.0, 82.7, 72.6, 80.7),
    MSPN: (71.8, 92.5, 81.4, 69.0, 76.1, 75.3, 93.5, 83.8, 71.9, 80.3),
}
_WITHOUT_MEDIUM = tuple(name for name in AP_AND_AR if not name.endswith("m"))  # DriPE has no medium people
_DRIPE_AP = {
    SBL: (96.5, 99.9, 99.9, 96.5, 97.5, 99.9, 99.9, 97.5),
    B0: (91.8, 99.0, 99.0, 91.8, 94.7, 99.9, 99.6, 94.7),
    B6: (99.4, 99.0, 99.0, 94.4, 96.5, 99.9, 99.6, 96.5),
    MSPN: (97.8, 99.0, 99.0, 97.8, 99.0, 99.9, 99.9, 99.0),
}
_COCO_F1 = {
    SBL: (0.77, 0.37, 0.80, 0.76),
    B0: (0.74, 0.32, 0.77, 0.73),
    B6: (0.75, 0.34, 0.80, 0.76),
    MSPN: (0.69, 0.34, 0.69, 0.67),
}
_DRIPE_F1 = {
    SBL: (0.81, 0.70, 0.76, 0.76),
    B0: (0.72, 0.54, 0.72, 0.69),
    B6: (0.78, 0.58, 0.63, 0.67),
    MSPN: (0.57, 0.55, 0.46, 0.51),
}

METAMODEL_RECIPES: dict[str, Recipe] = by_name(
    *_strategies(),
    *_fine_tuning(),
    *_TABLES_3_4,
    *_base_models(5, AP_AND_AR, _COCO_AP),
    *_base_models(6, _WITHOUT_MEDIUM, _DRIPE_AP),
    *_base_models(7, F1, _COCO_F1),
    *_base_models(8, F1, _DRIPE_F1),
)
