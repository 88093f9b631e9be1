"""`tp.load`: whatever estimates poses, by its name or file, as a predictor."""

from pathlib import Path
from typing import Any

from trustpose.inference.adapters import find_adapter
from trustpose.inference.adapters.estimator import EstimatorPredictor
from trustpose.inference.bottom_up import BottomUpPredictor
from trustpose.inference.predictor import Predictor

AnyPredictor = Predictor | BottomUpPredictor | EstimatorPredictor


def load(model: str | Path, **options: Any) -> AnyPredictor:
    """The predictor of a model folder, of network.onnx with its JSON beside it, or of another package's estimator.

    Estimators have a name of their own, with what they load after a colon: "mediapipe", "vitpose:FOLDER", …
    (`trustpose.inference.adapters.ADAPTERS`). A file of such a name is ./mediapipe. For options see `Predictor.load`
    and the `load` of each adapter. Raises InputError.
    """
    adapter = find_adapter(model)
    if adapter is None:
        return Predictor.load(model, **options)
    return adapter.load(str(model), **options)
