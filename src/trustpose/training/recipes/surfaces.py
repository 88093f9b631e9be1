"""Recipes for surfaces of bodies: DensePose (Güler 2018), and a small network that learns within minutes on a CPU."""

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

SURFACE_RECIPES: dict[str, Recipe] = by_name(
    _DENSE_POSE,
    replace(
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
    ),
)
