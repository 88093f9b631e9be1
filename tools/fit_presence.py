"""Fit what a model says of people in a detector's boxes, and write it into its model.json: presence, and corrections
of expected OKS and OPKS.

    trustpose predict PHOTOS --min-presence 0 --no-draw --out plain
    trustpose predict PHOTOS --min-presence 0 --no-draw --flip --out flip
    python tools/fit_presence.py --model FOLDER --gt unseen.json --results plain/results.json --flip flip/results.json
                                 [--fold N --fold-results FILE --fold-flip FILE]

The model's "trust" must have neither when it predicts; --clear removes them. Presence learns from both files, a photo's
people in folds (`calibration.presence`); slope and offset of the logits of expected OKS and OPKS are fitted to the
results that match a labelled person, for each file alone. --fold N: the results of this one of five folds come from
the --fold files, in boxes of a detector that was trained on the other four (`trustpose train default-detector
--data.fold=N`), as on new photos; slope and offset of the presence are fitted there.
"""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.calibration.metrics import find_targets
from trustpose.calibration.presence import (
    Features,
    PresenceModel,
    PresenceTargets,
    best_threshold,
    person_score,
    presence_features,
)
from trustpose.calibration.score_maps import fit_logistic, logit
from trustpose.files import InputError
from trustpose.images import fold_of
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.metrics.classification import binary_ranking
from trustpose.metrics.reliability import expected_calibration_error
from trustpose.models.outputs.trust import on_lines
from trustpose.models.spec import MODEL_JSON, ModelSpec
from trustpose.poses import Poses

FOLDS = 5
FIELDS = ("presence", "detected", "detected_flip")


def with_fold(poses: Poses, of_fold: Poses, fold: int) -> Poses:
    """The poses, those in the photos of one fold replaced."""
    assert poses.image_id is not None and of_fold.image_id is not None
    outside = np.flatnonzero(fold_of(poses.image_id, FOLDS) != fold)
    inside = np.flatnonzero(fold_of(of_fold.image_id, FOLDS) == fold)
    return Poses.concatenate([poses[outside], of_fold[inside]])


def presence_inputs(files: list[Poses], truth: TruthFile) -> tuple[Features, PresenceTargets, np.ndarray]:
    """Features and targets of the results of all files that count, and the fold of each one's photo."""
    complete = truth.images.id[truth.all_people_boxed]
    inputs: dict[str, list[np.ndarray]] = {}
    parts, folds = [], []
    for poses in files:
        targets, rows = PresenceTargets.of(poses, truth.truth, person_score(poses, poses.presence), complete)
        assert poses.image_id is not None
        folds.append(fold_of(poses.image_id[rows], FOLDS))
        parts.append(targets)
        for name, column in presence_features(poses, poses.presence).items():
            if name != "pose score":  # a detector's box score knows more
                inputs.setdefault(name, []).append(column[rows])
    features = {name: np.concatenate(columns) for name, columns in inputs.items()}
    present, labelled = (np.concatenate([getattr(part, name) for part in parts]) for name in ("present", "labelled"))
    return features, PresenceTargets(present, labelled, sum(part.people for part in parts)), np.concatenate(folds)


def presence(files: list[Poses], truth: TruthFile, held_out: int | None) -> PresenceModel:
    """The model, fitted to all files together."""
    features, targets, fold = presence_inputs(files, truth)
    present = targets.present
    model, out_of_fold = PresenceModel.fit(features, targets, fold, {})
    fitted_on: dict[str, float | int] = {"results": len(fold), "photos": int(truth.all_people_boxed.sum())}
    if held_out is not None:
        inside = fold == held_out
        slope, offset = fit_logistic(logit(out_of_fold[inside])[:, None], present[inside].astype(np.float64))
        out_of_fold = 1 / (1 + np.exp(-(slope * logit(out_of_fold) + offset)))
        slopes = {name: float(slope * value) for name, value in model.slopes.items()}
        model = replace(model, slopes=slopes, offset=float(slope * model.offset + offset))
        fitted_on["results in boxes of a cross-fitted detector"] = int(inside.sum())
        print(f"logit of presence in boxes of a cross-fitted detector: slope {slope:.3f}, offset {offset:.3f}")
    ranked = binary_ranking(out_of_fold, present)
    calibration = expected_calibration_error(out_of_fold, present.astype(np.float64))
    fitted_on |= {"auroc": round(float(ranked.auroc), 4), "ece": round(calibration, 4)}
    return replace(
        model,
        slopes={name: round(value, 5) for name, value in model.slopes.items()},
        offset=round(model.offset, 5),
        min_presence=best_threshold(out_of_fold, targets),
        fitted_on=fitted_on,
    )


def cleared(spec: dict[str, Any]) -> dict[str, Any]:
    """A model.json without what this tool writes."""
    return spec | {"trust": {name: value for name, value in spec["trust"].items() if name not in FIELDS}}


def corrections(poses: Poses, truth: TruthFile) -> dict[str, list[float]]:
    """Slope and offset of the logits of expected OKS and OPKS, over the results that match a labelled person."""
    assert truth.skeleton is not None and poses.pose_quality is not None and poses.quality is not None
    targets = find_targets(poses, truth.truth, truth.skeleton.sigmas, truth.area_convention("auto"))
    targets = targets.of(np.flatnonzero(~targets.unmatched))
    pairs = {
        "pose_quality": (poses.pose_quality[targets.rows], targets.oks),
        "quality": (poses.quality[targets.rows].ravel(), targets.opks.T.ravel()),
    }
    return {
        name: [round(float(value), 4) for value in fit_logistic(logit(expected)[:, None], true)]
        for name, (expected, true) in pairs.items()
    }


def run() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__), formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True, help="the folder whose model.json is written")
    for option in ("--gt", "--results", "--flip", "--fold-results", "--fold-flip"):
        parser.add_argument(option, type=Path)
    parser.add_argument("--fold", type=int, choices=range(FOLDS))
    parser.add_argument("--clear", action="store_true", help="only remove what this tool wrote")
    given = parser.parse_args()
    path = given.model / MODEL_JSON
    spec: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    least_box_score = spec["trust"].get("presence", {}).get("least_box_score", 0.0)  # benchmarks/presence_fit.py tells
    spec = cleared(spec)
    if not given.clear:
        if None in (given.gt, given.results, given.flip):
            parser.error("--gt, --results and --flip are needed, or --clear")
        if len({given.fold is None, given.fold_results is None, given.fold_flip is None}) > 1:
            parser.error("--fold, --fold-results and --fold-flip are needed together")
        truth = read_coco_truth(given.gt)

        def read(file: Path, fold_file: Path | None) -> Poses:
            poses = replace(read_results(file, truth=truth, common=True).poses, skeleton=truth.skeleton)
            return poses if fold_file is None else with_fold(poses, read(fold_file, None), given.fold)

        plain, flipped = read(given.results, given.fold_results), read(given.flip, given.fold_flip)
        lines = {"detected": corrections(plain, truth), "detected_flip": corrections(flipped, truth)}
        corrected = [
            replace(poses, **on_lines({"pose_quality": poses.pose_quality}, lines[name]))
            for poses, name in ((plain, "detected"), (flipped, "detected_flip"))
        ]
        model = replace(presence(corrected, truth, given.fold), least_box_score=least_box_score)
        spec["trust"] |= {"presence": model.to_json(), **lines}
        print(json.dumps({name: spec["trust"][name] for name in FIELDS}, indent=1))
    path.write_text(json.dumps(spec, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    ModelSpec.read(given.model)  # as it will be read


if __name__ == "__main__":
    try:
        run()
    except InputError as error:
        sys.exit(f"{error}")
