"""The way of a training crop: the modules and functions of ours that run between a person in a shard and the loss.

    python tools/way_of_a_crop.py SHARDS

SHARDS is a folder that `trustpose shard` wrote. The training is the recipe light-network's, without its head and with
every kind of augmentation. It is put together before counting starts; then one batch of its first epoch is drawn and
the loss computed. Prints a line a module, its functions in the order of their first call, and last a line of JSON:
{"modules": …, "functions": …}.
"""

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from way_of_a_photo import functions_of, show

from trustpose.heads.stages import Stage, Strategy
from trustpose.training.network_task import NetworkTask, network_task
from trustpose.training.recipes import find_recipe

MOST_PEOPLE = 16  # in the batch: enough for every kind of augmentation


def prepare(shards: Path) -> NetworkTask:
    """The training, on all people in the shards."""
    recipe = find_recipe("light-network")
    data = replace(recipe.data, augmentation="strong", folds=0)
    train = replace(recipe.train, weight_interpolation=0.0)
    heatmaps_alone = Strategy((Stage(1, 1.0, 0.0),), 1e-3, (), "scratch")
    with tempfile.TemporaryDirectory() as folder:
        recipe = replace(recipe, data=data, train=train, strategy=heatmaps_alone, head=None)
        return network_task(recipe, [shards], None, Path(folder))


def walk(task: NetworkTask) -> None:
    """One batch of the first epoch, from the shards to its loss."""
    samples = task.samples(0)
    batch = task.collate([samples[index] for index in range(min(len(samples), MOST_PEOPLE))])
    sum(task.losses(task.model, batch, task.counts(batch)).values())


def main() -> None:
    """Print the way of a crop of the given shards."""
    if len(sys.argv) != 2:
        sys.exit("usage: python tools/way_of_a_crop.py SHARDS")
    task = prepare(Path(sys.argv[1]))
    show(functions_of(lambda: walk(task)))


if __name__ == "__main__":
    main()
