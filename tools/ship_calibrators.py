"""Make the bundled calibrators: predict, fit on labelled photos, write NAME.cal and its card NAME.md.

    python tools/ship_calibrators.py [--data DATA] [--mediapipe FILE.task] [--only NAME]... [--out FOLDER]

Each network predicts the people of the project's `train` photos and, for the card, of `dev`, which nothing is fitted or
chosen on. Networks that were trained on COCO train2017 are fitted on photos of val2017 alone: on photos that they have
seen they are better than on others, and their trust would be too high. MediaPipe's model is not in the data: without
--mediapipe its calibrator is left as it is. A quarter of an hour on four cores.
"""

import argparse
import os
import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from textwrap import fill

import numpy as np

from trustpose.calibration import shipped
from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.fit import fit, prepare
from trustpose.calibration.metrics import Scores, evaluate_scores
from trustpose.calibration.options import FitOptions
from trustpose.evaluation.audit import audit
from trustpose.evaluation.precision import rescoring
from trustpose.files import InputError, atomic_write
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.predict.fingerprints import fingerprint_of, network_file
from trustpose.predict.load import load

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
ROWS = {
    "pose.pearson": "r(pose, OKS)",
    "keypoint.pearson_pose_mean": "r(averages)",
    "keypoint.pearson": "r(keypoint, OPKS)",
    "pose.ece": "pose ECE",
    "keypoint.ece": "keypoint ECE",
}
BOXES, WHOLE = "ground-truth boxes", "whole photos"
LIMITS = {
    BOXES: (
        "Fitted on ground-truth boxes: every result was on a person, and the position of the pose in its box is "
        "informative. Presence, whether a detector's box holds a person, cannot be learnt from these."
    ),
    WHOLE: (
        "Fitted on all people that the network gives, whatever their score; results on no person teach "
        "presence alone. COCO's crowd regions are missing in the labels, so a pose there counts as one on no person."
    ),
}


TEXT = """\
# Calibrator card: shipped:{name}

**For** {title}:

```sh
trustpose calibrate apply --calibrator shipped:{name} --results results.json --out trusted.json
trustpose predict photos/ --model NETWORK --calibrator shipped:{name}
```

**Fitted on** {used:,} results on {photos} (the project's `train`), {run}, no flip test,
decoded as `trustpose predict` does by default; method {method}, area `{area}`. COCO's labels are CC-BY-4.0. The file
holds no photo, only the photos' ids, so that an audit can note that it was fitted on them.

**Training data of the network:** {seen}.

**Numbers**, printed scores → calibrated: out of fold on these people, with the 95 % interval, and on {people:,}
results on people of `dev`, on which nothing was fitted or chosen:

| | out of fold | dev |
|---|---|---|
{rows}
| AP | | {own:.3f} → {better:.3f} |

**Limits.**
{limits}
Trust is an expectation over people like COCO's; on others it is too high or too low, and a warning
says if poses or scores are unlike the fitted ones. With another crop or decoder, or in another version, the network's
scores differ: `predict` refuses another file of the network unless `--estimator {name}` says that it is the same;
results files are refused if their scores are on another scale, else warned of.

Licence: Apache-2.0. Made by `python tools/ship_calibrators.py`, which prints these numbers.
"""


@dataclass(frozen=True)
class Source:
    """A network, how it is run, and what its authors trained it on."""

    title: str
    model: str
    run: str
    seen: str
    is_unseen_only: bool = True


SOURCES = {
    "simplepose": Source(
        *("Ultralight-Nano-SimplePose, 256 × 192", "networks/simplepose.onnx", BOXES),
        "COCO train2017; its author reports AP on val2017",
    ),
    "movenet-thunder": Source(
        *("MoveNet SinglePose Thunder", "networks/movenet-thunder.onnx", BOXES),
        "COCO train2017 and Google's own photos (Active)",
    ),
    "movenet-multipose": Source(
        *("MoveNet MultiPose Lightning", "networks/movenet-multipose.onnx", WHOLE),
        "COCO train2017 and Google's own photos (Active)",
    ),
    "pp-tinypose": Source(
        *("PP-TinyPose 256 × 192 (PaddleDetection 2.3)", "small-networks/tinypose.onnx", BOXES),
        "COCO train2017 and AI Challenger",
    ),
    "mediapipe": Source(
        *("MediaPipe pose landmarker, full, its 17 COCO keypoints", "mediapipe:", BOXES),
        "Google's own photos, not COCO's as far as its authors say",
        is_unseen_only=False,
    ),
}


def predicted(
    source: Source, model: str, data: Path, part: str, truth: TruthFile, ids: np.ndarray, folder: Path
) -> ResultsFile:
    """The network's results on some photos of one part, without flip, as `trustpose predict` gives them."""
    options = {"skeleton": "coco17"} if source.model.startswith("mediapipe") else {}
    options |= {"min_box_score": 0.0} if source.run == WHOLE else {}  # presence learns from all that the network gives
    predictor = load(model, **options)
    assert truth.images.file_name is not None
    wanted = set(ids.tolist())
    named = zip(truth.images.id, truth.images.file_name, strict=True)
    photos = [data / "coco" / part / name for image_id, name in named if name and image_id in wanted]
    predictor.run(photos, folder, gt=data / "coco" / f"{part}_gt.json")
    (folder / "results.json").rename(folder / f"{part}.json")
    return read_results(folder / f"{part}.json", truth=truth)


def made(name: str, model: str, data: Path, folder: Path) -> tuple[Calibrator, str]:
    """The calibrator of a source, and its card."""
    source = SOURCES[name]
    train, dev = (read_coco_truth(data / "coco" / f"{part}_gt.json") for part in ("train", "dev"))
    unseen = read_coco_truth(data / "coco" / "val2017_gt.json").images.id if source.is_unseen_only else train.images.id
    known = predicted(source, model, data, "train", train, unseen, folder)
    parts = fit(train, replace(known, path=f"{name}.train.json"), FitOptions(estimator=name)).parts
    file = network_file(load(model))
    networks = () if file is None else (fingerprint_of(file),)
    calibrator = Calibrator.of(replace(parts, card=replace(parts.card, networks=networks)))
    others = predicted(source, model, data, "dev", dev, dev.images.id, folder)
    return calibrator, card_text(name, calibrator, others, dev)


def card_text(name: str, calibrator: Calibrator, dev: ResultsFile, truth: TruthFile) -> str:
    """The card for people, Markdown, with numbers on results for `dev`, measured as those out of fold are."""
    source, card = SOURCES[name], calibrator.card
    poses = calibrator(dev.poses)
    task = prepare(truth, dev, FitOptions(folds=2, draws=1))
    people = task.targets.rows
    assert poses.quality is not None and poses.pose_quality is not None
    scores = (task.printed_scores(), Scores(poses.quality[people], poses.pose_quality[people]))
    told = [evaluate_scores(one, task.sample) for one in scores]
    worth = rescoring(truth, poses, dev.score, poses.ranking_score, area="file")
    rows = []
    for row, label in ROWS.items():
        fitted = [card.before[row], card.after[row]]
        low_high = "" if fitted[1] is None else f" ({fitted[1][1]:.3f}–{fitted[1][2]:.3f})"
        out_of_fold = " → ".join("–" if one is None else f"{one[0]:.3f}" for one in fitted) + low_high
        on_dev = " → ".join("–" if (one := numbers[row]) is None else f"{one.value:.3f}" for numbers in told)
        rows.append(f"| {label} | {out_of_fold} | {on_dev} |")
    if card.presence is not None:
        on_dev = audit(truth, replace(dev, poses=poses), draws=0).presence
        for row, measured in (("auroc", on_dev.auroc), ("ece", on_dev.ece)):
            rows.append(f"| presence {row.upper()} | {card.presence.fitted_on[row]:.3f} | {measured:.3f} |")
    return TEXT.format(
        name=name,
        title=source.title,
        used=card.results.used,
        photos="photos of COCO val2017" if source.is_unseen_only else "COCO photos",
        run=source.run,
        method=card.method,
        area=card.area,
        seen=source.seen + (". Photos of train2017 were not used for fitting" if source.is_unseen_only else ""),
        rows="\n".join(rows),
        people=len(people),
        own=worth.own,
        better=worth.better,
        limits=fill(LIMITS[source.run], 120),
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=DATA, help="the project's data")
    parser.add_argument("--mediapipe", type=Path, help="MediaPipe's pose landmarker bundle, full")
    parser.add_argument("--only", action="append", choices=list(SOURCES), help="make only these")
    parser.add_argument("--out", type=Path, default=Path(shipped.__file__).parent, help="the package's folder")
    options = parser.parse_args()
    try:
        for name in options.only or SOURCES:
            source = SOURCES[name]
            if source.model == "mediapipe:":
                if options.mediapipe is None:
                    print(f"{name}: left as it is, needs --mediapipe")
                    continue
                model = f"mediapipe:{options.mediapipe}"
            else:
                model = str(options.data / source.model)
            with tempfile.TemporaryDirectory() as folder:
                calibrator, text = made(name, model, options.data, Path(folder))
            calibrator.save(options.out / f"{name}.cal")
            with atomic_write(options.out / f"{name}.md") as file:
                file.write(text.encode())
            print(f"{text}\n{(options.out / f'{name}.cal').stat().st_size / 1e3:.0f} kB\n", flush=True)
    except InputError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
