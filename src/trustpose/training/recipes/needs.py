"""What a recipe needs that the package does not bring: labelled photos, initial weights, time."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Literal

from trustpose.datasets.label_files import source_of
from trustpose.training.recipe import Recipe

Initial = Literal["none", "imagenet", "--model"]
_MADE = {"capsule people": ("made-up people", "python benchmarks/dense_pose.py --make FOLDER")}
_MEASURED = {  # processor time by pattern of names, the first that fits, as the site's benchmarks have it
    "lspet/pyranet-2": "7 min",
    "lspet/cu-net-2": "4 min",
    "lspet/cu-net-2-quantised": "6 min",
    "lspet/attention-hourglass-2": "9 min",
    "lspet/spatial-context-2": "7 min",
    "lspet/guided-hourglass-2": "6 min",
    "claims/*-imagenet": "17 to 23 min",
    "claims/cascade": "51 min",
    "claims/*": "21 to 24 min",
    "lspet/*": "2 to 6 min",
    "pose-residual": "30 min",
    "simplepose-trust": "3 min",
    "dense-pose-small": "6 min",
    "dense-pose-regions-small": "6 min",
}


@dataclass(frozen=True)
class Needs:
    """What a recipe needs.

    Attributes:
        data: the data set, by its usual name.
        labels_only: whether its photos are not needed.
        published: where the data set is published, or what makes it; "" for a data set of the user's.
        initial: the initial weights: "none"; "imagenet", which timm downloads; or "--model", a trained network.
        extra: the extra of the package.
        epochs: the number of passes over the data.
        measured: how long it took here on a CPU, "" where it was not trained.
    """

    data: str
    labels_only: bool
    published: str
    initial: Initial
    extra: str
    epochs: int
    measured: str


def needs_of(recipe: Recipe) -> Needs:
    """Return what a recipe needs."""
    data, published = _MADE.get(recipe.data.dataset) or source_of(recipe.data.dataset)
    initials: dict[str, Initial] = {"scratch": "none", "imagenet": "imagenet", "trained": "--model"}
    return Needs(
        data=data,
        labels_only=recipe.system == "residual",
        published=published,
        initial=initials[recipe.strategy.starts_from],
        extra="train",
        epochs=recipe.plan.epochs,
        measured=next((time for pattern, time in _MEASURED.items() if fnmatchcase(recipe.name, pattern)), ""),
    )
