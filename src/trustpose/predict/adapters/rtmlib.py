"""RTMPose and RTMO networks (Jiang et al., 2023; Lu et al., CVPR 2024) with the package `rtmlib`.

rtmlib is under the Apache-2.0 licence, as are the mmpose networks for which it is made.
"""

import contextlib
import io
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.models.outputs.crops import PeopleFrom
from trustpose.poses import Poses
from trustpose.predict.adapters.boxes import separate
from trustpose.predict.adapters.estimator import EstimatorPredictor, check_no_boxes, package
from trustpose.predict.boxes import Boxes, whole_photo
from trustpose.skeletons import COCO_17, CROWDPOSE_14, HALPE_26, Skeleton

SKELETONS_BY_COUNT = {len(skeleton): skeleton for skeleton in (COCO_17, CROWDPOSE_14, HALPE_26)}
SPLIT = 2.0  # SimCC bins per crop pixel, as in rtmlib
MIN_SCORE = 0.7  # rtmlib's own, for RTMO
MOST_OVERLAP = 0.45  # rtmlib's own, for RTMO


class RtmPose:
    """An RTMPose network, with one pose per box.

    Crops, normalisation and `score` are rtmlib's (`RTMPose.preprocess`, `.postprocess`). Keypoints are decoded again
    from the network's output: rtmlib moves a keypoint with a score of 0 or less to the crop's corner, here it stays at
    its maximum. There is no score for a person: `pose_score` is the mean of `score`.
    """

    licence = "Apache-2.0"
    people: PeopleFrom = "boxes"

    def __init__(self, model: Any, name: str, keypoints: int) -> None:
        self._model = model
        self.name, self.skeleton = name, _skeleton(name, keypoints)

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"], boxes: Boxes | None = None) -> Poses:
        """Return a pose for each box of a photo in RGB; see `Estimator`."""
        boxes = whole_photo(pixels) if boxes is None else boxes
        image = np.ascontiguousarray(pixels[..., ::-1])  # rtmlib takes BGR, like cv2.imread
        count = len(self.skeleton)
        xy, score = np.empty((len(boxes), count, 2)), np.empty((len(boxes), count))
        for row, box in enumerate(boxes.xyxy):
            crop, centre, scale = self._model.preprocess(image, box)
            x, y = self._model.inference(crop)  # (1, K, bins) each
            score[row] = self._model.postprocess([x, y], centre, scale)[1][0]
            crop_xy = np.stack([x[0].argmax(axis=1), y[0].argmax(axis=1)], axis=1) / SPLIT  # (K, 2), crop pixels
            xy[row] = crop_xy / self._model.model_input_size * scale + centre - scale / 2
        return Poses(
            xy=xy,
            score=score,
            pose_score=score.mean(axis=1),
            box=boxes.xyxy,
            box_score=boxes.score,
            annotation_id=boxes.annotation_id,
        )


class Rtmo:
    """An RTMO network, which detects people by itself; all of them after NMS, however low their score.

    rtmlib returns one person of zeros if it detects none, and no scores of people; so the network's own boxes and
    scores are read here. `score` is a keypoint's, `pose_score` and `box_score` the person's.
    """

    licence = "Apache-2.0"
    people: PeopleFrom = "photo"

    def __init__(self, model: Any, name: str, keypoints: int) -> None:
        self._model = model
        self.name, self.skeleton = name, _skeleton(name, keypoints)

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"], boxes: Boxes | None = None) -> Poses:
        """Return the people of a photo, RGB; see `Estimator`."""
        check_no_boxes(self.name, boxes)
        image, ratio = self._model.preprocess(np.ascontiguousarray(pixels[..., ::-1]))
        people, keypoints = (
            output[0].astype(np.float64) for output in self._model.inference(image)
        )  # (N, 5), (N, K, 3)
        box, score = people[:, :4] / ratio, people[:, 4]
        rows = separate(box, score, MOST_OVERLAP)
        return Poses(
            xy=keypoints[rows, :, :2] / ratio,
            score=keypoints[rows, :, 2],
            pose_score=score[rows],
            box=box[rows],
            box_score=score[rows],
        )


def load(
    argument: str,
    *,
    min_score: float | None = None,
    threads: int = 2,
    skeleton: Skeleton | str | None = None,
    device: str | None = None,
) -> EstimatorPredictor:
    """Load the predictor of an ONNX file of RTMPose (two outputs (B, K, bins)) or of RTMO (boxes (B, N, 5), keypoints
    (B, N, K, 3)), with the file's input size. `min_score` is for RTMO, None means rtmlib's own 0.7."""
    name = f"rtmlib:{argument}"
    if not Path(argument).is_file():
        raise InputError(f"{name}: no such file, expected rtmlib:NETWORK.onnx of RTMPose or RTMO")
    rtmlib = package("rtmlib", "rtmlib")
    height, width = _input_size(argument)
    # rtmlib takes RTMPose's size as width, height and RTMO's as height, width
    model = _open(rtmlib.RTMPose, argument, (width, height), device)
    shapes = [np.shape(output) for output in model.inference(np.zeros((height, width, 3)))]
    if [len(shape) for shape in shapes] == [3, 3] and shapes[0][1] == shapes[1][1]:
        estimator: Any = RtmPose(model, name, shapes[0][1])
    elif [len(shape) for shape in shapes] == [3, 4] and (shapes[0][2], shapes[1][3]) == (5, 3):
        model = _open(rtmlib.RTMO, argument, (height, width), device)
        estimator = Rtmo(model, name, shapes[1][2])
        min_score = MIN_SCORE if min_score is None else min_score
    else:
        raise InputError(f"{name}: gave outputs {shapes}, expected (1, K, bins) twice, or (1, N, 5) and (1, N, K, 3)")
    return EstimatorPredictor(estimator, threads=threads, min_score=min_score, skeleton=skeleton)


def _open(build: Any, path: str, size: tuple[int, int], device: str | None) -> Any:
    """Open one of rtmlib's models, without its printed line."""
    with contextlib.redirect_stdout(io.StringIO()):
        return build(path, model_input_size=size, backend="onnxruntime", device=device or "cpu")


def _input_size(path: str) -> tuple[int, int]:
    """Return height and width of the network's input. Raises InputError if it has none or the file is not a network."""
    import onnxruntime

    try:
        shape = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()[0].shape
    except Exception as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{path}: cannot be opened by onnxruntime ({reason})") from None
    if len(shape) != 4 or shape[1] != 3 or not all(isinstance(side, int) for side in shape[2:]):
        raise InputError(
            f"{path}: takes an input {shape}, expected (B, 3, height, width) with a fixed height and width"
        )
    return shape[2], shape[3]


def _skeleton(name: str, keypoints: int) -> Skeleton:
    if keypoints not in SKELETONS_BY_COUNT:
        supported = ", ".join(f"{count} ({skeleton.name})" for count, skeleton in SKELETONS_BY_COUNT.items())
        raise InputError(f"{name}: gives {keypoints} keypoints, expected one of {supported}")
    return SKELETONS_BY_COUNT[keypoints]
