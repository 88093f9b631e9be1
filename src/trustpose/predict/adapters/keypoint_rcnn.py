"""torchvision's Keypoint R-CNN (He et al., Mask R-CNN, ICCV 2017), which detects people by itself.

torchvision and its weights are under the BSD-3-Clause licence. Needs the `train` extra.
"""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.models.outputs.crops import PeopleFrom
from trustpose.models.runtime.torch_network import best_device
from trustpose.networks.checkpoint_files import read_own_tensors
from trustpose.poses import Poses
from trustpose.predict.adapters.estimator import EstimatorPredictor, check_no_boxes, package
from trustpose.predict.boxes import Boxes
from trustpose.predict.detectors import torchvision_of_this_torch
from trustpose.skeletons import COCO_17, Skeleton

_PERSON = 1


class KeypointRcnn:
    """`keypointrcnn_resnet50_fpn`: people with a box score of at least torchvision's own 0.05, after its own NMS.

    `score` is torchvision's `keypoints_scores`, the value of a keypoint's logit map at its position, any real number;
    `pose_score` and `box_score` are the box's score, 0–1. torchvision's third number besides x and y is always 1 and is
    ignored. `weights` is a file (.safetensors or a state dict); None uses torchvision's COCO weights, which it
    downloads once; "random" leaves them random. Raises InputError.
    """

    name = "keypointrcnn"
    licence = "BSD-3-Clause"
    skeleton = COCO_17
    people: PeopleFrom = "photo"

    def __init__(self, weights: str | Path | None = None, *, device: str | None = None) -> None:
        self.module = keypoint_rcnn(trained=weights is None)
        if weights is not None and weights != "random":
            self.module.load_state_dict(read_own_tensors(Path(weights), self.module, "Keypoint R-CNN"))
        try:
            self.module.to(device or best_device()).eval()
        except (RuntimeError, AssertionError) as error:
            raise InputError(f"device: {device!r} cannot be used ({str(error).splitlines()[0]})") from None

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"], boxes: Boxes | None = None) -> Poses:
        """Return the people of a photo, RGB; see `Estimator`."""
        check_no_boxes(self.name, boxes)
        device = next(self.module.parameters()).device
        image = torch.from_numpy(np.ascontiguousarray(pixels)).to(device).permute(2, 0, 1).float() / 255  # (3, H, W)
        with torchvision_of_this_torch("keypointrcnn"), torch.inference_mode():
            output = self.module([image])[0]
        arrays = {
            name: output[name].double().cpu().numpy() for name in ("boxes", "scores", "keypoints", "keypoints_scores")
        }
        rows = np.flatnonzero(output["labels"].cpu().numpy() == _PERSON)
        return Poses(
            xy=arrays["keypoints"].reshape(-1, len(COCO_17), 3)[rows, :, :2],
            score=arrays["keypoints_scores"].reshape(-1, len(COCO_17))[rows],
            pose_score=arrays["scores"][rows],
            box=arrays["boxes"].reshape(-1, 4)[rows],
            box_score=arrays["scores"][rows],
        )


def keypoint_rcnn(*, trained: bool = False, imagenet: bool = False, sizes: tuple[int, ...] = ()) -> torch.nn.Module:
    """Build torchvision's `keypointrcnn_resnet50_fpn`.

    Args:
        trained: With torchvision's COCO weights, which it downloads once.
        imagenet: With ImageNet weights of the backbone, whose first layers then stay as they are.
        sizes: The shortest side of a photo in pixels, and the longest; empty: torchvision's, 800 and 1,333.

    Raises:
        InputError: The weights cannot be fetched.
    """
    package("trustpose.networks.backbones", "train")  # imports torchvision with any torch
    detection = package("torchvision.models.detection", "train")
    options = {"min_size": sizes[0], "max_size": sizes[-1]} if sizes else {}
    named = {"weights": "DEFAULT" if trained else None, "weights_backbone": "DEFAULT" if imagenet else None}
    try:
        return detection.keypointrcnn_resnet50_fpn(**named, **options)
    except OSError as error:  # of the download
        raise InputError(
            f"keypointrcnn: torchvision could not fetch its weights ({error}); "
            "name a file of them: keypointrcnn:WEIGHTS.pth"
        ) from None


def load(
    argument: str,
    *,
    device: str | None = None,
    min_score: float | None = None,
    threads: int = 2,
    skeleton: Skeleton | str | None = None,
) -> EstimatorPredictor:
    """Load the predictor with weights from a file, or with torchvision's own if `argument` is empty."""
    estimator = KeypointRcnn(argument or None, device=device)
    return EstimatorPredictor(estimator, threads=threads, min_score=min_score, skeleton=skeleton)
