"""Integral regression in 3D on Human3.6M: two stacked hourglasses with a volume of 64 × 64 × 64 for each joint.

Sun et al., Integral Human Pose Regression, ECCV 2018, the ablation of the network: H1 learns Gaussians in the volumes
and reads their argmax, I1 learns the integral. The table's rows, of one stage each, are in `single_person`.
Of what is printed only the network, the two losses and both stages' errors were at hand. The crops (2 m about the root
joint), their size and the volume's are those of the authors' code; the schedule, the augmentation and a depth of 64
voxels at both stages are our choice (Pavlakos et al., whom the table compares with, have fewer at the first).
"""

from trustpose.heads.stages import Stage, Strategy
from trustpose.training.recipe import DataOptions, Recipe, TrainOptions


def human36m_recipe(*, is_integral: bool) -> Recipe:
    """Return the training of I1, or of H1, which gives both stages' rows."""
    return Recipe(
        name="",
        title="",
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
