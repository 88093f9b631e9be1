"""A network, its trust head and its parallel branch as the one module that a `training.network_task` trains, and what
the network learns from (`train.objective`): heatmaps, positions read out of heatmaps, coordinates, or part by part.

- "heatmaps": Gaussians at every stage; "integral": positions under each stage's softmax; "coordinates": positions.
- "cascade": DeepPose's stages, one after the other; "coarse-to-fine": Tompson's two parts. A stage of the strategy
  names the `part` that it trains; such a network has `parts` and `learn`.

Every term is a mean over people, keypoints and, for maps, pixels, in which unlabelled keypoints count with weight 0,
scaled from a part of the batch to the whole (`task.Task`).
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, Real
from torch import Tensor, nn
from torch.nn import functional

from trustpose.codecs import Outputs
from trustpose.codecs.coordinates import soft_argmax
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.files import InputError
from trustpose.heads.heads import TrustHead, estimates_of
from trustpose.heads.network import run
from trustpose.networks.symmetric_transformer import SymmetricTransformer
from trustpose.skeletons import Skeleton
from trustpose.training.losses import plain
from trustpose.training.recipe import Objective, Recipe, TrainOptions

PARTWISE: tuple[Objective, ...] = ("cascade", "coarse-to-fine")
FINE_SHARE = 0.1
"""λ of E₃ = E₁ + λ E₂, Tompson et al., CVPR 2015, section 4.3."""

Maps = Sequence[Float[Tensor, "B _ _h _w"]]


class Learner(nn.Module):
    """A network, with or without a head, that returns plain dicts, lists and tensors.

    Wrappings for processes and precision do not support dataclasses in results. `parallel`: the frozen branch beside a
    network with a symmetric transformer, which then has no head.
    """

    def __init__(self, network: nn.Module, head: TrustHead | None, parallel: nn.Module | None = None):
        super().__init__()
        self.network = network
        self.head = head
        self.parallel = parallel

    def forward(
        self,
        image: Float[Tensor, "B 3 H W"],
        box: Float[Tensor, "B 2"],
        asks_head: bool,
        lesson: Mapping[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Return heatmaps: of each stage, with the background's if the network has it; coordinates, if it has them;
        centred: of the parallel branch's; raw: the input of the head's losses, a dataclass as a dict of its fields.

        lesson: for a network in parts, what its `learn` takes; then that is returned.
        """
        if lesson is not None:
            return dict(self.network.learn(image, **lesson))  # type: ignore `check_parts` has seen to it
        if self.parallel is not None and isinstance(self.network, SymmetricTransformer):
            outputs, centred = self.network.with_parallel(image, self.parallel)
            return {"heatmaps": outputs.heatmaps, "centred": centred}
        if self.head is None or not asks_head:
            return _answer(self.network(image))
        outputs, maps = run(self.network, image, self.head.reads)
        raw = self.head.raw(*maps, *estimates_of(outputs), *([box] if self.head.reads_box else []))
        return _answer(outputs) | {"raw": plain(raw)}


def _answer(outputs: Outputs) -> dict[str, Any]:
    coordinates = {} if outputs.coordinates is None else {"coordinates": outputs.coordinates}
    return {"heatmaps": outputs.extra.get("beliefs", outputs.heatmaps)} | coordinates


def parts_of(network: nn.Module) -> Sequence[nn.Module]:
    """Return the parts of a network that are trained one after the other; none if it has none."""
    return list(getattr(network, "parts", ()))


def check_parts(recipe: Recipe, network: nn.Module) -> None:
    """Raise InputError if the recipe's objective and parts do not fit the network."""
    objective, count = recipe.train.objective, len(parts_of(network))
    objectives = getattr(network, "objectives", ("heatmaps", "integral"))
    if objective not in objectives:
        raise InputError(f"train.objective: expected {' or '.join(objectives)} for {recipe.network}, got {objective}")
    for number, stage in enumerate(recipe.strategy.stages):
        if stage.part is not None and stage.part >= count:
            has = f"{count} parts" if count else "no parts"
            raise InputError(f"strategy.stages: stage {number} trains part {stage.part}, {recipe.network} has {has}")
        if objective == "cascade" and stage.part is None and stage.trains == "all":
            raise InputError(f"strategy.stages: stage {number}: expected a part, a cascade's are trained one by one")


def lesson_of(objective: Objective, batch: Mapping[str, Tensor], part: int | None) -> dict[str, Any] | None:
    """Return what a network in parts learns from in a batch, None for the others."""
    if objective == "coarse-to-fine":
        return {"part": part}
    if objective == "cascade":
        return {"xy": batch["xy"], "labelled": batch["weights"] > 0, "part": part}
    return None


def network_terms(
    answer: Mapping[str, Any],
    batch: Mapping[str, Tensor],
    people: Real[Tensor, ""],
    codec: HeatmapCodec,
    options: TrainOptions,
    neighbours: Float[Tensor, "K K"] | None = None,
) -> dict[str, Tensor]:
    """Return the loss of the network's answer by its objective's name. `people`: the number in the whole batch.

    neighbours: of `structure_loss`, which is added with the weight `train.structure`.
    """
    if options.objective == "cascade":
        errors = (answer["predicted"] - answer["target"]).square().sum(dim=2)  # (B, K), equation 3
        return {"coordinates": (errors * batch["weights"]).mean() * (len(errors) / people)}
    if options.objective == "coarse-to-fine":
        return coarse_to_fine_terms(answer, batch, people, codec)
    if options.objective == "coordinates":
        return {"coordinates": coordinate_loss(answer["coordinates"], batch, people)}
    stages = answer["heatmaps"] if options.supervised == "all-stages" else answer["heatmaps"][-1:]
    if options.objective == "integral":
        return {"integral": integral_loss(stages, batch, people, codec)}
    target, weights = batch["heatmaps"], batch["weights"]
    terms = {"heatmap": heatmap_loss(stages, target, weights, people, options.hard_keypoints)}
    if options.structure and neighbours is not None:
        terms["structure"] = options.structure * structure_loss(stages, target, weights, people, neighbours)
    return terms


def heatmap_loss(
    stages: Maps,
    target: Float[Tensor, "B K h w"],
    weights: Float[Tensor, "B K"],
    people: Real[Tensor, ""],
    hard_keypoints: int = 0,
) -> Float[Tensor, ""]:
    """Compute ½ × mean over people, keypoints and pixels of (weight × (map − target))², summed over a network's stages.

    `people`: the number in the whole batch. The mean includes unlabelled keypoints, with weight 0. A stage with one map
    more than there are keypoints also learns the background's, 1 − the highest target. A stage with smaller maps learns
    the highest target within each of its pixels, and its sum over pixels is divided by the number that the target has:
    a Gaussian is as wide in pixels of any size, so by its own number the smallest maps would outweigh all others.
    hard_keypoints: the last stage's mean is over so many keypoints of each person, those with the largest errors; 0 for
    all.

    Source: Xiao et al., Simple Baselines, ECCV 2018 ("Mean Squared Error") and its code's JointsMSELoss (the ½ and the
    weights); intermediate supervision: Wei et al., Convolutional Pose Machines, CVPR 2016, section 3.3, and Newell et
    al., Stacked Hourglass, ECCV 2016, section 3.2 ("the same loss on each hourglass"), also used for MSPN, without its
    paper's additions (targets that narrow from stage to stage, hard keypoints); hard keypoints: Chen et al., Cascaded
    Pyramid Network, CVPR 2018, section 3.2.2, 8 of 17.
    """
    with_background = None
    pixels = target.shape[2] * target.shape[3]
    terms = []
    for number, maps in enumerate(stages):
        stage_target, weight = target, weights
        if maps.shape[1] == target.shape[1] + 1:
            if with_background is None:
                with_background = torch.cat([target, 1 - target.amax(dim=1, keepdim=True)], dim=1)
            stage_target, weight = with_background, torch.cat([weights, torch.ones_like(weights[:, :1])], dim=1)
        stage_target = _at_size(stage_target, maps)
        errors = (weight[:, :, None, None] * (maps - stage_target)).square().sum(dim=(2, 3)) / pixels  # (B, K)
        if hard_keypoints and number == len(stages) - 1:
            errors = errors.topk(min(hard_keypoints, errors.shape[1]), dim=1).values
        terms.append(errors.mean())
    return 0.5 * torch.stack(terms).sum() * (len(target) / people)


def structure_loss(
    stages: Maps,
    target: Float[Tensor, "B K h w"],
    weights: Float[Tensor, "B K"],
    people: Real[Tensor, ""],
    neighbours: Float[Tensor, "K K"],
) -> Float[Tensor, ""]:
    """Compute `heatmap_loss` of sums of heatmaps: of each keypoint's and its neighbours', as `neighbour_matrix` says.

    Source: Ke et al., Multi-Scale Structure-Aware Network for Human Pose Estimation, ECCV 2018, section 3.3: the second
    sum of the loss, over every keypoint with those that the skeleton connects to it. Unlabelled ones are left out.
    """
    terms = []
    for maps in stages:
        errors = weights[:, :, None, None] * (maps[:, : target.shape[1]] - _at_size(target, maps))
        sums = torch.einsum("jk,bkhw->bjhw", neighbours.to(errors), errors)
        terms.append(sums.square().sum(dim=(2, 3)).mean() / (target.shape[2] * target.shape[3]))
    return 0.5 * torch.stack(terms).sum() * (len(target) / people)


def neighbour_matrix(skeleton: Skeleton) -> Float[Tensor, "K K"]:
    """Return 1 for each keypoint with itself and with those that an edge of the skeleton connects to it, else 0."""
    matrix = torch.eye(len(skeleton))
    for start, end in skeleton.edges:
        matrix[start, end] = matrix[end, start] = 1
    return matrix


def _at_size(target: Float[Tensor, "B K h w"], maps: Tensor) -> Float[Tensor, "B K _h _w"]:
    """Return the target at the maps' resolution: the highest value within each pixel, so that peaks keep theirs."""
    size = maps.shape[-2:]
    return target if target.shape[-2:] == size else functional.adaptive_max_pool2d(target, size)


def coarse_to_fine_terms(
    answer: Mapping[str, Tensor], batch: Mapping[str, Tensor], people: Real[Tensor, ""], codec: HeatmapCodec
) -> dict[str, Tensor]:
    """Compute E₁ on coarse heatmaps and, if there are fine ones, λ E₂ on these, as `heatmap_loss`.

    A fine heatmap's target is the Gaussian of the same σ, in its own pixels; a joint outside its window has weight 0.
    """
    coarse = heatmap_loss([answer["coarse"]], batch["heatmaps"], batch["weights"], people)
    if "fine" not in answer:
        return {"coarse": coarse}
    fine = answer["fine"]
    side = fine.shape[3]
    window_xy = batch["xy"] - answer["centres"] + side // 2  # (B, K, 2), pixels of the window
    pixels = torch.arange(side, device=fine.device, dtype=window_xy.dtype)
    across, down = (torch.exp(-((pixels - window_xy[..., axis, None]) ** 2) / (2 * codec.sigma**2)) for axis in (0, 1))
    inside = ((window_xy > -0.5) & (window_xy < side - 0.5)).all(dim=2)
    weights = batch["weights"] * inside
    term = heatmap_loss([fine], down[..., :, None] * across[..., None, :], weights, people)
    return {"coarse": coarse, "fine": FINE_SHARE * term}


def integral_loss(
    stages: Maps, batch: Mapping[str, Tensor], people: Real[Tensor, ""], codec: HeatmapCodec
) -> Float[Tensor, ""]:
    """Compute the mean over people and keypoints of |x − x*| + |y − y*|, summed over stages, in units of the crop.

    x, y: the mean position under each map's softmax. Source: Sun et al., Integral Human Pose Regression, ECCV 2018,
    section 2 (the L1 distance), "I1": without a loss on heatmaps.
    """
    terms = []
    for maps in stages:
        keypoint_maps = maps.float()[:, : batch["xy"].shape[1]]
        terms.append(
            _distance(soft_argmax(keypoint_maps) * keypoint_maps.new_tensor(codec.strides) + codec.offset, batch, codec)
        )
    return torch.stack(terms).sum() * (len(batch["xy"]) / people)


def coordinate_loss(
    coordinates: Float[Tensor, "B K 3"], batch: Mapping[str, Tensor], people: Real[Tensor, ""]
) -> Float[Tensor, ""]:
    """Compute the mean over people and keypoints of |x − x*| + |y − y*|, x and y in units of the crop's sides.

    Source: Sun et al., Integral Human Pose Regression, ECCV 2018, section 2, the regression baseline "R1".
    """
    height, width = batch["pixels"].shape[1:3]
    target = batch["xy"] / batch["xy"].new_tensor([width, height])
    distance = (coordinates[..., :2].float() - target).abs().sum(dim=2)
    return (distance * batch["weights"]).mean() * (len(coordinates) / people)


def _distance(xy: Float[Tensor, "B K 2"], batch: Mapping[str, Tensor], codec: HeatmapCodec) -> Float[Tensor, ""]:
    sides = xy.new_tensor([codec.width * codec.stride, codec.height * codec.stride])
    distance = ((xy - batch["xy"]).abs() / sides).sum(dim=2)
    return (distance * batch["weights"]).mean()


_MIN_BATCH = 2  # samples that batch norm needs


class HeadLearner(nn.Module):
    """A head on pooled maps; with `folds`, also a copy for each fold, which learns from the people of the others.

    A call returns plain dicts and tensors.
    """

    def __init__(self, head: TrustHead, folds: int = 0):
        super().__init__()
        self.head = head
        self.without = nn.ModuleList(copy.deepcopy(head) for _ in range(folds))

    @property
    def heads(self) -> list[TrustHead]:
        """The head, then its copies by fold."""
        return [self.head, *self.without]  # type: ignore a ModuleList's items are of any kind

    def forward(self, *pooled: Tensor, fold: Int[Tensor, " B"]) -> list[Any]:
        """Return for each of `learning` the input of its losses, a dataclass as a dict of its fields."""
        return [
            plain(self.heads[number].logits(tuple(part[rows] for part in pooled)))
            for number, rows in self.learning(fold)
        ]

    def learning(self, fold: Int[Tensor, " B"]) -> list[tuple[int, Bool[Tensor, " B"]]]:
        """Return the number of each head that learns from a batch, and from which rows, given each row's fold: the
        first from all, the others from the other folds', if they are enough for batch norm."""
        rows = [torch.ones_like(fold, dtype=torch.bool), *(fold != number for number in range(len(self.without)))]
        return [(number, is_used) for number, is_used in enumerate(rows) if number == 0 or is_used.sum() >= _MIN_BATCH]

    def unseen(
        self, rows: Int[np.ndarray, " N"], fold: Int[np.ndarray, " N"]
    ) -> Iterator[tuple[TrustHead, Int[np.ndarray, " M"]]]:
        """Yield each head with the indices into `rows` of people that it has not learnt from, by their folds: all of
        them for a single head."""
        if not len(self.without):
            yield self.head, np.arange(len(rows))
        for number, head in enumerate(self.heads[1:]):
            if len(positions := np.flatnonzero(fold == number)):
                yield head, positions
