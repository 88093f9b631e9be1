"""Show the poses with the most wrong scores, cut out of their photos: prediction next to label.

All matched poses are ranked twice, by score and by true OKS, best first. The trust gap of a pose is its score rank
minus its OKS rank, as a share of all poses: the largest are the most overtrusted, the smallest the most undertrusted.
Ranks do not depend on the score's scale, so files of any estimator are comparable.
"""

import base64
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Float, Int, UInt8

from trustpose.audit.record import Audit
from trustpose.file_names import find_shown
from trustpose.files import InputError
from trustpose.formats.photos import read_image
from trustpose.poses import Poses
from trustpose.report.draw import draw_poses
from trustpose.skeletons import Skeleton

EACH = 6  # pictures of either kind
PANEL = (270, 360)  # maximum width and height of a picture in pixels, twice those on the page
JPEG_QUALITY = 82
_FAINT = 0.4  # opacity of unlabelled keypoints


@dataclass(frozen=True)
class Picture:
    """One pose: JPEG data URIs of the prediction and of the label, with score and OKS.

    `score_rank` and `oks_rank` are the share of the other poses ranked below this one, 0–1.
    """

    predicted: str
    labelled: str
    width: int
    height: int
    file_name: str
    score: float
    oks: float
    score_rank: float
    oks_rank: float
    keypoints: int


@dataclass(frozen=True)
class Gallery:
    """The most overtrusted and undertrusted poses of one audit, worst first, and the photos that could not be shown."""

    overtrusted: tuple[Picture, ...]
    undertrusted: tuple[Picture, ...]
    missing: tuple[str, ...]


def trust_gap(
    score: Float[np.ndarray, " n"], oks: Float[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
    """Compute the rank of each pose by score and by OKS (n,), as the share of the others ranked below it, 0–1; ties get
    their middle rank. The trust gap is the first minus the second."""
    return _share_below(score), _share_below(oks)


def _share_below(values: np.ndarray) -> np.ndarray:
    _, level, count = np.unique(values, return_inverse=True, return_counts=True)
    middle = np.cumsum(count) - (count + 1) / 2
    return middle[level] / max(len(values) - 1, 1)


def gallery(audit: Audit, images: Path, each: int = EACH) -> Gallery:
    """Return pictures of the `each` most overtrusted and undertrusted poses whose photos are in the folder `images`.

    A photo that is missing, unreadable or outside the folder is skipped and listed in `missing`. Raises InputError if
    the folder itself is missing.
    """
    if not images.is_dir():
        raise InputError(f"{images}: no such folder, expected the folder with the photos")
    details = audit.details
    score_rank, oks_rank = trust_gap(details.score[details.measured], details.oks[details.measured])
    gap = score_rank - oks_rank
    best_first = np.argsort(-gap, kind="stable")
    photos = _Photos(images, details.file_names)
    kinds = []
    for order in (best_first[gap[best_first] > 0], best_first[::-1][gap[best_first[::-1]] < 0]):
        shown = _pictures(audit, order, score_rank, oks_rank, photos)
        kinds.append(tuple(picture for _, picture in zip(range(each), shown, strict=False)))
    return Gallery(*kinds, missing=tuple(photos.missing))


class _Photos:
    """Read photos of a folder by image id and record missing ones."""

    def __init__(self, folder: Path, file_names: dict[int, str]) -> None:
        self.folder = folder.resolve()
        self.file_names = file_names
        self.missing: dict[str, None] = {}

    def read(self, image: int) -> UInt8[np.ndarray, "H W 3"] | None:
        name = self.file_names.get(image)
        said = f"image {image}, which has no file name" if name is None else name
        if said in self.missing:
            return None
        try:
            if name is not None:
                path = find_shown(self.folder, name).resolve()
                if path.is_relative_to(self.folder) and path.is_file():  # a file name must not leave the folder
                    return read_image(path)
        except (InputError, ValueError):  # ValueError: a null byte in the name
            pass
        self.missing[said] = None
        return None


def _pictures(
    audit: Audit, order: Int[np.ndarray, " P"], score_rank: np.ndarray, oks_rank: np.ndarray, photos: _Photos
) -> Iterator[Picture]:
    """Yield pictures of the given rows in order, skipping those without a photo; created lazily."""
    details = audit.details
    assert details.poses.image_id is not None
    for row in order.tolist():
        pose = int(details.measured[row])
        image_id = int(details.poses.image_id[pose])
        photo = photos.read(image_id)
        if photo is None:
            continue
        predicted, labelled = _drawn(audit, row, photo)
        height, width = predicted.shape[:2]
        yield Picture(
            predicted=_data_uri(predicted),
            labelled=_data_uri(labelled),
            width=width,
            height=height,
            file_name=details.file_names[image_id],
            score=float(details.score[pose]),
            oks=float(details.oks[pose]),
            score_rank=float(score_rank[row]),
            oks_rank=float(oks_rank[row]),
            keypoints=int(details.labelled[row].sum()),
        )


def _drawn(
    audit: Audit, row: int, photo: UInt8[np.ndarray, "H W 3"]
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]]:
    """Return the person's cut-out twice: with the prediction, coloured by each keypoint's OPKS, and with the label."""
    details = audit.details
    pose = int(details.measured[row])
    person = int(details.person[pose])
    labelled = details.labelled[row]
    said, true = details.poses.xy[pose].astype(np.float64), details.truth.xy[person].astype(np.float64)
    if details.poses.missing is not None:
        said[details.poses.missing[pose]] = np.nan  # neither drawn nor in the cut-out
    box = None if details.truth.box is None else details.truth.box[person]
    cut, offset, scale = _crop(photo, said, true[labelled], box)
    # Drawing does not use names; those of the file may repeat, which a Skeleton refuses.
    skeleton = Skeleton("audited", tuple(str(k) for k in range(len(said))), details.edges)
    frame = np.array([[0.0, 0.0, cut.shape[1], cut.shape[0]]])  # line width from the picture's size
    whole = Poses(xy=((said - offset) * scale)[None], box=frame)
    counted = replace(whole, xy=np.where(labelled[:, None], whole.xy, np.nan), quality=details.opks[row][None])
    faint = draw_poses(cut, whole, skeleton, legend=False)
    faint = cv2.addWeighted(faint, _FAINT, cut, 1 - _FAINT, 0)
    visibility = np.eye(3)[details.truth.v[person]][None]
    truth = Poses(xy=((true - offset) * scale)[None], box=frame, visibility=visibility)
    return (
        draw_poses(np.asarray(faint, dtype=np.uint8), counted, skeleton, legend=False),
        draw_poses(cut, truth, skeleton, legend=False),
    )


def _crop(
    photo: UInt8[np.ndarray, "H W 3"],
    said: Float[np.ndarray, "K 2"],
    true: Float[np.ndarray, "L 2"],
    box: Float[np.ndarray, "4"] | None,
) -> tuple[UInt8[np.ndarray, "h w 3"], Float[np.ndarray, "2"], float]:
    """Cut out prediction, labels and box in the aspect ratio of a panel, if the photo allows it, and scale to fit.
    Returns the cut-out, its corner in the photo and its scale: xy in the cut-out = (xy − corner) · scale."""
    size = np.array([photo.shape[1], photo.shape[0]], dtype=np.float64)
    points = [said[np.isfinite(said).all(axis=1)], true] + ([] if box is None else [box.reshape(2, 2)])
    inside = np.clip(np.concatenate(points), 0, size)
    low, high = inside.min(axis=0), inside.max(axis=0)
    wanted = np.maximum((high - low) * 1.2, 24.0)
    shape = np.array(PANEL, dtype=np.float64)
    wanted = np.minimum(np.max(wanted / shape) * shape, size)
    corner = np.clip((low + high) / 2 - wanted / 2, 0, size - wanted)
    corner = np.floor(corner).astype(int)
    end = np.minimum(np.ceil(corner + wanted), size).astype(int)
    cut = photo[corner[1] : end[1], corner[0] : end[0]]
    scale = float(np.min(shape / (end - corner)))
    target = np.maximum(np.rint((end - corner) * scale), 1).astype(int)
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(cut, (int(target[0]), int(target[1])), interpolation=kind)
    return np.asarray(resized, dtype=np.uint8), corner.astype(np.float64), scale


def _data_uri(image: UInt8[np.ndarray, "h w 3"]) -> str:
    done, content = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise ValueError(f"image: OpenCV could not encode {image.shape} as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode("ascii")
