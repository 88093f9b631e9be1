"""People of whole photos without boxes, beside top-down: average precision, trust in what is found, and time.

    python benchmarks/bottom_up.py [--model FOLDER …] [--alone] [--people] [--plot FILE.svg] [--photos N]

FOLDER is a model of `trustpose train bottom-up` or `bottom-up-trust`; those of further kinds in it are measured, too.
Beside them stand MoveNet MultiPose (DATA/networks) and this package's default, top-down with its own detector, but not
with --alone. Models with a head, and the default, are also measured with a flip test. With --people only the first
table is printed.

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
photos from val2017. Nothing was chosen on `dev`.
"""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from coco_photos import Split, ground_truth, predict_all, results_of
from harness import Estimate, parser, run, table, timed
from matplotlib import rc_context

import trustpose as tp
from trustpose.calibration.metrics import find_targets
from trustpose.geometry.crops import Grid, invert_affine, transform
from trustpose.images import fold_of
from trustpose.io.photos import MAX_PIXELS
from trustpose.metrics.bootstrap import resample_counts
from trustpose.metrics.classification import binary_ranking, binary_ranking_replicates
from trustpose.poses import Poses
from trustpose.predict.photos import open_photo
from trustpose.report.plots import MARKERS, axes, colour, label
from trustpose.skeletons import COCO_17

FOLD, FOLDS = 0, 4  # of the recipes
CROWDS = (1, 2, 5, 10, 20, 30)
CANVAS, PERSON, COLUMNS = (640, 480), (60, 90), 10
ROUNDS = 3
TOP_DOWN = "default, top-down"
FLIP = ", flip"
Row = dict[str, Any]


def trusted(dev: Split, poses: Poses, before: np.ndarray, after: np.ndarray, counts: np.ndarray) -> Row:
    """AUROC between people and false poses, and AP, by two scores."""
    targets = find_targets(poses, dev.truth, COCO_17.sigmas, "file")
    image, is_person = np.searchsorted(dev.image_id, poses.image_id)[targets.rows], ~targets.unmatched
    row: Row = {"people": int(is_person.sum()), "false": int(targets.unmatched.sum())}
    for name, column in (("own", before), ("expected OKS", after)):
        score = column[targets.rows]
        drawn = binary_ranking_replicates(counts, score, is_person, image).auroc
        row[f"AUROC, {name}"] = Estimate(float(binary_ranking(score, is_person).auroc), drawn).interval
    own, expected = (dev.average_precision(poses, score, counts)["AP"] for score in (before, after))
    return row | {"AP, own": own.value, "AP, expected OKS": expected.value, "gain": (expected - own).interval}


def tags_apart(split: Split, network: Any) -> Row:
    """How well the tags at labelled joints separate people, before any decoding."""
    truth = split.truth
    is_apart, is_near_mean = [], []
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
            is_near_mean += (np.abs(values - values.mean()) < 1).tolist()
        first, second = np.triu_indices(len(means), 1)
        is_apart += (np.abs(np.array(means)[first] - np.array(means)[second]) > 1).tolist() if len(first) else []
    return {"pairs": len(is_apart), "apart": float(np.mean(is_apart)), "joints near": float(np.mean(is_near_mean))}


def pasted(count: int, people: list[np.ndarray], back: np.ndarray) -> np.ndarray:
    """A photo of `back`'s colours with `count` people side by side."""
    photo = np.broadcast_to(back, (CANVAS[1], CANVAS[0], 3)).copy()
    for number, person in zip(range(count), people, strict=False):
        x, y = number % COLUMNS * 63 + 2, number // COLUMNS * 155 + 30
        photo[y : y + person.shape[0], x : x + person.shape[1]] = person
    return photo


def cut_people(dev: Split) -> list[np.ndarray]:
    """Cut-outs of completely labelled people whose box touches no other's, the largest in their photos first."""
    truth, cuts = dev.truth, []
    paths = {photo.image_id: photo for photo in dev.photos()}
    size = truth.box[:, 2:] - truth.box[:, :2]
    for row in np.argsort(-size[:, 1], kind="stable").tolist():
        box, boxes_of_photo = truth.box[row], truth.box[(truth.image_id == truth.image_id[row])]
        is_near = (boxes_of_photo[:, :2] < box[2:]).all(axis=1) & (boxes_of_photo[:, 2:] > box[:2]).all(axis=1)
        if (truth.v[row] > 0).sum() < 15 or is_near.sum() > 1 or len(cuts) == max(CROWDS):
            continue
        pixels = open_photo(paths[int(truth.image_id[row])], MAX_PIXELS)
        low, high = np.floor(box[:2]).clip(0).astype(int), np.ceil(box[2:]).astype(int)
        cut = pixels[low[1] : high[1], low[0] : high[0]]
        scale = min(PERSON / np.array(cut.shape[1::-1]))
        wide, tall = np.maximum(np.floor(np.array(cut.shape[1::-1]) * scale), 1).astype(int).tolist()
        cuts.append(cv2.resize(cut, (wide, tall), interpolation=cv2.INTER_AREA))
    return cuts


def times_of(predictors: dict[str, Any], dev: Split) -> dict[str, dict[int, list[float]]]:
    """CPU milliseconds and people found, by system and number of people."""
    people, times = cut_people(dev), {name: {} for name in predictors}
    back = np.array([124, 116, 104], np.uint8)  # ImageNet's mean
    for count in CROWDS:
        photo = pasted(count, people, back)
        for name, predictor in predictors.items():
            timings = [timed(lambda: len(predictor(photo))) for _ in range(ROUNDS)]  # noqa: B023
            times[name][count] = [1000 * min(timing.cpu_seconds for timing in timings), timings[-1].result]
    return times


def draw(rows: dict[str, dict[int, list[float]]], path: Path) -> None:
    """Write the times as SVG."""
    figure, plot = axes(520, 320, left=56)
    for number, (name, row) in enumerate(rows.items()):
        times = [ms for ms, _ in row.values()]
        look = {"color": colour(number), "marker": MARKERS[number % len(MARKERS)], "markersize": 5, "linewidth": 1.8}
        plot.plot(list(row), times, label=name, **look)
    plot.set(xlim=(0, max(CROWDS) + 1), ylim=(0, None))
    plot.legend(frameon=False, fontsize=10)
    label(plot, "people in a photo of 640 × 480", "CPU milliseconds")
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "trustpose"}):
        figure.savefig(path, format="svg", metadata={"Date": None})


def systems(options) -> dict[str, Any]:
    """The predictors by name, those without boxes first."""
    movenet = options.data / "networks" / "movenet-multipose.onnx"
    predictors = {} if options.alone else {"MoveNet MultiPose": tp.load(movenet, threads=1)}
    for folder in options.model:
        for model in (folder, *(file.parent for file in sorted(folder.glob("*/model.json")))):
            predictor = tp.load(model, threads=1)
            name = f"ours, {predictor.spec.output.kind}"
            if predictor.spec.trust is None:
                predictors[name] = predictor
            else:
                predictors |= {f"{name}, head": predictor, f"{name}, head{FLIP}": tp.load(model, flip=True, threads=1)}
    for name in () if options.alone else (TOP_DOWN, TOP_DOWN + FLIP):
        predictors[name] = tp.load("default", flip=name != TOP_DOWN, threads=1, min_presence=0)
    return predictors


def main(options):
    dev, train = Split.read(options.data, "dev"), Split.read(options.data, "train")
    unseen = np.intersect1d(train.image_id, ground_truth(options.data, "val2017").images.id)
    predictors = systems(options)
    counts = resample_counts(len(dev.image_id), options.draws)
    people, trust = {}, {}
    for name, predictor in predictors.items():
        poses = predict_all(predictor, dev.photos())
        precision = dev.average_precision(poses, poses.ranking_score, counts)
        people[name] = {"AP": precision["AP"].interval} | {key: precision[key].value for key in ("AP50", "AP75", "AR")}
        people[name]["poses"] = len(poses)
        if options.people or name.startswith(TOP_DOWN):
            continue
        if poses.pose_quality is not None:
            trust[name] = trusted(dev, poses, poses.pose_score, poses.pose_quality, counts)
            continue
        of_fold = unseen[fold_of(unseen, FOLDS) == FOLD]
        chosen = unseen[: options.photos] if name.startswith("MoveNet") else of_fold
        split = train.select(chosen)
        fitting = results_of(split.file, predict_all(predictor, split.photos()))
        calibrator = tp.Calibrator.fit(split.file, fitting, method="trees")
        after = calibrator(poses).pose_quality
        trust[name] = {"photos": len(chosen)} | trusted(dev, poses, poses.ranking_score, after, counts)
    table(f"people, {len(dev.image_id)} photos", people)
    if options.people:
        return {"people": people}
    tags = {name: tags_apart(dev, model.network) for name, model in predictors.items() if name == "ours, tags"}
    if tags:
        table("tags, pairs of people on a photo", tags)
    table("trust, expected OKS by the network's head, or a calibrator", trust)
    times = times_of({name: model for name, model in predictors.items() if not name.endswith(FLIP)}, dev)
    cells = {name: {n: f"{ms:.0f} ({count})" for n, (ms, count) in row.items()} for name, row in times.items()}
    table("time, CPU ms (people found)", cells)
    if options.plot is not None:
        draw({name: row for name, row in times.items() if f"{name}, head" not in times}, options.plot)
    return {"people": people, "tags": tags, "trust": trust, "ms": times}


if __name__ == "__main__":
    options_parser = parser(__doc__, "draws", "data")
    add = options_parser.add_argument
    add("--model", type=Path, nargs="*", default=[], help="folders of trained models")
    add("--plot", type=Path, help="write the times as SVG")
    add("--photos", type=int, default=600, help="of val2017, to fit MoveNet's calibrator on")
    add("--people", action="store_true", help="only what is found, without trust and time")
    add("--alone", action="store_true", help="the models alone, without MoveNet and the default")
    run(main, options_parser)
