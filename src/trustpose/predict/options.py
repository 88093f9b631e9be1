"""Options of a model and of a run, for the command line and Python."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustpose.formats.photos import MAX_PIXELS
from trustpose.predict.boxes import Detector
from trustpose.skeletons import Skeleton

if TYPE_CHECKING:
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.grouping.association import JointAssociation
    from trustpose.grouping.pose_nms import PoseDistance


@dataclass(frozen=True)
class PredictOptions:
    """The options of a model: the arguments of `tp.load`.

    detector: for photos without boxes, by name (`predict.detectors.load_detector`) or as a function; None: the bundled
    one, unless the model finds people by itself. detector_weights: for torchvision's. min_score: threshold for detected
    people; None: 0.1 for single-stage networks, 0.3 for torchvision's detectors, others as in their file or package.
    min_presence: people with a lower presence, P(a labeller would have boxed this person, and this is the one box for
    it), are left out, and so are doubles of others; None: the calibrator's or model's own threshold; 0 keeps all, as
    average precision needs them. suppression: method for overlapping poses (`grouping.suppression.METHODS`), with its
    threshold (None: the method's), the area for OKS between poses, and the distance of pose NMS
    (`grouping.pose_nms.read_distance`, None for the default); None: the model's own, for a detector's boxes only, or
    none. grouping: of the links of each limb, "greedy" or "optimal", for a network with part affinity fields; None: as
    its spec says. association: how the joints of a photo are shared out, "global", "crowdpose", "deepcut"
    (`grouping.association`) or an object of their kind; None or "none": each box has its own. flip: flip test, average
    the maps of crops, or of photos, with those of the mirror image. second_crop: padding, such as 1.15, of a second
    crop of each person, to be averaged with the first: more accurate, twice the network's time. decoding: of heatmaps,
    overriding the spec (`codecs.heatmaps.DECODINGS`). backend: "onnx" runs anywhere; "torch" (the `train` extra) runs a
    model folder's weights in `precision` float32, bfloat16 or float16. device: "auto" or None for the best available;
    else "cpu", "cuda", "coreml", "directml" or "openvino" for onnx, of which the base install has the first, and "cpu",
    "cuda" or "mps" for torch. batch_size: people per batch; None: 16 on a CPU, 64 elsewhere. threads: None for one per
    CPU. skeleton: for another package's estimator, keep this one's keypoints. fast: the smaller network and detector
    that the model's spec names for speed, with what they cost (`models.fast.FastSetting`). max_pixels: larger photo
    files are refused. calibrator: one, its file, or "shipped:NAME", whose trust replaces the model's; estimator: the
    model's name, checked against the calibrator's; second: the models of the second opinions that it was fitted with,
    as `tp.load` takes them, each after NAME= if it had a name at fitting. hands, face: models for these parts of each
    person, hand21 and face68 or face70 (`predict.whole_body`). adapter: options of a particular package's estimator, by
    name.
    """

    detector: Detector | str | Path | None = None
    detector_weights: Path | None = None
    min_score: float | None = None
    min_presence: float | None = None
    suppression: str | None = None
    suppression_threshold: float | None = None
    suppression_area: str = "crop"
    suppression_distance: "PoseDistance | str | None" = None
    grouping: str | None = None
    association: "JointAssociation | str | None" = None
    flip: bool = False
    second_crop: float | None = None
    fast: bool = False
    decoding: str | None = None
    backend: str = "onnx"
    device: str | None = None
    precision: str = "float32"
    batch_size: int | None = None
    threads: int | None = None
    skeleton: Skeleton | str | None = None
    max_pixels: int = MAX_PIXELS
    estimator: str | None = None
    calibrator: "Calibrator | str | Path | None" = None
    second: Sequence[str] | str = ()
    hands: str | Path | None = None
    face: str | Path | None = None
    adapter: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunOptions:
    """The options of a run over photos or a video: the arguments of `predictor.run`.

    gt: COCO ground truth, for boxes and the photos' ids; all_people: including its people without labelled keypoints.
    boxes: COCO detections, those below `min_box_score` dropped. frames: stop a video or webcam after this many. resume:
    resume an interrupted run in the same folder; it must have had the same settings, including `also`, which is for the
    caller's own settings, such as drawings. overwrite: replace the results of an earlier run in the folder; without
    this or `resume` they are an error. With both, an interrupted run is resumed, if there is one. format: of the
    results, one of `formats.tables.FORMATS`; tidy: one row per keypoint instead of one per pose. recursive: folders
    with their subfolders. track: link the people of a video's frames (`track_id`); flow: also follow them by optical
    flow, into frames in which the detector misses them; flow_method: "dis", "raft" or "raft:WEIGHTS.pth".
    """

    gt: Path | None = None
    boxes: Path | None = None
    min_box_score: float | None = None
    all_people: bool = False
    frames: int | None = None
    resume: bool = False
    also: Mapping[str, Any] = field(default_factory=dict)
    format: str = "json"
    tidy: bool = False
    recursive: bool = False
    overwrite: bool = False
    track: bool = False
    flow: bool = False
    flow_method: str = "dis"
