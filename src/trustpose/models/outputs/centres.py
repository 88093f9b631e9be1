"""The output kind "centres": people of a photo as points, with the offset from each to its joints, and heatmaps."""

from dataclasses import asdict, dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from jaxtyping import Int

from trustpose.codecs.centres import MAX_PEOPLE, CentreMaps, CentrePoseCodec
from trustpose.codecs.heatmaps import HeatmapCodec, flip_back
from trustpose.codecs.people import DetectedPeople
from trustpose.json_records import Count, Text, within
from trustpose.models.outputs.photo_maps import Decoding, Least, Offset, PhotoMaps, Sigma
from trustpose.models.outputs.spec_fields import OutputFields


@dataclass(frozen=True)
class CentreOutput(PhotoMaps):
    """Maps of a photo as in `codecs.centres.CentreMaps`, `stride` input pixels a cell, a whole number: centre (1, 1, h,
    w), sides (1, 4, h, w), joints (1, 2 × keypoints, h, w), heatmaps (1, keypoints, h, w).

    centre, sides, joints, heatmaps: the outputs' names. offset, sigma, decoding: of heatmaps (see `codecs.heatmaps`);
    min_score, most, min_peak, reach, overlap: see `codecs.centres.CentrePoseCodec`.
    """

    kind: ClassVar[str] = "centres"

    centre: Text = "centre"
    sides: Text = "sides"
    joints: Text = "joints"
    heatmaps: Text = "heatmaps"
    offset: Offset = 0.0
    sigma: Sigma = 1.0
    decoding: Decoding = "dark"
    min_peak: Least = 0.1
    reach: Least = 0.3
    most: Count = MAX_PEOPLE
    min_score: Least = 0.1
    overlap: Annotated[float, within(0, 1)] = 1.0

    def check(self, fields: OutputFields) -> None:
        """Raise ValueError, naming the field, for what does not fit the spec's input or skeleton."""
        super().check(fields)
        if self.stride % 1:
            raise ValueError(f"stride: expected a whole number, got {self.stride:g}")

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        return {"output": {"kind": self.kind} | asdict(self)}

    def codec(self, width: int, height: int) -> CentrePoseCodec:
        """Return the codec of maps of width × height cells."""
        heatmaps = HeatmapCodec(width, height, self.stride, self.sigma, self.decoding, offset=self.offset)
        return CentrePoseCodec(heatmaps, self.min_score, self.most, self.min_peak, self.reach, self.overlap)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file."""
        return {"centre": self.centre, "sides": self.sides, "joints": self.joints, "heatmaps": self.heatmaps}

    def shapes(self, width: int, height: int) -> list[tuple[int, ...]]:
        """Return the tensors' shapes for a photo of width × height input pixels."""
        size = self.cells(width, height)
        return [(1, count, *size) for count in (1, 4, 2 * self.keypoints, self.keypoints)]

    def decode(self, arrays: list[np.ndarray], width: int, height: int) -> DetectedPeople:
        """Return the people of a photo with boxes, the highest centre first: see `CentrePoseCodec.decode`."""
        centre, sides, joints, heatmaps = (array[0].astype(np.float32, copy=False) for array in arrays)
        rows, columns = self.cells(width, height)
        return self.codec(columns, rows).decode(CentreMaps(centre[0], sides, joints, heatmaps))

    def average_flipped(
        self, arrays: list[np.ndarray], mirrored: list[np.ndarray], flip_index: Int[np.ndarray, " K"]
    ) -> list[np.ndarray]:
        """Return the means of both views' maps; see `PhotoMaps.average_flipped`."""
        cells = arrays[0].shape[:1:-1]
        centre, sides, joints = (array[..., ::-1] for array in mirrored[:3])
        way = joints.reshape(1, self.keypoints, 2, *joints.shape[2:])[:, flip_index] * np.array(
            [[[-1]], [[1]]], np.float32
        )
        way[:, :, 0] -= 1  # a cell's middle lies half a pixel beyond that of its pixels, in both views
        heatmaps = flip_back(mirrored[3], flip_index, self.codec(*cells).heatmaps.flip_shift)
        back = (centre, sides[:, (2, 1, 0, 3)], way.reshape(joints.shape), heatmaps)
        return [
            ((maps + mirrored_maps) / 2).astype(np.float32) for maps, mirrored_maps in zip(arrays, back, strict=True)
        ]

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return "people of a photo, by their centres, with boxes"
