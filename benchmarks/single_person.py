"""The small single-person systems on LSPET's held-out people: PCK, PDJ and PCP, and the lecture's claims.

    trustpose shard --gt DATA/lspet/joints.mat --images DATA/lspet/images --size 96 --out shards
    for name in simple-baseline integral …; do trustpose train lspet/$name --data shards --out MODELS/$name; done
    python benchmarks/single_person.py MODELS

Held out are the people of fold 0 of 10 by `datasets.folds.fold_of`, with their labels as published, not cleaned.
Tables, then one line of JSON with all of them:

  systems   mean over joints of PCK@0.2 by the torso (which is PDJ@0.2), PDJ@0.1, PCK@0.2 by the box, and mean over
            limbs of strict PCP, with 95 % intervals from drawing people; the stages of one network below it
  claims    differences of PCK@0.2 and PDJ@0.1, of the same drawn people
  trust     Pearson r of each keypoint's score, and of our head's quality, with its OPKS
"""

import argparse
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.datasets.folds import fold_of
from trustpose.datasets.lspet import lspet_people, read_lspet
from trustpose.datasets.people import People
from trustpose.geometry.crops import affine_to_crop, cut_out, grow_box, invert_affine, transform
from trustpose.geometry.oks import opks
from trustpose.metrics.bootstrap import interval, resample_counts
from trustpose.metrics.correct_joints import correct_joints, normalised_distance, replicate_correct
from trustpose.metrics.correct_parts import body_limbs, limb_distance
from trustpose.metrics.correlation import pearson
from trustpose.metrics.reference_lengths import box_side, joints_box, torso_diameter
from trustpose.models.spec import HeatmapOutput, ModelSpec
from trustpose.runtime.weights import load_module, load_trust_network
from trustpose.training.crops import normalise
from trustpose.trust.network import TrustNetwork

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
FOLDS, BATCH = 10, 64
CLAIMS = (  # what the lecture says, the system that should be better, the other
    ("the cascade refines: stage 2 over 1", "deep-pose-3 · stage 2", "deep-pose-3 · stage 1"),
    ("the cascade refines: stage 3 over 2", "deep-pose-3", "deep-pose-3 · stage 2"),
    ("three stages beat one, at equal steps", "deep-pose-3", "deep-pose-1"),
    ("fine after coarse, in one network", "tompson", "tompson · coarse"),
    ("coarse and fine beat coarse, at equal steps", "tompson", "tompson-coarse"),
    ("heatmaps beat regression, on one backbone", "simple-baseline", "regression"),
    ("integral beats heatmaps, on one network", "integral", "simple-baseline"),
    ("integral beats regression, on one backbone", "integral", "regression"),
    ("integral beats heatmaps at stage 1", "hourglass-2-integral · stage 1", "hourglass-2 · stage 1"),
    ("integral beats heatmaps at stage 2", "hourglass-2-integral", "hourglass-2"),
    ("later stages refine: hourglass 2 over 1", "hourglass-2", "hourglass-2 · stage 1"),
    ("two hourglasses beat one, at equal steps", "hourglass-2", "hourglass-1"),
    ("three stages of CPM beat one", "cpm-3", "cpm-1"),
    ("six stages of CPM beat three", "cpm-6", "cpm-3"),
    ("intermediate supervision helps six stages", "cpm-6", "cpm-6-last"),
    ("mining hard keypoints helps CPN", "cpn-mining", "cpn"),
    ("high resolution: HRNet over SimpleBaseline", "hrnet", "simple-baseline"),
    ("integral beats heatmaps, 20 epochs", "integral-20", "simple-baseline-20"),
    ("integral beats regression, 20 epochs", "integral-20", "regression-20"),
    ("integral from heatmaps' weights beats them", "integral-after-20", "simple-baseline-20"),
    ("integral from heatmaps' weights, 20 epochs more for both", "integral-after-40", "simple-baseline-40"),
    ("heatmaps beat regression, 20 epochs", "simple-baseline-20", "regression-20"),
    ("the cascade refines: stage 2 over 1, 20 epochs", "deep-pose-3-20 · stage 2", "deep-pose-3-20 · stage 1"),
    ("the cascade refines: stage 3 over 2, 20 epochs", "deep-pose-3-20", "deep-pose-3-20 · stage 2"),
    ("three stages beat one, 20 epochs", "deep-pose-3-20", "deep-pose-1-20"),
)


@dataclass(frozen=True, eq=False)
class Found:
    """Predictions of one system: xy (N, K, 2) in photo pixels, score (N, K), and quality (N, K) of a head."""

    xy: np.ndarray
    score: np.ndarray
    quality: np.ndarray | None = None


def held_out() -> People:
    """Return the held-out people, with the labels as published."""
    people = lspet_people(read_lspet(DATA / "lspet" / "joints.mat"), DATA / "lspet" / "images")
    rows = np.flatnonzero(fold_of(people.image_id, FOLDS) == 0)
    return People(people.skeleton, people.labels[rows], people.sources, people.source[rows], people.row[rows])


@torch.no_grad()
def predict(folder: Path, people: People) -> dict[str, Found]:
    """Return the predictions of a model folder, "" for its output and others for its earlier stages."""
    spec = ModelSpec.read(folder)
    module: nn.Module = load_module(spec) if spec.trust is None else load_trust_network(spec)
    parts: dict[str, list[Found]] = {}
    for pixels, box, affine in _crops(spec, people):
        if isinstance(module, TrustNetwork):
            outputs, trust = module(normalise(pixels), box if module.head.reads_box else None)
            quality = None if trust.quality is None else trust.quality.numpy()
        else:
            outputs, quality = module(normalise(pixels)), None
        for name, (xy, score) in _stages(spec, outputs).items():
            photo = transform(invert_affine(affine), xy.astype(np.float64))
            parts.setdefault(name, []).append(Found(photo, score, quality))
    return {name: _joined(found) for name, found in parts.items()}


def _crops(spec: ModelSpec, people: People) -> Iterator[tuple[torch.Tensor, torch.Tensor, np.ndarray]]:
    """Yield pixels (B, H, W, 3), box (B, 2) as heads read it, and affines from photo to crop, as in prediction."""
    height, width = spec.input.height, spec.input.width
    extent = spec.crop_output.codec(spec.input).crop_extent(width, height)
    for start in range(0, len(people), BATCH):
        pixels, shares, affines = [], [], []
        for row in range(start, min(start + BATCH, len(people))):
            sample = people[row]
            affine = affine_to_crop(grow_box(sample.box, spec.padding, width / height), *extent)
            pixels.append(cut_out(sample.pixels, affine, width, height))
            sides = sample.box[2:] - sample.box[:2]
            shares.append(sides * np.abs(np.diag(affine[:, :2])) / (width, height))
            affines.append(affine)
        yield (
            torch.from_numpy(np.stack(pixels)),
            torch.from_numpy(np.stack(shares)).float(),
            np.stack(affines),
        )


def _stages(spec: ModelSpec, outputs: Outputs) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Return positions in crop pixels and scores, of the output and of earlier stages, coarse to fine."""
    codec, unit = spec.crop_output.codec(spec.input), np.array([spec.input.width, spec.input.height])
    found: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if outputs.coordinates is not None:
        coordinates = outputs.coordinates.numpy()
        found[""] = (coordinates[..., :2] * unit, coordinates[..., 2])
        for number, xy in enumerate(outputs.extra.get("stages", [])[:-1], start=1):
            found[f"stage {number}"] = (xy.numpy() * unit, coordinates[..., 2])
        if outputs.heatmaps:
            side = spec.input.width / outputs.heatmaps[0].shape[3]
            coarse = HeatmapCodec(*outputs.heatmaps[0].shape[:1:-1], side)
            found["coarse"] = tuple(coarse.decode(Outputs([outputs.heatmaps[0].numpy()])))
        return found
    assert isinstance(spec.output, HeatmapOutput)
    for number, maps in enumerate(outputs.heatmaps, start=1):
        name = "" if number == len(outputs.heatmaps) else f"stage {number}"
        found[name] = tuple(codec.decode(Outputs([maps.numpy()])))
    return found


def _joined(found: list[Found]) -> Found:
    quality = [one.quality for one in found if one.quality is not None]
    return Found(
        np.concatenate([one.xy for one in found]),
        np.concatenate([one.score for one in found]),
        np.concatenate(quality) if quality else None,
    )


class Measures:
    """The metrics of one set of people, with the same draws of people for every system."""

    def __init__(self, people: People):
        self.labels, self.skeleton = people.labels, people.skeleton
        self.labelled = self.labels.v > 0
        torso = torso_diameter(self.labels.xy, self.labelled, people.skeleton)
        self.with_torso = int(np.isfinite(torso).sum())
        self.references = {
            "PCK@0.2": (torso, 0.2),
            "PDJ@0.1": (torso, 0.1),
            "PCK@0.2 box": (box_side(joints_box(self.labels.xy, self.labelled)), 0.2),
        }
        self.limbs = body_limbs(people.skeleton)
        self.counts = resample_counts(len(self.labels))
        self.person = np.arange(len(self.labels))

    def of(self, found: Found) -> dict[str, tuple[float, np.ndarray]]:
        """Return each metric, in percent, and its value in every draw."""
        numbers = {}
        for name, (reference, fraction) in self.references.items():
            distance = normalised_distance(found.xy, self.labels.xy, self.labelled, reference)
            numbers[name] = self._rate(distance, fraction)
        limbs = limb_distance(found.xy, self.labels.xy, self.labelled, self.limbs)
        return numbers | {"PCP": self._rate(limbs, 0.5)}

    def _rate(self, distance: np.ndarray, fraction: float) -> tuple[float, np.ndarray]:
        correct, count = replicate_correct(self.counts, distance, fraction, self.person)
        return 100 * float(correct_joints(distance, fraction).mean()[0]), 100 * (correct / count).mean(axis=1)

    def trust(self, found: Found) -> dict[str, float | None]:
        """Return Pearson r of score and quality with OPKS, over labelled keypoints; None for constant scores."""
        sigmas = self.skeleton.sigmas
        truth = opks(found.xy, self.labels.xy, self.labels.v, self.labels.area, sigmas)[self.labelled]
        given = {"score": found.score, "quality": found.quality}
        return {
            name: None if values is None or np.ptp(values) == 0 else float(pearson(values[self.labelled], truth))
            for name, values in given.items()
        }


def show_systems(results: dict[str, dict[str, tuple[float, np.ndarray]]]) -> dict[str, dict[str, list[float]]]:
    """Print the table; return it."""
    names = list(next(iter(results.values())))
    print(f"{'system':34}" + "".join(f"{name:>22}" for name in names))
    table = {}
    for system, numbers in results.items():
        table[system] = {name: [value, *interval(draws)] for name, (value, draws) in numbers.items()}
        cells = (f"{value:.1f} ({low:.1f}–{high:.1f})" for value, low, high in table[system].values())
        print(f"{system:34}" + "".join(f"{cell:>22}" for cell in cells))
    return table


def show_claims(results: dict[str, dict[str, tuple[float, np.ndarray]]]) -> dict[str, dict[str, list[float]]]:
    """Print and return the differences that the claims are about, with paired intervals."""
    print("\nclaim: difference of PCK@0.2, of PDJ@0.1")
    table: dict[str, dict[str, list[float]]] = {}
    for claim, better, other in CLAIMS:
        if better not in results or other not in results:
            continue
        table[claim], cells = {}, []
        for metric in ("PCK@0.2", "PDJ@0.1"):
            (one, draws), (two, others) = (results[name][metric] for name in (better, other))
            low, high = interval(draws - others)
            verdict = "holds" if low > 0 else "reversed" if high < 0 else "open"
            table[claim][metric] = [one - two, low, high]
            cells.append(f"{one - two:+6.1f} ({low:+.1f} to {high:+.1f}) {verdict:9}")
        print(f"{claim:46} " + " ".join(cells))
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", type=Path, help="folder of the trained models, by name")
    options = parser.parse_args()
    torch.set_num_threads(1)
    people = held_out()
    measures = Measures(people)
    results, trust = {}, {}
    print(f"{len(people)} people held out, {measures.with_torso} with the torso, left shoulder to right hip\n")
    for folder in sorted(path.parent for path in options.models.glob("*/model.json")):
        for stage, found in predict(folder, people).items():
            name = f"{folder.name} · {stage}" if stage else folder.name
            if found.quality is None:
                results[name] = measures.of(found)
            if not stage:
                trust[name] = measures.trust(found)
    report = {
        "people": len(people),
        "with torso": measures.with_torso,
        "systems": show_systems(results),
        "claims": show_claims(results),
        "trust": trust,
    }
    print("\nPearson r with OPKS: the network's score, our head's quality")
    for name, numbers in trust.items():
        print(f"{name:34}" + "".join(f"{'none' if r is None else f'{r:.3f}':>10}" for r in numbers.values()))
    print(json.dumps(report))


if __name__ == "__main__":
    main()
