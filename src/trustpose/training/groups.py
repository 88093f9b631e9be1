"""Training samples of a trust head for grouped people: a bottom-up network's people in labelled photos, and targets."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from trustpose.calibration.targets import find_targets
from trustpose.datasets.photo_boxes import BoxedPhotos
from trustpose.datasets.photometric import Photometric, change_light
from trustpose.geometry.crops import transform
from trustpose.poses import Area, Poses, Truth
from trustpose.predict.bottom_up import BottomUpNetwork, Grouped
from trustpose.predict.photos import prefetch
from trustpose.runtime.sessions import cpu_count
from trustpose.skeletons import Skeleton

_LIGHT = Photometric(brightness=0.2, contrast=0.2, saturation=0.3, hue=8.0, grey=0.05, blur=0.05, jpeg=0.05)
_MIN_SHARE = 0.6  # share of a photo's sides that a view shows


@dataclass(frozen=True, eq=False)
class Groups:
    """G grouped people, as columns: tokens (G, K, T) and whole (G, D) of `codecs.group_tokens`; oks (G,), opks and v
    (G, K) as `calibration.targets` has them, all 0 for a false group; is_person (G,): false for a false group; the
    photo's image_id and the number of the view (G,).
    """

    tokens: Float[np.ndarray, "G K T"]
    whole: Float[np.ndarray, "G D"]
    oks: Float[np.ndarray, " G"]
    opks: Float[np.ndarray, "G K"]
    v: Int[np.ndarray, "G K"]
    is_person: Bool[np.ndarray, " G"]
    image_id: Int[np.ndarray, " G"]
    view: Int[np.ndarray, " G"]

    def __len__(self) -> int:
        return len(self.oks)

    def select(self, rows: np.ndarray) -> "Groups":
        """Return the groups at these rows, by index or mask."""
        return Groups(*(getattr(self, column.name)[rows] for column in fields(self)))


def find_groups(
    network: BottomUpNetwork,
    photos: BoxedPhotos,
    truth: Truth,
    views: int,
    area: Area,
    seed: int = 0,
    flips: tuple[bool, ...] = (False,),
    advance: Callable[[int], None] = lambda _: None,
) -> Groups:
    """Run the network, which must give features, on `views` views of each photo: the photo itself, its mirror image,
    then relit parts of it, mirrored or not; each with all settings `flips` of the flip test. Groups on people without
    labelled joints are left out.

    truth: all people of these photos, who must all have a box. `advance` is called with the number of photos done.
    Raises InputError, ValueError.
    """
    rows = {image: np.flatnonzero(truth.image_id == image) for image in photos.image_id.tolist()}

    def of_photo(index: int) -> list[Groups]:
        pixels, scale = photos.photo(index)
        image, whole = int(photos.image_id[index]), np.c_[np.diag(scale), (scale - 1) / 2]  # of pixels' middles
        people = _moved(truth[rows[image]], whole, pixels.shape)
        view_groups = []
        for view in range(views):
            random = np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, index, view])))
            shown, view_truth = _view(network, pixels, people, view, random)
            for grouped in network.grouped_by(shown, flips):
                groups = _labelled(grouped, network.spec.skeleton, view_truth, area, image)
                view_groups.append(replace(groups, view=np.full(len(groups), view)))
        return view_groups

    parts: list[Groups] = []
    with ThreadPoolExecutor(cpu_count(), "trustpose-groups") as workers:
        for index, photo_groups in enumerate(prefetch(workers, of_photo, range(len(photos)), 2 * cpu_count())):
            parts += photo_groups
            advance(index + 1)
    return Groups(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Groups)))


def _labelled(grouped: Grouped, skeleton: Skeleton, truth: Truth, area: Area, image: int) -> Groups:
    """Return the groups of one view whose truth is known, as view 0."""
    people = grouped.people
    assert grouped.tokens is not None and grouped.whole is not None
    xy = transform(np.broadcast_to(grouped.to_image, (len(people.xy), 2, 3)), people.xy)
    missing = np.zeros(xy.shape[:2], np.bool_) if people.missing is None else people.missing
    image_id = np.full(len(xy), image)
    poses = Poses(np.where(missing[..., None], 0.0, xy), people.score, people.person_score, image_id=image_id)
    targets = find_targets(replace(poses, missing=missing), truth, skeleton.sigmas, area)
    return Groups(
        grouped.tokens[targets.rows],
        grouped.whole[targets.rows],
        targets.oks,
        targets.opks.T,
        targets.v.T,
        ~targets.unmatched,
        image_id[targets.rows],
        np.zeros(len(targets.rows), np.int64),
    )


def _view(
    network: BottomUpNetwork, pixels: UInt8[np.ndarray, "H W 3"], truth: Truth, view: int, random: np.random.Generator
) -> tuple[UInt8[np.ndarray, "h w 3"], Truth]:
    """Return the pixels of a view, and its people."""
    u = random.random(5)
    is_mirrored = view == 1 or (view > 1 and u[4] < 0.5)
    affine = np.eye(2, 3)
    if view > 1:
        size = np.array(pixels.shape[1::-1])
        shown = np.maximum((size * (_MIN_SHARE + (1 - _MIN_SHARE) * u[:2])).astype(np.int64), 1)
        low = ((size - shown) * u[2:4]).astype(np.int64)
        pixels = pixels[low[1] : low[1] + shown[1], low[0] : low[0] + shown[0]]
        pixels, affine[:, 2] = change_light(np.ascontiguousarray(pixels), _LIGHT, random), -low
    if is_mirrored:
        pixels = np.ascontiguousarray(pixels[:, ::-1])
        affine = np.array([[-1.0, 0, pixels.shape[1] - 1], [0, 1, 0]]) @ np.vstack([affine, [0, 0, 1]])
    truth = _moved(truth, affine, pixels.shape)
    if is_mirrored:
        index = network.spec.skeleton.flip_index
        truth = replace(truth, xy=truth.xy[:, index], v=truth.v[:, index])
    return pixels, truth


def _moved(truth: Truth, affine: Float[np.ndarray, "2 3"], shape: tuple[int, ...]) -> Truth:
    """Return people moved by an affine without rotation into pixels (H, W, …); joints beyond are not labelled."""
    assert truth.box is not None and truth.area is not None
    count = len(truth)
    xy, ends = (
        transform(np.broadcast_to(affine, (count, 2, 3)), points.astype(np.float64))
        for points in (truth.xy, truth.box.reshape(-1, 2, 2))
    )
    size = np.array(shape[1::-1])
    seen = ((xy >= -0.5) & (xy <= size - 0.5)).all(axis=2) & (truth.v > 0)
    box = np.concatenate([ends.min(axis=1), ends.max(axis=1)], axis=1).clip(0, np.tile(size, 2))
    area = truth.area * abs(affine[0, 0] * affine[1, 1])
    v = np.where(seen, truth.v, 0)
    return replace(truth, xy=np.where(seen[..., None], xy, 0.0), v=v, box=box, area=area, num_keypoints=None)
