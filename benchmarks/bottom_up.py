"""People of whole photos without boxes, beside top-down: average precision, trust in what is found, and time.

    python benchmarks/bottom_up.py [--model FOLDER …] [--alone] [--data FOLDER] [--plot FILE.svg] [--draws N]
        [--photos N]

FOLDER is a model of `trustpose train bottom-up` or `bottom-up-trust`; those of further kinds in it are measured, too.
Beside them stand MoveNet MultiPose (DATA/networks) and this package's default, top-down with its own detector, but not
with --alone. Models with a head, and the default, are also measured with a flip test. Tables, then one line of JSON:

  people    COCO's AP and AR on all photos of `dev`, by each system's own score, without suppression by us; 95 %
            intervals from drawing photos; and how many poses there are
  tags      of a model of tags, at labelled joints of `dev`: the share of pairs of people on a photo whose mean tags
            differ by more than 1, what grouping needs, and of joints whose tag differs from their person's mean by
            less than 1
  trust     by the model's head (`trustpose train bottom-up-trust`); for a model without one by a calibrator (`trustpose
            calibrate fit`, method "trees") fitted on what it finds in photos of `train` on which it was not trained.
            There and on `dev` a pose that is matched to nobody is false and has an OKS of 0; those on people without
            labelled joints count neither way. AUROC of the own score and of expected OKS between people and false
            poses, and AP by both, with the gain drawn in pairs
  time      CPU milliseconds a photo, decoded pixels to poses, the least of three rounds, for photos of 640 × 480 pixels
            with 1 to 30 people of `dev` pasted side by side, each at most 60 × 90 pixels; and how many were found. The
            plot shows a network only with its head, if it has one. Without flip test

The trained network has not seen fold 0 of 4 of `train`, and its initial weights none of val2017: its calibrators are
fitted on the photos of that fold that are from val2017. MoveNet has seen train2017: its is fitted on N (--photos)
photos from val2017. Nothing was chosen on `dev`. Needs TRUSTPOSE_DATA.
"""

import argparse
import json
import os
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib import rc_context

import trustpose as tp
from trustpose.calibration.targets import find_targets
from trustpose.datasets.folds import fold_of
from trustpose.formats.coco import ResultsFile, TruthFile, read_truth
from trustpose.formats.photos import MAX_PIXELS
from trustpose.geometry.crops import Grid, invert_affine, transform
from trustpose.metrics.average_precision import evaluate
from trustpose.metrics.average_precision_bootstrap import average_precision_replicates
from trustpose.metrics.binary_ranking import binary_ranking, binary_ranking_replicates
from trustpose.metrics.bootstrap import interval, resample_counts
from trustpose.poses import Poses
from trustpose.predict.photos import Image, open_photo
from trustpose.report.svg import MARKERS, axes, colour, label
from trustpose.skeletons import COCO_17

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
FOLD, FOLDS = 0, 4  # of the recipes
CROWDS = (1, 2, 5, 10, 20, 30)
CANVAS, PERSON, COLUMNS = (640, 480), (60, 90), 10
ROUNDS = 3
TOP_DOWN = "default, top-down"
FLIP = ", flip"
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Split:
    """Some photos of a split, in the order of their ids, with their labels."""

    folder: Path
    file: TruthFile
    image_id: np.ndarray

    @classmethod
    def read(cls, data: Path, name: str) -> "Split":
        file = read_truth(data / "coco" / f"{name}_gt.json")
        return cls(data / "coco" / name, file, np.sort(file.images.id))

    def at(self, image_id: np.ndarray) -> "Split":
        """Return some of the photos, with their labels only."""
        truth = self.file.truth
        rows = np.flatnonzero(np.isin(truth.image_id, image_id))
        return Split(self.folder, replace(self.file, truth=truth[rows]), np.sort(image_id))

    def photos(self) -> list[Image]:
        names = self.file.images.names()
        return [Image(self.folder / names[one], None, one) for one in self.image_id.tolist()]

    def predicted(self, predictor: Any) -> Poses:
        """The people of all photos. Raises InputError if a photo cannot be read."""
        parts = []
        for prediction in predictor.stream(self.photos()):
            if prediction.error is not None:
                raise prediction.error
            parts.append(prediction.poses)
        return Poses.concatenate(parts)

    def rows_of(self, image_id: Any) -> np.ndarray:
        """The numbers of these photos among those of the split."""
        return np.searchsorted(self.image_id, image_id)


def from_val2017(split: Split, data: Path) -> np.ndarray:
    """The ids of the split's photos that are from val2017."""
    return np.intersect1d(split.image_id, read_truth(data / "coco" / "val2017_gt.json").images.id)


def measured(dev: Split, poses: Poses, score: np.ndarray, draws: int) -> tuple[Row, np.ndarray]:
    """AP, AP50, AP75 and AR, and the draws of AP."""
    evaluation = evaluate(poses, dev.file.truth, score, sigmas=COCO_17.sigmas, area="file")
    counts, summary = resample_counts(len(dev.image_id), draws), evaluation.summary()
    images = dev.rows_of(poses.image_id), dev.rows_of(dev.file.truth.image_id)
    drawn = average_precision_replicates(evaluation, counts, *images, ("all",))["AP"]
    row = {name: getattr(summary, name) for name in ("AP", "AP50", "AP75", "AR")}
    return row | {"interval": interval(drawn), "poses": len(poses)}, drawn


def trusted(dev: Split, poses: Poses, before: np.ndarray, after: np.ndarray, draws: int) -> Row:
    """AUROC between people and false poses, and AP, by two scores."""
    targets = find_targets(poses, dev.file.truth, COCO_17.sigmas, "file")
    image = dev.rows_of(poses.image_id)
    counts, row = resample_counts(len(dev.image_id), draws), {"people": int((~targets.unmatched).sum())}
    row["false"] = int(targets.unmatched.sum())
    for name, score in (("own", before), ("expected OKS", after)):
        some, is_person = score[targets.rows], ~targets.unmatched
        drawn = binary_ranking_replicates(counts, some, is_person, image[targets.rows]).auroc
        row[f"AUROC, {name}"] = float(binary_ranking(some, is_person).auroc)
        row[f"AUROC, {name}, interval"] = interval(drawn)
    (own, of_own), (new, of_new) = (measured(dev, poses, score, draws) for score in (before, after))
    row |= {"AP, own": own["AP"], "AP, expected OKS": new["AP"], "gain": new["AP"] - own["AP"]}
    return row | {"gain interval": interval(of_new - of_own)}


def tags_apart(split: Split, network: Any) -> Row:
    """How well the tags at labelled joints separate people, before any decoding."""
    truth = split.file.truth
    assert truth.image_id is not None
    apart, near = [], []
    for photo in split.photos():
        arrays, _, to_image = network.run(open_photo(photo, MAX_PIXELS))
        tags, stride = arrays[1][0], network.output.tag_stride or network.output.stride
        people = truth[np.flatnonzero((truth.image_id == photo.image_id) & (truth.v > 0).any(axis=1))]
        means = []
        for xy, v in zip(people.xy, people.v, strict=True):
            joint = np.flatnonzero(v > 0)
            inside = transform(np.broadcast_to(invert_affine(to_image), (1, 2, 3)), xy[None, joint])[0]
            x, y = np.rint(Grid((stride, stride)).cells(inside)).astype(int).T
            values = tags[joint, y.clip(0, tags.shape[1] - 1), x.clip(0, tags.shape[2] - 1)]
            means.append(values.mean())
            near += (np.abs(values - values.mean()) < 1).tolist()
        first, second = np.triu_indices(len(means), 1)
        apart += (np.abs(np.array(means)[first] - np.array(means)[second]) > 1).tolist() if len(first) else []
    return {"pairs": len(apart), "apart": float(np.mean(apart)), "joints near": float(np.mean(near))}


def pasted(count: int, people: list[np.ndarray], back: np.ndarray) -> np.ndarray:
    """A photo of `back`'s colours with `count` people side by side."""
    photo = np.broadcast_to(back, (CANVAS[1], CANVAS[0], 3)).copy()
    for place, person in zip(range(count), people, strict=False):
        x, y = place % COLUMNS * 63 + 2, place // COLUMNS * 155 + 30
        photo[y : y + person.shape[0], x : x + person.shape[1]] = person
    return photo


def cut_people(dev: Split) -> list[np.ndarray]:
    """Cut-outs of completely labelled people whose box touches no other's, the largest in their photos first."""
    truth, found = dev.file.truth, []
    assert truth.box is not None and truth.image_id is not None
    paths = {photo.image_id: photo for photo in dev.photos()}
    size = truth.box[:, 2:] - truth.box[:, :2]
    for row in np.argsort(-size[:, 1], kind="stable").tolist():
        box, others = truth.box[row], truth.box[(truth.image_id == truth.image_id[row])]
        is_near = (others[:, :2] < box[2:]).all(axis=1) & (others[:, 2:] > box[:2]).all(axis=1)
        if (truth.v[row] > 0).sum() < 15 or is_near.sum() > 1 or len(found) == max(CROWDS):
            continue
        pixels = open_photo(paths[int(truth.image_id[row])], MAX_PIXELS)
        low, high = np.floor(box[:2]).clip(0).astype(int), np.ceil(box[2:]).astype(int)
        cut = pixels[low[1] : high[1], low[0] : high[0]]
        scale = min(PERSON / np.array(cut.shape[1::-1]))
        wide, tall = np.maximum(np.floor(np.array(cut.shape[1::-1]) * scale), 1).astype(int).tolist()
        found.append(cv2.resize(cut, (wide, tall), interpolation=cv2.INTER_AREA))
    return found


def timed(predictors: dict[str, Any], dev: Split) -> dict[str, dict[int, list[float]]]:
    """CPU milliseconds and people found, by system and number of people."""
    people, table = cut_people(dev), {name: {} for name in predictors}
    back = np.array([124, 116, 104], np.uint8)  # ImageNet's mean
    for count in CROWDS:
        photo = pasted(count, people, back)
        for name, predictor in predictors.items():
            spent, found = [], 0
            for _ in range(ROUNDS):
                start = time.process_time()
                found = len(predictor(photo))
                spent.append(1000 * (time.process_time() - start))
            table[name][count] = [min(spent), found]
    return table


def draw(table: dict[str, dict[int, list[float]]], path: Path) -> None:
    """Write the times as SVG."""
    figure, plot = axes(520, 320, left=56)
    for at, (name, row) in enumerate(table.items()):
        times = [ms for ms, _ in row.values()]
        look = {"markersize": 5, "linewidth": 1.8}
        plot.plot(list(row), times, color=colour(at), marker=MARKERS[at % len(MARKERS)], label=name, **look)
    plot.set(xlim=(0, max(CROWDS) + 1), ylim=(0, None))
    plot.legend(frameon=False, fontsize=10)
    label(plot, "people in a photo of 640 × 480", "CPU milliseconds")
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "trustpose"}):
        figure.savefig(path, format="svg", metadata={"Date": None})


def show(title: str, table: dict[str, Row]) -> None:
    """Print a table of numbers, and of intervals."""
    print(f"\n{title}")
    for name, row in table.items():
        cells = []
        for key, value in row.items():
            if isinstance(value, tuple | list):
                cells.append(f"({value[0]:.3f}–{value[1]:.3f})")
            else:
                cells.append(f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value:,}")
        print(f"  {name:28s}" + "  ".join(cells), flush=True)


def systems(arguments: argparse.Namespace) -> dict[str, Any]:
    """The predictors by name, those without boxes first."""
    movenet = arguments.data / "networks" / "movenet-multipose.onnx"
    found = {} if arguments.alone else {"MoveNet MultiPose": tp.load(movenet, threads=1)}
    for folder in arguments.model:
        for place in (folder, *(one.parent for one in sorted(folder.glob("*/model.json")))):
            predictor = tp.load(place, threads=1)
            name = f"ours, {predictor.spec.output.kind}"
            if predictor.spec.trust is None:
                found[name] = predictor
            else:
                found |= {f"{name}, head": predictor, f"{name}, head{FLIP}": tp.load(place, flip=True, threads=1)}
    if arguments.alone:
        return found
    return found | {
        name: tp.load("default", flip=name != TOP_DOWN, threads=1, min_presence=0)
        for name in (TOP_DOWN, TOP_DOWN + FLIP)
    }


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, nargs="*", default=[])
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--plot", type=Path, default=None)
    parser.add_argument("--draws", type=int, default=1000)
    parser.add_argument("--photos", type=int, default=600)
    parser.add_argument("--alone", action="store_true")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    dev, train = Split.read(given.data, "dev"), Split.read(given.data, "train")
    unseen = from_val2017(train, given.data)
    predictors = systems(given)
    people, trust = {}, {}
    for name, predictor in predictors.items():
        poses = dev.predicted(predictor)
        people[name], _ = measured(dev, poses, poses.ranking_score, given.draws)
        if name.startswith(TOP_DOWN):
            continue
        if poses.pose_quality is not None:
            assert poses.pose_score is not None
            trust[name] = trusted(dev, poses, poses.pose_score, poses.pose_quality, given.draws)
            continue
        of_fold = unseen[fold_of(unseen, FOLDS) == FOLD]
        chosen = unseen[: given.photos] if name.startswith("MoveNet") else of_fold
        split = train.select(chosen)
        fitted_on = split.predicted(predictor)
        results = ResultsFile(fitted_on, fitted_on.ranking_score, np.full(len(fitted_on), 1), "predictions", "")
        calibrator = tp.Calibrator.fit(split.file, results, method="trees")
        after = calibrator(poses).pose_quality
        trust[name] = {"photos": len(chosen)} | trusted(dev, poses, poses.ranking_score, after, given.draws)
    show(f"people, {len(dev.image_id)} photos", people)
    tags = {name: tags_apart(dev, one.network) for name, one in predictors.items() if name == "ours, tags"}
    show("tags, pairs of people on a photo", tags)
    show("trust, expected OKS by the network's head, or without one by a calibrator", trust)
    times = timed({name: predictor for name, predictor in predictors.items() if not name.endswith(FLIP)}, dev)
    print("\ntime, CPU ms (people found)" + "".join(f"{count:>14}" for count in CROWDS))
    for name, row in times.items():
        print(f"  {name:26s}" + "".join(f"{f'{ms:.0f} ({found})':>14}" for ms, found in row.values()))
    print(json.dumps({"people": people, "tags": tags, "trust": trust, "ms": times}))
    if given.plot is not None:
        draw({name: row for name, row in times.items() if f"{name}, head" not in times}, given.plot)


if __name__ == "__main__":
    main()
