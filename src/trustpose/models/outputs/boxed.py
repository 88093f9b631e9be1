"""The output kind "boxed": boxes of people and keypoint heatmaps of a photo; keypoints are shared out to the boxes.

Kocabas, Karagoz, Akbas, MultiPoseNet, ECCV 2018, whose two heads give keypoints and people's boxes, and whose pose
residual network says which keypoint is whose. Boxes are those of `codecs.boxes`, in place of the paper's anchors.
"""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Int

from trustpose.codecs import Outputs
from trustpose.codecs.boxes import decode_centres
from trustpose.codecs.heatmaps import HeatmapCodec, flip_back
from trustpose.codecs.people import DetectedPeople
from trustpose.grouping.box_assignment import Residual, ResidualAssignment, chosen_groups, nearest_centre_scores
from trustpose.grouping.box_grids import BoxGrid
from trustpose.json_records import Count, FileName, Text, within
from trustpose.models.outputs.photo_maps import Decoding, Least, Offset, PhotoMaps, Sigma
from trustpose.models.outputs.spec_fields import OutputFields

MAX_BOXES, MAX_PER_JOINT = 100, 30


@dataclass(frozen=True)
class BoxedOutput(PhotoMaps):
    """Maps of a photo, `stride` input pixels a cell, a whole number: centre (1, 1, h, w), sides (1, 4, h, w) as in
    `codecs.boxes`, and heatmaps (1, keypoints, h, w).

    centre, sides, heatmaps: the outputs' names. offset, sigma, decoding: of heatmaps (see `codecs.heatmaps`); min_peak,
    most_per_joint: of keypoints. min_score, most, overlap: of boxes (`codecs.boxes.decode_centres`). residual: the file
    of a pose residual network beside the network's; None: a keypoint goes to the box whose centre is nearest.
    """

    kind: ClassVar[str] = "boxed"

    centre: Text = "centre"
    sides: Text = "sides"
    heatmaps: Text = "heatmaps"
    offset: Offset = 0.0
    sigma: Sigma = 1.0
    decoding: Decoding = "dark"
    min_peak: Least = 0.1
    most_per_joint: Count = MAX_PER_JOINT
    min_score: Least = 0.1
    most: Count = MAX_BOXES
    overlap: Annotated[float, within(0, 1)] = 0.6
    residual: FileName | None = None

    def check(self, fields: OutputFields) -> None:
        """Raise ValueError, naming the field, for what does not fit the spec's input or skeleton."""
        super().check(fields)
        if self.stride % 1:
            raise ValueError(f"stride: expected a whole number, got {self.stride:g}")

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        value = {name: field for name, field in asdict(self).items() if field is not None}
        return {"output": {"kind": self.kind} | value}

    def codec(self, width: int, height: int) -> HeatmapCodec:
        """Return the codec of heatmaps of width × height cells."""
        return HeatmapCodec(width, height, self.stride, self.sigma, self.decoding, offset=self.offset)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file."""
        return {"centre": self.centre, "sides": self.sides, "heatmaps": self.heatmaps}

    @property
    def files(self) -> tuple[str, ...]:
        """The file of the pose residual network, if there is one."""
        return () if self.residual is None else (self.residual,)

    def shapes(self, width: int, height: int) -> list[tuple[int, ...]]:
        """Return the tensors' shapes for a photo of width × height input pixels."""
        size = self.cells(width, height)
        return [(1, count, *size) for count in (1, 4, self.keypoints)]

    def decode(
        self, arrays: list[np.ndarray], width: int, height: int, residual: Residual | None = None
    ) -> DetectedPeople:
        """Return the people of a photo, the best first: a box with its keypoints, each with its heatmap's height as
        score; a person's score is the mean of these over all joints, 0 for a joint without. Boxes without keypoints are
        left out.

        residual: the pose residual network; None: the nearest centre. Each keypoint goes to one box at most.
        """
        centre, sides, heatmaps = (array[0].astype(np.float32, copy=False) for array in arrays)
        rows, columns = self.cells(width, height)
        box, _ = decode_centres(
            centre[0],
            sides,
            int(self.stride),
            min_score=self.min_score,
            max_boxes=self.most,
            overlap=self.overlap,
        )
        candidates = self.codec(columns, rows).candidates(
            Outputs([heatmaps[None]]), min_score=self.min_peak, max_per_map=self.most_per_joint
        )
        xy, joint, score = candidates.xy.astype(np.float64), candidates.joint, candidates.score.astype(np.float64)
        grid = BoxGrid(self.keypoints)
        if residual is None:
            groups = chosen_groups(nearest_centre_scores(xy, box, grid), joint, score, self.keypoints)
        else:
            groups = ResidualAssignment(residual, grid).group(xy, joint, score, box)
        order = np.argsort(-groups.score, kind="stable")
        order = order[groups.score[order] > 0]
        people_xy, people_score, missing = (
            values[order] for values in (groups.take(xy), groups.take(score), groups.missing)
        )
        return DetectedPeople(people_xy, people_score, box[order], groups.score[order], missing)

    def average_flipped(
        self, arrays: list[np.ndarray], mirrored: list[np.ndarray], flip_index: Int[np.ndarray, " K"]
    ) -> list[np.ndarray]:
        """Return the means of both views' maps; see `PhotoMaps.average_flipped`."""
        centre, sides = (array[..., ::-1] for array in mirrored[:2])
        heatmaps = flip_back(mirrored[2], flip_index, self.codec(*arrays[0].shape[:1:-1]).flip_shift)
        back = (centre, sides[:, (2, 1, 0, 3)], heatmaps)
        return [
            ((maps + mirrored_maps) / 2).astype(np.float32) for maps, mirrored_maps in zip(arrays, back, strict=True)
        ]

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return "people of a photo, by boxes and keypoints" + (", with a pose residual network" if self.residual else "")
