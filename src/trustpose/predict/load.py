"""`tp.load`: load any pose estimator, by name or file, as a complete predictor."""

from dataclasses import fields, replace
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.geometry.crops import Boxes
from trustpose.grouping.association import association_of
from trustpose.grouping.suppression import suppressor
from trustpose.models.hub import PREFIX, download_model
from trustpose.models.outputs.fields import FieldOutput
from trustpose.models.outputs.kinds import PHOTO_MAPS
from trustpose.models.outputs.surfaces import SurfaceOutput
from trustpose.models.runtime.backends import BoxDetector, PeopleNetwork, open_runtime
from trustpose.models.runtime.sessions import AUTO, onnx_device
from trustpose.models.spec import DEFAULT, ModelSpec, detector_folder
from trustpose.names import closest, unknown_option
from trustpose.options import changed_options, lists_options
from trustpose.predict.adapters import ADAPTERS, Adapter
from trustpose.predict.adapters.estimator import EstimatorPredictor
from trustpose.predict.base_predictor import BasePredictor
from trustpose.predict.bottom_up import BottomUpNetwork
from trustpose.predict.calibrated import Calibrated, calibrated, named
from trustpose.predict.detectors import PEOPLE_MIN_SCORE, load_detector
from trustpose.predict.options import PredictOptions
from trustpose.predict.predictor import Predictor
from trustpose.predict.single_stage import SingleStagePredictor
from trustpose.predict.whole_body import WholeBody

AnyPredictor = Predictor | SingleStagePredictor | EstimatorPredictor | WholeBody

_NAMES = tuple(field.name for field in fields(PredictOptions) if field.name != "adapter")
_OF_ADAPTERS = (
    "skeleton",
    "flip",
    "second_crop",
    "codec",
    "backend",
    "device",
    "precision",
    "batch_size",
    "threads",
)
_ONE_AT_A_TIME = ("second_crop", "codec", "backend", "precision")
_READS_ALL_BOXES = ("detector", "min_box_score", "suppression", "calibrator", "association")
"""Options with which low-scoring boxes matter, or have another detector's scores."""
_OF_HUB = ("local_files_only", "cache_dir", "token")
BATCH, BATCH_OF_GPU = 16, 64  # people per batch, if none is given


@lists_options(PredictOptions)
def load(model: str | Path, options: PredictOptions = PredictOptions(), **changes: Any) -> AnyPredictor:  # noqa: B008
    """Load a pose estimator as a predictor, which does everything that `trustpose predict` does.

    Args:
        model: "default", the bundled model; a model folder; network.onnx with its JSON next to it; "hf:USER/NAME" or
            "hf:USER/NAME@REVISION" on the Hugging Face hub (extra `hub`); or another package's estimator, by name and,
            after a colon, its file or model: "mediapipe", "vitpose:FOLDER", … (`trustpose models --adapters`). Write
            ./mediapipe or ./default for a file of such a name.
        options: detector, flip test, suppression, calibrator, device, … (`PredictOptions`).
        changes: these options by name, such as flip=True, and those of one package's estimator or of the hub's download
            (`models.hub.download_model`).

    Returns:
        The predictor: called with photos, it returns `Poses`. Photos without boxes get the default detector's, unless
        the model finds people by itself.

    Raises:
        InputError: if there is no such model or option, and if model and options do not fit.

    Example:
        >>> predictor = tp.load("default", flip=True)
        >>> predictor
        Predictor(trustpose default on ...: coco17, people from a detector or given boxes)
    """
    of_adapter = {name: value for name, value in changes.items() if name not in _NAMES}
    options = replace(options, **{name: value for name, value in changes.items() if name in _NAMES})
    options = replace(options, adapter={**options.adapter, **of_adapter})
    if options.device is None:
        options = replace(options, device=AUTO)
    model, options = _downloaded(model, options)
    adapter = ADAPTERS.get(str(model).partition(":")[0])
    if adapter is None and str(model) != DEFAULT and not Path(model).exists():
        similar = closest(str(model), ADAPTERS)
        if similar is not None:
            raise InputError(f"{model}: no such file (did you mean {similar!r}?)")
    if adapter is not None and options.fast:
        raise InputError(f"{model}: has no fast setting, as another package's estimator")
    network, detector = ModelSpec.read(model).fast_folders() if options.fast else (model, None)
    if adapter is not None and options.grouping is not None:
        raise InputError(f"{model}: does not group by part affinity fields; leave out --grouping")
    if adapter is not None and association_of(options.association) is not None:
        raise InputError(f"{model}: another package's estimator gives one position per joint; leave out --association")
    predictor = _network(network, options) if adapter is None else _estimator(adapter, str(model), options)
    predictor.model, predictor.options, predictor.max_pixels = str(network), options, options.max_pixels
    predictor.device = _device(options, adapter)
    _find_people(predictor, detector, predictor.device if options.backend == "onnx" and adapter is None else "cpu")
    if options.suppression not in (None, "none"):
        suppression = (options.suppression, options.suppression_threshold, options.suppression_area)
        predictor.suppress = suppressor(*suppression, predictor.skeleton, distance=options.suppression_distance)
    predictor.calibrate = _calibrated(predictor)
    predictor.min_presence = _min_presence(predictor)
    if isinstance(predictor, Predictor):
        predictor.skips_boxes = all(getattr(options, name) is None for name in _READS_ALL_BOXES)
    parts = [None if part is None else _part(part, options) for part in (options.hands, options.face)]
    return predictor if parts == [None, None] else WholeBody(predictor, *parts)


class DefaultDetector:
    """The bundled detector, opened for the first photo that needs it.

    min_score: threshold for boxes, None for its spec's. folder: another detector's instead, as a model's fast setting
    names one. Raises InputError if this installation lacks it.
    """

    def __init__(self, min_score: float | None = None, folder: Path | None = None, device: str = "cpu") -> None:
        self.min_score, self.folder, self.device = min_score, folder, device
        self._opened: BoxDetector | None = None
        self._lock = Lock()

    def open(self) -> BoxDetector:
        """Open the detector. Raises InputError as above."""
        with self._lock:
            if self._opened is None:
                self._opened = BoxDetector(
                    ModelSpec.read(self.folder or detector_folder()), self.min_score, self.device
                )
        return self._opened

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Boxes:
        """Return the boxes of the people in a photo, RGB; see `BoxDetector`."""
        return self.open()(pixels)


def _downloaded(model: str | Path, options: PredictOptions) -> tuple[str | Path, PredictOptions]:
    """Replace names of models on the hub by their local folders."""
    is_hub_name, has_hub_detector = (str(name).startswith(PREFIX) for name in (model, options.detector))
    if not (is_hub_name or has_hub_detector):
        return model, options
    if is_hub_name and options.fast:
        raise InputError(f"{model}: has no fast setting on the hub; load the faster model by its own name")
    hub_options = {name: value for name, value in options.adapter.items() if name in _OF_HUB}
    options = replace(
        options, adapter={name: value for name, value in options.adapter.items() if name not in hub_options}
    )
    if has_hub_detector:
        options = replace(options, detector=download_model(str(options.detector), **hub_options))
    return (download_model(str(model), **hub_options) if is_hub_name else model), options


def _calibrated(predictor: BasePredictor) -> Calibrated | None:
    """Return the calibrator, with the models of its second opinions; None without one."""
    options = predictor.options
    if options.calibrator is None:
        if options.second:
            raise InputError(
                f"--second {options.seconds[0]}: only a calibrator that was fitted with it reads it; give --calibrator"
            )
        return None
    seconds = [
        (name, load(model, threads=options.threads, max_pixels=options.max_pixels))
        for name, model in map(named, options.seconds)
    ]
    return calibrated(predictor, options.calibrator, seconds, options.estimator)


def _min_presence(predictor: BasePredictor) -> float:
    """Return the minimum presence of people: the option's, else the calibrator's, else the model's own."""
    calibrated = None if predictor.calibrate is None else predictor.calibrate.calibrator.card.presence
    if predictor.options.min_presence is not None:
        return predictor.options.min_presence
    return predictor.min_presence if calibrated is None else calibrated.min_presence


def _part(model: str | Path, options: PredictOptions) -> Predictor:
    """Load a network for hands or faces, which sees one at a time."""
    shared_options = {name: getattr(options, name) for name in ("device", "batch_size", "threads", "max_pixels")}
    predictor = load(model, detector="whole", **shared_options)
    if not isinstance(predictor, Predictor):
        raise InputError(f"{model}: finds the people of whole photos, expected a network for hands or faces")
    return predictor


def _network(model: str | Path, options: PredictOptions) -> Predictor | SingleStagePredictor:
    """Load one of our own networks."""
    if options.adapter:
        problem = unknown_option(next(iter(options.adapter)), _NAMES)
        raise InputError(f"{model}: {problem}; its options are {', '.join(_NAMES)}")
    if options.skeleton is not None:
        raise InputError("skeleton: applies only to another package's estimator (trustpose models --adapters)")
    spec = ModelSpec.read(model)
    if isinstance(spec.output, SurfaceOutput):
        raise InputError(f"{model}: gives surfaces, not poses; `trustpose surfaces` predicts them")
    if options.grouping is not None:
        if not isinstance(spec.output, FieldOutput):
            mismatch = f"gives {spec.output.kind}, and --grouping chooses among the links of fields"
            raise InputError(f"{spec.onnx}: {mismatch}; leave it out")
        spec = replace(spec, output=spec.output.with_matching(options.grouping))
    association = None if options.association is None else association_of(options.association)
    if spec.people == "photo":
        wrong = next(iter(changed_options(options, _ONE_AT_A_TIME)), None if association is None else "association")
        if wrong is not None:
            finds = f"{spec.onnx}: finds the people of whole photos by itself"
            raise InputError(f"{finds}; {wrong} is for one person at a time")
        return _photo_predictor(spec, options)
    runtime_options: dict[str, Any] = {name: getattr(options, name) for name in ("backend", "precision", "threads")}
    runtime = open_runtime(spec, device=None if options.device == AUTO else options.device, **runtime_options)
    crop_options = {name: getattr(options, name) for name in ("flip", "threads", "second_crop")}
    crop_options["decoding"] = options.codec
    crop_options["batch_size"] = options.batch_size or (BATCH if _device(options) == "cpu" else BATCH_OF_GPU)
    predictor, suppression = Predictor(runtime, association=association, **crop_options), spec.suppression
    if suppression is not None and options.suppression is None:
        predictor.suppress_detected = suppressor(
            suppression.method, suppression.threshold, suppression.area, spec.skeleton
        )
    return predictor


def _photo_predictor(spec: ModelSpec, options: PredictOptions) -> SingleStagePredictor:
    """Load a network that finds people by itself."""
    device, min_score = onnx_device(options.device), options.min_box_score
    if isinstance(spec.output, PHOTO_MAPS):
        network = BottomUpNetwork(spec, device, min_score, flip=options.flip)
        return SingleStagePredictor(network, threads=options.threads, min_score=network.min_score)
    if options.flip:
        finds = f"{spec.onnx}: finds the people of whole photos by itself"
        raise InputError(f"{finds}and has no maps that flip could average")
    min_score = PEOPLE_MIN_SCORE if min_score is None else min_score
    return SingleStagePredictor(PeopleNetwork(spec, device), threads=options.threads, min_score=min_score)


def _estimator(adapter: Adapter, model: str, options: PredictOptions) -> Predictor | EstimatorPredictor:
    """Load another package's estimator, with the options given for it."""
    predictor = adapter.load(model, **changed_options(options, _OF_ADAPTERS), **options.adapter)
    if isinstance(predictor, EstimatorPredictor) and options.min_box_score is not None:
        predictor.min_score = options.min_box_score
    return predictor


def _device(options: PredictOptions, adapter: Adapter | None = None) -> str:
    """Return the device of our ONNX files; the torch backend's and another package's as it was named."""
    is_onnx = options.backend == "onnx" and adapter is None
    return onnx_device(options.device) if is_onnx else str(options.device)


def _find_people(predictor: BasePredictor, folder: Path | None, device: str) -> None:
    """Set the detector for photos without boxes: the given one, or the bundled one, or that of a fast setting."""
    options = predictor.options
    if options.detector is None:
        if options.detector_weights is not None:
            raise InputError("--detector-weights: apply only to a --detector of torchvision's")
        if predictor.people == "boxes":
            predictor.detector = DefaultDetector(options.min_box_score, folder, device)
    elif predictor.people == "photo":
        raise InputError(f"{predictor.model}: finds the people of whole photos by itself; leave out --detector")
    else:
        predictor.detector = load_detector(options.detector, options.detector_weights, options.min_box_score, device)
