"""Surfaces of bodies: sizes of DensePose's networks, and what a small network learns from people of capsules.

    python benchmarks/dense_pose.py --sizes
    python benchmarks/dense_pose.py --make train --count 1000
    python benchmarks/dense_pose.py --make test --count 300 --seed 1
    trustpose train dense-pose-small --data train --out model --surfaces.mesh=train/mesh.npz \\
        --surfaces.mirror=train/mirror.mat --surfaces.quality=true
    python benchmarks/dense_pose.py --model model --people test [--flip] [--draw pictures]

and the same with `dense-pose-regions-small`, which sees whole photos.

`--make` writes photos of a person of fourteen capsules in random poses, clothes and light, in the layout of
DensePose-COCO with a hundred labelled points a person, and the mesh with geodesic distances. `--model` measures the
surfaces in labelled boxes: AP over GPSm as in the COCO DensePose evaluation, GPS by people with 95 % intervals, and the
share of points with the right part; beside them "perfect maps", the photo's own surface through maps of the network's
size, and "middles", the right part with U = V = 0.5. Trust: the correlation, over the points, of the true similarity
with the expected one and with the network's own probability of the part, and the calibration error (10 bins of equal
number).
"""

import argparse
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from harness import Estimate, parser, run, table
from networks import Count
from torch import nn

from trustpose.codecs.surface import SurfaceCodec
from trustpose.datasets.capsule_folder import write_capsule_people
from trustpose.datasets.capsule_person import render
from trustpose.datasets.surface_people import open_surface_people
from trustpose.geometry.crops import grow_box
from trustpose.geometry.surface_mesh import SurfaceMesh
from trustpose.io.photos import read_image
from trustpose.io.surface_mesh import read_surface_mesh
from trustpose.metrics.surface import geodesic_point_similarity, surface_precision
from trustpose.networks.dense_pose import DensePoseRCNN, DensePoseRegions, SurfaceNetwork
from trustpose.networks.zoo import build
from trustpose.poses.surfaces import Surface, Surfaces, SurfaceTruth
from trustpose.predict.surfaces import SurfacePredictor
from trustpose.report.surfaces import draw_surfaces
from trustpose.training.recipes import find_recipe

DRAWS = 1000
BINS = 10


def multiply_adds(network: nn.Module, *inputs: Any) -> float:
    """Return 10⁹ multiply-adds of convolutions of a pass, on the meta device."""
    total = Count()

    def add(layer: nn.Module, arguments: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        weights = layer.weight.numel()  # type: ignore[union-attr,operator]
        cells = arguments[0] if isinstance(layer, nn.ConvTranspose2d) else output
        total.done += weights * len(cells) * cells.shape[-2:].numel()

    layers = [layer for layer in network.modules() if isinstance(layer, (nn.Conv2d, nn.ConvTranspose2d))]
    hooks = [layer.register_forward_hook(add) for layer in layers]
    network.eval()(*inputs)
    for hook in hooks:
        hook.remove()
    return total.done / 1e9


def millions(network: nn.Module) -> float:
    """Return a network's parameters, in millions."""
    return sum(parameter.numel() for parameter in network.parameters()) / 1e6


def sizes() -> dict[str, dict[str, float | None]]:
    """Return parameters (M) and multiply-adds (G) of the region network's parts and of the recipes' networks."""
    rows: dict[str, dict[str, float | None]] = {}
    with torch.device("meta"), torch.no_grad():
        for name, options in (("v1 convolutional", {}), ("DeepLab", {"head": "deeplab"})):
            regions = DensePoseRegions(**options)
            features = torch.zeros(1, 256, 28, 28)
            head = nn.Sequential(regions.densepose_head, regions.densepose_predictor)
            rows[f"{name} head and maps, one region"] = {"M": millions(head), "G": multiply_adds(head, features)}
        pyramid = [torch.zeros(1, 256, 800 // 2**level, 1344 // 2**level) for level in range(2, 6)]
        decoder = DensePoseRegions().decoder
        rows["decoder, photo of 800 × 1344"] = {"M": millions(decoder), "G": multiply_adds(decoder, pyramid)}
        for name in ("dense-pose", "dense-pose-small", "dense-pose-regions", "dense-pose-regions-small"):
            recipe = find_recipe(name)
            options = recipe.surfaces
            network: nn.Module = DensePoseRCNN()
            if recipe.network:
                base = build(recipe.network)
                network = SurfaceNetwork(base, options.hidden, options.layers, regions=options.regions)
            inputs = [torch.zeros(1, 3, recipe.height, recipe.width)]
            inputs += [torch.zeros(1, 5)] if options.regions else []
            label = f"{name}, {'photo' if options.regions else 'crop'} of {recipe.height} × {recipe.width}"
            rows[label] = {"M": millions(network), "G": multiply_adds(network, *inputs)}
    return rows


def numbers_of(surfaces: Surfaces, truth: SurfaceTruth, mesh: SurfaceMesh) -> dict[str, Any]:
    """Return AP, GPS with its interval, and the share of points with the right part."""
    xy = truth.xy(255)
    right = np.concatenate(
        [
            surface.sample(xy[truth.points_of(row)])[0] == truth.part[truth.points_of(row)]
            for row, surface in enumerate(surfaces)
        ]
    )
    gps = np.array([geodesic_point_similarity(surface, truth, row, mesh) for row, surface in enumerate(surfaces)])
    precision = surface_precision(surfaces, truth, mesh)
    return {
        "AP": precision.AP,
        "AP50": precision.AP50,
        "AP75": precision.AP75,
        "GPS": Estimate.mean(gps, DRAWS).interval,
        "right part": float(right.mean()),
    }


def trust_of(surfaces: Surfaces, truth: SurfaceTruth, mesh: SurfaceMesh) -> dict[str, dict[str, Any]]:
    """Return how the network's numbers for each pixel go with the true similarity at the labelled points."""
    xy = truth.xy(255)
    columns: dict[str, list[np.ndarray]] = {"true": [], "expected GPS": [], "probability of the part": []}
    for row, surface in enumerate(surfaces):
        points = truth.points_of(row)
        line, column, _ = surface.pixels(xy[points])
        part, uv = surface.sample(xy[points])
        assert surface.score is not None
        columns["true"].append(mesh.similarity(part, uv, truth.part[points], truth.uv[points]))
        columns["probability of the part"].append(surface.score[line, column])
        if surface.quality is not None:
            columns["expected GPS"].append(surface.quality[line, column])
    true = np.concatenate(columns.pop("true"))
    return {name: _trust(np.concatenate(values), true) for name, values in columns.items() if values}


def _trust(value: np.ndarray, true: np.ndarray) -> dict[str, float]:
    bins = np.array_split(np.argsort(value, kind="stable"), BINS)
    error = sum(len(rows) * abs(value[rows].mean() - true[rows].mean()) for rows in bins) / len(value)
    return {"r": float(np.corrcoef(value, true)[0, 1]), "calibration error": float(error), "points": len(value)}


def middles(photos: list[Surface]) -> list[Surface]:
    """Return the right parts, with the middle of each for all of its pixels."""
    return [
        Surface(surface.part, np.float32(0.5) * (surface.uv >= 0) * (surface.part > 0)[..., None], surface.box)
        for surface in photos
    ]


def cells_over(surface: Surface, box: np.ndarray, codec: SurfaceCodec) -> Surface:
    """Return a photo's surface in the middles of the cells of maps over a box."""
    share = [(np.arange(count) + 0.5) / count for count in (codec.width, codec.height)]
    xy = np.stack(np.meshgrid(*share), axis=-1) * (box[2:] - box[:2]) + box[:2]
    part, uv = surface.sample(np.floor(xy.reshape(-1, 2)))
    shape = (codec.height, codec.width)
    return Surface(part.reshape(shape).astype(np.uint8), uv.reshape(*shape, 2), box)


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Print and return the numbers of a model on a folder of capsule people."""
    truth, folder = open_surface_people(options.people)
    mesh = read_surface_mesh(options.people / "mesh.npz")
    mirror = options.people / "mirror.mat"
    predictor = SurfacePredictor(options.model, detector="whole", flip=options.flip, mirror=mirror)
    assert truth.images is not None
    names = truth.images.names()
    estimates, scores, true = [], [], []
    for row, image_id in enumerate(truth.image_id.tolist()):
        pixels = read_image(folder / names[image_id])
        of_photo = predictor(pixels, truth.box[row : row + 1], image_id=image_id)
        estimates.append(of_photo.surfaces[0])
        scores.append(of_photo.score[0])
        true.append(render(np.random.default_rng([options.seed, image_id]), *pixels.shape[1::-1]).surface)
        if options.draw is not None and row < 12:
            options.draw.mkdir(parents=True, exist_ok=True)
            panels = [pixels, *(draw_surfaces(pixels, of_photo, style) for style in ("contours", "parts"))]
            panels += [draw_surfaces(pixels, of_photo, "trust")] if estimates[-1].quality is not None else []
            cv2.imwrite(str(options.draw / f"{image_id}.png"), np.concatenate(panels, axis=1)[..., ::-1])
    codec = predictor.output.codec(predictor.spec.input)
    ones = np.ones(len(truth))
    aspect = predictor.spec.input.width / predictor.spec.input.height
    sees_photo = predictor.output.boxes is not None
    grown = truth.box if sees_photo else grow_box(truth.box, predictor.spec.padding, aspect)
    perfect = [
        codec.decode(codec.encode(cells_over(surface, box, codec)), box, region)
        for surface, box, region in zip(true, grown, truth.box, strict=True)
    ]
    candidates = {
        "model": Surfaces(tuple(estimates), truth.image_id, np.array(scores)),
        "perfect maps": Surfaces(tuple(perfect), truth.image_id, ones),
        "middles": Surfaces(tuple(middles(true)), truth.image_id, ones),
    }
    rows = {name: numbers_of(surfaces, truth, mesh) for name, surfaces in candidates.items()}
    trust = trust_of(candidates["model"], truth, mesh)
    table(f"Surfaces of {len(truth)} people in labelled boxes", rows)
    table("Trust for each pixel", trust)
    return {"people": len(truth), "numbers": rows, "trust": trust}


def main(options: argparse.Namespace) -> dict[str, Any] | None:
    if options.make is not None:
        write_capsule_people(options.make, options.count, options.seed)
        return None
    if options.sizes:
        rows = sizes()
        table("Parameters (M) and multiply-adds (G)", rows)
        return rows
    return evaluate(options)


if __name__ == "__main__":
    arguments = parser(__doc__)
    arguments.add_argument("--sizes", action="store_true", help="print parameters and multiply-adds")
    arguments.add_argument("--make", type=Path, metavar="FOLDER", help="write photos of capsule people to a new folder")
    arguments.add_argument("--count", type=int, default=1000, help="how many")
    arguments.add_argument("--seed", type=int, default=0, help="of the photos; for --people that of its --make")
    arguments.add_argument("--model", type=Path, metavar="FOLDER", help="a trained network")
    arguments.add_argument("--people", type=Path, metavar="FOLDER", help="written by --make")
    arguments.add_argument("--flip", action="store_true", help="average with mirrored crops")
    arguments.add_argument("--draw", type=Path, metavar="FOLDER", help="write drawings of twelve photos")
    run(main, arguments)
