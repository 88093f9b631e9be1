"""Show instructive poses, cut out of their photos: prediction next to label.

They are those where the score is most wrong, and of each kind of error. All poses with a person are ranked twice, by
score and by true OKS, best first. The trust gap of a pose is its score rank minus its OKS rank, as a share of all
poses: the largest are the most overtrusted, the smallest the most undertrusted. Ranks do not depend on the score's
scale, so files of any estimator are comparable. Errors are those of `metrics.diagnosis` with respect to the person
that the pose belongs to.
"""

import base64
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.evaluation.record import Audit
from trustpose.files import InputError, find_shown
from trustpose.io.photos import read_image
from trustpose.metrics.diagnosis import KeypointError, keypoint_errors
from trustpose.poses import Poses
from trustpose.report.describe import join_names
from trustpose.report.draw import draw_poses
from trustpose.skeletons import Skeleton

MIN_LABELS = 3  # with one or two, OKS says little about the pose
_OF_SCORE = 0.5  # of a keypoint: among poses as bad, those with the highest score come first


@dataclass(frozen=True)
class Kind:
    """A kind of example: its title, what its keypoints did in a few words, and their error, None for a wrong score."""

    title: str
    words: str = ""
    error: KeypointError | None = None


KINDS = (
    Kind("Most overtrusted: high score, bad pose"),
    Kind("Left and right confused (inversion)", "Left taken for right, or right for left", KeypointError.INVERSION),
    Kind("On somebody else (swap)", "On another person", KeypointError.SWAP),
    Kind("Nowhere near (miss)", "Nowhere near", KeypointError.MISS),
    Kind("Most undertrusted: low score, good pose"),
)


@dataclass(frozen=True)
class Examples:
    """Rows of `details.measured` for each of `KINDS`, the most instructive first, and what is known of all n rows:
    `score_rank`, `oks_rank` (n,), the share of the others ranked below, and `errors` (n, K), `KeypointError`."""

    orders: tuple[Int[np.ndarray, " P"], ...]
    score_rank: Float[np.ndarray, " n"]
    oks_rank: Float[np.ndarray, " n"]
    errors: Int[np.ndarray, "n K"]


def examples(audit: Audit) -> Examples:
    """Choose among all poses with a person. People with fewer than three labelled keypoints come only where there are
    no others."""
    details = audit.details
    score_rank, oks_rank = trust_gap(details.pose_score[details.measured], details.oks[details.measured])
    gap, errors = score_rank - oks_rank, _errors(audit)
    has_enough = details.labelled.sum(axis=1) >= min(MIN_LABELS, details.labelled.shape[1])
    orders = []
    for kind in KINDS[1:-1]:
        is_wrong = errors == kind.error
        cost = np.where(is_wrong, 1 - details.opks, 0.0).sum(axis=1)  # a mirrored joint close by costs little
        orders.append(_best(cost + _OF_SCORE * score_rank, is_wrong.any(axis=1), has_enough))
    return Examples(
        (_best(gap, gap > 0, has_enough), *orders, _best(-gap, gap < 0, has_enough)), score_rank, oks_rank, errors
    )


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


def _best(
    value: Float[np.ndarray, " n"], is_one: Bool[np.ndarray, " n"], has_enough: Bool[np.ndarray, " n"]
) -> Int[np.ndarray, " P"]:
    order = np.argsort(-value, kind="stable")
    order = order[is_one[order]]
    enough = order[has_enough[order]]
    return enough if len(enough) else order


def _errors(audit: Audit) -> Int[np.ndarray, "n K"]:
    details = audit.details
    flip_index = np.arange(len(details.keypoint_names))
    for left_joint, right_joint in details.flip_pairs:
        flip_index[left_joint], flip_index[right_joint] = right_joint, left_joint
    errors = keypoint_errors(
        details.poses, details.truth, details.person, sigmas=details.sigmas, flip_index=flip_index, area=audit.area
    )
    return errors[details.measured]


MAX_PICTURES = 6  # pictures of overtrusted poses
PANEL = (270, 360)  # maximum width and height of a picture in pixels, twice those on the page
JPEG_QUALITY = 82
_FAINT = 0.4  # opacity of unlabelled keypoints
_LABEL = np.array([5])  # the colour of labels in `palettes.PEOPLE`, green, which means no OPKS


@dataclass(frozen=True)
class Picture:
    """One pose: JPEG data URIs of the prediction and of the label, with score and OKS.

    `score_rank` and `oks_rank` are the share of the other poses ranked below this one, 0–1. `wrong` names the keypoints
    with the error that the pose is an example of; it is empty for a wrong score.
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
    wrong: str


@dataclass(frozen=True)
class Gallery:
    """Pictures of an audit for each of `examples.KINDS`, the most instructive first, and the photos that could not be
    shown."""

    pictures: tuple[tuple[Picture, ...], ...]
    missing: tuple[str, ...]


def gallery(audit: Audit, images: Path, max_pictures: int = MAX_PICTURES) -> Gallery:
    """Return pictures of the `max_pictures` most overtrusted poses whose photos are in the folder `images`, and half as
    many of each other kind. No pose is shown twice.

    A photo that is missing, unreadable or outside the folder is skipped and listed in `missing`. Raises InputError if
    the folder itself is missing.
    """
    if not images.is_dir():
        raise InputError(f"{images}: no such folder, expected the folder with the photos")
    chosen_examples, photos = examples(audit), Photos(images, audit.details.file_names)
    shown: set[int] = set()
    pictures = []
    for kind, order in zip(KINDS, chosen_examples.orders, strict=True):
        kind_count = max_pictures if kind is KINDS[0] else max(1, max_pictures // 2)
        kind_pictures: list[Picture] = []
        for row in order.tolist():
            if len(kind_pictures) == kind_count:
                break
            picture = None if row in shown else _picture(audit, row, kind, chosen_examples, photos)
            if picture is not None:
                kind_pictures.append(picture)
                shown.add(row)
        pictures.append(tuple(kind_pictures))
    return Gallery(tuple(pictures), tuple(photos.missing))


class Photos:
    """Photos of a folder by image id; records missing ones."""

    def __init__(self, folder: Path, file_names: dict[int, str]) -> None:
        self.folder = folder.resolve()
        self.file_names = file_names
        self.missing: dict[str, None] = {}

    def read(self, image: int) -> UInt8[np.ndarray, "H W 3"] | None:
        """Return the pixels of a photo, RGB; None, and its name in `missing`, if it cannot be read."""
        name = self.file_names.get(image)
        label = f"image {image}, which has no file name" if name is None else name
        if label in self.missing:
            return None
        try:
            if name is not None:
                path = find_shown(self.folder, name).resolve()
                if path.is_relative_to(self.folder) and path.is_file():  # a file name must not leave the folder
                    return read_image(path)
        except (InputError, ValueError):  # ValueError: a null byte in the name
            pass
        self.missing[label] = None
        return None


def _picture(audit: Audit, row: int, kind: Kind, chosen_examples: Examples, photos: Photos) -> Picture | None:
    """Return the picture of a row of `details.measured`; None without its photo."""
    details = audit.details
    assert details.poses.image_id is not None
    pose = int(details.measured[row])
    image_id = int(details.poses.image_id[pose])
    photo = photos.read(image_id)
    if photo is None:
        return None
    predicted, labelled = _drawn(audit, row, photo)
    height, width = predicted.shape[:2]
    return Picture(
        predicted=data_uri(predicted),
        labelled=data_uri(labelled),
        width=width,
        height=height,
        file_name=details.file_names[image_id],
        score=float(details.pose_score[pose]),
        oks=float(details.oks[pose]),
        score_rank=float(chosen_examples.score_rank[row]),
        oks_rank=float(chosen_examples.oks_rank[row]),
        keypoints=int(details.labelled[row].sum()),
        wrong=""
        if kind.error is None
        else join_names(chosen_examples.errors[row] == kind.error, details.keypoint_names),
    )


@dataclass(frozen=True)
class Cut:
    """A cut-out of a photo, RGB pixels (h, w, 3), with its corner in the photo and its scale: xy in the cut-out = (xy −
    corner) · scale."""

    pixels: UInt8[np.ndarray, "h w 3"]
    corner: Float[np.ndarray, "2"]
    scale: float

    def place(self, xy: Float[np.ndarray, "K 2"]) -> Float[np.ndarray, "1 K 2"]:
        """Convert points from photo pixels (K, 2) to cut-out pixels (1, K, 2), as the keypoints of a single pose."""
        return ((xy - self.corner) * self.scale)[None]

    @property
    def frame(self) -> Float[np.ndarray, "1 4"]:
        """The whole cut-out as a person's box, so that line width follows the picture's size."""
        return np.array([[0.0, 0.0, self.pixels.shape[1], self.pixels.shape[0]]])


def predicted_xy(audit: Audit, row: int) -> Float[np.ndarray, "K 2"]:
    """Return the keypoints of a matched pose, by its row in `details.measured`; missing ones are NaN: neither drawn nor
    in the cut-out."""
    pose = int(audit.details.measured[row])
    xy = audit.details.poses.xy[pose].astype(np.float64)
    if audit.details.poses.missing is not None:
        xy[audit.details.poses.missing[pose]] = np.nan
    return xy


def _drawn(
    audit: Audit, row: int, photo: UInt8[np.ndarray, "H W 3"]
) -> tuple[UInt8[np.ndarray, "h w 3"], UInt8[np.ndarray, "h w 3"]]:
    """Return the person's cut-out twice: with the prediction, coloured by each keypoint's OPKS, and with the label."""
    person = int(audit.details.person[audit.details.measured[row]])
    predicted = predicted_xy(audit, row)
    cut = crop(photo, predicted, audit, person)
    return drawn_prediction(audit, row, predicted, cut), drawn_label(audit, person, cut)


def drawn_prediction(audit: Audit, row: int, xy: Float[np.ndarray, "K 2"], cut: Cut) -> UInt8[np.ndarray, "h w 3"]:
    """Return the cut-out with a matched pose, each keypoint coloured by its OPKS, keypoints without label faint."""
    details, skeleton = audit.details, _skeleton(audit)
    whole = Poses(xy=cut.place(xy), box=cut.frame)
    counted = np.where(details.labelled[row][:, None], whole.xy, np.nan)
    faint = draw_poses(cut.pixels, whole, skeleton, legend=False)
    faint = cv2.addWeighted(faint, _FAINT, cut.pixels, 1 - _FAINT, 0)
    poses = replace(whole, xy=counted, quality=details.opks[row][None])
    return draw_poses(np.asarray(faint, dtype=np.uint8), poses, skeleton, legend=False)


def drawn_label(audit: Audit, person: int, cut: Cut) -> UInt8[np.ndarray, "h w 3"]:
    """Return the cut-out with the person as labelled, by row of the truth."""
    truth = audit.details.truth
    visibility = np.eye(3)[truth.v[person]][None]
    poses = Poses(xy=cut.place(truth.xy[person].astype(np.float64)), box=cut.frame, visibility=visibility)
    return draw_poses(cut.pixels, poses, _skeleton(audit), style="people", colour_indices=_LABEL, legend=False)


def _skeleton(audit: Audit) -> Skeleton:
    """The limbs to draw; names are numbers, as those of the file may repeat, which a Skeleton refuses."""
    names = tuple(str(k) for k in range(len(audit.details.keypoint_names)))
    return Skeleton("audited", names, audit.details.edges, mirror_pairs=audit.details.flip_pairs)


def crop(photo: UInt8[np.ndarray, "H W 3"], predicted: Float[np.ndarray, "P 2"], audit: Audit, person: int) -> Cut:
    """Cut out predicted points, labels and box of a person in the aspect ratio of a panel, if the photo allows it, and
    scale to fit."""
    truth = audit.details.truth
    true = truth.xy[person][truth.v[person] > 0].astype(np.float64)
    box = [] if truth.box is None else [truth.box[person].reshape(2, 2)]
    size = np.array([photo.shape[1], photo.shape[0]], dtype=np.float64)
    inside = np.clip(np.concatenate([predicted[np.isfinite(predicted).all(axis=1)], true, *box]), 0, size)
    low, high = inside.min(axis=0), inside.max(axis=0)
    extent = np.maximum((high - low) * 1.2, 24.0)
    shape = np.array(PANEL, dtype=np.float64)
    extent = np.minimum(np.max(extent / shape) * shape, size)
    corner = np.clip((low + high) / 2 - extent / 2, 0, size - extent)
    corner = np.floor(corner).astype(int)
    end = np.minimum(np.ceil(corner + extent), size).astype(int)
    cut = photo[corner[1] : end[1], corner[0] : end[0]]
    scale = float(np.min(shape / (end - corner)))
    target = np.maximum(np.rint((end - corner) * scale), 1).astype(int)
    kind = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = cv2.resize(cut, (int(target[0]), int(target[1])), interpolation=kind)
    return Cut(np.asarray(resized, dtype=np.uint8), corner.astype(np.float64), scale)


def data_uri(image: UInt8[np.ndarray, "h w 3"]) -> str:
    """Return an RGB picture as a JPEG data URI."""
    done, content = cv2.imencode(
        ".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY]
    )
    if not done:
        raise ValueError(f"image: OpenCV could not encode {image.shape} as JPEG")
    return "data:image/jpeg;base64," + base64.b64encode(content.tobytes()).decode("ascii")
