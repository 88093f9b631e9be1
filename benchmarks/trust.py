"""How reliable each trust head is on real people: one table, the network's own scores beside every head's.

    python benchmarks/trust.py MODEL_DIR… [--flip] [--network FILE] [--occluded-weight W]

MODEL_DIR are folders of `trustpose train simplepose-trust --head …`, on the network named by --network. Each photo's
labelled people are predicted once by each, from their ground-truth boxes, and audited by annotation id against segment
areas. Poses are the network's own in every column, so only trust differs.

What is shown, with 95 % intervals from drawing photos:

  r(pose, OKS)        Pearson of the pose's score with its OKS; the network's score is the mean of its 17 peaks
  r(averages)         Pearson of average quality with average OPKS over 17, unlabelled keypoints counting 0
  r(keypoint, OPKS)   the same for each keypoint
  ECE                 15 equal-width bins, of the pose's score and of the keypoint's
  AP, oracle AP       ranked by the head's pose score, and by the true OKS
  AP gain, closed     over the network's own score, and its share of the headroom; the same photos are drawn for all
  labelled            telling labelled keypoints from others; † marks the best single threshold on the network's own
                      scores, chosen on these very people; HPCVNet's P(labelled) is read from its graph
  ternary F1          absent, occluded and visible, and their support-weighted total

Probabilities that are honest call few keypoints occluded, as few are: a classifier by the largest of the three finds
fewer than one that weighs classes, as the metamodel is trained to. With --occluded-weight each head that speaks of
visibility has a second column, the largest of P(absent), W × P(occluded) and P(visible).

"–": the head does not say it; nothing is filled in. OKS-Net speaks of poses alone, the metamodel of visibility
alone, HPCVNet of no occlusion. What the papers print, on other people, stands in docs/papers.md.
"""

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from coco_photos import audited, boxed_photos, gains_of, numbers_of, predict_all
from harness import DATA, identifier, parser, percent, run, table

from trustpose.evaluation.record import Audit
from trustpose.files import InputError
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.models.runtime.backends import open_runtime
from trustpose.models.spec import ModelSpec
from trustpose.poses import Poses
from trustpose.predict.photos import Image
from trustpose.predict.predictor import Predictor

NETWORK = "network"
Column = dict[str, list[float] | None]  # a number, then its interval where there is one

ROWS = {  # the audit's name: what the table calls it, and whether it is printed in hundredths
    "pose.pearson": ("r(pose, OKS)", False),
    "keypoint.pearson_pose_mean": ("r(averages)", False),
    "keypoint.pearson": ("r(keypoint, OPKS)", False),
    "keypoint.ece": ("keypoint ECE", False),
    "pose.ece": ("pose ECE", False),
    "ap.AP": ("AP", True),
    "oracle_ap.AP": ("oracle AP", True),
    "gain": ("AP gain", True),
    "closed": ("headroom closed, %", True),
    "visibility.labelled.f1": ("labelled F1", False),
    "visibility.labelled.precision": ("labelled precision", False),
    "visibility.labelled.recall": ("labelled recall", False),
    "visibility.labelled.accuracy": ("labelled accuracy", False),
    "visibility.ternary.absent.f1": ("ternary F1, absent", False),
    "visibility.ternary.occluded.f1": ("ternary F1, occluded", False),
    "visibility.ternary.visible.f1": ("ternary F1, visible", False),
    "visibility.ternary.total.f1": ("ternary F1, total", False),
}
POSE = ("pose.pearson", "pose.ece", "ap.AP", "oracle_ap.AP")
KEYPOINT = ("keypoint.pearson_pose_mean", "keypoint.pearson", "keypoint.ece")
LABELLED = tuple(name for name in ROWS if ".labelled." in name)
TERNARY = tuple(name for name in ROWS if ".ternary." in name)


class People(NamedTuple):
    """The photos with their people's boxes, and the labels to audit against."""

    truth: TruthFile
    photos: list[Image]
    flip: bool
    draws: int


def predict(spec: ModelSpec, people: People) -> Poses:
    """The poses of all people, with the head's trust if the spec has a head. Raises InputError."""
    return predict_all(Predictor(open_runtime(spec), flip=people.flip), people.photos)


def labelled(spec: ModelSpec, people: People) -> np.ndarray | None:
    """P(labelled) (N, K) of a head whose graph gives it, which no field of `Poses` takes.

    Read by a spec that calls this output "quality", so that the predictor carries it and averages the mirrored views.
    """
    if spec.trust is None or "labelled" not in spec.trust.outputs:
        return None
    outputs = {"quality": spec.trust.outputs["labelled"]}
    return predict(replace(spec, trust=replace(spec.trust, outputs=outputs)), people).quality


def audit_of(poses: Poses, people: People) -> Audit:
    return audited(people.truth, poses, draws=people.draws)


def measure(spec: ModelSpec, people: People) -> Column:
    """The audit of a model folder's head; None for numbers that it does not predict."""
    poses = predict(spec, people)
    record = audit_of(poses, people)
    column: Column = dict.fromkeys(ROWS)
    if poses.pose_quality is not None:
        column |= numbers_of(record, POSE)
        column |= gains_of(people.truth, poses, poses.pose_score, people.draws)
    if poses.quality is not None:
        column |= numbers_of(record, KEYPOINT)
    if poses.visibility is not None:
        return column | numbers_of(record, (*LABELLED, *TERNARY))
    chance = labelled(spec, people)
    if chance is not None:
        visibility = np.stack(
            [1 - chance, np.zeros_like(chance), chance], axis=2
        )  # (N, K, 3): only the first is looked at
        column |= numbers_of(audit_of(replace(poses, visibility=visibility), people), LABELLED)
    return column


def measure_weighted(spec: ModelSpec, people: People, weight: float) -> Column | None:
    """Visibility alone, P(occluded) counting `weight` times; None if the head does not predict it."""
    poses = predict(spec, people)
    if poses.visibility is None:
        return None
    weighted = poses.visibility * [1, weight, 1]
    record = audit_of(replace(poses, visibility=weighted / weighted.sum(axis=2, keepdims=True)), people)
    return dict.fromkeys(ROWS) | numbers_of(record, TERNARY)


def measure_network(spec: ModelSpec, people: People) -> Column:
    """The network's own scores: no head's, so ternary visibility, gain and share stay open."""
    record = audit_of(predict(spec, people), people)
    return dict.fromkeys(ROWS) | numbers_of(record, (*POSE, *KEYPOINT, *LABELLED))


def title(spec: ModelSpec, used_titles: set[str]) -> str:
    """The head's name with the options that it was built with, and its folder where that is taken."""
    assert spec.trust is not None
    options = [value if isinstance(value, str) else f"{name}={value}" for name, value in spec.trust.options.items()]
    name = ", ".join([spec.trust.head, *options])
    return name if name not in used_titles else f"{name} ({spec.onnx.parent.name})"


def show(columns: dict[str, Column]) -> None:
    """Numbers down, systems across; AP and shares in hundredths."""
    labelled = {}
    for name, column in columns.items():
        cells = {text: percent(column[row]) if scaled else column[row] for row, (text, scaled) in ROWS.items()}
        labelled[f"{name} †" if name == NETWORK else name] = cells
    hundredths = {identifier(text): ".1f" for text, scaled in ROWS.values() if scaled}
    table("", labelled, down=True, **hundredths)


def main(options):
    truth = read_coco_truth(options.gt)
    people = People(truth, boxed_photos(truth, options.photos), options.flip, options.draws)
    columns = {NETWORK: measure_network(ModelSpec.read(options.network), people)}
    for folder in options.models:
        spec = ModelSpec.read(folder)
        if spec.trust is None:
            raise InputError(f"{folder}: has no trust head")
        columns[name := title(spec, set(columns))] = measure(spec, people)
        if options.occluded_weight is not None:
            weighted = measure_weighted(spec, people, options.occluded_weight)
            columns |= {} if weighted is None else {f"{name}, × {options.occluded_weight:g}": weighted}
    count = sum(len(photo.boxes) for photo in people.photos)
    flip = "with" if options.flip else "no"
    print(f"{count} people on {len(people.photos)} photos of {options.gt.name}, {flip} flip; † the best threshold")
    show(columns)
    rounded = {
        name: {row: value and [round(number, 4) for number in value] for row, value in column.items()}
        for name, column in columns.items()
    }
    return {"flip": options.flip, "people": count, "columns": rounded}


if __name__ == "__main__":
    options_parser = parser(__doc__, "flip", "draws")
    add = options_parser.add_argument
    add("models", nargs="+", type=Path, metavar="MODEL_DIR", help="folders of trustpose train")
    add("--network", type=Path, default=DATA / "networks" / "simplepose.onnx", help="the network alone")
    add("--gt", type=Path, default=DATA / "coco" / "dev_gt.json", help="ground truth")
    add("--photos", type=Path, default=DATA / "coco" / "dev", help="folder of its photos")
    add("--occluded-weight", type=float, help="also decide visibility with P(occluded) times this")
    run(main, options_parser)
