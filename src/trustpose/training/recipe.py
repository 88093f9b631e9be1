"""A recipe: the complete configuration of a run, except for the data's location, as frozen dataclasses."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from trustpose.files import InputError
from trustpose.grouping.suppression import THRESHOLD, Method
from trustpose.heads.stages import MAX_EPOCHS, Strategy
from trustpose.json_records import read_record
from trustpose.names import expected_one_of
from trustpose.notebook import html_record
from trustpose.poses import Area
from trustpose.training.bottom_up_options import BottomUpOptions
from trustpose.training.options import DataOptions, TransformerOptions
from trustpose.training.residual_options import ResidualOptions
from trustpose.training.surface_options import SurfaceOptions
from trustpose.training.values import expect_within, to_plain, with_changes
from trustpose.training.volume_options import VolumeOptions

System = Literal["network", "frozen", "detector", "bottom-up", "groups", "mask-rcnn", "surfaces", "volumes", "residual"]
Optimiser = Literal["adam", "adamw", "sgd", "rmsprop"]
Objective = Literal["heatmaps", "integral", "coordinates", "cascade", "coarse-to-fine"]
Precision = Literal["32-true", "bf16-mixed", "16-mixed"]
HeadOption = bool | int | float | str | None | tuple[bool | int | float | str | None, ...]
_MAX_COUNT = 2**31 - 1  # largest count
_NOT_OPTIONS = ("detach", "tokens")  # set by a stage; by the network


@dataclass(frozen=True)
class PaperResult:
    """One row of a paper's table with its published numbers, by the audit's names or the table's own."""

    paper: str
    table: str
    row: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class FrozenOptions:
    """Options of reading a frozen network. Only for system "frozen".

    views: number of crops per person to store: the crop as in prediction, its mirror image, and augmented ones. None
    for as many as fit into 4.5 GB of disk space, at most 8. maps: the tensors that the head reads, by name, if they are
    not found automatically: {"backbone": tensor}. cross_fit: train on all people, and a copy without each fold, whose
    predictions for it validate and calibrate; those for a detector's boxes of `data.fold` calibrate `Trust.presence`.
    """

    views: int | None = None
    maps: Mapping[str, str] = field(default_factory=dict)
    cross_fit: bool = False

    def __post_init__(self) -> None:
        expect_within(self, views=(1, 1000))


@dataclass(frozen=True)
class Evaluation:
    """Options with which `trustpose predict` and `trustpose audit` compute the numbers of `Recipe.sources`. Not for
    training.

    split: of the data set, by its own name. boxes: of labelled people, or a detector's. score: the ranking of poses:
    the network's own score, a field of `Poses` from the head, or "oks", the true OKS (the audit's `oracle_ap`); with a
    detector's boxes, times the box's score. suppression and suppression_threshold: as in `trustpose suppress`.
    keypoints: "non-0" leaves out those that the head predicts as unlabelled.
    """

    split: str = "val2017"
    boxes: Literal["ground-truth", "detections"] = "ground-truth"
    score: Literal["pose_score", "pose_quality", "oks"] = "pose_score"
    suppression: Method = "none"
    suppression_threshold: float = THRESHOLD
    keypoints: Literal["all", "non-0"] = "all"

    def __post_init__(self) -> None:
        expect_within(self, suppression_threshold=(0, 1))


@dataclass(frozen=True)
class TrainOptions:
    """Options of the training loop.

    objective: what the network learns from, `training.learner`. supervised: the stages of a network that learn from
    labels. hard_keypoints: the last stage learns from this many keypoints of each person, those with the largest
    errors; 0 for all. structure: weight of `structure_loss` beside the heatmaps' (Ke et al. 2018), 0 for none. lr:
    None for the strategy's. weight_decay, optimiser: torch's; sgd with momentum 0.9. batch_size: samples per step
    of the optimiser, over all processes and parts; accumulate: number of sequential parts. clip: maximum norm of
    the gradient, 0 for none. ema: decay of the moving average of weights, 0 for none. epochs: None for the
    strategy's, else its stages and drops are scaled. warmup: steps in which the learning rate rises to its value.
    weight_interpolation: share of the network's initial weights in the exported ones, 0 for none; the rest are the
    trained ones (Wortsman et al., Robust Fine-Tuning of Zero-Shot Models, CVPR 2022). schedule: "steps" divides by
    10 at the strategy's drops, "cosine" falls to 0 over all epochs. workers: processes that prepare batches, 0 for
    the training process itself. area: the area for OKS in the targets, by default each person's own, of any source.
    hard_share: OKS-Net's share of hardest samples. flip_test: validation averages with mirrored crops.
    validate_every: epochs; checkpoint_every, log_every: steps.
    """

    lr: float | None = None
    weight_decay: float = 0.0
    optimiser: Optimiser = "adam"
    objective: Objective = "heatmaps"
    supervised: Literal["all-stages", "last-stage"] = "all-stages"
    hard_keypoints: int = 0
    structure: float = 0.0
    batch_size: int = 32
    accumulate: int = 1
    clip: float = 0.0
    ema: float = 0.0
    weight_interpolation: float = 0.0
    precision: Precision = "32-true"
    epochs: int | None = None
    warmup: int = 0
    schedule: Literal["steps", "cosine"] = "steps"
    seed: int = 0
    workers: int = 0
    channels_last: bool = True
    area: Area = "file"
    hard_share: float = 0.25
    flip_test: bool = False
    validate_every: int = 1
    checkpoint_every: int = 500
    log_every: int = 50

    def __post_init__(self) -> None:
        for name in ("batch_size", "accumulate", "validate_every", "checkpoint_every", "log_every"):
            expect_within(self, **{name: (1, _MAX_COUNT)})
        expect_within(
            self,
            warmup=(0, _MAX_COUNT),
            hard_keypoints=(0, 1000),
            workers=(0, 1000),
            seed=(0, _MAX_COUNT),
            epochs=(1, MAX_EPOCHS),
        )
        expect_within(self, lr=(1e-30, 1000), clip=(0, 1e30), weight_decay=(0, 1e9), ema=(0, 1 - 1e-9))
        expect_within(self, hard_share=(0, 1), weight_interpolation=(0, 1), structure=(0, 1e9))
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size: expected a multiple of accumulate, {self.accumulate}, got {self.batch_size}")


@dataclass(frozen=True, repr=False)
class Recipe:
    """One training. Plain values only, so that it can be saved as JSON with its result.

    title: a one-line description. strategy: stages, learning rate, initial weights. system: "network" trains a network,
    with a head if `head` names one, from pixels; "frozen" a head on the stored features of a frozen network; "detector"
    a person detector on whole photos, with the backbone of `network`; "bottom-up" a network that sees all people of a
    photo, "groups" a head on the people that such a network finds, "mask-rcnn" torchvision's Keypoint R-CNN, "surfaces"
    a network of the surfaces of bodies in crops, with the features of `network`, "volumes" a network of keypoints with
    their depths in crops, "residual" a pose residual network.
    network: a zoo name; "" if the user gives a model. head_options: the head's own. deepen: number of 1×1 layers before
    the heatmap layer (HPCVNet's has 4). transformer: AlphaPose's, around the network. height, width: of crops, pixels.
    sources: the table rows that it reproduces; none for ours. evaluation: how their numbers are computed. not_runnable:
    why it cannot be reproduced; "" if it can.
    """

    name: str
    title: str
    strategy: Strategy
    system: System = "network"
    network: str = ""
    head: str | None = None
    head_options: Mapping[str, HeadOption] = field(default_factory=dict)
    deepen: int = 0
    transformer: TransformerOptions = field(default_factory=TransformerOptions)
    height: int = 256
    width: int = 192
    data: DataOptions = field(default_factory=DataOptions)
    train: TrainOptions = field(default_factory=TrainOptions)
    frozen: FrozenOptions = field(default_factory=FrozenOptions)
    bottom_up: BottomUpOptions = field(default_factory=BottomUpOptions)
    surfaces: SurfaceOptions = field(default_factory=SurfaceOptions)
    residual: ResidualOptions = field(default_factory=ResidualOptions)
    volumes: VolumeOptions = field(default_factory=VolumeOptions)
    sources: tuple[PaperResult, ...] = ()
    evaluation: Evaluation = field(default_factory=Evaluation)
    not_runnable: str = ""

    def __post_init__(self) -> None:
        expect_within(self, height=(16, 4096), width=(16, 4096), deepen=(0, 64))

    def __repr__(self) -> str:
        """One line: the name, and what is trained."""
        parts = [part for part in (self.network, self.head) if part]
        return f"Recipe({self.name}: {self.title}; {' + '.join(parts) or self.system}, {self.plan.epochs} epochs)"

    def _repr_html_(self) -> str:
        """Return what notebooks show: the line, and a table of the fields that differ from their defaults."""
        return html_record(repr(self), [(name, value) for name, value in to_json(self).items() if value])

    @property
    def plan(self) -> Strategy:
        """Return the strategy with `train.lr` and `train.epochs` applied. Raises InputError for too few epochs."""
        plan = self.strategy if self.train.lr is None else replace(self.strategy, learning_rate=self.train.lr)
        return plan if self.train.epochs is None else plan.scaled(self.train.epochs)


def with_overrides(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Return the recipe with fields replaced by dotted name: {"train.lr": "3e-4", "head_options.attention": "spatial"}.

    Texts are parsed by the field's annotation; a head's options are the arguments of its builder. Raises InputError for
    unknown names, listing the known ones, and for invalid values.
    """
    new = with_changes(recipe, changes)
    if new.network:
        check_network(new)
    check_head_options(new)
    new = _with_words(new, changes)
    _ = new.plan
    return new


def check_network(recipe: Recipe) -> None:
    """Raise InputError if the zoo has no such network."""
    from trustpose.networks.small import SMALL
    from trustpose.networks.zoo import BOX_DETECTORS, ZOO

    names = [*ZOO, *SMALL, *(BOX_DETECTORS if recipe.system == "detector" else ())]
    if recipe.network not in names:
        raise InputError(f"network: {expected_one_of(names, recipe.network)}")


def check_head_options(recipe: Recipe) -> None:
    """Raise InputError if `head_options` has a name that the head's builder does not take."""
    if not recipe.head_options:
        return
    from inspect import Parameter, signature

    from trustpose.heads.network import HEADS

    if recipe.head is None:
        raise InputError("head_options: expected none, as the recipe has no head")
    if recipe.head not in HEADS:
        return  # checked when that head is built
    parameters = signature(HEADS[recipe.head]).parameters.values()
    options = [
        parameter.name
        for parameter in parameters
        if parameter.kind is Parameter.KEYWORD_ONLY and parameter.name not in _NOT_OPTIONS
    ]
    for name in recipe.head_options:
        if name not in options:
            raise InputError(
                f"head_options.{name}: {recipe.head} has no such option, expected one of {', '.join(options)}"
            )


def _with_words(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """Keep texts that a head option's annotation lists: OKS-Net's attention "none" must not become None."""
    texts = {name.removeprefix("head_options."): text for name, text in changes.items() if "head_options." in name}
    if recipe.head is None or not texts:
        return recipe
    from typing import get_args, get_type_hints

    from trustpose.heads.network import HEADS

    hints = get_type_hints(HEADS[recipe.head].__init__) if recipe.head in HEADS else {}
    words = {name: text for name, text in texts.items() if text in get_args(hints.get(name))}
    return replace(recipe, head_options={**recipe.head_options, **words})


def to_json(recipe: Recipe) -> dict[str, Any]:
    """Convert the recipe to JSON's objects, lists and plain values."""
    return to_plain(recipe)


def from_json(value: Any) -> Recipe:
    """Build a recipe from `to_json`'s output. Raises InputError naming the invalid field."""
    recipe = read_record(Recipe, value)
    if recipe.network:
        check_network(recipe)
    check_head_options(recipe)
    return recipe
