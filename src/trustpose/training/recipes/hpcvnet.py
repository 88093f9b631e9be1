"""The HPCVNet poster's four tables; COCO val2017, ground-truth boxes, flip test.

Jiang et al., 2D Human Pose Estimation Calibration and Keypoint Visibility Classification. The poster prints no
schedule: 234 epochs from a trained pose network, learning rates, warm-up, batches (of one device), box area and the
one-stack Hourglass at 256 × 256 are from the authors' public fork of mmpose (zhyjiang/mmpose, Apache-2.0). Its final
configuration neither scales nor rotates; here HRNet's augmentation does. It ranks poses by keypoints' scores above 0.2
and the box's score (`heads/hpcvnet.py`), the recipes by `pose_quality`. Rows without HPCVNet are the plain networks:
mmpose's schedule of 210 epochs, with HRNet's row as also printed in the OKS-Net paper.
"""

from collections.abc import Mapping
from dataclasses import replace

from trustpose.heads.stages import HPCVNET, OKS_NET, Stage, Strategy
from trustpose.training.recipe import DataOptions, Evaluation, PaperResult, Recipe, TrainOptions
from trustpose.training.recipes.rows import AP_AND_AR, by_name, printed_numbers

DEEPEN = 4  # 1×1 convolutions before the heatmap layer
NETWORKS = {"hrnet": "hrnet-w32", "resnet50": "simple-baseline-r50", "hourglass": "hourglass-1"}
LABELS = {"hrnet": "HRNet", "resnet50": "ResNet50", "hourglass": "Hourglass"}
BATCHES = {"hrnet": 56, "resnet50": 56, "hourglass": 64}
TABLES = {
    "ap": "AP",
    "oks-correlation": "OKS correlation",
    "opks-correlation": "average OPKS correlation",
    "labelled": "labelled or not",
}


def _plain(table: str, network: str, numbers: Mapping[str, float]) -> Recipe:
    start = "scratch" if network == "hourglass" else "imagenet"
    return Recipe(
        name=f"hpcvnet/{table}/{network}",
        title=f"{LABELS[network]} alone",
        strategy=Strategy((Stage(210, 1.0, 0.0),), 5e-4, (170, 200), start),
        network=NETWORKS[network],
        width=256 if network == "hourglass" else 192,
        data=DataOptions(augmentation="hrnet", folds=0),
        train=TrainOptions(batch_size=BATCHES[network], warmup=500, area="box", flip_test=True),
        sources=(PaperResult("hpcvnet", TABLES[table], LABELS[network], numbers),),
    )


def _hpcvnet(table: str, network: str, numbers: Mapping[str, float]) -> Recipe:
    row = f"{LABELS[network]} + HPCVNet"
    return replace(
        _plain(table, network, numbers),
        name=f"hpcvnet/{table}/{network}-hpcvnet",
        title=f"HPCVNet on {LABELS[network]}",
        strategy=HPCVNET["joint"],
        head="hpcvnet",
        head_options={"gate": "hard"},
        deepen=DEEPEN,
        sources=(PaperResult("hpcvnet", TABLES[table], row, numbers),),
        evaluation=Evaluation(score="pose_quality"),
    )


def _oks_net(table: str, numbers: Mapping[str, float]) -> Recipe:
    """Build the recipe as in OKS-Net's own paper."""
    return replace(
        _plain(table, "hrnet", numbers),
        name=f"hpcvnet/{table}/hrnet-oks-net",
        title="OKS-Net on HRNet",
        strategy=OKS_NET[2],
        head="oks-net",
        train=TrainOptions(batch_size=128, flip_test=True),
        sources=(PaperResult("hpcvnet", TABLES[table], "HRNet + OKS-Net", numbers),),
        evaluation=Evaluation(score="pose_quality"),
    )


def _score_branch_alone() -> Recipe:
    """Build the ablation of which the poster prints no number: "hard for the network to converge"."""
    return replace(
        _hpcvnet("opks-correlation", "hrnet", {}),
        name="hpcvnet/score-branch-alone",
        title="HPCVNet on HRNet without the branch for labelled or not",
        head_options={"branches": "score"},
        sources=(),
    )


_OKS, _OPKS = "pose.pearson", "keypoint.pearson_pose_mean"
_LABELLED = tuple(f"visibility.labelled.{name}" for name in ("precision", "recall", "f1", "accuracy"))

HPCVNET_RECIPES: dict[str, Recipe] = by_name(
    _plain("ap", "hrnet", printed_numbers(AP_AND_AR, 76.5, 93.5, 83.7, 73.9, 80.8, 79.3, 94.5, 85.8, 76.2, 84.1)),
    _oks_net("ap", printed_numbers(AP_AND_AR, 77.5, 93.7, 85.0, 74.7, 82.0, 79.7, 94.6, 86.0, 76.7, 84.5)),
    _hpcvnet("ap", "hrnet", printed_numbers(AP_AND_AR, 77.6, 93.7, 85.0, 74.5, 81.9, 79.7, 94.7, 86.1, 76.5, 84.6)),
    _plain("ap", "resnet50", printed_numbers(AP_AND_AR, 73.6, 92.5, 81.4, 70.7, 78.2, 76.6, 93.6, 83.4, 73.4, 81.5)),
    _hpcvnet("ap", "resnet50", printed_numbers(AP_AND_AR, 73.8, 92.6, 81.7, 70.6, 78.4, 76.6, 93.4, 83.3, 73.3, 81.4)),
    _plain("ap", "hourglass", printed_numbers(AP_AND_AR, 74.4, 92.5, 81.6, 71.3, 79.3, 77.4, 93.2, 83.9, 73.8, 82.9)),
    _hpcvnet("ap", "hourglass", printed_numbers(AP_AND_AR, 75.1, 93.0, 82.4, 71.9, 79.8, 78.1, 93.9, 84.3, 75.0, 83.6)),
    _plain("oks-correlation", "hrnet", {_OKS: 0.61}),
    _oks_net("oks-correlation", {_OKS: 0.69}),
    _hpcvnet("oks-correlation", "hrnet", {_OKS: 0.71}),
    _plain("opks-correlation", "hrnet", {_OPKS: 0.897}),
    _hpcvnet("opks-correlation", "hrnet", {_OPKS: 0.932}),
    _hpcvnet("labelled", "hrnet", printed_numbers(_LABELLED, 87.6, 97.0, 92.1, 89.4)),
    _score_branch_alone(),
)
