"""OKS-Net's tables I to XIV.

Zhao et al., Learning to Acquire the Quality of Human Pose Estimation. Section IV-A: COCO 2017, 250 epochs from scratch,
OKS from epoch 200 on; Adam at 1e-3, RMSprop at 2.5e-4 for Hourglass; "the rest configurations just follow the standard
settings", which are HRNet's: its augmentation and batches of 128 (96 for W48 at 384 × 288). Ground-truth boxes, flip
test. Rows without OKS-Net rank "the same provided detections" by the mean heatmap peak: the same training with another
score. Tables XIV and III, IV differ by 0.1 for the same rows; both are given as printed.
"""

from collections.abc import Mapping
from dataclasses import replace

from trustpose.heads.stages import OKS_NET
from trustpose.training.recipe import DataOptions, Evaluation, PaperResult, Recipe, TrainOptions
from trustpose.training.recipes.rows import AP, by_name, printed_numbers

TABLES: tuple[str, ...] = tuple("I II III IV V VI VII VIII IX X XI XII XIII XIV".split())
LABELS = {
    "hourglass-2": "Hourglass-2",
    "hourglass-4": "Hourglass-4",
    "hourglass-8": "Hourglass-8",
    "simple-baseline-r50": "SimpleBaseline-R50",
    "simple-baseline-r101": "SimpleBaseline-R101",
    "simple-baseline-r152": "SimpleBaseline-R152",
    "hrnet-w32": "HRNet-W32",
    "hrnet-w48": "HRNet-W48",
}
SHORT = {name: name.removeprefix("simple-baseline-").removeprefix("hrnet-") for name in LABELS}
SMALL, LARGE = (256, 192), (384, 288)
W32, W48, R50 = "hrnet-w32", "hrnet-w48", "simple-baseline-r50"

_TEST_DEV = "test-dev's labels are not public"
_LOST = _TEST_DEV + ", and this row's numbers are missing in the text from which recipes were written"
_RANKED_BY = {"pose_score": "heatmap peaks", "pose_quality": "its OKS", "oks": "the true OKS"}
_BY_HEATMAP, _BY_OKS = Evaluation(), Evaluation(score="pose_quality")
_DETECTED = Evaluation(boxes="detections", score="pose_quality", suppression="oks-nms")


def _recipe(
    table: str,
    slug: str,
    row: str,
    numbers: Mapping[str, float],
    network: str = W32,
    size: tuple[int, int] = SMALL,
    evaluation: Evaluation = _BY_OKS,
    not_runnable: str = "",
) -> Recipe:
    """Build a recipe with OKS-Net as the paper trains it: strategy 2."""
    height, width = size
    is_hourglass = network.startswith("hourglass")
    network_and_size = f"{LABELS[network]}, {height}×{width}"
    detail = "" if row.startswith(LABELS[network]) else f", {row}"
    return Recipe(
        name=f"oks-net/table-{TABLES.index(table) + 1}/{slug}",
        title=f"OKS-Net on {network_and_size}{detail}; ranked by {_RANKED_BY[evaluation.score]}",
        strategy=OKS_NET[2],
        network=network,
        head="oks-net",
        height=height,
        width=width,
        data=DataOptions(augmentation="hrnet", folds=0),
        train=TrainOptions(
            lr=2.5e-4 if is_hourglass else None,
            optimiser="rmsprop" if is_hourglass else "adam",
            batch_size=96 if (network, size) == (W48, LARGE) else 128,
            flip_test=True,
        ),
        sources=(PaperResult("oks-net", f"Table {table}", row, numbers),),
        evaluation=evaluation,
        not_runnable=not_runnable,
    )


def _without_and_with(
    table: str,
    network: str,
    size: tuple[int, int],
    columns: tuple[str, ...],
    without: tuple[float, ...],
    with_oks: tuple[float, ...],
) -> tuple[Recipe, Recipe]:
    """Build two rows of one training: ranked by heatmap peaks, and by the predicted OKS."""
    prefix = f"{SHORT[network]}-{size[0]}"
    row = f"{LABELS[network]}, {size[0]}×{size[1]}"
    return (
        _recipe(table, f"{prefix}-heatmap", row, printed_numbers(columns, *without), network, size, _BY_HEATMAP),
        _recipe(table, f"{prefix}-oks", f"{row}, OKS-net", printed_numbers(columns, *with_oks), network, size),
    )


def _correlations() -> list[Recipe]:
    r = ("pose.pearson",)
    return [
        *_without_and_with("I", W32, SMALL, r, (0.61,), (0.69,)),
        *_without_and_with("I", W32, LARGE, r, (0.62,), (0.67,)),
        *_without_and_with("I", W48, SMALL, r, (0.61,), (0.67,)),
        *_without_and_with("I", W48, LARGE, r, (0.62,), (0.66,)),
    ]


def _networks() -> list[Recipe]:
    six, r101, r152 = (*AP, "AR"), "simple-baseline-r101", "simple-baseline-r152"
    rows = [
        ("II", "hourglass-2", SMALL, six, (73.7, 91.6, 81.4, 71.1, 77.9, 76.6), (74.6, 92.6, 81.9, 71.9, 78.6, 76.8)),
        ("II", "hourglass-4", SMALL, six, (75.8, 92.6, 82.7, 73.3, 79.9, 78.6), (76.5, 92.7, 84.0, 74.0, 80.8, 78.7)),
        ("II", "hourglass-8", SMALL, six, (76.9, 93.6, 83.8, 74.1, 81.4, 79.6), (77.5, 93.7, 84.1, 74.6, 82.3, 79.6)),
        ("III", R50, SMALL, AP, (72.4, 91.5, 80.4, 69.7, 76.5), (73.5, 92.6, 80.9, 70.4, 77.9)),
        ("III", R50, LARGE, AP, (74.1, 92.6, 80.5, 70.5, 79.6), (75.1, 92.7, 81.9, 71.3, 80.8)),
        ("III", r101, SMALL, AP, (73.4, 92.6, 81.4, 70.7, 77.7), (74.3, 92.6, 81.9, 71.4, 79.0)),
        ("III", r101, LARGE, AP, (75.5, 92.5, 82.6, 72.4, 80.8), (76.2, 92.6, 83.0, 73.0, 81.6)),
        ("III", r152, SMALL, AP, (74.3, 92.6, 82.5, 71.6, 78.7), (75.0, 92.6, 82.9, 71.8, 79.8)),
        ("III", r152, LARGE, AP, (76.6, 92.6, 83.6, 73.7, 81.3), (77.1, 92.6, 83.9, 73.8, 82.1)),
        ("IV", W32, SMALL, AP, (76.5, 93.5, 83.7, 73.9, 80.8), (77.5, 93.7, 85.0, 74.7, 82.0)),
        ("IV", W32, LARGE, AP, (77.7, 93.6, 84.7, 74.8, 82.5), (78.5, 93.6, 85.1, 75.3, 83.8)),
        ("IV", W48, SMALL, AP, (77.1, 93.6, 84.7, 74.1, 81.9), (77.7, 93.7, 85.0, 74.8, 82.9)),
        ("IV", W48, LARGE, AP, (78.1, 93.6, 84.9, 75.3, 83.1), (78.7, 93.6, 84.9, 75.3, 84.1)),
    ]
    return [recipe for row in rows for recipe in _without_and_with(*row)]


def _test_dev() -> list[Recipe]:
    """Build table V on test-dev. Of each pair the available text has one row, the one without OKS-net."""
    columns = (*AP, "AR", "ARm", "ARl")
    rows = [
        ("hourglass-4", SMALL, (72.8, 91.4, 80.8, 69.7, 78.5, 78.2, 74.2, 83.6)),
        (R50, SMALL, (70.0, 90.9, 77.9, 66.8, 75.8, 75.6, 71.5, 81.3)),
        (R50, LARGE, (71.5, 91.1, 78.7, 67.8, 78.0, 76.9, 72.3, 83.2)),
        (W32, SMALL, (73.5, 92.2, 81.9, 70.2, 79.2, 79.0, 75.0, 84.5)),
        (W32, LARGE, (74.9, 92.5, 82.6, 71.3, 80.9, 80.1, 75.9, 85.8)),
    ]
    recipes = []
    for network, size, values in rows:
        prefix, row = f"{SHORT[network]}-{size[0]}", f"{LABELS[network]}, {size[0]}×{size[1]}"
        with_oks = replace(_DETECTED, split="test-dev2017")
        without = replace(with_oks, score="pose_score")
        numbers = printed_numbers(columns, *values)
        recipes += [
            _recipe("V", f"{prefix}-heatmap", row, numbers, network, size, without, _TEST_DEV),
            _recipe("V", f"{prefix}-oks", f"{row}, OKS-net", {}, network, size, with_oks, _LOST),
        ]
    return recipes


def _rescoring() -> list[Recipe]:
    """Build table VI, on the boxes provided by SimpleBaseline's authors. The text names neither thresholds nor
    soft-NMS's decay: both are from HRNet's code, 0.9 and Gaussian, and every row is ranked by its score × the box's.
    OKS-net's row is assumed to keep the NMS of the baseline."""
    by_heatmap = replace(_DETECTED, score="pose_score")
    variants = {"NMS": by_heatmap, "SoftNMS": replace(by_heatmap, suppression="soft-oks-nms"), "OKS-net": _DETECTED}
    rows = {
        "hourglass-4": ((73.5, 89.5, 80.9, 70.2, 80.0), (73.5, 89.0, 80.7, 70.2, 79.9), (74.1, 89.9, 81.6, 70.6, 80.6)),
        "simple-baseline-r101": (
            (71.4, 89.3, 79.3, 68.1, 77.1), (71.5, 88.9, 79.2, 68.1, 78.1), (71.9, 89.5, 79.6, 68.4, 79.0)
        ),
        W32: ((74.4, 90.5, 81.9, 70.8, 81.0), (74.3, 90.0, 81.6, 70.7, 80.9), (75.1, 90.7, 82.2, 71.4, 82.0)),
    }  # fmt: skip
    return [
        _recipe(
            "VI",
            f"{SHORT[network]}-{variant.lower().removesuffix('-net')}",
            f"{LABELS[network]}, {variant}",
            printed_numbers(AP, *row),
            network,
            SMALL,
            evaluation,
        )
        for network, values in rows.items()
        for (variant, evaluation), row in zip(variants.items(), values, strict=True)
    ]


def _ablations() -> list[Recipe]:
    """Build tables VII to XI, all on HRNet-W32 at 256 × 192."""
    three = AP[:3]

    def head(table: str, slug: str, row: str, values: tuple[float, ...], **options: str) -> Recipe:
        return replace(_recipe(table, slug, row, printed_numbers(three, *values)), head_options=options)

    unmined = _recipe("VIII", "without-mining", "no hard sample mining", printed_numbers(three, 77.3, 93.7, 84.9))
    first = _recipe("XI", "strategy-1", "(1) λ_OKS = 1 (Epoch 0)", printed_numbers(three, 76.7, 93.6, 84.0))
    third = _recipe("XI", "strategy-3", "(3) Fine-tune", printed_numbers(three, 77.5, 93.7, 85.0))
    return [
        head("VII", "feature-only", "(1) Pose Feature Only", (77.2, 93.7, 84.1), attention="none"),
        head("VII", "channel-attention", "(2) Channel Attention", (77.5, 93.7, 85.0)),
        head("VII", "spatial-attention", "(3) Spatial Attention", (77.2, 93.7, 84.0), attention="spatial"),
        replace(unmined, train=replace(unmined.train, hard_share=0.0)),
        _recipe("VIII", "with-mining", "hard sample mining", printed_numbers(three, 77.5, 93.7, 85.0)),
        _weighted(1, 75.3, 93.6, 82.9, 72.5, 80.2),
        _weighted(20, 76.0, 93.6, 83.1, 73.3, 80.7),
        _weighted(200, 76.9, 93.6, 84.0, 73.8, 81.7),
        _weighted(2000, 77.5, 93.7, 85.0, 74.7, 82.0),
        _weighted(20000, 77.4, 93.7, 85.0, 74.7, 82.1),
        head("X", "max-pooling", "Simpler (Max-pooling)", (77.3, 93.7, 84.0), downsampling="max-pool"),
        head("X", "proposed", "The proposed OKS-net", (77.5, 93.7, 85.0)),
        head("X", "residual-blocks", "More Complex (Res. blocks)", (77.3, 93.7, 84.1), downsampling="residual"),
        replace(first, strategy=OKS_NET[1]),
        _recipe("XI", "strategy-2", "(2) λ_OKS = 1 (Epoch 200)", printed_numbers(three, 77.5, 93.7, 85.0)),
        replace(third, strategy=OKS_NET[3]),
    ]


def _weighted(weight: int, *values: float) -> Recipe:
    """Build table IX: strategy 2 with another λ_heatmap."""
    recipe = _recipe("IX", f"lambda-{weight}", f"λ_heatmap = {weight}", printed_numbers(AP, *values))
    stages = tuple(replace(stage, heatmap_weight=float(weight)) for stage in OKS_NET[2].stages)
    return replace(recipe, strategy=replace(OKS_NET[2], stages=stages))


def _thresholds() -> list[Recipe]:
    """Build tables XII, without OKS-net's scores, and XIII, their gain; the text uses HRNet-W32."""
    steps = ("AP50", "AP60", "AP70", "AP75", "AP85", "AP95")
    gains = tuple(f"{name} gain" for name in steps)
    small, large = "256×192", "384×288"
    return [
        _recipe(
            "XII", "w32-256", small, printed_numbers(steps, 93.5, 91.4, 88.0, 83.7, 69.8, 22.0), W32, SMALL, _BY_HEATMAP
        ),
        _recipe(
            "XII", "w32-384", large, printed_numbers(steps, 93.6, 91.5, 88.1, 84.8, 71.0, 28.1), W32, LARGE, _BY_HEATMAP
        ),
        _recipe("XIII", "w32-256", small, printed_numbers(gains, 0.2, 0.2, 0.3, 1.3, 1.6, 2.4), W32, SMALL),
        _recipe("XIII", "w32-384", large, printed_numbers(gains, 0.0, 0.1, 0.2, 0.3, 2.6, 1.5), W32, LARGE),
    ]


def _upper_bound() -> list[Recipe]:
    """Build table XIV: one training, three scores."""
    variants = {
        "heatmap": ("Heatmap Post", _BY_HEATMAP),
        "oks": ("OKS-net prediction", _BY_OKS),
        "true-oks": ("Ground truth OKS", Evaluation(score="oks")),
    }
    return [
        _recipe(
            "XIV",
            f"{SHORT[network]}-{size[0]}-{slug}",
            f"{LABELS[network]}, {variant}",
            {"AP": value},
            network,
            size,
            evaluation,
        )
        for network, size, values in ((R50, SMALL, (72.4, 73.4, 75.3)), (W48, LARGE, (78.1, 78.6, 80.4)))
        for (slug, (variant, evaluation)), value in zip(variants.items(), values, strict=True)
    ]


OKS_NET_RECIPES: dict[str, Recipe] = by_name(
    *_correlations(),
    *_networks(),
    *_test_dev(),
    *_rescoring(),
    *_ablations(),
    *_thresholds(),
    *_upper_bound(),
)
