"""The Task for system "groups": a trust head on the people that a frozen bottom-up network groups in photos."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from trustpose.codecs.group_tokens import GROUP_NUMBERS
from trustpose.datasets.folds import fold_of
from trustpose.datasets.photo_boxes import BoxedPhotos, boxed_photos
from trustpose.export.group_trust import save_group_trust, save_with_features
from trustpose.export.inner_tensors import FEATURES
from trustpose.export.trust_folder import Fitted
from trustpose.files import InputError
from trustpose.formats.coco import TruthFile, read_truth
from trustpose.metrics.binary_ranking import binary_ranking
from trustpose.metrics.correlation import pearson
from trustpose.models.outputs import PHOTO_MAPS
from trustpose.models.spec import ModelSpec
from trustpose.poses import Truth
from trustpose.predict.bottom_up import BottomUpNetwork
from trustpose.training import distributed
from trustpose.training.groups import Groups, find_groups
from trustpose.training.logs import progress
from trustpose.training.losses import plain
from trustpose.training.people import coco_layout
from trustpose.training.photos import are_complete
from trustpose.training.recipe import DataOptions, Recipe
from trustpose.training.task import Samples
from trustpose.trust.group_tokens import GroupTokens
from trustpose.trust.keypoint_tokens import TokenAnswers, tokens_losses
from trustpose.trust.stages import Stage
from trustpose.trust.targets import TrustTargets
from trustpose.trust.token_calibration import calibrate, calibrate_presence, presence_logit, uncalibrated_components

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
        raise InputError(f"{recipe.name}: trains a head on a bottom-up network, give its folder as --model")
    if recipe.head not in (None, HEAD):
        raise InputError(f"head: expected {HEAD} with system groups, got {recipe.head!r}")
    layout = coco_layout(data)
    if layout is None:
        raise InputError(f"{data}: holds no photos with keypoints in one of COCO's layouts")
    file, spec = read_truth(layout[0]), ModelSpec.read(model)
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
    return np.isin(image_id, read_truth(Path(options.photos)).images.id)


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
