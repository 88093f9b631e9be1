"""`tp.load`: whatever estimates poses, by its name or file, as a predictor."""

from pathlib import Path
from typing import Any

from trustpose.formats.image_size import MAX_PIXELS
from trustpose.models.shipped import DEFAULT, default_folder
from trustpose.predict.adapters import find_adapter
from trustpose.predict.adapters.estimator import EstimatorPredictor
from trustpose.predict.detectors import default_detector
from trustpose.predict.single_stage import SingleStagePredictor
from trustpose.predict.top_down import Predictor

AnyPredictor = Predictor | SingleStagePredictor | EstimatorPredictor


def load(model: str | Path, *, max_pixels: int = MAX_PIXELS, **options: Any) -> AnyPredictor:
    """The predictor of the model that comes with the package, "default", of a model folder, of network.onnx with its
    JSON beside it, or of another package's estimator.

    "default" finds the people of photos by itself, where it is given no boxes and no other detector.
    Estimators have a name of their own, with what they load after a colon: "mediapipe", "vitpose:FOLDER", …
    (`trustpose.predict.adapters.ADAPTERS`). A file of such a name is ./mediapipe or ./default. For options see
    `Predictor.load` and the `load` of each adapter. Photo files of more than `max_pixels` are refused, by their
    headers, before they take memory. Raises InputError.
    """
    predictor = _load(model, options)
    predictor.max_pixels = max_pixels
    return predictor


def _load(model: str | Path, options: dict[str, Any]) -> AnyPredictor:
    if str(model) == DEFAULT:
        found: dict[str, Any] = {} if "detector" in options else {"detector": default_detector()}
        return Predictor.load(default_folder(), **options, **found)
    adapter = find_adapter(model)
    if adapter is None:
        return Predictor.load(model, **options)
    return adapter.load(str(model), **options)
