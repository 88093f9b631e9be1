"""The small single-person systems on LSPET's held-out people: PCK, PDJ and PCP, and the lecture's claims.

    trustpose shard --gt DATA/lspet/joints.mat --images DATA/lspet/images --size 96 --out shards
    for name in simple-baseline integral …; do trustpose train lspet/$name --data shards --out MODELS/$name; done
    python benchmarks/single_person.py MODELS
    python benchmarks/single_person.py --sizes

Held out are the people of fold 0 of 10 by `images.fold_of`, with their labels as published, not cleaned.

  systems   mean over joints of PCK@0.2 by the torso (which is PDJ@0.2), PDJ@0.1, PCK@0.2 by the box, and mean over
            limbs of strict PCP, with 95 % intervals from drawing people; the stages of one network below it
  claims    differences of PCK@0.2 and PDJ@0.1, of the same drawn people
  trust     Pearson r of each keypoint's score, and of our head's quality, with its OPKS, with 95 % intervals from the
            same drawn people; and by how much the head's is above the score's
  sizes     with --sizes, and no models: of the systems as published. Parameters, multiply-adds of a crop (convolutions
            and fully connected layers, counted by torch), stride, receptive field of CPM
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import torch
from harness import Estimate, parser, run, table
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from trustpose.codecs import Outputs
from trustpose.codecs.heatmaps import HeatmapCodec
from trustpose.datasets.lspet import lspet_people, read_lspet
from trustpose.datasets.people import People
from trustpose.files import InputError
from trustpose.geometry.crops import affine_to_crop, cut_out, grow_box, invert_affine, transform
from trustpose.geometry.oks import opks
from trustpose.heads.network import TrustNetwork
from trustpose.images import fold_of
from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.correct_parts import body_limbs, limb_distance
from trustpose.metrics.localisation import (
    box_side,
    correct_joints,
    joints_box,
    normalised_distance,
    replicate_correct,
    torso_diameter,
)
from trustpose.metrics.reliability import pearson_from_sums, pearson_sums
from trustpose.models.runtime.weights import load_module, load_trust_network
from trustpose.models.spec import HeatmapOutput, ModelSpec
from trustpose.networks.convolutional_pose_machine import receptive_field
from trustpose.networks.deep_pose import deep_pose
from trustpose.networks.zoo import build, stride_of
from trustpose.training.crops import normalise

FOLDS, BATCH = 10, 64
BOARD = (
    *("cfa-r50-3", "cfa-r101-3", "spatial-context-2", "spatial-context-8", "structure-aware-2", "structure-aware-8"),
    *("pyranet-2", "pyranet-2-a", "pyranet-2-c", "pyranet-2-d", "pyranet-8", "attention-hourglass-2"),
    *("attention-hourglass-8", "cu-net-2", "cu-net-8", "du-net-8", "du-net-16", "guided-hourglass-2"),
)
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
    ("pyramid residual modules beat residual modules, two stacks", "pyranet-2", "hourglass-2"),
    ("attention and hourglass residual units help, two stacks", "attention-hourglass-2", "hourglass-2"),
    ("two coupled U-Nets beat two hourglasses", "cu-net-2", "hourglass-2"),
    ("prediction fusion and a pose graph help, two stacks", "spatial-context-2", "hourglass-2"),
    ("supervision at every resolution and the structure loss help", "structure-aware-2", "hourglass-2"),
    ("keypoint masking helps", "structure-aware-2-masking", "structure-aware-2"),
    ("Inception-ResNet modules with guidance help", "guided-hourglass-2", "hourglass-2"),
    ("cascade feature aggregation beats two hourglasses", "cfa-2", "hourglass-2"),
    ("the cascade's mean beats its last stage", "cfa-2", "cfa-2 · stage 2"),
    ("later stages refine: stage 2 of the cascade over 1", "cfa-2 · stage 2", "cfa-2 · stage 1"),
    ("weights of one bit are as good", "cu-net-2-quantised", "cu-net-2"),
    ("two coupled U-Nets of one bit beat two hourglasses", "cu-net-2-quantised", "hourglass-2"),
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
class Predictions:
    """Predictions of one system: xy (N, K, 2) in photo pixels, score (N, K), and quality (N, K) of a head."""

    xy: np.ndarray
    score: np.ndarray
    quality: np.ndarray | None = None


def held_out(data: Path) -> People:
    """Return the held-out people, with the labels as published."""
    people = lspet_people(read_lspet(data / "lspet" / "joints.mat"), data / "lspet" / "images")
    rows = np.flatnonzero(fold_of(people.image_id, FOLDS) == 0)
    return People(people.skeleton, people.labels[rows], people.sources, people.source[rows], people.row[rows])


@torch.no_grad()
def predict(folder: Path, people: People) -> dict[str, Predictions]:
    """Return the predictions of a model folder, "" for its output and others for its earlier stages."""
    spec = ModelSpec.read(folder)
    module: nn.Module = load_module(spec) if spec.trust is None else load_trust_network(spec)
    parts: dict[str, list[Predictions]] = {}
    for pixels, box, affine in crops_of(spec, people):
        if isinstance(module, TrustNetwork):
            outputs, trust = module(normalise(pixels), box if module.head.reads_box else None)
            quality = None if trust.quality is None else trust.quality.numpy()
        else:
            outputs, quality = module(normalise(pixels)), None
        for name, (xy, score) in _stages(spec, outputs).items():
            photo = transform(invert_affine(affine), xy.astype(np.float64))
            parts.setdefault(name, []).append(Predictions(photo, score, quality))
    return {name: _joined(part) for name, part in parts.items()}


def crops_of(spec: ModelSpec, people: People) -> Iterator[tuple[torch.Tensor, torch.Tensor, np.ndarray]]:
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
    stages: dict[str, tuple[np.ndarray, np.ndarray]] = {}
    if outputs.coordinates is not None:
        coordinates = outputs.coordinates.numpy()
        stages[""] = (coordinates[..., :2] * unit, coordinates[..., 2])
        for number, xy in enumerate(outputs.extra.get("stages", [])[:-1], start=1):
            stages[f"stage {number}"] = (xy.numpy() * unit, coordinates[..., 2])
        if outputs.heatmaps:
            side = spec.input.width / outputs.heatmaps[0].shape[3]
            coarse = HeatmapCodec(*outputs.heatmaps[0].shape[:1:-1], side)
            stages["coarse"] = tuple(coarse.decode(Outputs([outputs.heatmaps[0].numpy()])))
        return stages
    assert isinstance(spec.output, HeatmapOutput)
    for number, maps in enumerate(outputs.heatmaps, start=1):
        name = "" if number == len(outputs.heatmaps) else f"stage {number}"
        stages[name] = tuple(codec.decode(Outputs([maps.numpy()])))
    return stages


def _joined(parts: list[Predictions]) -> Predictions:
    quality = [part.quality for part in parts if part.quality is not None]
    return Predictions(
        np.concatenate([part.xy for part in parts]),
        np.concatenate([part.score for part in parts]),
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

    def of(self, predicted: Predictions) -> dict[str, Estimate]:
        """Return each metric, in percent."""
        numbers = {}
        for name, (reference, fraction) in self.references.items():
            distance = normalised_distance(predicted.xy, self.labels.xy, self.labelled, reference)
            numbers[name] = self._rate(distance, fraction)
        limbs = limb_distance(predicted.xy, self.labels.xy, self.labelled, self.limbs)
        return numbers | {"PCP": self._rate(limbs, 0.5)}

    def _rate(self, distance: np.ndarray, fraction: float) -> Estimate:
        distance = distance[:, np.isfinite(distance).any(axis=0)]  # joints that somebody has labelled
        correct, count = replicate_correct(self.counts, distance, fraction, self.person)
        return Estimate(100 * float(correct_joints(distance, fraction).mean()[0]), 100 * (correct / count).mean(axis=1))

    def trust(self, predicted: Predictions) -> dict[str, list[float]]:
        """Return Pearson r of score and quality with OPKS, over labelled keypoints, and by how much quality's is above
        the score's, with intervals. Constant scores have none."""
        sigmas = self.skeleton.sigmas
        truth = opks(predicted.xy, self.labels.xy, self.labels.v, self.labels.area, sigmas)[self.labelled]
        person = np.nonzero(self.labelled)[0]
        numbers = {}
        for name, values in {"score": predicted.score, "quality": predicted.quality}.items():
            if values is None or np.ptp(values) == 0:
                continue
            sums = pearson_sums(values[self.labelled], truth, person, len(self.labels))
            numbers[name] = Estimate(float(pearson_from_sums(sums.sum(axis=0))), pearson_from_sums(self.counts @ sums))
        if len(numbers) == 2:
            numbers["gain"] = numbers["quality"] - numbers["score"]
        return {name: number.interval for name, number in numbers.items()}


def claims_of(results: dict[str, dict[str, Estimate]]) -> dict[str, dict[str, list[float]]]:
    """Print and return the differences that the claims are about, with paired intervals."""
    rows: dict[str, dict[str, list[float]]] = {}
    shown = {}
    for claim, better, base in CLAIMS:
        if better not in results or base not in results:
            continue
        rows[claim], shown[claim] = {}, {}
        for metric in ("PCK@0.2", "PDJ@0.1"):
            rows[claim][metric] = (results[better][metric] - results[base][metric]).interval
            _, low, high = rows[claim][metric]
            verdict = "holds" if low > 0 else "reversed" if high < 0 else "open"
            shown[claim] |= {metric: rows[claim][metric], f"claim, {metric}": verdict}
    table("claims", shown, "+.1f")
    return rows


def sizes() -> dict[str, dict[str, float]]:
    """Print and return the sizes of the networks as published."""
    listed = (("deep-pose-1", 220, 220), ("deep-pose-3", 220, 220), ("deep-pose-r50-1", 224, 224))
    listed += tuple((f"tompson-{pooling}{part}", 256, 256) for pooling in (4, 8, 16) for part in ("-coarse", ""))
    listed += (("cpm-1", 368, 368), ("cpm-3", 368, 368), ("cpm-6", 368, 368))
    listed += (("cpn-r50", 256, 192), ("cpn-r50", 384, 288), ("cpn-r101", 384, 288))
    listed += tuple((name, 256, 256) for name in BOARD)
    rows = {}
    for name, height, width in listed:
        with torch.device("meta"), FlopCounterMode(display=False) as counter, torch.no_grad():
            network = build(name, 17 if name.startswith("cpn") else 16 if name in BOARD else 14).eval()
            network(torch.zeros(1, 3, height, width))
        millions = sum(parameter.numel() for parameter in network.parameters()) / 1e6
        row = {"parameters": millions, "multiply-adds": counter.get_total_flops() / 2e9, "stride": stride_of(name)}
        rows[f"{name} {height}×{width}"] = row
    table("", {name: row | {"parameters": f"{row['parameters']:.1f} M"} for name, row in rows.items()}, ".1f")
    seen = receptive_field(6)
    print("a belief of CPM depends on, by stage:", ", ".join(f"{side} × {side}" for side in seen))
    return (
        rows
        | parts_that_differ()
        | {"receptive field of CPM": {str(number): side for number, side in enumerate(seen, start=1)}}
    )


def parts_that_differ() -> dict[str, dict[str, float]]:
    """Print and return where the sizes lie that differ from the papers': DeepPose's parameters, CPN's multiply-adds."""
    with torch.device("meta"), torch.no_grad():
        small = deep_pose("alexnet", 1, 14, hidden=(4096,))
        network, counter = build("cpn-r50", 17).eval(), FlopCounterMode(display=False, depth=4)
        with counter:
            network(torch.zeros(1, 3, 256, 192))
    fewer = sum(parameter.numel() for parameter in small.parameters()) / 1e6
    print(f"deep-pose-1 with one fully connected layer of 4096: {fewer:.1f} M")
    counts = {name: sum(ops.values()) / 2e9 for name, ops in counter.get_flop_counts().items()}

    def of(*patterns: str) -> float:
        return sum(value for name, value in counts.items() if any(fnmatch(name, pattern) for pattern in patterns))

    first = "CascadedPyramid."
    parts = {
        "ResNet-50": counts[first + "body"],
        "GlobalNet's pyramid": of(*(f"{first}global_net.?.{part}" for part in ("lateral", "from_above"))),
        "GlobalNet's heatmaps": of(*(f"{first}global_net.?.{part}" for part in ("before", "head"))),
        "RefineNet": of(f"{first}refine_net.?", f"{first}mixed", f"{first}head"),
        # a ResNet as first published halves the map in a block's first 1 × 1 convolution, which then costs a quarter
        "saved by strides as in the first ResNet": 0.75 * of(*(f"{first}body.layer{n}.0.conv1" for n in (2, 3, 4))),
    }
    print("cpn-r50 256×192, G: " + ", ".join(f"{name} {value:.2f}" for name, value in parts.items()))
    return {"deep-pose-1, one fully connected": {"parameters": fewer}, "parts of cpn-r50 256×192": parts}


def main(options):
    if options.sizes:
        return sizes()
    if options.models is None:
        raise InputError("expected the folder of the trained models, or --sizes")
    torch.set_num_threads(1)
    people = held_out(options.data)
    measures = Measures(people)
    results, trust = {}, {}
    print(f"{len(people)} people held out, {measures.with_torso} with the torso, left shoulder to right hip")
    for folder in sorted(path.parent for path in options.models.glob("*/model.json")):
        for stage, predicted in predict(folder, people).items():
            name = f"{folder.name} · {stage}" if stage else folder.name
            if predicted.quality is None:
                results[name] = measures.of(predicted)
            if not stage:
                trust[name] = measures.trust(predicted)
    systems = {
        system: {name: number.interval for name, number in numbers.items()} for system, numbers in results.items()
    }
    table("system", systems, ".1f")
    claims = claims_of(results)
    table("Pearson r with OPKS: the network's score, our head's quality", trust)
    counts = {"people": len(people), "with torso": measures.with_torso}
    return counts | {"systems": systems, "claims": claims, "trust": trust}


if __name__ == "__main__":
    options_parser = parser(__doc__, "data")
    options_parser.add_argument("models", type=Path, nargs="?", help="folder of the trained models, by name")
    options_parser.add_argument("--sizes", action="store_true", help="sizes of the systems as published instead")
    run(main, options_parser)
