"""Small versions of the single-person systems on LSPET under one budget, to compare them on a CPU.

All have the same people, crops of 64 × 64, augmentation, batches and steps; a tenth of the photos, fold 0 of 10, is
held out. Their results: https://trustpose.github.io/trustpose/benchmarks/single-person.html
"""

from dataclasses import replace

from trustpose.heads.stages import Stage, Strategy
from trustpose.training.recipe import DataOptions, Recipe, TrainOptions
from trustpose.training.recipes.rows import by_name

EPOCHS = 5
_HEATMAPS = Recipe(
    name="lspet/simple-baseline",
    title="A small SimpleBaseline on LSPET; its heatmaps are the integral's H1",
    strategy=Strategy((Stage(EPOCHS, 1.0, 0.0),), 2e-3, (), "scratch"),
    network="small-simple-baseline",
    height=64,
    width=64,
    data=DataOptions(
        dataset="lspet",
        skeleton="lsp14",
        min_keypoints=6,
        padding=1.0,
        augmentation="flip",
        sigma=1.0,
        fold=0,
        folds=10,
    ),
    train=TrainOptions(
        batch_size=16,
        clip=1.0,
        warmup=100,
        schedule="cosine",
        precision="bf16-mixed",
        validate_every=EPOCHS,
        checkpoint_every=500,
    ),
)
_INTEGRAL = replace(
    _HEATMAPS,
    data=replace(_HEATMAPS.data, codec="integral"),
    train=replace(_HEATMAPS.train, objective="integral"),
)


def _on(name: str, title: str, recipe: Recipe = _HEATMAPS) -> Recipe:
    """Return the recipe `lspet/NAME` of the network `small-NAME`."""
    return replace(recipe, name=f"lspet/{name}", title=title, network=f"small-{name}")


def _trust(name: str, title: str) -> Recipe:
    """Return the recipe `lspet/NAME-trust` of our head on the trained network of `lspet/NAME`, given as --model."""
    objective = "cascade" if name.startswith("deep-pose") else "heatmaps"
    return replace(
        _on(name, title),
        name=f"lspet/{name}-trust",
        strategy=Strategy((Stage(4, 0.0, 1.0, trains="head"),), 2e-3, (), "trained"),
        head="keypoint-tokens",
        train=replace(_HEATMAPS.train, objective=objective, optimiser="adamw", weight_decay=0.05, validate_every=4),
    )


_STRUCTURE_AWARE = replace(
    _on("structure-aware-2", "Two small stacked hourglasses, supervised at every resolution, on LSPET"),
    train=replace(_HEATMAPS.train, structure=0.1),
)
OUR_SINGLE_PERSON_RECIPES: dict[str, Recipe] = by_name(
    _on("cpm-1", "A small convolutional pose machine of one stage on LSPET"),
    _on("cpm-3", "A small convolutional pose machine of three stages on LSPET"),
    _on("cpm-6", "A small convolutional pose machine of six stages on LSPET"),
    replace(
        _on("cpm-6", "The same, only its last stage supervised"),
        name="lspet/cpm-6-last",
        train=replace(_HEATMAPS.train, supervised="last-stage"),
    ),
    _HEATMAPS,
    _on("hourglass-1", "A small hourglass on LSPET"),
    _on("hourglass-2", "Two small stacked hourglasses on LSPET"),
    _on("hrnet", "A small HRNet on LSPET"),
    _on("pyranet-2", "Two small stacked hourglasses of pyramid residual modules on LSPET"),
    _on("attention-hourglass-2", "Two small stacked hourglasses with multi-context attention on LSPET"),
    _on("spatial-context-2", "Two small stacked hourglasses with prediction fusion and a pose graph on LSPET"),
    _STRUCTURE_AWARE,
    replace(
        _STRUCTURE_AWARE,
        name="lspet/structure-aware-2-masking",
        title="The same with keypoint masking",
        data=replace(_HEATMAPS.data, augmentation="keypoint-masking"),
    ),
    _on("cfa-2", "Two small ResNet hourglasses with cascade feature aggregation on LSPET"),
    _on("guided-hourglass-2", "Two small stacked hourglasses of Inception-ResNet modules with guidance on LSPET"),
    _on("cu-net-2", "Two small coupled U-Nets on LSPET"),
    _on("cu-net-2-quantised", "The same, with weights of one bit, inputs and gradients of eight"),
    replace(
        _on("deep-pose-1", "A small DeepPose of one stage on LSPET"),
        train=replace(_HEATMAPS.train, objective="cascade"),
        strategy=replace(_HEATMAPS.strategy, stages=(Stage(EPOCHS, 1.0, 0.0, part=0),)),
    ),
    replace(
        _on("deep-pose-3", "A small DeepPose of three stages on LSPET"),
        train=replace(_HEATMAPS.train, objective="cascade"),
        strategy=replace(
            _HEATMAPS.strategy,
            stages=(Stage(3, 1.0, 0.0, part=0), Stage(1, 1.0, 0.0, part=1), Stage(1, 1.0, 0.0, part=2)),
        ),
    ),
    _on("tompson-coarse", "The coarse part of a small Tompson et al. on LSPET"),
    replace(
        _on("tompson", "A small Tompson et al., coarse and fine, on LSPET"),
        train=replace(_HEATMAPS.train, objective="coarse-to-fine"),
        strategy=replace(
            _HEATMAPS.strategy,
            stages=(Stage(3, 1.0, 0.0, part=0), Stage(1, 1.0, 0.0, part=1), Stage(1, 1.0, 0.0)),
        ),
    ),
    _on("cpn", "A small cascaded pyramid network on LSPET, without mining"),
    replace(
        _on("cpn", "The same, its RefineNet on the seven hardest keypoints of fourteen"),
        name="lspet/cpn-mining",
        train=replace(_HEATMAPS.train, hard_keypoints=7),
    ),
    replace(
        _on("deep-pose-1", "Regression (R1) on the small SimpleBaseline's backbone"),
        name="lspet/regression",
        train=replace(_HEATMAPS.train, objective="coordinates"),
    ),
    replace(_INTEGRAL, name="lspet/integral", title="Integral regression (I1) on the small SimpleBaseline"),
    replace(
        _INTEGRAL,
        name="lspet/hourglass-2-integral",
        title="Integral regression (I1) at both stages of two small hourglasses",
        network="small-hourglass-2",
    ),
    _trust("cpm-3", "Our trust head on the small convolutional pose machine of three stages, frozen"),
    _trust("deep-pose-3", "Our trust head on the small DeepPose of three stages, frozen"),
    _trust("structure-aware-2", "Our trust head on two small hourglasses supervised at every resolution, frozen"),
    _trust("attention-hourglass-2", "Our trust head on two small hourglasses with multi-context attention, frozen"),
    _trust("cfa-2", "Our trust head on two small ResNet hourglasses with cascade feature aggregation, frozen"),
)
