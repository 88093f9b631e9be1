"""Detectors by name, for photos without boxes.

torch is imported only for one of torchvision's detectors; these need the `train` extra.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.models.runtime.backends import BoxDetector, PeopleNetwork
from trustpose.models.spec import DEFAULT, ModelSpec, detector_folder, output_kind
from trustpose.predict.bottom_up import BottomUpNetwork
from trustpose.predict.boxes import Boxes, Detector, whole_photo
from trustpose.predict.single_stage import PeopleDetector

WHOLE = "whole"
TORCHVISION = (
    "fasterrcnn-resnet50-fpn",
    "fasterrcnn-resnet50-fpn-v2",
    "fasterrcnn-mobilenet-v3-large-fpn",
    "fasterrcnn-mobilenet-v3-large-320-fpn",
    "ssdlite320-mobilenet-v3-large",
)
PEOPLE_MIN_SCORE = 0.1
"""For people networks: of MoveNet MultiPose's people on 400 `train` photos, 87 % of those with at least this score
overlap a labelled person's box by more than half (37 % of all); they are 51 % of the labelled people
(62 % without a threshold)."""
TORCHVISION_MIN_SCORE = 0.3

_CLASSES, _PERSON = 91, 1  # COCO's, in torchvision's numbering


def load_detector(
    name: Detector | str | Path, weights: Path | None = None, min_score: float | None = None, device: str = "cpu"
) -> Detector:
    """Return the detector of that name; a detector is returned unchanged.

    "default" (bundled), "whole" (each photo shows one person), a single-stage network or a box network (NETWORK.onnx
    with its JSON next to it, or a folder), or one of `TORCHVISION`, with weights from a file. Boxes with a score below
    `min_score` are dropped; None means 0.1 for a people network, 0.3 for torchvision's, and the JSON's value for a
    network with boxes or centres. Raises InputError.
    """
    if not isinstance(name, (str, Path)):
        return name
    name = str(name)
    if weights is not None and name not in TORCHVISION:
        raise InputError(
            f"detector weights: apply only to torchvision's detectors ({', '.join(TORCHVISION)}), not {name}"
        )
    if name == WHOLE:
        return whole_photo
    if name in TORCHVISION:
        if weights is None:
            raise InputError(f"detector {name}: needs a file with its weights (--detector-weights FILE)")
        return TorchvisionDetector(name, weights, TORCHVISION_MIN_SCORE if min_score is None else min_score)
    if name == DEFAULT:
        return default_detector(min_score, device)
    kind = output_kind(name)
    if kind is None and Path(name).suffix not in (".onnx", ".json") and not Path(name).is_dir():
        names = ", ".join((DEFAULT, WHOLE, "NETWORK.onnx", *TORCHVISION))
        raise InputError(f"detector {name}: expected one of {names}")
    spec = ModelSpec.read(name)
    if spec.output.kind not in _DETECTORS:
        raise InputError(
            f"{name}: is not a detector: its JSON says that it gives {kind}, expected people, boxes or centres"
        )
    return _DETECTORS[spec.output.kind](spec, min_score, device)


def _people_detector(spec: ModelSpec, min_score: float | None, device: str) -> PeopleDetector:
    return PeopleDetector(PeopleNetwork(spec, device), PEOPLE_MIN_SCORE if min_score is None else min_score)


def _centre_detector(spec: ModelSpec, min_score: float | None, device: str) -> PeopleDetector:
    return PeopleDetector(BottomUpNetwork(spec, device, min_score))


_DETECTORS: dict[str, Callable[[ModelSpec, float | None, str], Detector]] = {  # by output kind
    "boxes": BoxDetector,
    "box-list": BoxDetector,
    "people": _people_detector,
    "centres": _centre_detector,
}


def default_detector(min_score: float | None = None, device: str = "cpu") -> BoxDetector:
    """Return the default detector; `min_score` None uses its spec's threshold. Raises InputError if this installation
    lacks it."""
    return BoxDetector(ModelSpec.read(detector_folder()), min_score, device)


class TorchvisionDetector:
    """One of torchvision's detection networks with the 91 classes of COCO, its weights (a state_dict) from a file.

    `weights` None leaves them random. Raises InputError if torch or torchvision is missing or does not work, or if the
    file does not match the network.
    """

    def __init__(self, name: str, weights: Path | None, min_score: float = TORCHVISION_MIN_SCORE) -> None:
        self.name, self.min_score = name, min_score
        self._torch, detection = _torchvision_detection()
        build = getattr(detection, name.replace("-", "_"))
        self.module = build(weights=None, weights_backbone=None, num_classes=_CLASSES).eval()
        if weights is not None:
            read_tensors = import_module("trustpose.networks.checkpoint_files").read_own_tensors
            self.module.load_state_dict(read_tensors(weights, self.module, name))

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Boxes:
        """Detect people in a photo, RGB: boxes in image pixels, highest score first."""
        torch = self._torch
        image = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1).float() / 255  # (3, H, W)
        with torchvision_of_this_torch(f"detector {self.name}"), torch.inference_mode():
            output = self.module([image])[0]
        score = output["scores"].double().cpu().numpy()
        keep = np.flatnonzero((output["labels"].cpu().numpy() == _PERSON) & (score >= self.min_score))
        box = output["boxes"].double().cpu().numpy()[keep]
        return Boxes(box.reshape(-1, 4), np.zeros(len(keep), np.int64), score[keep])


@contextmanager
def torchvision_of_this_torch(name: str) -> Iterator[None]:
    """Inside the block, operators that torchvision lacks for this torch raise an InputError that begins with `name`."""
    try:
        yield
    except (NotImplementedError, RuntimeError) as error:
        if "torchvision" not in str(error):
            raise
        reason = str(error).splitlines()[0][:80]
        raise InputError(f"{name}: torchvision was built for another torch ({reason})") from None


def _torchvision_detection() -> tuple[Any, Any]:
    """Import torch and torchvision.models.detection with `networks.backbones`' workaround.

    Raises InputError with the install line if one is missing.
    """
    try:
        import_module("trustpose.networks.backbones")
        return import_module("torch"), import_module("torchvision.models.detection")
    except ModuleNotFoundError as missing:
        raise InputError(not_installed(missing.name, "train")) from None
