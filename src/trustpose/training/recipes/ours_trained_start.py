"""The lecture's claims on crops of 160 × 160 pixels from trained weights: the systems of one claim start alike.

LSPET's people (a tenth held out) and COCO's, in COCO's joints. Each has about twenty minutes of one processor, by the
share of the people in its epochs. Their results:
https://trustpose.github.io/trustpose/benchmarks/single-person.html
"""

from dataclasses import replace

from trustpose.heads.stages import Stage, Strategy
from trustpose.training.recipe import DataOptions, Recipe, TrainOptions
from trustpose.training.recipes.rows import by_name

_TINYPOSE = Recipe(
    name="claims/heatmaps",
    title="Heatmaps, from PP-TinyPose's weights",
    strategy=Strategy((Stage(2, 1.0, 0.0),), 2e-4, (), "trained"),
    network="tinypose",
    height=160,
    width=160,
    data=DataOptions(
        dataset="lspet",
        min_keypoints=6,
        augmentation="simple-baseline",
        codec="dark",
        fold=0,
        folds=10,
    ),
    train=TrainOptions(
        optimiser="adamw",
        weight_decay=0.01,
        batch_size=16,
        clip=1.0,
        warmup=100,
        schedule="cosine",
        validate_every=3,
        checkpoint_every=200,
    ),
)
_INTEGRAL = replace(
    _TINYPOSE,
    name="claims/integral",
    title="Integral regression (I1), from PP-TinyPose's weights",
    data=replace(_TINYPOSE.data, codec="integral"),
    train=replace(_TINYPOSE.train, objective="integral"),
)
_IMAGENET = replace(_TINYPOSE, strategy=replace(_TINYPOSE.strategy, learning_rate=1e-3))
_CASCADE = replace(
    _IMAGENET,
    name="claims/cascade",
    title="DeepPose of two stages, the first on 80 × 80 pixels, from ImageNet's weights",
    network="small-deep-pose-lite0-2",
    strategy=replace(_IMAGENET.strategy, stages=(Stage(2, 1.0, 0.0, part=0), Stage(1, 1.0, 0.0, part=1))),
    data=replace(_IMAGENET.data, extra_share=0.35),
    train=replace(_IMAGENET.train, objective="cascade"),
)
OUR_TRAINED_START_RECIPES: dict[str, Recipe] = by_name(
    _TINYPOSE,
    replace(
        _TINYPOSE,
        name="claims/mining",
        title="Heatmaps of the eight hardest keypoints of seventeen, from PP-TinyPose's weights",
        train=replace(_TINYPOSE.train, hard_keypoints=8),
    ),
    _INTEGRAL,
    replace(
        _INTEGRAL,
        name="claims/integral-imagenet",
        title="Integral regression (I1), from ImageNet's weights",
        network="light-efficientnet-lite0",
        strategy=_IMAGENET.strategy,
    ),
    replace(
        _IMAGENET,
        name="claims/regression-imagenet",
        title="Regression (R1), from ImageNet's weights",
        network="small-deep-pose-lite0-1",
        strategy=replace(_IMAGENET.strategy, stages=(Stage(2, 1.0, 0.0, part=0),)),
        train=replace(_IMAGENET.train, objective="coordinates"),
    ),
    _CASCADE,
)
