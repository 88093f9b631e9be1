"""The options of a predictor and of a run: one record for the command line and Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustpose.options import argument, option, repr_of_changes

if TYPE_CHECKING:
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.grouping.association import JointAssociation
    from trustpose.grouping.pose_nms import PoseDistance
    from trustpose.predict.boxes import Detector
    from trustpose.skeletons import Skeleton

SUPPRESSIONS = ("none", "oks-nms", "soft-oks-nms", "soft-oks-nms-linear", "pose-nms")
SUPPRESSION_THRESHOLD = (
    "OKS above which a pose is dropped (oks-nms) or its score lowered (soft-oks-nms-linear); σ of soft-oks-nms; "
    "similarity above which pose-nms drops a pose. Default: 0.9; 0.5 for pose-nms."
)
SUPPRESSION_DISTANCE = (
    "σ₁,σ₂,λ of pose-nms: the scale of scores, the scale of squared distances (in tenths of the box), and the weight "
    "of distances relative to scores; or 'alphapose', for the rules and parameters of AlphaPose's code. Default: "
    "0.3,1,1."
)
DEVICES = ("auto", "cpu", "cuda", "coreml", "directml", "openvino", "mps")


def _skeletons() -> Sequence[str]:
    from trustpose.skeletons import SKELETONS

    return list(SKELETONS)


def _calibrators() -> Sequence[str]:
    from trustpose.calibration.shipped import PREFIX, shipped_calibrators

    return [PREFIX + name for name in shipped_calibrators()]


def _models() -> Sequence[str]:
    from trustpose.predict.adapters import ADAPTERS

    return ["default", *ADAPTERS]


@dataclass(frozen=True)
class PredictFiles:
    """What is predicted, by which model, and where the results go: the arguments of `tp.run` before its options."""

    sources: Sequence[str] = argument(
        (),
        metavar="[SOURCE]...",
        help="Photos, videos, folders and globs of them, web addresses, or the index of a webcam: 0, 1, …",
    )
    model: str = option(
        "default",
        names=_models,
        help="The bundled model ('default'), NETWORK.onnx with NETWORK.json next to it, a model folder, a model on the "
        "Hugging Face hub (hf:USER/NAME), or an estimator of another package: mediapipe, ultralytics:MODEL.pt, … "
        "(trustpose models --adapters).",
    )
    out: str = option(
        "predictions", metavar="DIRECTORY", help="Folder for the results file (results.json) and the drawings."
    )


@dataclass(frozen=True)
class FlipOption:
    """Whether mirror images are predicted, too."""

    flip: bool = option(
        False, help="Average each crop's maps with those of its mirror image: more accurate, half as fast."
    )


@dataclass(frozen=True)
class SpeedOptions(FlipOption):
    """What trades speed for accuracy."""

    fast: bool = option(
        False,
        is_setting=False,  # the model's fingerprint is
        help="Use the model's smaller networks: faster and less accurate. Prints by how much.",
    )


@dataclass(frozen=True)
class DetectorOptions:
    """Who finds people in photos without boxes."""

    detector: "Detector | str | Path | None" = option(
        None,
        panel="People",
        help="Person detector: NETWORK.onnx, a detector of torchvision's, 'whole' (each photo shows one person), or "
        "'default', the bundled one, which is also used if no boxes are given.",
    )
    detector_weights: Path | None = option(None, panel="People", help="Weights for a detector of torchvision's.")
    min_box_score: float | None = option(
        None,
        panel="People",
        help="Leave out people whose box has a lower score: boxes of --boxes (default: none left out), or detected by "
        "--detector or --model (default: 0.1; torchvision's 0.3; a box network's as its JSON says).",
    )


@dataclass(frozen=True)
class PredictOptions(DetectorOptions, SpeedOptions):
    """How `tp.load` builds a predictor and `trustpose predict` runs it.

    `trustpose predict --help` describes the fields. In Python `detector` may also be a function from a photo to boxes,
    `calibrator` a `Calibrator`, `association` and `suppression_distance` objects of their kind; and there are two more:

    Args:
        threads: number of threads; None: one for each CPU.
        adapter: options of one package's estimator, by name.

    Example:
        >>> predictor = tp.load("default", flip=True)
    """

    __repr__ = repr_of_changes

    calibrator: "Calibrator | str | Path | None" = option(
        None,
        names=_calibrators,
        help="Add trust with this calibrator, fitted on the model's results (trustpose calibrate fit), or with a "
        "bundled one, shipped:NAME (trustpose models --shipped).",
    )
    min_presence: float | None = option(
        None,
        panel="People",
        minimum=0,
        maximum=1,
        help="Leave out detected people with a lower presence: the probability that a labeller would have boxed the "
        "person and that this is the only box for it. 0 keeps everybody, as average precision needs it. Default: the "
        "calibrator's threshold, or the model's.",
    )
    suppression: str | None = option(
        None,
        panel="People",
        names=SUPPRESSIONS,
        help="How overlapping poses of one person are suppressed. Default: the model's method, in detected boxes only.",
    )
    suppression_threshold: float | None = option(
        None,
        panel="People",
        is_setting=False,
        help=SUPPRESSION_THRESHOLD,
    )
    suppression_area: str = option(
        "crop",
        panel="People",
        is_setting=False,
        names=("crop", "box", "keypoints"),
        help="Area for the OKS between two poses: the box extended to 3:4 and enlarged by 1.25, the box, or the box "
        "around the keypoints.",
    )
    suppression_distance: "PoseDistance | str | None" = option(
        None,
        panel="People",
        is_setting=False,
        help=SUPPRESSION_DISTANCE,
    )
    grouping: str | None = option(
        None,
        panel="People",
        names=("greedy", "optimal"),
        help="How a network with part affinity fields matches the links of each limb. Default: as its JSON says.",
    )
    association: "JointAssociation | str | None" = option(
        None,
        panel="People",
        names=("none", "global", "crowdpose", "deepcut"),
        help="Assign joints to people jointly over all boxes of a photo, for crowds (heatmap networks; without trust).",
    )
    hands: str | Path | None = option(
        None, panel="People", metavar="MODEL", help="Add each person's hands with this network (hand21)."
    )
    face: str | Path | None = option(
        None, panel="People", metavar="MODEL", help="Add each person's face with this network (face68 or face70)."
    )
    second_crop: float | None = option(
        None,
        panel="Accuracy",
        metavar="PADDING",
        help="Average with a second crop of each person with this padding, such as 1.15: more accurate, half as fast.",
    )
    codec: str | None = option(
        None,
        panel="Accuracy",
        names=("argmax-quarter", "second-highest", "dark", "udp", "integral"),
        help="How heatmaps are decoded. Default: as the model's JSON says.",
    )
    skeleton: "Skeleton | str | None" = option(
        None,
        panel="Accuracy",
        names=_skeletons,
        help="For another package's estimator: the skeleton whose keypoints are kept, NAME or FILE.json.",
    )
    estimator: str | None = option(
        None,
        panel="Trust",
        is_setting=False,
        help="Name of the estimator, which must be the one that the calibrator was fitted on.",
    )
    second: Sequence[str] | str = option(
        (),
        panel="Trust",
        metavar="[NAME=]MODEL",
        help="Second opinion that the calibrator was fitted with: a network that also looks at each box, such as "
        "'default'. May be repeated.",
    )
    backend: str = option(
        "onnx",
        panel="Speed",
        names=("onnx", "torch"),
        help="Runtime of our networks. torch runs a model folder's weights (extra 'train').",
    )
    device: str | None = option(
        "auto",
        panel="Speed",
        names=DEVICES,
        help="Device that runs the network. auto: a GPU if there is one. mps: with --backend torch or another "
        "package's estimator.",
    )
    precision: str = option(
        "float32",
        panel="Speed",
        names=("float32", "bfloat16", "float16"),
        help="Precision of the weights with --backend torch.",
    )
    batch_size: int | None = option(
        None, panel="Speed", minimum=1, is_setting=False, help="People per batch. Default: 16 on a CPU, 64 elsewhere."
    )
    max_pixels: int = option(
        250_000_000,
        panel="Speed",
        minimum=1,
        is_setting=False,
        help="Skip photos with more pixels than this, by the size in their headers.",
    )
    threads: int | None = None
    adapter: Mapping[str, Any] = field(default_factory=dict)

    @property
    def seconds(self) -> list[str]:
        """The models of the second opinions, also if `second` is a single one."""
        return [self.second] if isinstance(self.second, str) else list(self.second)


@dataclass(frozen=True)
class EarlierRun:
    """What happens to the results of an earlier run in the output folder; by default they are an error. With both
    options an interrupted run is resumed, if there is one."""

    resume: bool = option(False, is_setting=False, help="Resume an interrupted run in the output folder.")
    overwrite: bool = option(
        False, is_setting=False, help="Replace the results of an earlier run in the output folder."
    )


@dataclass(frozen=True)
class FolderOptions:
    """How folders are read."""

    recursive: bool = option(False, panel="Input", is_setting=False, help="Read the subfolders of folders, too.")


@dataclass(frozen=True)
class FlowOptions:
    """How people are followed by optical flow."""

    flow_method: str = option(
        "dis",
        panel="Tracking",
        help="Method for optical flow: dis (OpenCV), or raft or raft:WEIGHTS.pth (torchvision; extra 'train').",
    )


@dataclass(frozen=True)
class BoxesOption:
    """Boxes from a file."""

    boxes: Path | None = option(
        None,
        panel="People",
        help="COCO detections, for the people's boxes. Photo ids are those of --gt, or the numbers in file names.",
    )


@dataclass(frozen=True)
class RunOptions(EarlierRun, FolderOptions, FlowOptions, BoxesOption):
    """How `predictor.run` and `trustpose predict` go through photos and videos, and what they write.

    `caller_settings` is for Python alone: settings of the caller, such as of its drawings, which a resumed run must
    share.
    """

    __repr__ = repr_of_changes

    gt: Path | None = option(None, help="COCO ground truth, for the people's boxes and the ids of the photos.")
    track: bool = option(
        False, help="Link the people of a video's frames: results have track_id, and drawings show it."
    )
    all_people: bool = option(
        False, panel="People", help="With --gt: include people with a box but no labelled keypoint."
    )
    flow: bool = option(
        False,
        panel="Tracking",
        help="With --track: also follow people by optical flow, through frames in which the detector misses them.",
    )
    frames: int | None = option(None, panel="Input", minimum=1, help="Stop a video or webcam after this many frames.")
    format: str = option(
        "json",
        panel="Output",
        is_setting=False,
        names=("json", "csv", "parquet"),
        help="Format of the results file. parquet: extra 'tables'.",
    )
    tidy: bool = option(
        False, panel="Output", is_setting=False, help="Write one row per keypoint instead of one per pose."
    )
    caller_settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class OverlapOptions:
    """How the overlap of two poses is measured."""

    area: str = option(
        "crop",
        names=("crop", "box", "keypoints"),
        help="Area for the OKS between two poses. crop: the box extended to 3:4 and enlarged by 1.25; keypoints: the "
        "box around them.",
    )


@dataclass(frozen=True)
class TrackOptions(OverlapOptions):
    """How poses of successive frames are linked: the arguments of `Tracker`, the distance by its name."""

    distance: str = option(
        "both",
        names=("both", "oks", "trust", "box"),
        help="How far apart two poses are. oks: 1 - OKS; trust: with keypoints weighted by their expected OPKS; box: "
        "1 - IoU; both: the mean of box and trust (or oks).",
    )
    matching: str = option(
        "hungarian",
        names=("hungarian", "greedy"),
        help="How poses are assigned to tracks. hungarian: the smallest sum of distances; greedy: the nearest pair "
        "first.",
    )
    max_distance: float = option(0.95, help="Maximum distance of poses to link, 0 to 1.")
    memory: int = option(30, minimum=1, help="End a track that was not seen for this many frames.")
    history: int = option(1, minimum=1, help="Number of a track's latest poses to compare with.")
    earlier: str = option(
        "nearest",
        names=("nearest", "decayed"),
        help="How these poses count. decayed: their mean, in which older ones count less.",
    )
    start_score: float | None = option(
        None,
        help="Start tracks only at poses with at least this score. Default: 0.3 for expected OKS; any score "
        "without trust.",
    )
