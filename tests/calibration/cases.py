"""Made-up people and an estimator with known errors, whose scores are informative but not calibrated."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from trustpose.calibration import applied_record
from trustpose.calibration import fit as fitting
from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.options import FitOptions
from trustpose.images import Images
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile
from trustpose.poses import Poses, Truth
from trustpose.skeletons import COCO_17, Skeleton

FEW = FitOptions(folds=2, draws=50, estimator="made up")
STANDING = np.array([
    [50, 12], [53, 10], [47, 10], [56, 12], [44, 12], [62, 28], [38, 28], [68, 45], [32, 45], [70, 60], [30, 60],
    [58, 62], [42, 62], [58, 85], [42, 85], [58, 108], [42, 108],
], dtype=np.float64)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Fitted:
    """A calibrator, and the results it was fitted on with trust out of fold."""

    calibrator: Calibrator
    out_of_fold: Poses


def fit(*arguments: Any) -> Fitted:
    """`calibration.fit.fit`, its parts put together."""
    fitted = fitting.fit(*arguments)
    return Fitted(Calibrator.of(fitted.parts), fitted.out_of_fold)


def made_up(
    people: int, seed: int = 0, *, skeleton: Skeleton = COCO_17, spurious: int = 0, ids: bool = True
) -> tuple[TruthFile, ResultsFile]:
    """`people` people, two a photo, and a result for each; `spurious` further results are on no person.

    Each result has its own amount of error; its scores fall with it, noisily, and are lower where nothing is labelled.
    """
    random = np.random.default_rng(seed)
    k = len(skeleton)
    template = np.resize(STANDING, (k, 2))
    image = np.arange(people) // 2 + 1
    position = np.stack([(np.arange(people) % 2) * 70.0, np.zeros(people)], axis=1)
    scale = random.uniform(0.6, 1.8, people)
    xy = (template + random.normal(0, 2, (people, k, 2))) * scale[:, None, None] + position[:, None]
    v = random.choice([0, 1, 2], (people, k), p=[0.3, 0.1, 0.6])
    v[:, 0] = 2
    box = np.concatenate([xy.min(axis=1) - 5, xy.max(axis=1) + 5], axis=1).round(2)
    area = 0.53 * (box[:, 2:] - box[:, :2]).prod(axis=1)
    truth = Truth(
        xy=xy * (v > 0)[..., None],
        v=v,
        area=area,
        box=box,
        image_id=image,
        annotation_id=np.arange(people) + 1,
    )
    wrong = random.gamma(1.5, 2.0, people)
    found = xy + random.normal(0, 1, xy.shape) * (wrong * scale)[:, None, None]
    score = np.clip(0.95 - 0.06 * wrong[:, None] - 0.3 * (v == 0) + random.normal(0, 0.1, (people, k)), 0.01, 0.99)
    poses = Poses(
        xy=np.concatenate([found, found[:spurious] + 1000]),
        score=np.concatenate([score, score[:spurious] * 0.5]),
        pose_score=np.concatenate([score.mean(axis=1), score[:spurious].mean(axis=1) * 0.5]),
        box=np.concatenate([box, box[:spurious] + 1000]),
        image_id=np.concatenate([image, image[:spurious]]),
        annotation_id=np.concatenate([np.arange(people) + 1, np.full(spurious, -1)]) if ids else None,
    )
    images = Images(np.unique(image))
    known = skeleton if skeleton is COCO_17 else None
    truth_file = TruthFile(truth, images, known, skeleton.keypoints, 1, (1,), "made_up_gt.json", f"truth {seed}")
    assert poses.pose_score is not None
    results = ResultsFile(poses, poses.pose_score, np.ones(len(poses), dtype=int), "made_up.json", f"results {seed}")
    return truth_file, results


def another(truth: TruthFile, seed: int = 1, error: float = 2.0) -> Poses:
    """A second network's poses of the same people, in another order, with errors of its own."""
    people, random = truth.truth, np.random.default_rng(seed)
    assert people.box is not None and people.image_id is not None and people.annotation_id is not None
    size = np.sqrt((people.box[:, 2:] - people.box[:, :2]).prod(axis=1)) / 100
    order = random.permutation(len(people))
    at = np.where(people.v[..., None] > 0, people.xy, people.box[:, None, :2].repeat(people.xy.shape[1], axis=1))
    xy = at + random.normal(0, error, at.shape) * size[:, None, None]
    score = random.uniform(0.3, 0.9, people.v.shape)
    return Poses(
        xy=xy[order],
        score=score[order],
        pose_score=score[order].mean(axis=1),
        box=people.box[order],
        image_id=people.image_id[order],
        annotation_id=people.annotation_id[order],
    )


def as_json(truth: TruthFile) -> dict[str, Any]:
    """The ground truth as in a COCO file."""
    people = truth.truth
    assert people.box is not None and people.area is not None and people.image_id is not None
    assert people.annotation_id is not None
    keypoints = np.concatenate([people.xy, people.v[..., None]], axis=2).reshape(len(people), -1)
    sizes = people.box[:, 2:] - people.box[:, :2]
    return {
        "images": [{"id": int(image_id)} for image_id in truth.images.id],
        "categories": [{"id": 1, "name": "person", "keypoints": list(truth.keypoint_names)}],
        "annotations": [
            {
                "id": int(people.annotation_id[i]), "image_id": int(people.image_id[i]), "category_id": 1, "iscrowd": 0,
                "keypoints": keypoints[i].tolist(), "num_keypoints": int((people.v[i] > 0).sum()),
                "area": float(people.area[i]), "bbox": [*people.box[i, :2].tolist(), *sizes[i].tolist()],
            }
            for i in range(len(people))
        ],
    }  # fmt: skip


def audit_notes(calibrator: Any, truth: TruthFile, results: ResultsFile, area: str) -> tuple[str, ...]:
    """The notes of an audit of these results."""
    ids = truth.images.id if truth.image_texts.are_numbers else None
    return applied_record.audit_notes(
        calibrator, truth.path, truth.sha256, truth.keypoint_names, ids, results.poses, area
    )
