"""Crops of tiny people read by a tiny frozen ONNX network; also a writing that is killed on the way."""

import os
import signal
from dataclasses import replace
from pathlib import Path

import torch

from tests.training.tiny import HEIGHT, WIDTH, tiny_people
from trustpose.datasets.augment import GENTLE, TrainingCrops
from trustpose.datasets.people import People
from trustpose.heads.heads import Tensors, TrustHead
from trustpose.heads.network import HEADS, new_head
from trustpose.models.spec import ModelSpec
from trustpose.training import features
from trustpose.training.features import FrozenNetwork, Reading


def tiny_head(network: FrozenNetwork, head: str = "keypoint-tokens", **options) -> TrustHead:
    torch.manual_seed(0)
    return new_head(head, [one.shape for one in network.maps.values()], 17, **options)


def tiny_reading(model: Path, head: str = "keypoint-tokens", views: int = 4, **changes) -> Reading:
    network = FrozenNetwork(ModelSpec.read(model), HEADS[head].reads, {})
    made = tiny_head(network, head)

    def pool(maps: Tensors) -> Tensors:
        return made.pool(maps if made.reads_box else maps[:-1])

    return replace(Reading(network, pool, GENTLE, views, "segment"), **changes)


def tiny_crops(people: People | None = None, seed: int = 0) -> TrainingCrops:
    return TrainingCrops(people or tiny_people(21), WIDTH, HEIGHT, seed=seed)


def store_until_killed(folder: Path, model: Path, rows: int) -> None:
    """Store features, and kill this process once so many rows are there."""
    features._SAVED_EVERY = 2
    begun = 0

    def advance(more: int) -> None:
        nonlocal begun
        begun += more
        if begun >= rows:
            os.kill(os.getpid(), signal.SIGKILL)

    features.store_features(folder, tiny_reading(model), tiny_crops(), advance)
