"""What can be asked of a model and of a run, in one record each; the command line fills them, and so can Python."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from trustpose.formats.photos import MAX_PIXELS
from trustpose.grouping.suppression import THRESHOLD
from trustpose.predict.boxes import Detector
from trustpose.skeletons import Skeleton


@dataclass(frozen=True)
class PredictOptions:
    """How a model predicts: what `tp.load` takes.

    detector: what finds the people of photos that come without boxes, by name (`predict.detectors.load_detector`) or as
    a function; None: the one that comes with the package, where the model does not find people by itself.
    detector_weights: of torchvision's. min_score: people that are found with less are left out; None: 0.1 for networks
    that find people by themselves, torchvision's detectors 0.3, others as their file or package says.
    suppression: what happens to poses on top of each other (`grouping.suppression.METHODS`), with its threshold and the
    area that their OKS with each other is measured with.
    flip: average with the mirror image. decoding: how heatmaps are read, if not as the spec says
    (`codecs.heatmaps.DECODINGS`). backend: "onnx" runs anywhere; "torch" (the `train` extra) runs a model folder's
    weights on `device` ("cpu", "cuda", "mps"; None: the best there is) in `precision` float32, bfloat16 or float16.
    batch_size: people that go through the network together; threads: None for one a CPU.
    skeleton: of another package's estimator, only this one's keypoints. max_pixels: larger photo files are refused.
    adapter: options that only one package's estimator has, by name.
    """

    detector: Detector | str | Path | None = None
    detector_weights: Path | None = None
    min_score: float | None = None
    suppression: str = "none"
    suppression_threshold: float = THRESHOLD
    suppression_area: str = "crop"
    flip: bool = False
    decoding: str | None = None
    backend: str = "onnx"
    device: str | None = None
    precision: str = "float32"
    batch_size: int = 16
    threads: int | None = None
    skeleton: Skeleton | str | None = None
    max_pixels: int = MAX_PIXELS
    adapter: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class RunOptions:
    """What a run over photos or a video is on: what `predictor.run` takes.

    gt: COCO ground truth, whose boxes are taken and which gives the photos' ids; all_people: also those of its people
    who have no labelled keypoint. boxes: COCO detections, those below `min_box_score` left out. frames: stop a video or
    webcam after so many. resume: go on with a run into the same folder that was stopped; it must have had the same
    settings, `also` included, which is for what a caller makes of the poses, such as drawings. format: of the results,
    one of `formats.tables.FORMATS`; tidy: one row a keypoint instead of one a pose.
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
