"""Why DeepPose's later stages help or do not: the same stages on displacements as in training, and on their own poses.

    python benchmarks/cascade.py MODELS/deep-pose-3-20

On LSPET's held-out people (`single_person.py`), joints of people with a labelled trunk, in diameters of the true trunk.
A table, then one line of JSON:

  displaced  the true joints, displaced at random as stage s was trained, and what stage s makes of them
  found      the cascade's own poses after each stage
  trunk      the diameter that stage 1 finds / the true one, quartiles
  box        side of a true box, σ diam(y), in pixels of the crop, and the size that it is resampled to
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from single_person import _crops, held_out

from trustpose.geometry.crops import transform
from trustpose.models.spec import ModelSpec
from trustpose.networks.deep_pose import DeepPose
from trustpose.runtime.weights import load_module
from trustpose.training.crops import normalise

CLOSE = 0.2


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, help="folder of a trained cascade")
    spec = ModelSpec.read(parser.parse_args().model)
    network = load_module(spec)
    assert isinstance(network, DeepPose), "expected a DeepPose"
    torch.set_num_threads(1)
    torch.manual_seed(0)
    people, row = held_out(), 0
    unit = torch.tensor([float(spec.input.width), float(spec.input.height)])
    errors: dict[str, list[torch.Tensor]] = {}
    ratios, sides = [], []
    for pixels, _, affine in _crops(spec, people):
        labels = people.labels[np.arange(row, row + len(pixels))]
        row += len(pixels)
        image, xy = normalise(pixels), torch.from_numpy(transform(affine, labels.xy)).float()
        labelled = torch.from_numpy(labels.v > 0)
        known = labelled & labelled[:, network.trunk.flatten()].all(dim=1, keepdim=True)
        diameter = network._diameter(xy, unit)

        def add(name: str, found: torch.Tensor) -> None:
            distance = (found - xy).norm(dim=2) / diameter[:, None]  # noqa: B023
            errors.setdefault(name, []).append(distance[known])  # noqa: B023

        sides.append(network.sigma * diameter[known.any(dim=1)])
        stages = [place * unit for place in network(image).extra["stages"]]
        ratios.append((network._diameter(stages[0], unit) / diameter)[known.any(dim=1)])
        for number, found in enumerate(stages, start=1):
            add(f"found after stage {number}", found)
        for part in range(1, len(stages)):
            deviation = network.displacement_variance[part - 1].sqrt()
            drawn = network.displacement_mean[part - 1] + deviation * torch.randn_like(xy)
            start, side = xy + drawn * diameter[:, None, None], network.sigma * diameter
            _, moved = network._refine(part, image, start, side)
            add(f"displaced, before stage {part + 1}", start)
            add(f"displaced, after stage {part + 1}", start + moved * side[:, None, None])
    report: dict[str, dict[str, float]] = {}
    for name, parts in sorted(errors.items()):
        error = torch.cat(parts)
        report[name] = {"mean": float(error.mean()), f"within {CLOSE}": float((error <= CLOSE).float().mean())}
        print(f"{name:28} mean error {report[name]['mean']:.2f}, within {CLOSE}: {report[name][f'within {CLOSE}']:.1%}")
    quartiles = np.quantile(torch.cat(ratios).numpy(), (0.25, 0.5, 0.75))
    print("trunk found / true, quartiles: " + ", ".join(f"{value:.2f}" for value in quartiles))
    boxes = np.quantile(torch.cat(sides).numpy(), (0.25, 0.5, 0.75))
    print(
        f"boxes of {', '.join(f'{side:.0f}' for side in boxes)} crop pixels (quartiles), of {spec.input.width}; "
        f"resampled to {network.sizes[-1]}"
    )
    named = {"trunk": quartiles, "box": boxes}
    print(
        json.dumps(
            report | {name: dict(zip(("0.25", "0.5", "0.75"), q.tolist(), strict=True)) for name, q in named.items()}
        )
    )


if __name__ == "__main__":
    main()
