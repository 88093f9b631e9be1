"""Networks that see all people of a photo, trained on whole photos; they reproduce no table."""

from dataclasses import replace

from trustpose.heads.stages import Stage, Strategy
from trustpose.training.bottom_up_options import BottomUpOptions
from trustpose.training.recipe import DataOptions, Recipe, TrainOptions
from trustpose.training.recipes.rows import by_name

_FIELDS = Recipe(
    name="bottom-up-fields",
    title="Part affinity fields on whole photos, from PP-TinyPose's weights",
    strategy=Strategy((Stage(7, 1.0, 0.0),), 5e-4, (), "trained"),
    system="bottom-up",
    network="tinypose",
    height=256,
    width=256,
    data=DataOptions(fold=0, folds=4),
    train=TrainOptions(
        optimiser="adamw",
        weight_decay=0.01,
        batch_size=8,
        clip=5.0,
        ema=0.998,
        warmup=100,
        schedule="cosine",
        validate_every=100,
        checkpoint_every=50,
    ),
    bottom_up=BottomUpOptions(kinds=("fields",)),
)

_TRUST = Recipe(
    name="bottom-up-trust",
    title="Our trust head at the keypoints that a bottom-up network groups, calibrated on photos new to the network",
    strategy=Strategy((Stage(12, 0.0, 1.0, trains="head"),), 2e-3, (), "trained"),
    system="groups",
    head="group-tokens",
    head_options={"token": 64, "hidden": 256},
    data=DataOptions(fold=0, folds=4),
    train=TrainOptions(
        optimiser="adamw",
        weight_decay=0.05,
        batch_size=128,
        clip=1.0,
        ema=0.995,
        warmup=50,
        schedule="cosine",
        channels_last=False,
        flip_test=True,
        validate_every=5,
    ),
)

BOTTOM_UP_RECIPES: dict[str, Recipe] = by_name(
    replace(
        _FIELDS,
        name="bottom-up",
        title="One network with part affinity fields and centres on whole photos, from PP-TinyPose's weights",
        bottom_up=BottomUpOptions(kinds=("fields", "centres")),
    ),
    _FIELDS,
    replace(
        _FIELDS,
        name="bottom-up-centres",
        title="Objects as Points on whole photos, from PP-TinyPose's weights",
        bottom_up=BottomUpOptions(kinds=("centres",)),
    ),
    replace(
        _FIELDS,
        name="bottom-up-tags",
        title="Associative embedding on whole photos, from PP-TinyPose's weights",
        bottom_up=BottomUpOptions(kinds=("tags",)),
    ),
    _TRUST,
)
