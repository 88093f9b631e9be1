"""The output kind "tags": keypoint heatmaps of a photo, and maps in which the joints of one person have one number."""

from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float, Int

from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import HeatmapCodec, flip_back
from trustpose.codecs.people import DetectedPeople
from trustpose.codecs.tags import best_by_tag
from trustpose.grouping.associative_embedding import COCO_ORDER, TagGrouping, mean_tags
from trustpose.json_records import Count, Number, Text
from trustpose.models.outputs.photo_maps import Decoding, Least, Offset, PhotoMaps, Sigma, Stride
from trustpose.models.outputs.spec_fields import OutputFields, expect_permutation
from trustpose.skeletons import COCO_17, Skeleton

MAX_PER_JOINT = 30  # candidates of one joint, and people, as in HigherHRNet's evaluation


@dataclass(frozen=True)
class TagOutput(PhotoMaps):
    """Heatmaps (1, keypoints, h, w), `stride` input pixels a cell from `offset` on, and tags (1, keypoints, h', w') of
    `tag_stride` (None: the same).

    heatmaps, tags: the outputs' names. order: joints, in the order in which they are grouped. decoding, sigma: of
    heatmaps (see `codecs.heatmaps`); min_peak: of a candidate. tag_threshold, most: see
    `grouping.associative_embedding`. fill: whether a joint without candidate gets the likeliest place by its person's
    tag (`codecs.tags.best_by_tag`) where the heatmap is above 0, as in HigherHRNet's evaluation, with the heatmap's
    height there, however low, as score; otherwise it is missing.
    """

    kind: ClassVar[str] = "tags"

    order: tuple[int, ...]
    heatmaps: Text = "heatmaps"
    tags: Text = "tags"
    tag_stride: Stride | None = None
    offset: Offset = 0.0
    sigma: Sigma = 1.0
    decoding: Decoding = "dark"
    min_peak: Least = 0.1
    tag_threshold: Least = 1.0
    most: Count = MAX_PER_JOINT
    fill: bool = False
    min_score: Number = 0.0

    @classmethod
    def defaults(cls, skeleton: Skeleton) -> dict[str, Any]:
        """Return HigherHRNet's order of COCO's joints, else the skeleton's."""
        return {"order": list(COCO_ORDER if skeleton.keypoints == COCO_17.keypoints else range(len(skeleton)))}

    def check(self, fields: OutputFields) -> None:
        """Raise ValueError, naming the field, for what does not fit the spec's input or skeleton."""
        super().check(fields)
        if self.tag_stride is not None:
            fields.check_stride("tag_stride", self.tag_stride)
        expect_permutation("order", self.order, self.keypoints)

    def to_json(self) -> dict[str, Any]:
        """Return the field 'output' of a spec."""
        value = asdict(self) | {"order": list(self.order)}
        if self.tag_stride is None:
            del value["tag_stride"]
        return {"output": {"kind": self.kind} | value}

    def codec(self, width: int, height: int) -> HeatmapCodec:
        """Return the codec of heatmaps of width × height cells; for tags see `codecs.tags`."""
        return HeatmapCodec(width, height, self.stride, self.sigma, self.decoding, offset=self.offset)

    @property
    def grouping(self) -> TagGrouping:
        """The grouping of candidates by their tags."""
        return TagGrouping(self.order, self.min_peak, self.tag_threshold, self.most)

    @property
    def tensors(self) -> dict[str, str | None]:
        """The tensors' names in the network's file."""
        return {"heatmaps": self.heatmaps, "tags": self.tags}

    def shapes(self, width: int, height: int) -> list[tuple[int, ...]]:
        """Return the tensors' shapes for a photo of width × height input pixels."""
        stride = self.tag_stride or self.stride
        of_tags = round(height / stride), round(width / stride)
        return [(1, self.keypoints, *self.cells(width, height)), (1, self.keypoints, *of_tags)]

    def decode(self, arrays: list[np.ndarray], width: int, height: int) -> DetectedPeople:
        """Return the people of a photo, the best first: keypoints with their heatmaps' heights as score; a person's
        score is the mean of its candidates' over all joints, 0 for a joint without, as in HigherHRNet's evaluation."""
        heatmaps, tags = (array.astype(np.float32, copy=False) for array in arrays)
        rows, columns = self.cells(width, height)
        codec = self.codec(columns, rows)
        candidates = codec.candidates(
            Outputs([heatmaps], extra={"tags": tags}), min_score=self.min_peak, max_per_map=self.most
        )
        assert candidates.tags is not None
        score = candidates.score.astype(np.float64)
        groups = self.grouping.group(candidates.joint, score, candidates.tags, self.keypoints)
        rows_kept = np.flatnonzero(groups.score >= self.min_score)
        xy, scores, missing = (
            values[rows_kept] for values in (groups.take(candidates.xy), groups.take(score), groups.missing)
        )
        if self.fill and missing.any():
            wide = _enlarged(tags[0], rows, columns)[:, None]  # (K, 1, h, w)
            likeliest = best_by_tag(heatmaps[0], wide, mean_tags(groups, candidates.tags)[rows_kept])
            filled = missing & (likeliest.score > 0)
            xy = np.where(filled[..., None], codec.grid.positions(likeliest.xy), xy)
            scores, missing = np.where(filled, likeliest.score, scores), missing & ~filled
        return DetectedPeople(xy, scores, None, groups.score[rows_kept], missing)

    def average_flipped(
        self, arrays: list[np.ndarray], mirrored: list[np.ndarray], flip_index: Int[np.ndarray, " K"]
    ) -> list[np.ndarray]:
        """Return the mean heatmaps; the tags are the photo's own, as one person's differ in both views."""
        shift = self.codec(*arrays[0].shape[:1:-1]).flip_shift
        heatmaps = (arrays[0] + flip_back(mirrored[0], flip_index, shift)) / 2
        return [heatmaps.astype(np.float32), arrays[1]]

    def describe(self) -> str:
        """Describe the output for `trustpose models`."""
        return "people of a photo, by tags"


def _enlarged(tags: Float[np.ndarray, "K a b"], rows: int, columns: int) -> Float[np.ndarray, "K h w"]:
    """Return tags with as many cells as the heatmaps, each with the number of the cell that it lies in."""
    high, wide = tags.shape[1:]
    y, x = (2 * np.arange(rows) + 1) * high // (2 * rows), (2 * np.arange(columns) + 1) * wide // (2 * columns)
    return tags[:, y[:, None], x]
