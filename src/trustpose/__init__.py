"""trustpose: 2D human pose estimation with scores that you can trust.

import trustpose as tp
predictor = tp.load("network.onnx")                                # its JSON spec beside it
poses = predictor("photo.jpg", boxes=boxes)                        # Poses
record = tp.audit("gt.json", "results.json", area="segment")       # Audit; record.ap.AP, record.pose.pearson, …
calibrator = tp.Calibrator.fit("gt.json", "results.json")          # calibrator(poses) -> Poses, .save(path)
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from trustpose.calibration.calibrator import Calibrator
    from trustpose.evaluation.audit import audit
    from trustpose.evaluation.record import Audit
    from trustpose.files import InputError
    from trustpose.images import Images
    from trustpose.poses import Poses, Truth, Visibility
    from trustpose.predict.load import load
    from trustpose.predict.top_down import Predictor
    from trustpose.skeletons import SKELETONS, Skeleton

# name: module; imported on first use, so that `import trustpose` and `trustpose --help` are fast
_HOMES = {
    "Audit": "trustpose.evaluation.record",
    "Calibrator": "trustpose.calibration.calibrator",
    "Images": "trustpose.images",
    "InputError": "trustpose.files",
    "Poses": "trustpose.poses",
    "Predictor": "trustpose.predict.top_down",
    "SKELETONS": "trustpose.skeletons",
    "Skeleton": "trustpose.skeletons",
    "Truth": "trustpose.poses",
    "Visibility": "trustpose.poses",
    "audit": "trustpose.evaluation.audit",
    "load": "trustpose.predict.load",
}

# modules of higher layers that methods of `Poses` need; only this package may import all of them
_ABOVE_POSES = {
    "poses_output": "trustpose.report.poses_output",
    "pixel_error": "trustpose.geometry.expected_error",
}

__all__ = [
    "SKELETONS",
    "Audit",
    "Calibrator",
    "Images",
    "InputError",
    "Poses",
    "Predictor",
    "Skeleton",
    "Truth",
    "Visibility",
    "audit",
    "load",
]


def __getattr__(name: str) -> Any:
    if name in _ABOVE_POSES:
        return import_module(_ABOVE_POSES[name])
    if name not in _HOMES:
        raise AttributeError(f"module 'trustpose' has no attribute {name!r}")
    globals()[name] = getattr(import_module(_HOMES[name]), name)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
