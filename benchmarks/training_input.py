"""The needs of a training on one GPU: crops per second, arithmetic, checkpoints. The GPU itself is not needed.

    python benchmarks/training_input.py [DATA_DIR] [--recipe NAME] [--crops N] [--workers N] [--minutes M]

DATA_DIR is what `trustpose train --data` takes, best a folder of shards. One process, one thread: the recipe's crops
are made as in training, then batches of them, target heatmaps included; and heatmaps are decoded, as the training
process itself does in stages with a head. Seconds are the processor's, so that work beside this one's does not count.

Crops per second × --workers is the most that so many workers on as many free cores give; how fast the GPU computes is
not known here. So the table says how fast it has to be, in crops and in FLOPs, for the recipe to be done in --minutes.
FLOPs are torch's count of network and head for one crop, three times that in training: backward takes two. Then what
checkpoints and weights weigh.
"""

import io
from pathlib import Path

import cv2
import torch
from harness import DATA, parser, run, table, timed
from torch.utils.flop_counter import FlopCounterMode

from trustpose.codecs import Outputs
from trustpose.heads.network import TrustNetwork, attach
from trustpose.networks.zoo import build
from trustpose.training.crops import codec_of, collate, training_crops
from trustpose.training.loop import Ema, make_optimiser
from trustpose.training.people import open_training
from trustpose.training.recipe import Recipe
from trustpose.training.recipes import find_recipe

NETWORKS = ("light-mobilenetv2-050", "light-efficientnet-lite0")
HEAD = "keypoint-tokens"
BATCH = 32  # small enough to be made more than once of few crops


def input_costs(recipe: Recipe, folder: Path, count: int) -> dict[str, float]:
    """Processor seconds for one crop: made, put into a batch, decoded; a batch's bytes for one. Raises InputError."""
    people, codec = open_training([folder], recipe.data).training, codec_of(recipe)
    crops = training_crops(people, recipe, codec)
    step = max(1, len(crops) // count)
    rows = range(0, min(len(crops), step * count), step)
    _ = crops[0]
    making = timed(lambda: [crops[row] for row in rows])
    samples = making.result
    parts = [samples[start : start + BATCH] for start in range(0, len(samples), BATCH)]
    batching = timed(lambda: [collate(part, codec, recipe.train.area) for part in parts])
    size = sum(tensor.nbytes for batch in batching.result for tensor in batch.values()) / len(samples)
    maps = [Outputs([batch["heatmaps"].numpy()]) for batch in batching.result]
    decoding = timed(lambda: [codec.decode(outputs) for outputs in maps])
    timings = {"crop_s": making, "batch_s": batching, "decode_s": decoding}
    seconds = {name: timing.cpu_seconds / len(samples) for name, timing in timings.items()}
    return {"people": len(people), "bytes": size} | seconds


def flops(name: str, height: int, width: int) -> int:
    """Of one crop through a network and its head, forward; a multiplication and an addition are two."""
    with torch.device("meta"):
        network = attach(HEAD, build(name), height, width).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network(torch.zeros(1, 3, height, width), torch.ones(1, 2) if network.head.reads_box else None)
    return counter.get_total_flops()


def weight(name: str, recipe: Recipe) -> dict[str, float]:
    """Megabytes of a checkpoint after a step, of float32 and of float16 weights; millions of parameters."""
    network: TrustNetwork = attach(HEAD, build(name), recipe.height, recipe.width)
    optimiser, average = make_optimiser(network, recipe.train, 1e-3), Ema(network, recipe.train.ema)
    for parameter in network.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    state, written = network.state_dict(), io.BytesIO()
    torch.save({"model": state, "ema": average.state_dict(), "optimiser": optimiser.state_dict()}, written)
    numbers = sum(value.numel() for value in state.values() if value.is_floating_point())
    return {
        "parameters_m": sum(parameter.numel() for parameter in network.parameters()) / 1e6,
        "checkpoint_mb": written.tell() / 1e6,
        "float32_mb": 4 * numbers / 1e6,
        "float16_mb": 2 * numbers / 1e6,
    }


def input_summary(costs: dict[str, float], recipe: Recipe, workers: int, minutes: float) -> dict[str, float]:
    """What the input gives and what the recipe needs."""
    rate = 1 / (costs["crop_s"] + costs["batch_s"])
    people = int(costs["people"])
    steps = recipe.plan.epochs * (people // recipe.train.batch_size)
    crops = steps * recipe.train.batch_size
    needed = crops / (60 * minutes)
    shared = 2 * workers * recipe.train.batch_size * costs["bytes"] / 1e9  # DataLoader prepares two batches a worker
    numbers = {
        "crops made by one worker, /s": 1 / costs["crop_s"],
        "and put into batches, /s": rate,
        f"the most that {workers} workers give, /s": workers * rate,
        "decoded by the training process, /s": 1 / costs["decode_s"],
        f"steps in {recipe.plan.epochs} epochs of {people:,} people": steps,
        f"crops, {recipe.train.batch_size} in a step": crops,
        f"needed to be done in {minutes:g} minutes, /s": needed,
        "batches waiting in shared memory, GB": f"{shared:.1f}",
    }
    table("", {name: {"input": value} for name, value in numbers.items()}, ",.0f")
    return {
        "crops_per_second_per_core": round(rate, 1),
        "crops_per_second_most": round(workers * rate, 1),
        "decoded_per_second": round(1 / costs["decode_s"], 1),
        "steps": steps,
        "crops": crops,
        "needed_per_second": round(needed, 1),
        "shared_memory_gb": round(shared, 2),
    }


def network_rows(recipe: Recipe, needed: float) -> dict[str, dict[str, float]]:
    """Networks with our head: what they compute and weigh. needed: crops per second."""
    rows = {}
    for name in NETWORKS:
        work = flops(name, recipe.height, recipe.width)
        row = {"forward_gflop": work / 1e9, "needed_tflop_s": 3 * work * needed / 1e12} | weight(name, recipe)
        rows[name] = {key: round(value, 4) for key, value in row.items()}
    table("network with head", rows, ".2f", forward_gflop=".3f")
    return rows


def main(options):
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    recipe = find_recipe(options.recipe)
    costs = input_costs(recipe, options.folder, options.crops)
    summary = input_summary(costs, recipe, options.workers, options.minutes)
    return {"input": summary, "networks": network_rows(recipe, summary["needed_per_second"])}


if __name__ == "__main__":
    options_parser = parser(__doc__)
    add = options_parser.add_argument
    add("folder", nargs="?", type=Path, default=DATA / "coco", metavar="DATA_DIR", help="best a folder of shards")
    add("--recipe", default="default-network-gpu", help="its crops and epochs")
    add("--crops", type=int, default=300, help="crops to make")
    add("--workers", type=int, default=14, help="of the training")
    add("--minutes", type=float, default=25.0, help="for the training")
    run(main, options_parser)
