"""The Task for system "groups": a trust head on the people that a frozen bottom-up network groups in photos."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from trustpose.calibration.metrics import find_targets
from trustpose.codecs.group_tokens import GROUP_NUMBERS
from trustpose.datasets.label_files import published
from trustpose.datasets.occlusion import Photometric, change_light
from trustpose.datasets.photo_boxes import BoxedPhotos, boxed_photos
from trustpose.export.group_trust import save_group_trust, save_with_features
from trustpose.export.inner_tensors import FEATURES
from trustpose.export.trust_folder import Fitted
from trustpose.files import InputError
from trustpose.geometry.crops import transform
from trustpose.heads.group_tokens import GroupTokens
from trustpose.heads.keypoint_tokens import TokenAnswers, tokens_losses
from trustpose.heads.stages import Stage
from trustpose.heads.targets import TrustTargets
from trustpose.heads.token_calibration import calibrate, calibrate_presence, presence_logit, uncalibrated_components
from trustpose.images import fold_of
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.metrics.classification import binary_ranking
from trustpose.metrics.reliability import pearson
from trustpose.models.outputs.kinds import PHOTO_MAPS
from trustpose.models.spec import ModelSpec
from trustpose.poses import Area, Poses, Truth
from trustpose.predict.bottom_up import BottomUpNetwork, GroupedPeople
from trustpose.predict.photos import prefetch
from trustpose.skeletons import Skeleton
from trustpose.threads import cpu_count
from trustpose.training import distributed
from trustpose.training.logs import progress
from trustpose.training.losses import plain
from trustpose.training.people import are_complete, coco_layout
from trustpose.training.recipe import DataOptions, Recipe
from trustpose.training.task import Samples

_LIGHT = Photometric(brightness=0.2, contrast=0.2, saturation=0.3, hue=8.0, grey=0.05, blur=0.05, jpeg=0.05)
_MIN_SHARE = 0.6  # share of a photo's sides that a view shows


@dataclass(frozen=True, eq=False)
class Groups:
    """G grouped people, as columns: tokens (G, K, T) and whole (G, D) of `codecs.group_tokens`; oks (G,), opks and v
    (G, K) as `calibration.metrics` has them, all 0 for a false group; is_person (G,): false for a false group; the
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
            for grouped in network.group_with_flips(shown, flips):
                groups = _labelled(grouped, network.spec.skeleton, view_truth, area, image)
                view_groups.append(replace(groups, view=np.full(len(groups), view)))
        return view_groups

    parts: list[Groups] = []
    with ThreadPoolExecutor(cpu_count(), "trustpose-groups") as workers:
        for index, photo_groups in enumerate(prefetch(workers, of_photo, range(len(photos)), 2 * cpu_count())):
            parts += photo_groups
            advance(index + 1)
    return Groups(*(np.concatenate([getattr(part, column.name) for part in parts]) for column in fields(Groups)))


def _labelled(grouped: GroupedPeople, skeleton: Skeleton, truth: Truth, area: Area, image: int) -> Groups:
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


HEAD = "group-tokens"
CALIBRATING = 5  # one photo in so many calibrates and validates the head
VIEWS = 8  # of a photo, unless the recipe says
NETWORK = "network"  # the file with its features

Batch = dict[str, Tensor]


class Learner(nn.Module):
    """A head that returns a plain dict."""

    def __init__(self, head: GroupTokens):
        super().__init__()
        self.head = head

    def forward(self, tokens: Tensor, whole: Tensor) -> dict[str, Tensor]:
        return plain(self.head.logits(tokens, whole))


class GroupTask:
    """A `training.task.Task` on groups. `group_task` builds one from a recipe.

    One fifth of the photos on which the network was not trained validate and calibrate the head, by the photos
    themselves and their mirror images. The others all train it: those that the network has seen, where it finds more
    people than elsewhere, teach what a false group is, too.
    """

    def __init__(self, recipe: Recipe, spec: ModelSpec, groups: Groups, is_held_out: np.ndarray):
        self.recipe, self.spec = recipe, spec
        self.training, self.held_out = groups.select(~is_held_out), groups.select(is_held_out & (groups.view < 2))
        self.channels = groups.whole.shape[1] - GROUP_NUMBERS
        torch.manual_seed(recipe.train.seed)
        try:
            options: dict[str, Any] = dict(recipe.head_options)
            self.head = GroupTokens(self.channels, len(spec.skeleton), **options)
        except (TypeError, ValueError) as error:
            raise InputError(f"head {HEAD}: {str(error).splitlines()[0]}") from None
        self.model: nn.Module = Learner(self.head)
        self.weight = 1.0

    def stage(self, stage: Stage) -> None:
        self.weight = stage.trust_weight

    def train_mode(self) -> None:
        self.model.train()

    def samples(self, epoch: int) -> Samples:  # noqa: ARG002  # the same in every epoch
        return range(len(self.training))  # type: ignore its parameter has another name

    def collate(self, samples: list[int]) -> Batch:
        return _batch(self.training.select(np.array(samples)))

    def counts(self, batch: Batch) -> dict[str, Tensor]:
        is_person, labelled = batch["is_person"], batch["v"] > 0
        counts = {"visibility": is_person.sum() * labelled.shape[1], "opks": labelled.sum()}
        return counts | {"oks": is_person.sum(), "presence": torch.tensor(len(is_person))}

    def losses(self, model: nn.Module, batch: Batch, totals: Mapping[str, Tensor]) -> dict[str, Tensor]:
        raw = model(batch["tokens"], batch["whole"])
        is_labelled = _labelled_joints(batch)
        terms = tokens_losses(TokenAnswers(**raw), _targets(batch), is_labelled, is_labelled, batch["is_person"])
        counts = self.counts(batch)
        return {
            name: self.weight * term * counts[name] / totals[name].clamp(min=1).to(term) for name, term in terms.items()
        }

    def describe(self, batch: Batch) -> dict[str, list[int]]:
        return {"image_id": batch["image_id"].tolist()}

    def validate(self) -> dict[str, float]:
        """Return the AUROC of expected OKS between people and false groups of held-out photos, and its correlation with
        OKS, 0 for false ones."""
        if not len(self.held_out) or distributed.rank():
            return {}
        batch = _batch(self.held_out)
        head = self.head.eval()
        device = next(head.parameters()).device
        with torch.no_grad():
            trust = head(batch["tokens"].to(device), batch["whole"].to(device))
        assert trust.pose_quality is not None and trust.presence is not None
        expected = (trust.pose_quality * trust.presence).double().cpu().numpy()
        auroc = float(binary_ranking(expected, self.held_out.is_person).auroc)
        return {"groups.auroc": auroc, "pose.pearson": float(pearson(expected, self.held_out.oks))}

    def export(self, folder: Path) -> None:
        self.model.cpu().eval()
        fitted_on: dict[str, float | int | str] = {
            "dataset": self.recipe.data.dataset,
            "recipe": self.recipe.name,
            "groups": len(self.training),
            "false_groups": int((~self.training.is_person).sum()),
            "photos": len(np.unique(self.training.image_id)),
        }
        if len(self.held_out):
            batch = _batch(self.held_out)
            people = {name: value[batch["is_person"]] for name, value in batch.items()}
            is_labelled, head = _labelled_joints(people), self.head.head
            raw = uncalibrated_components(head, (people["tokens"], people["whole"]))
            calibrate(head, raw, _targets(people), (is_labelled, is_labelled))
            logit = presence_logit(head, (batch["tokens"], batch["whole"]))
            calibrate_presence(head, logit, batch["is_person"])
            fitted_on["calibrated_on"] = f"the {len(self.held_out)} groups of held-out photos"
        fitted = Fitted(HEAD, self.recipe.train.area, fitted_on, dict(self.recipe.head_options))
        save_group_trust(folder, self.spec, self.head, self.channels, fitted)


def group_task(recipe: Recipe, data: Path, model: Path | None, folder: Path) -> GroupTask:
    """Build a recipe's task, on a data folder in one of COCO's layouts and the bottom-up network `model`, of which
    `folder`/network.onnx will be a copy.

    The network was not trained on the photos of the recipe's fold, with folds 0 on none. Of all photos, only the ones
    of `data.photos` are used, if it is given, and those of which all people have boxes. With `train.flip_test` the head
    learns what the network finds with a flip test, too. Raises InputError.
    """
    if model is None:
        raise InputError(f"{recipe.name}: trains a head on a bottom-up network; give its folder as --model")
    if recipe.head not in (None, HEAD):
        raise InputError(f"head: expected {HEAD} with system groups, got {recipe.head!r}")
    layout = coco_layout(data)
    if layout is None:
        raise InputError(f"{data}: holds no photos with keypoints in one of COCO's layouts{published('COCO')}")
    file, spec = read_coco_truth(layout[0]), ModelSpec.read(model)
    spec.expect(*PHOTO_MAPS)
    if file.keypoint_names != spec.skeleton.keypoints:
        raise InputError(f"{model}: has skeleton {spec.skeleton.name}, {layout[0]} has other joints")
    photos = boxed_photos(file, layout[1])
    photos = photos.select(np.flatnonzero(are_complete(file) & _chosen(photos.image_id, recipe.data)))
    folds = max(recipe.data.folds, 1)
    unseen = int((fold_of(photos.image_id, folds) == recipe.data.fold).sum())
    if unseen < CALIBRATING:
        raise InputError(f"data.fold, data.photos: leave {unseen} photos, expected at least {CALIBRATING}")
    folder.mkdir(parents=True, exist_ok=True)
    extended = save_with_features(folder / NETWORK, spec, recipe.frozen.maps.get("features"))
    groups = _groups_of(BottomUpNetwork(extended, features=FEATURES), photos, _people(file), recipe)
    is_held_out = fold_of(groups.image_id, CALIBRATING * folds) == recipe.data.fold
    if not groups.is_person[~is_held_out].any():
        raise InputError(f"{model}: finds nobody in the {len(photos)} photos")
    return GroupTask(recipe, extended, groups, is_held_out)


def _groups_of(network: BottomUpNetwork, photos: BoxedPhotos, truth: Truth, recipe: Recipe) -> Groups:
    """Return the groups of all views, with a progress bar."""
    flips = (False, True) if recipe.train.flip_test else (False,)
    view_settings = (recipe.frozen.views or VIEWS, recipe.train.area, recipe.train.seed, flips)
    with progress(len(photos), 0, distributed.rank() == 0) as show:
        return find_groups(network, photos, truth, *view_settings, lambda done: show(done, "people of the network"))


def _chosen(image_id: np.ndarray, options: DataOptions) -> np.ndarray:
    """Return which photos are used (I,), by the recipe."""
    if options.photos is None:
        return np.ones(len(image_id), np.bool_)
    return np.isin(image_id, read_coco_truth(Path(options.photos)).images.id)


def _batch(groups: Groups) -> Batch:
    columns = {name: torch.from_numpy(getattr(groups, name)) for name in ("tokens", "whole", "is_person", "image_id")}
    columns |= {name: torch.from_numpy(getattr(groups, name)).float() for name in ("oks", "opks")}
    return columns | {"v": torch.from_numpy(groups.v).long()}


def _targets(batch: Batch) -> TrustTargets:
    """Return targets given that a group is a person; those of false groups teach nothing but presence."""
    oks = torch.where(batch["is_person"], batch["oks"], torch.nan)
    return TrustTargets(batch["opks"], oks, batch["v"])


def _labelled_joints(batch: Batch) -> Tensor:
    return batch["is_person"][:, None].expand(batch["v"].shape)


def _people(file: TruthFile) -> Truth:
    """Return all people with a box."""
    assert file.truth.box is not None
    return file.truth[np.flatnonzero(np.isfinite(file.truth.box).all(axis=1))]
