"""Networks that see all people of a photo, trained on whole photos; they reproduce no table.

The networks and schedules of `bottom-up-centres-dla-34`, `bottom-up-centres-hourglass-104` and `pose-ae` are those of
the authors' code (xingyizhou/CenterNet, experiments/multi_pose_dla_3x.sh and multi_pose_hg_3x.sh;
princeton-vl/pose-ae-train, task/pose.py, whose 1,000 steps an epoch make 200,000 before the learning rate falls).
Different are: boxes are the distances of four sides, augmentation and losses are ours, and hourglasses begin with
random weights where the authors begin with a detector's. Printed are AP .589 (DLA-34, val2017), .640 (Hourglass-104)
in CenterNet's model zoo, and .566 of associative embedding on test-dev (single scale). `mask-rcnn` has the schedule of
torchvision's own training (references/detection), which printed AP .650 of keypoints on val2017; the paper .627 on
test-dev.
"""

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

_PLAIN = TrainOptions(optimiser="adam", batch_size=128, validate_every=10)
_DLA_34 = replace(
    _FIELDS,
    name="bottom-up-centres-dla-34",
    title="Objects as Points with DLA-34, the authors' schedule",
    strategy=Strategy((Stage(320, 1.0, 0.0),), 5e-4, (270, 300), "imagenet"),
    network="dla-34",
    height=512,
    width=512,
    train=_PLAIN,
    bottom_up=BottomUpOptions(kinds=("centres",), branch_style="convolution"),
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
    replace(
        _FIELDS,
        name="bottom-up-boxed",
        title="MultiPoseNet's two heads, keypoints and people's boxes, on whole photos, from PP-TinyPose's weights",
        bottom_up=BottomUpOptions(kinds=("boxed",)),
    ),
    _DLA_34,
    replace(
        _DLA_34,
        name="bottom-up-centres-hourglass-104",
        title="Objects as Points with Hourglass-104, the authors' schedule",
        strategy=Strategy((Stage(150, 1.0, 0.0),), 2.5e-4, (130,), "scratch"),
        network="hourglass-104",
        train=replace(_PLAIN, batch_size=24),
    ),
    replace(
        _DLA_34,
        name="pose-ae",
        title="Associative embedding's own four hourglasses, the authors' schedule",
        strategy=Strategy((Stage(300, 1.0, 0.0),), 2e-4, (200,), "scratch"),
        network="pose-ae-4",
        train=replace(_PLAIN, batch_size=32),
        bottom_up=BottomUpOptions(kinds=("tags",), tag_coordinates=False),
    ),
    Recipe(
        name="mask-rcnn",
        title="Mask R-CNN's keypoints, of torchvision's parts, its schedule, from ImageNet's weights of ResNet-50",
        strategy=Strategy((Stage(46, 1.0, 0.0),), 0.02, (36, 43), "imagenet"),
        system="mask-rcnn",
        height=800,
        width=800,
        data=DataOptions(fold=0, folds=4),
        train=TrainOptions(optimiser="sgd", weight_decay=1e-4, batch_size=16, warmup=1000, channels_last=False),
        bottom_up=BottomUpOptions(rotation=0.0),
    ),
    replace(
        _FIELDS,
        name="bottom-up-pifpaf",
        title="PifPaf's composite fields on whole photos, from PP-TinyPose's weights",
        bottom_up=BottomUpOptions(kinds=("composite-fields",)),
    ),
    replace(
        _FIELDS,
        name="bottom-up-personlab",
        title="PersonLab's disks and offsets on whole photos, from PP-TinyPose's weights",
        bottom_up=BottomUpOptions(kinds=("disks",), branch_style="convolution"),
    ),
    _TRUST,
)
