"""Why DeepPose's later stages help or do not: the same stages on displacements as in training, and on their own poses.

    python benchmarks/cascade.py MODELS/deep-pose-3-20

On LSPET's held-out people (`single_person.py`), joints of people with a labelled trunk,in diameters of the true trunk.

  displaced  the true joints, displaced at random as stage s was trained, and what stage s makes of them
  found      the cascade's own poses after each stage
  trunk      the diameter that stage 1 finds / the true one, quartiles
  box        side of a true box, σ diam(y), in pixels of the crop, and the size that it is resampled to
"""

from pathlib import Path

import numpy as np
import torch
from harness import parser, run, table
from single_person import crops_of, held_out

from trustpose.geometry.crops import transform
from trustpose.models.runtime.weights import load_module
from trustpose.models.spec import ModelSpec
from trustpose.networks.deep_pose import DeepPose
from trustpose.training.crops import normalise

CLOSE = 0.2


@torch.no_grad()
def main(options):
    spec = ModelSpec.read(options.model)
    network = load_module(spec)
    assert isinstance(network, DeepPose), "expected a DeepPose"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    people, start_row = held_out(options.data), 0
    unit = torch.tensor([float(spec.input.width), float(spec.input.height)])
    errors: dict[str, list[torch.Tensor]] = {}
    ratios, sides = [], []
    for pixels, _, affine in crops_of(spec, people):
        labels = people.labels[np.arange(start_row, start_row + len(pixels))]
        start_row += len(pixels)
        image, xy = normalise(pixels), torch.from_numpy(transform(affine, labels.xy)).float()
        labelled = torch.from_numpy(labels.v > 0)
        is_counted = labelled & labelled[:, network.trunk.flatten()].all(dim=1, keepdim=True)
        diameter = network._diameter(xy, unit)

        def add(name: str, predicted: torch.Tensor) -> None:
            distance = (predicted - xy).norm(dim=2) / diameter[:, None]  # noqa: B023
            errors.setdefault(name, []).append(distance[is_counted])  # noqa: B023

        sides.append(network.sigma * diameter[is_counted.any(dim=1)])
        stages = [position * unit for position in network(image).extra["stages"]]
        ratios.append((network._diameter(stages[0], unit) / diameter)[is_counted.any(dim=1)])
        for number, predicted in enumerate(stages, start=1):
            add(f"found after stage {number}", predicted)
        for part in range(1, len(stages)):
            deviation = network.displacement_variance[part - 1].sqrt()
            drawn = network.displacement_mean[part - 1] + deviation * torch.randn_like(xy)
            start, side = xy + drawn * diameter[:, None, None], network.sigma * diameter
            _, moved = network._refine(part, image, start, side)
            add(f"displaced, before stage {part + 1}", start)
            add(f"displaced, after stage {part + 1}", start + moved * side[:, None, None])
    rows: dict[str, dict[str, float]] = {}
    for name, parts in sorted(errors.items()):
        error = torch.cat(parts)
        rows[name] = {"mean": float(error.mean()), f"within {CLOSE}": float((error <= CLOSE).float().mean())}
    table("error", rows)
    quartiles = {
        name: dict(
            zip(("0.25", "0.5", "0.75"), np.quantile(torch.cat(v).numpy(), (0.25, 0.5, 0.75)).tolist(), strict=True)
        )
        for name, v in (("trunk", ratios), ("box", sides))
    }
    table("quartiles", quartiles, ".2f")
    print(f"boxes are in pixels of crops of {spec.input.width}, and resampled to {network.sizes[-1]}")
    return rows | quartiles


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    options_parser.add_argument("model", type=Path, help="folder of a trained cascade")
    run(main, options_parser)
