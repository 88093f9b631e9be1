"""Photos in progress of the top-down pipeline, and what association needs of them."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Float

from trustpose.codecs import Candidates
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.files import InputError
from trustpose.geometry.crops import Boxes, CropPixels, transform
from trustpose.grouping.crowdpose import JointCandidates
from trustpose.models.spec import HeatmapOutput, ModelSpec
from trustpose.predict.photos import Image

_SEVERAL = ("argmax-quarter", "dark", "udp")  # decodings that find several peaks of a map


@dataclass(frozen=True, eq=False)
class Crops:
    """The n crops of a photo's boxes.

    pixels (n, H, W, 3). box_share (n, 2): the person's box, as shares of the crop's sides. keypoints (n, K, 2), in crop
    pixels: where a trust head reads, NaN for the network's own peaks. to_image (n, 2, 3): affines back to the image.
    """

    pixels: CropPixels
    box_share: Float[np.ndarray, "n 2"]
    keypoints: Float[np.ndarray, "n K 2"]
    to_image: Float[np.ndarray, "n 2 3"]


@dataclass(eq=False)
class Job:
    """A photo in progress: its n crops, those that a flip test mirrors, and the results so far; with a second crop n is
    twice the number of boxes, first crops first. pending_crops: how many crops have not run yet. candidates: parts of
    them, with their first box, in any order."""

    photo: Image
    boxes: Boxes
    crops: Crops
    mirrored: Crops
    xy: np.ndarray
    score: np.ndarray
    trust: dict[str, np.ndarray]
    pending_crops: int
    pixels: np.ndarray | None = None
    error: InputError | None = None
    candidates: list[tuple[int, JointCandidates]] = field(default_factory=list)


Batch = list[tuple[Job, slice]]


def other_decoding(spec: ModelSpec, decoding: str | None) -> str:
    """Return the warning that trust is for another decoding."""
    fitted = spec.expect(HeatmapOutput).decoding
    return f"{spec.onnx}: its trust was fitted to keypoints decoded by {fitted}, with {decoding} it is not calibrated"


def association_codec(spec: ModelSpec, second_crop: float | None) -> HeatmapCodec:
    """Return the codec that finds candidates for association; warn of trust that is left out. Raises InputError for a
    network or an option that association is not for."""
    output = spec.output
    if not isinstance(output, HeatmapOutput):
        raise InputError(f"{spec.onnx}: gives {output.kind}, and association needs heatmaps with several peaks")
    codec = output.codec(spec.input)
    if codec.decoding not in _SEVERAL:
        raise InputError(f"{spec.onnx}: decodes by {codec.decoding}; association expects one of {', '.join(_SEVERAL)}")
    if second_crop is not None:
        raise InputError("second_crop: averages one place a joint, and association chooses among several")
    try:
        _ = spec.skeleton.sigmas
    except ValueError as error:
        raise InputError(f"association: {error}") from None
    if spec.trust is not None:
        why = "its trust is for the network's own peaks, and association moves joints"
        warnings.warn(f"{spec.onnx}: {why}; no trust is written", stacklevel=4)
    return codec


def candidates_in_photo(
    candidates: Candidates, start: int, rows: slice, to_image: np.ndarray, codec: HeatmapCodec
) -> tuple[int, JointCandidates]:
    """Return the candidates of a batch's crops from `start` on, which are boxes `rows` of one photo, in its pixels."""
    count = rows.stop - rows.start
    selected = np.flatnonzero((candidates.input >= start) & (candidates.input < start + count))
    person = candidates.input[selected] - start + rows.start
    affine = to_image[person]
    growth = np.sqrt(np.abs(np.linalg.det(affine[:, :, :2])) * np.prod(codec.strides))  # image pixels a cell
    xy = transform(affine, candidates.xy[selected][:, None].astype(np.float64))[:, 0]
    score = candidates.score[selected].astype(np.float64)
    return rows.start, JointCandidates(xy, codec.sigma * growth, score, person, candidates.joint[selected])


def in_order(parts: Sequence[tuple[int, JointCandidates]]) -> JointCandidates:
    """Join the parts of a photo, in the order of its boxes."""
    none = JointCandidates(np.zeros((0, 2)), *np.zeros((2, 0)), *np.zeros((2, 0), np.int64))
    ordered = [none, *(part for _, part in sorted(parts, key=lambda part: part[0]))]
    return JointCandidates(*(np.concatenate(column) for column in zip(*ordered, strict=True)))
