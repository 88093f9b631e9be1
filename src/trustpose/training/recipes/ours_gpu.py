"""Our trainings for one data-centre GPU, each within 25 minutes, in several runs if necessary (`--minutes`).

Batch, workers and epochs follow from estimates: one core cuts 770 crops a second (`benchmarks/training_input.py`), and
210 epochs of 3,680 people are 0.75 million crops, so that 502 crops a second end in 25 minutes. It has not run on a GPU
yet.
"""

from trustpose.heads.stages import LAMBDA_HEATMAP, Stage, Strategy
from trustpose.training.recipe import DataOptions, Recipe, TrainOptions
from trustpose.training.recipes.rows import by_name

_NETWORK = Recipe(
    name="default-network-gpu",
    title="A larger default network for one GPU: EfficientNet-Lite0 from ImageNet weights, later with our head",
    strategy=Strategy((Stage(150, LAMBDA_HEATMAP, 0.0), Stage(60, LAMBDA_HEATMAP, 0.3)), 1e-3, (), "imagenet"),
    network="light-efficientnet-lite0",
    head="keypoint-tokens",
    data=DataOptions(augmentation="strong", codec="dark", fold=0, folds=5),
    train=TrainOptions(
        optimiser="adamw",
        weight_decay=0.05,
        batch_size=256,
        clip=1.0,
        ema=0.998,
        warmup=100,
        schedule="cosine",
        precision="bf16-mixed",
        workers=14,
        flip_test=True,
        validate_every=10,
        checkpoint_every=200,
    ),
)

OUR_GPU_RECIPES: dict[str, Recipe] = by_name(_NETWORK)
