"""Preprocessing and decoding of each public project's networks, as in its own evaluation code.

Sources: the dataset and evaluation code of microsoft/human-pose-estimation.pytorch,
leoxiaobin/deep-high-resolution-net.pytorch, megvii-research/MSPN and open-mmlab/mmpose; pytorch-pose's and AlphaPose's
were run and not read (https://trustpose.github.io/trustpose/parity.html).
"""

from dataclasses import dataclass, replace

from trustpose.geometry.crops import Cutting, Padding


@dataclass(frozen=True)
class Preparation:
    """Preprocessing: channel order, (pixel / 255 − mean) / std, box padding, cutting. Decoding: see `models.spec`.

    channels None: unknown from the files. sigma None: 2 map pixels per 256 pixels of height, as in HRNet's recipes.
    """

    channels: str | None = "RGB"
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    padding: Padding = 1.25
    cutting: Cutting = "affine"
    codec: str = "argmax-quarter"
    sigma: float | None = None
    smoothing: int | None = None
    offset: float | None = None
    score_scale: str | None = None
    score_offset: float | None = None


# pose_resnet: Microsoft's code always uses BGR, HRNet's depends on its configuration (COLOR_RGB: false in all
# published ones for ResNets), forks of either also use RGB; their files look the same.
_POSE_RESNET = Preparation(channels=None)
# pytorch-pose subtracts its data set's mean and does not divide; a map pixel refers to its middle.
_PYTORCH_POSE = Preparation(
    mean=(0.44044283, 0.44402671, 0.43268284), std=(1.0, 1.0, 1.0), cutting="whole-pixels", sigma=1.0, offset=2.0
)
_PYTORCH_POSE_ON_COCO = replace(_PYTORCH_POSE, mean=(0.45660767, 0.43688232, 0.40614182))
# Targets are a pixel smoothed by 5 taps, with maximum 255; mmpose preprocesses MSPN like every network.
_MMPOSE_MSPN = Preparation(sigma=1.0, smoothing=5, offset=2.0, score_scale="1/255", score_offset=0.5)
_BGR = {"channels": "BGR", "mean": (0.406, 0.456, 0.485), "std": (0.225, 0.224, 0.229)}
_MSPN = replace(_MMPOSE_MSPN, **_BGR, codec="second-highest", padding=(1.09, 1.135))
_MSPN_ON_MPII = replace(_MSPN, padding=1.25, smoothing=9)

# AlphaPose subtracts these from red, green and blue, and does not divide.
_ALPHAPOSE = Preparation(mean=(0.406, 0.457, 0.480), std=(1.0, 1.0, 1.0))
_NON_COMMERCIAL = "academic or non-profit organization non-commercial research use only"
LICENCES = {
    "openpose": f"OpenPose's ({_NON_COMMERCIAL})",
    "alphapose": f"AlphaPose's ({_NON_COMMERCIAL})",
    "lightweight-openpose": "Apache-2.0",
    "openpifpaf": "OpenPifPaf's (AGPL-3.0)",
}
"""Licences of projects' published weights, by family of tensor names; pytorch-openpose's are OpenPose's, converted."""


def preparation(family: str, network: str, keypoints: int) -> Preparation:
    """Return the preparation by the project with `family`'s tensor names of a zoo network with this many keypoints."""
    if family.startswith("mmpose") and network.startswith("mspn"):
        return _MMPOSE_MSPN
    if family == "mspn":
        return _MSPN_ON_MPII if keypoints == 16 else _MSPN
    if family == "pytorch-pose":
        return _PYTORCH_POSE_ON_COCO if keypoints == 17 else _PYTORCH_POSE
    return {"pose_resnet": _POSE_RESNET, "alphapose": _ALPHAPOSE}.get(family, Preparation())
