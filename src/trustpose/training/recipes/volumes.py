"""Integral regression in 3D on Human3.6M: two stacked hourglasses with a volume of 64 × 64 × 64 for each joint.

Sun et al., Integral Human Pose Regression, ECCV 2018, the ablation of the network: H1 learns Gaussians in the volumes
and reads their argmax, I1 learns the integral. Rows of the table are in `single_person`. Printed at hand: the network,
the two losses and both stages' errors. The crops (2 m about the root joint), their size and the volume's are those of
the authors' code; the schedule, the augmentation and a depth of 64 voxels at both stages are our choice (Pavlakos et
al., whom the table compares with, have fewer at the first).
"""

from trustpose.heads.stages import Stage, Strategy
from trustpose.training.recipe import DataOptions, Recipe, TrainOptions
from trustpose.training.recipes.rows import by_name


def human36m_recipe(*, is_integral: bool) -> Recipe:
    """Return the recipe of I1, or of H1."""
    loss = "the integral (I1)" if is_integral else "Gaussians (H1)"
    return Recipe(
        name=f"human36m-{'integral' if is_integral else 'heatmaps'}",
        title=f"Keypoints with depths from two hourglasses that learn {loss} in volumes, on Human3.6M",
        strategy=Strategy((Stage(140, 1.0, 0.0),), 1e-3, (90, 120), "scratch"),
        system="volumes",
        network="hourglass-2",
        height=256,
        width=256,
        data=DataOptions(
            dataset="human3.6m",
            skeleton="human36m17",
            padding=1.0,
            augmentation="simple-baseline",
            codec="integral" if is_integral else "argmax-quarter",
            folds=0,
        ),
        train=TrainOptions(objective="integral" if is_integral else "heatmaps", flip_test=True, validate_every=10),
    )


VOLUME_RECIPES: dict[str, Recipe] = by_name(human36m_recipe(is_integral=False), human36m_recipe(is_integral=True))
