"""Recipes for surfaces of bodies: DensePose (Güler 2018), and small networks that learn within minutes on a CPU."""

from dataclasses import replace

from trustpose.heads.stages import Stage, Strategy
from trustpose.training.recipe import DataOptions, Recipe, TrainOptions
from trustpose.training.recipes.rows import by_name
from trustpose.training.surface_options import SurfaceOptions

_DENSE_POSE = Recipe(
    name="dense-pose",
    title="DensePose, fully convolutional: part, U and V of each pixel of a person's crop, on ResNet-101",
    strategy=Strategy((Stage(40, 1.0, 0.0),), 1e-3, (30, 37), "imagenet"),
    system="surfaces",
    network="simple-baseline-r101",
    height=256,
    width=256,
    data=DataOptions(dataset="densepose-coco", augmentation="simple-baseline", folds=0),
    train=TrainOptions(batch_size=32, warmup=500, validate_every=5),
    surfaces=SurfaceOptions(hidden=512, layers=8),
)

_SMALL = replace(
    _DENSE_POSE,
    name="dense-pose-small",
    title="A small network of surfaces, for photos of capsule people (benchmarks/dense_pose.py) or of your own",
    strategy=Strategy((Stage(15, 1.0, 0.0),), 2e-3, (), "scratch"),
    network="small-hrnet",
    height=96,
    width=96,
    data=DataOptions(dataset="capsule people", augmentation="simple-baseline", folds=5),
    train=TrainOptions(
        optimiser="adamw",
        weight_decay=0.01,
        batch_size=32,
        clip=5.0,
        ema=0.99,
        warmup=50,
        schedule="cosine",
        validate_every=100,
    ),
    surfaces=SurfaceOptions(hidden=64, layers=2, point_weight=0.1, mask_weight=2.0, per_person=True),
)

SURFACE_RECIPES: dict[str, Recipe] = by_name(
    _DENSE_POSE,
    replace(
        _DENSE_POSE,
        name="dense-pose-regions",
        title="DensePose-RCNN's surfaces: boxes cut out of a photo's feature pyramid, on ResNet-50",
        strategy=Strategy((Stage(40, 1.0, 0.0),), 1e-2, (31, 37), "imagenet"),
        network="",
        height=1024,
        width=1024,
        data=DataOptions(dataset="densepose-coco", augmentation="flip", padding=1.0, folds=0),
        train=TrainOptions(optimiser="sgd", weight_decay=1e-4, batch_size=16, warmup=1000, validate_every=5),
        surfaces=SurfaceOptions(regions=True),
    ),
    _SMALL,
    replace(
        _SMALL,
        name="dense-pose-regions-small",
        title="The same small network on whole photos, with regions cut out of its features",
        height=128,
        width=128,
        data=replace(_SMALL.data, padding=1.0),
        surfaces=replace(_SMALL.surfaces, regions=True),
    ),
)
