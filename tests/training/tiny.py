"""A network of a few thousand parameters, people on coloured noise, and recipes that train them in seconds."""

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import nn

from tests.people_cases import listed_people, person
from trustpose.datasets.people import People
from trustpose.heads.network import attach
from trustpose.heads.stages import Stage, Strategy
from trustpose.networks.layers import PoseNetwork, heatmap_head
from trustpose.networks.zoo import ZOO
from trustpose.skeletons import COCO_17
from trustpose.training.network_task import Learner, NetworkTask
from trustpose.training.people import split_by_fold
from trustpose.training.recipe import DataOptions, Recipe, TrainOptions

HEIGHT, WIDTH = 64, 48
COLOURS = np.random.default_rng(1).integers(60, 256, (17, 3))


def tiny_network(keypoints: int = 17, norm: bool = True, dropout: float = 0.0) -> PoseNetwork:
    """Stride 4, eight channels; with batch norm and dropout or without."""
    layers = [nn.Conv2d(3, 8, 5, stride=4, padding=2), *([nn.BatchNorm2d(8)] if norm else []), nn.ReLU()]
    neck = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.Dropout(dropout))
    network = PoseNetwork(nn.Sequential(*layers), neck, heatmap_head(8, keypoints))
    nn.init.normal_(network.head.weight, std=0.1)
    return network


ZOO.setdefault("tiny", tiny_network)


def tiny_people(count: int = 24, seed: int = 0) -> People:
    """People of coloured dots, one a photo; a fifth of the joints unlabelled, a fifth occluded."""
    random = np.random.default_rng(seed)
    samples = []
    for number in range(1, count + 1):
        photo = random.integers(0, 60, (80, 60, 3)).astype(np.uint8)
        xy = random.uniform((8, 8), (52, 72), (17, 2))
        v = random.choice([0, 1, 2], 17, p=[0.2, 0.2, 0.6])
        v[0] = 2
        for (x, y), colour in zip(xy.astype(int), COLOURS, strict=True):
            photo[y - 2 : y + 3, x - 2 : x + 3] = colour
        made = person(photo, xy * (v > 0)[:, None], v=v, box=[4.0, 4.0, 56.0, 76.0], number=number)
        samples.append(replace(made, image_id=number, area=1800.0))
    return listed_people(samples, COCO_17)


def tiny_recipe(stages: tuple[Stage, ...] = (Stage(2, 1.0, 0.0),), head: str | None = None, **train) -> Recipe:
    """Two epochs of four people a step on heatmaps alone, unless changed."""
    defaults = {"lr": 1e-2, "batch_size": 4, "area": "segment", "log_every": 2, "checkpoint_every": 1000}
    return Recipe(
        name="tiny",
        title="a small one",
        strategy=Strategy(stages, 1e-2, (), "scratch"),
        network="tiny",
        head=head,
        height=HEIGHT,
        width=WIDTH,
        data=DataOptions(augmentation="hrnet", sigma=1.0, folds=0),
        train=TrainOptions(**(defaults | train)),
    )


def tiny_task(recipe: Recipe, people: People | None = None, **network_options) -> NetworkTask:
    """The recipe's task on the tiny people, weights drawn by its seed."""
    torch.manual_seed(recipe.train.seed)
    network = tiny_network(**network_options)
    head = None if recipe.head is None else attach(recipe.head, network, HEIGHT, WIDTH, **recipe.head_options).head
    training, held_out = split_by_fold(people or tiny_people(), recipe.data)
    return NetworkTask(recipe, Learner(network, head), training, held_out)


def one_process(precision: str = "32-true") -> Fabric:
    fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
    fabric.launch()
    return fabric


def weights(task: NetworkTask, part: str = "") -> dict[str, torch.Tensor]:
    """Copies of the tensors whose names begin so."""
    state = task.model.state_dict()
    return {name: value.clone() for name, value in state.items() if name.startswith(part)}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def rows(path: Path) -> list[dict[str, str]]:
    """The rows of a log, but for the time that they took."""
    with path.open(newline="") as file:
        found = list(csv.DictReader(file))
    return [{name: cell for name, cell in row.items() if name != "samples_per_second"} for row in found]


def resumable_task() -> NetworkTask:
    """Everything that a checkpoint has to hold: two stages, a head, dropout, an average, momenta, a warmup."""
    recipe = tiny_recipe(
        (Stage(1, 1.0, 0.0), Stage(2, 10.0, 1.0)),
        "oks-net",
        ema=0.9,
        warmup=4,
        accumulate=2,
        clip=1.0,
        log_every=4,
        checkpoint_every=3,
    )
    recipe = replace(recipe, data=replace(recipe.data, folds=4))
    return tiny_task(recipe, dropout=0.2)
