"""Our own trainings, which repeat no table."""

from trustpose.training.recipe import DataOptions, Recipe, TrainOptions
from trustpose.training.recipes.rows import by_name
from trustpose.trust.stages import Stage, Strategy

OUR_RECIPES: dict[str, Recipe] = by_name(
    Recipe(
        name="simplepose-trust",
        title="Our trust head on a frozen network, such as simplepose.onnx; --head for the papers' heads",
        strategy=Strategy((Stage(40, 0.0, 1.0, trains="head"),), 1e-3, (), "trained"),
        system="frozen",
        head="keypoint-tokens",
        data=DataOptions(augmentation="gentle", fold=0, folds=5),
        train=TrainOptions(
            optimiser="adamw",
            weight_decay=0.05,
            batch_size=128,
            clip=1.0,
            ema=0.99,
            warmup=100,
            schedule="cosine",
            channels_last=False,
            flip_test=True,
            validate_every=10,
        ),
    )
)
