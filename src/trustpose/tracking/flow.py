"""Optical flow between the frames of a clip: it moves points of the previous frame to this one.

Frames are made small first. The flow is OpenCV's DIS (Kroeger et al., "Fast Optical Flow using Dense Inverse Search",
ECCV 2016), or that of any function of two frames.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from jaxtyping import Float, Float32, UInt8

FlowFunction = Callable[[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]], Float32[np.ndarray, "h w 2"]]
"""Two frames, RGB, to each pixel's displacement (x, y) from the first to the second."""
_SIDE = 320  # longest side in pixels at which flow is computed: milliseconds, and joints move by whole limbs


@dataclass(frozen=True, eq=False)
class Flow:
    """A field (h, w, 2) of displacements in its own pixels, and the size of one of them in image pixels."""

    field: Float32[np.ndarray, "h w 2"]
    scale: float

    def __call__(self, xy: Float[np.ndarray, "N 2"]) -> Float[np.ndarray, "N 2"]:
        """Return where points (N, 2), image pixels, have moved to; outside the frame they move as at its edge.

        NaN stays NaN.
        """
        if not len(xy):
            return xy
        is_finite = np.isfinite(xy)
        field_xy = (np.where(is_finite, xy, 0.0) + 0.5) / self.scale - 0.5
        height, width = self.field.shape[:2]
        field_xy = np.clip(field_xy, 0, [width - 1, height - 1])
        low = np.minimum(field_xy.astype(np.int64), [max(width - 2, 0), max(height - 2, 0)])
        high = np.minimum(low + 1, [width - 1, height - 1])
        part_x, part_y = (field_xy - low).T[..., None]  # (N, 1) each
        upper = self.field[low[:, 1], low[:, 0]] * (1 - part_x) + self.field[low[:, 1], high[:, 0]] * part_x
        lower = self.field[high[:, 1], low[:, 0]] * (1 - part_x) + self.field[high[:, 1], high[:, 0]] * part_x
        return xy + (upper * (1 - part_y) + lower * part_y) * self.scale


class FlowOfFrames:
    """The flow from each frame to the next; call it with each frame of a clip, in order.

    flow_function: computes the flow of two small frames; None for OpenCV's DIS.
    """

    def __init__(self, flow_function: FlowFunction | None = None) -> None:
        self._flow_function = flow_function or _dis()
        self._last: UInt8[np.ndarray, "h w 3"] | None = None

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Flow | None:
        """Return the flow from the last frame to this one, RGB; None for the first, one of another size, or one of
        fewer than 16 pixels."""
        scale = max(1.0, max(pixels.shape[:2]) / _SIDE)
        height, width = (max(1, round(side / scale)) for side in pixels.shape[:2])
        small = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
        last, self._last = self._last, small
        if last is None or last.shape != small.shape or min(height, width) < 16:  # smaller than DIS's patches
            return None
        return Flow(self._flow_function(last, small), pixels.shape[1] / width)


def _dis() -> FlowFunction:
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_FAST)

    def compute_flow(previous: np.ndarray, current: np.ndarray) -> np.ndarray:
        grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in (previous, current)]
        return flow.calc(*grey, None)  # type: ignore[call-overload]

    return compute_flow
