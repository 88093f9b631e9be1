"""Our own trainings, which repeat no table."""

from dataclasses import replace

from trustpose.training.recipe import DataOptions, Recipe, TrainOptions
from trustpose.training.recipes.rows import by_name
from trustpose.trust.stages import Stage, Strategy

_ANY = Recipe(
    name="frozen-trust",
    title="Our trust head on any heatmap network in an ONNX file; --head for the papers' heads",
    strategy=Strategy((Stage(36, 0.0, 1.0, trains="head"),), 2e-3, (), "trained"),
    system="frozen",
    head="keypoint-tokens",
    data=DataOptions(augmentation="gentle", fold=0, folds=5),
    train=TrainOptions(
        optimiser="adamw",
        weight_decay=0.05,
        batch_size=128,
        clip=1.0,
        ema=0.995,
        warmup=100,
        schedule="cosine",
        channels_last=False,
        flip_test=True,
        validate_every=6,
    ),
)

OUR_RECIPES: dict[str, Recipe] = by_name(
    _ANY,
    replace(
        _ANY,
        name="simplepose-trust",
        title="The same for simplepose.onnx; --head for the papers' heads",
    ),
)
