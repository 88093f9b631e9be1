"""Estimators of other packages as predictors, one file each. `ADAPTERS` lists them, `tp.load` opens one.

Nothing of another package, torch included, is imported before an adapter that needs it is loaded.
"""

from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from inspect import signature
from typing import Any

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.names import did_you_mean
from trustpose.predict.adapters.estimator import EstimatorPredictor
from trustpose.predict.predictor import Predictor


@dataclass(frozen=True)
class Adapter:
    """One package's estimators: `usage` is the argument of `tp.load`, `extra` installs the package `package`.

    `module` is the file in this folder whose `load(argument, **options)` opens one, `argument` being the text after the
    colon. `licence` is the package's.
    """

    module: str
    usage: str
    gives: str
    package: str
    extra: str
    licence: str

    @property
    def is_installed(self) -> bool:
        """Return whether the package is installed, without importing it."""
        return find_spec(self.package) is not None

    def load(self, name: str, **options: Any) -> Predictor | EstimatorPredictor:
        """Load the predictor of "prefix" or "prefix:argument". Raises InputError, also for an unknown option."""
        try:
            load = import_module(f"{__name__}.{self.module}").load
        except ModuleNotFoundError as missing:
            if (missing.name or "").startswith("trustpose"):
                raise
            raise InputError(not_installed(missing.name, self.extra)) from None
        names = [*signature(load).parameters][1:]
        unknown = next((option for option in options if option not in names), None)
        if unknown is not None:
            hint = did_you_mean(unknown, names)
            raise InputError(f"{name}: takes no option {unknown!r}{hint}; its options are {', '.join(names)}")
        return load(name.partition(":")[2], **options)


ADAPTERS: dict[str, Adapter] = {
    "keypointrcnn": Adapter(
        "keypoint_rcnn",
        "keypointrcnn[:WEIGHTS.pth]",
        "people of a photo, coco17",
        "torchvision",
        "train",
        "BSD-3-Clause",
    ),
    "mediapipe": Adapter(
        "mediapipe",
        "mediapipe[:MODEL.task]",
        "people of a photo or of boxes, blazepose33",
        "mediapipe",
        "mediapipe",
        "Apache-2.0",
    ),
    "rtmlib": Adapter(
        "rtmlib",
        "rtmlib:NETWORK.onnx",
        "RTMPose: people of boxes; RTMO: people of a photo; coco17, crowdpose14 or halpe26",
        "rtmlib",
        "rtmlib",
        "Apache-2.0",
    ),
    "ultralytics": Adapter(
        "ultralytics",
        "ultralytics:MODEL.pt",
        "people of a photo, coco17",
        "ultralytics",
        "ultralytics",
        "AGPL-3.0",
    ),
    "vitpose": Adapter(
        "vitpose",
        "vitpose:FOLDER or vitpose:NAME",
        "people of boxes, coco17",
        "transformers",
        "transformers",
        "Apache-2.0",
    ),
}
"""By the prefix before the colon in a model's name; other names are our own networks, or files."""
