"""Bottom-up networks: photo → letterbox → network → candidates of all people → links → people."""

from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from trustpose.files import InputError
from trustpose.geometry.crops import transform
from trustpose.models.field_output import FieldOutput
from trustpose.models.spec import ModelSpec
from trustpose.poses import Poses
from trustpose.runtime.backends import PhotoNetwork

MOST = 100  # candidates of one joint


class FieldNetwork(PhotoNetwork):
    """A network with part affinity fields: maps one photo to its people; min_score: of people, None for the spec's.

    Its people have no boxes, and joints without a candidate are `missing`.
    """

    def __init__(self, spec: ModelSpec, device: str = "cpu", min_score: float | None = None) -> None:
        self.output = spec.expect(FieldOutput)
        super().__init__(spec, self.output, device)
        self.min_score = self.output.min_score if min_score is None else min_score
        self.grouping = replace(self.output.grouping, min_score=self.min_score)

    def __call__(self, pixels: UInt8[np.ndarray, "H W 3"]) -> Poses:
        """Return the people of a photo, RGB, the best first: keypoints with their heatmaps' heights as score, and
        `pose_score` as `LimbGrouping.group` has it. Raises InputError."""
        arrays, size, to_image = self.run(pixels)
        misfit = self.output.misfit(arrays, *size)
        if misfit is not None:
            raise InputError(f"{self.spec.onnx}: {misfit}")
        outputs = self.output.outputs(arrays)
        heatmaps, fields = outputs.heatmaps[-1], outputs["fields"]
        cells = heatmaps.shape[3], heatmaps.shape[2]
        candidates = self.output.heatmap_codec(*cells).candidates(outputs, min_score=self.output.min_peak, most=MOST)
        codec = self.output.field_codec(*cells)
        found = codec.links(candidates, fields, float(size[1]) if self.output.long_penalty else None)
        assert found.links is not None and found.link_score is not None
        links = (found.links, codec.limb_of(found), found.link_score)
        groups = self.grouping.group(found.joint, found.score.astype(np.float64), *links, self.output.keypoints)
        xy = transform(np.broadcast_to(to_image, (len(groups), 2, 3)), groups.take(found.xy))
        return Poses(
            xy=np.where(groups.missing[..., None], 0.0, xy),
            score=groups.take(found.score.astype(np.float64)),
            pose_score=groups.score,
            missing=groups.missing,
            image_id=np.zeros(len(groups), np.int64),
            skeleton=self.spec.skeleton,
        )
