"""The needs of a training on one GPU: crops per second, arithmetic, checkpoints. The GPU itself is not needed.

    python benchmarks/training_input.py [DATA_DIR] [--recipe NAME] [--crops N] [--workers N] [--minutes M]

DATA_DIR is what `trustpose train --data` takes, best a folder of shards. One process, one thread: the recipe's crops
are made as in training, then batches of them, target heatmaps included; and heatmaps are decoded, as the training
process itself does in stages with a head. Seconds are the processor's, so that work beside this one's does not count.

Crops per second × --workers is the most that so many workers on as many free cores give; how fast the GPU computes is
not known here. So the table says how fast it has to be, in crops and in FLOPs, for the recipe to be done in --minutes.
FLOPs are torch's count of network and head for one crop, three times that in training: backward takes two. Then what
checkpoints and weights weigh. Last comes one line of JSON.
"""

import argparse
import io
import json
import os
import sys
import time
from pathlib import Path

import cv2
import torch
from torch.utils.flop_counter import FlopCounterMode

from trustpose.codecs import Outputs
from trustpose.files import InputError
from trustpose.networks.zoo import build
from trustpose.training.crops import codec_of, collate, training_crops
from trustpose.training.ema import Ema
from trustpose.training.loop import make_optimiser
from trustpose.training.people import open_training
from trustpose.training.recipe import Recipe
from trustpose.training.recipes import find_recipe
from trustpose.trust.network import TrustNetwork, attach

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data")) / "coco"
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
    start = time.process_time()
    made = [crops[row] for row in rows]
    crop = (time.process_time() - start) / len(made)
    start = time.process_time()
    parts = [made[at : at + BATCH] for at in range(0, len(made), BATCH)]
    batches = [collate(part, codec, recipe.train.area) for part in parts]
    batch = (time.process_time() - start) / len(made)
    size = sum(tensor.nbytes for one in batches for tensor in one.values()) / len(made)
    start = time.process_time()
    for one in batches:
        codec.decode(Outputs([one["heatmaps"].numpy()]))
    decode = (time.process_time() - start) / len(made)
    return {"people": len(people), "crop_s": crop, "batch_s": batch, "decode_s": decode, "bytes": size}


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


def show_input(found: dict[str, float], recipe: Recipe, workers: int, minutes: float) -> dict[str, float]:
    """The table of what the input gives and what the recipe needs, and the same for scripts."""
    made = 1 / (found["crop_s"] + found["batch_s"])
    people = int(found["people"])
    steps = recipe.plan.epochs * (people // recipe.train.batch_size)
    crops = steps * recipe.train.batch_size
    needed = crops / (60 * minutes)
    shared = 2 * workers * recipe.train.batch_size * found["bytes"] / 1e9  # DataLoader prepares two batches a worker
    print(f"{'crops made by one worker':42}{1 / found['crop_s']:10,.0f} /s")
    print(f"{'and put into batches':42}{made:10,.0f} /s")
    print(f"{f'the most that {workers} workers give':42}{workers * made:10,.0f} /s")
    print(f"{'decoded by the training process':42}{1 / found['decode_s']:10,.0f} /s")
    print(f"{f'steps in {recipe.plan.epochs} epochs of {people:,} people':42}{steps:10,}")
    print(f"{f'crops, {recipe.train.batch_size} in a step':42}{crops:10,}")
    print(f"{f'needed to be done in {minutes:g} minutes':42}{needed:10,.0f} /s")
    print(f"{'batches waiting in shared memory':42}{shared:10.1f} GB")
    return {
        "crops_per_second_per_core": round(made, 1),
        "crops_per_second_most": round(workers * made, 1),
        "decoded_per_second": round(1 / found["decode_s"], 1),
        "steps": steps,
        "crops": crops,
        "needed_per_second": round(needed, 1),
        "shared_memory_gb": round(shared, 2),
    }


def show_networks(recipe: Recipe, needed: float) -> dict[str, dict[str, float]]:
    """The table of networks with our head, and the same for scripts. needed: crops per second."""
    heads = ("parameters", "GFLOP/crop", "TFLOP/s", "checkpoint", "float32", "float16")
    print(f"\n{'network with head':28}" + "".join(f"{head:>13}" for head in heads))
    rows = {}
    for name in NETWORKS:
        work = flops(name, recipe.height, recipe.width)
        row = {"forward_gflop": work / 1e9, "needed_tflop_s": 3 * work * needed / 1e12} | weight(name, recipe)
        sizes = "".join(f"{row[key]:10.1f} MB" for key in ("checkpoint_mb", "float32_mb", "float16_mb"))
        print(
            f"{name:28}{row['parameters_m']:11.2f} M{row['forward_gflop']:13.3f}{row['needed_tflop_s']:13.2f}" + sizes
        )
        rows[name] = {key: round(value, 4) for key, value in row.items()}
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", nargs="?", type=Path, default=DATA, metavar="DATA_DIR")
    parser.add_argument("--recipe", default="default-network-gpu")
    parser.add_argument("--crops", type=int, default=300)
    parser.add_argument("--workers", type=int, default=14)
    parser.add_argument("--minutes", type=float, default=25.0)
    options = parser.parse_args()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    try:
        recipe = find_recipe(options.recipe)
        found = input_costs(recipe, options.data, options.crops)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    summary = show_input(found, recipe, options.workers, options.minutes)
    print(json.dumps({"input": summary, "networks": show_networks(recipe, summary["needed_per_second"])}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
