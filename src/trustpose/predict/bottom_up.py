"""Bottom-up networks: photo → letterbox → network → maps of all people → people, by the output's own decoding."""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError
from trustpose.geometry.crops import transform
from trustpose.models.outputs import PHOTO_MAPS
from trustpose.models.spec import ModelSpec
from trustpose.poses import Poses
from trustpose.runtime.backends import PhotoNetwork


class BottomUpNetwork(PhotoNetwork):
    """A network whose maps show all people of a photo, of one of the kinds `PHOTO_MAPS`; min_score: of people, None for
    the spec's."""

    def __init__(self, spec: ModelSpec, device: str = "cpu", min_score: float | None = None) -> None:
        output = spec.expect(*PHOTO_MAPS)
        super().__init__(spec, output, device)
        self.output = output if min_score is None else replace(output, min_score=min_score)
        self.min_score = self.output.min_score

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Poses:
        """Return the people of a photo, RGB, the best first, with the scores that the output's `decode` describes.

        Joints that were not found are `missing`. Where the network finds boxes, `box_score` is `pose_score`. Raises
        InputError.
        """
        arrays, size, to_image = self.run(pixels)
        misfit = self.output.misfit(arrays, *size)
        if misfit is not None:
            raise InputError(f"{self.spec.onnx}: {misfit}")
        found = self.output.decode(arrays, *size)
        xy = _to_image(to_image, found.xy)
        if found.missing is not None:
            xy = np.where(found.missing[..., None], 0.0, xy)
        box = None if found.box is None else _to_image(to_image, found.box.reshape(-1, 2, 2)).reshape(-1, 4)
        return Poses(
            xy=xy,
            score=found.score,
            pose_score=found.person_score,
            box=box,
            box_score=None if box is None else found.person_score,
            missing=found.missing,
            image_id=np.zeros(len(xy), np.int64),
            skeleton=self.spec.skeleton,
        )


def _to_image(affine: Float[np.ndarray, "2 3"], xy: Float[np.ndarray, "P M 2"]) -> Float[np.ndarray, "P M 2"]:
    return transform(np.broadcast_to(affine, (len(xy), 2, 3)), xy)
