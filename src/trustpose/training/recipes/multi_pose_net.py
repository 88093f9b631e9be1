"""MultiPoseNet: its pose residual network, learnt from labels alone, and its two heads on one ResNet.

Kocabas, Karagoz, Akbas, MultiPoseNet, ECCV 2018. The numbers of the pose residual network are those that the authors'
code prints for val2017's labelled boxes and keypoints (salihkaragoz/pose-residual-network-pytorch); it trains with
Adam, a rate of 1e-3 times 0.9 every second epoch (ours falls by a cosine), batches of 8, for 16 epochs, on boxes with
more than three labelled keypoints. The two heads' input size, optimiser and rate are those of public code
(LiMeng95/MultiPoseNet.pytorch), which trains up to 80 epochs and lowers the rate where the loss stays; augmentation and
losses are ours. Their AP is in the lecture's ranking, in the column of the validation set.
"""

from dataclasses import replace

from trustpose.heads.stages import Stage, Strategy
from trustpose.training.bottom_up_options import BottomUpOptions
from trustpose.training.recipe import DataOptions, PaperResult, Recipe, TrainOptions
from trustpose.training.recipes.rows import AP_AND_AR, by_name, printed_numbers
from trustpose.training.residual_options import ResidualOptions

_PRINTED = PaperResult(
    "multi-pose-net",
    "README of the authors' code",
    "PRN, labelled boxes and keypoints",
    printed_numbers(AP_AND_AR, 89.2, 97.8, 92.1, 88.3, 91.2, 91.7, 98.2, 93.7, 90.2, 94.4),
)

_RANKING = PaperResult("multi-pose-net", "COCO ranking, AP", "Pose Residual Network", {"AP": 69.6})

_AUTHORS = Recipe(
    name="multi-pose-net/residual",
    title="The pose residual network on train2017's labels, as its authors train it; needs no photos",
    strategy=Strategy((Stage(16, 1.0, 0.0),), 1e-3, (), "scratch"),
    system="residual",
    data=DataOptions(min_keypoints=4, folds=0),
    train=TrainOptions(batch_size=8, schedule="cosine", channels_last=False),
    sources=(_PRINTED,),
)

MULTI_POSE_NET_RECIPES: dict[str, Recipe] = by_name(
    _AUTHORS,
    replace(
        _AUTHORS,
        name="pose-residual",
        title="The pose residual network on the contested boxes of train2017's labels, in half an hour of one CPU core",
        strategy=Strategy((Stage(5, 1.0, 0.0),), 1e-3, (), "scratch"),
        data=DataOptions(min_keypoints=4, fold=0, folds=40),
        train=replace(
            _AUTHORS.train, batch_size=128, warmup=200, precision="bf16-mixed", checkpoint_every=200, log_every=20
        ),
        residual=ResidualOptions(contested=True),
        sources=(),
    ),
    Recipe(
        name="multi-pose-net/two-heads",
        title="MultiPoseNet's keypoints and people's boxes on one ResNet-101; --bottom_up.residual groups them",
        strategy=Strategy((Stage(80, 1.0, 0.0),), 1e-4, (60, 75), "imagenet"),
        system="bottom-up",
        network="multi-pose-net-r101",
        height=480,
        width=480,
        data=DataOptions(folds=0),
        train=TrainOptions(batch_size=6),
        bottom_up=BottomUpOptions(kinds=("boxed",), branch_style="convolution", longest=480),
        sources=(_RANKING,),
    ),
)
