"""Our own trainings, which reproduce no table."""

from dataclasses import replace

from trustpose.heads.stages import Stage, Strategy
from trustpose.training.options import TransformerOptions
from trustpose.training.recipe import DataOptions, FrozenOptions, Recipe, TrainOptions
from trustpose.training.recipes.rows import by_name

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

_LIGHT = Recipe(
    name="light-network",
    title="A network of 0.56 M parameters, from SimplePose's weights, trained on heatmaps and visibility",
    strategy=Strategy((Stage(1, 0.0, 1.0, trains="head"), Stage(7, 2000.0, 0.3)), 2e-4, (), "trained"),
    network="light-mobilenetv2-050",
    head="keypoint-tokens",
    data=DataOptions(augmentation="gentle", codec="dark", fold=0, folds=5, extra_share=0.1),
    train=TrainOptions(
        optimiser="adamw",
        weight_decay=0.01,
        ema=0.999,
        weight_interpolation=0.5,
        precision="bf16-mixed",
        warmup=100,
        schedule="cosine",
        flip_test=True,
        validate_every=2,
    ),
)

_DETECTOR = Recipe(
    name="light-detector",
    title="A person detector of half a million parameters, on the backbone of light-mobilenetv2-050",
    strategy=Strategy((Stage(30, 0.0, 0.0),), 1e-3, (), "trained"),
    system="detector",
    network="light-mobilenetv2-050",
    height=320,
    width=320,
    data=DataOptions(fold=0, folds=5),
    train=TrainOptions(
        optimiser="adamw",
        weight_decay=0.02,
        batch_size=16,
        clip=5.0,
        ema=0.998,
        warmup=200,
        schedule="cosine",
        validate_every=5,
    ),
)

_PICODET = replace(
    _DETECTOR,
    name="default-detector",
    title="The person detector of the default model, from PicoDet-S's weights, for photos of 448 × 448",
    strategy=Strategy((Stage(2, 0.0, 0.0),), 2e-5, (), "trained"),
    network="picodet-s",
    height=448,
    width=448,
    train=replace(_DETECTOR.train, warmup=40, ema=0.99, validate_every=1),
)

_CROWDPOSE = Recipe(
    name="crowdpose",
    title="CrowdPose's single-person network, whose heatmaps keep the joints of others, from PP-TinyPose's weights",
    strategy=Strategy((Stage(3, 1.0, 0.0),), 1e-4, (), "trained"),
    network="tinypose",
    height=192,
    width=128,
    data=DataOptions(augmentation="simple-baseline", codec="dark", interference=0.5),
    train=TrainOptions(
        optimiser="adamw", weight_decay=0.01, batch_size=16, ema=0.995, warmup=30, checkpoint_every=60, validate_every=3
    ),
)

OUR_RECIPES: dict[str, Recipe] = by_name(
    _ANY,
    _CROWDPOSE,
    replace(
        _CROWDPOSE,
        name="alphapose",
        title="AlphaPose's symmetric transformer around PP-TinyPose; --data.proposals=boxes.json for its proposals",
        transformer=TransformerOptions("own"),
        data=replace(_CROWDPOSE.data, interference=0.0),
    ),
    replace(
        _ANY,
        name="default-trust",
        title="The trust head of the default model, on tinypose.onnx and a detector's boxes",
        head_options={"presence": True, "occlusion": 64},
        frozen=FrozenOptions(maps={"backbone": "relu_139.tmp_0"}, cross_fit=True),
        strategy=replace(_ANY.strategy, stages=(Stage(18, 0.0, 1.0, trains="head"),)),
    ),
    replace(
        _ANY,
        name="simplepose-trust",
        title="Our trust head on simplepose.onnx; --head for the papers' heads",
    ),
    replace(
        _LIGHT,
        name="default-network",
        title="The network of the default model: PP-TinyPose's published weights, trained on for this project's crops",
        strategy=Strategy((Stage(1, 0.0, 1.0, trains="head"), Stage(7, 2000.0, 0.3)), 3e-5, (), "trained"),
        network="tinypose",
        train=replace(_LIGHT.train, ema=0.995, weight_interpolation=0.0, precision="32-true"),
    ),
    _LIGHT,
    _DETECTOR,
    _PICODET,
    replace(
        _DETECTOR,
        name="movenet-detector",
        title="A person detector of 4.7 M parameters, from MoveNet MultiPose's weights",
        strategy=Strategy((Stage(16, 0.0, 0.0),), 2e-5, (), "trained"),
        network="movenet-multipose",
        height=384,
        width=384,
        train=replace(_DETECTOR.train, clip=1.0, warmup=40, ema=0.99, precision="bf16-mixed", validate_every=4),
    ),
)
