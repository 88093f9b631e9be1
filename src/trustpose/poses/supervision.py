"""Convert poses to `supervision.KeyPoints` and back (the extra `supervision`)."""

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from trustpose.extras import not_installed

if TYPE_CHECKING:
    from trustpose.poses.poses import Poses


def to_supervision(poses: "Poses") -> Any:
    """See `Poses.to_supervision`. Raises ImportError with the install line if supervision is missing."""
    supervision = _supervision()
    columns = poses.columns()
    data = {name: value for name, value in columns.items() if name not in ("xy", "score") and value is not None}
    parameters = inspect.signature(supervision.KeyPoints).parameters
    name = "keypoint_confidence" if "keypoint_confidence" in parameters else "confidence"  # renamed in 0.28
    # releases before 0.29 have no `visible`, and ignore keypoints at 0, 0
    visible = {} if poses.missing is None or "visible" not in parameters else {"visible": ~poses.missing}
    return supervision.KeyPoints(xy=poses.xy, data=data, **{name: poses.score}, **visible)


def columns_of(key_points: Any, names: tuple[str, ...]) -> dict[str, Any]:
    """Return those fields of `Poses` in `names` that a `supervision.KeyPoints` fills."""
    data = {name: np.asarray(value) for name, value in key_points.data.items() if name in names}
    scores = getattr(key_points, "keypoint_confidence", None)
    if scores is None:
        scores = getattr(key_points, "confidence", None)
    xy = np.asarray(key_points.xy)
    score = None if scores is None else np.asarray(scores).reshape(xy.shape[:2])
    return data | {"xy": xy, "score": score}


def _supervision() -> Any:
    try:
        import supervision
    except ImportError:
        raise ImportError(not_installed("supervision", "supervision")) from None
    return supervision
