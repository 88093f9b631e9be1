"""What benchmarks do with the photos of `dev` and `train`: predict on them, audit the poses, and draw photos for AP."""

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from harness import Estimate, Interval

from trustpose.evaluation.audit import audit
from trustpose.evaluation.precision import rescoring
from trustpose.evaluation.record import Audit
from trustpose.io.coco.results import ResultsFile
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.metrics.average_precision import evaluate
from trustpose.metrics.crowding import crowd_index
from trustpose.metrics.precision_draws import average_precision_replicates
from trustpose.poses import Area, Poses, Truth
from trustpose.predict.boxes import boxes_from_truth
from trustpose.predict.photos import Image
from trustpose.skeletons import COCO_17

ESTIMATORS = {"SimplePose": "simplepose_flip", "MoveNet thunder": "movenet-thunder"}
"""Files of `DATA/results` by name, read where --results names none."""


def ground_truth(data: Path, split: str) -> TruthFile:
    """Read the labels of `train`, `dev` or `val2017`."""
    return read_coco_truth(data / "coco" / f"{split}_gt.json")


def results_files(
    options: argparse.Namespace, estimators: Mapping[str, str] = ESTIMATORS
) -> list[tuple[str, Path, Path]]:
    """Return the name of each estimator and its results on train and dev: of --results, or these of the data folder."""
    if options.results:
        return [(name, Path(train), Path(dev)) for name, train, dev in options.results]
    folder = options.data / "results"
    return [(name, folder / f"{stem}.train.json", folder / f"{stem}.dev.json") for name, stem in estimators.items()]


def photos_of(truth: TruthFile, folder: Path, image_ids: Iterable[int] | None = None) -> list[Image]:
    """Return photos without boxes, all of them unless ids say which."""
    names = truth.images.names()
    ids = truth.images.id if image_ids is None else image_ids
    return [Image(folder / names[int(image)], None, int(image)) for image in ids]


def boxed_photos(truth: TruthFile, folder: Path) -> list[Image]:
    """Return the photos that have labelled people, with the boxes of these people."""
    boxes = boxes_from_truth(truth.truth).of_images(truth.images.id)
    photos = zip(truth.images.file_name, boxes, truth.images.id, strict=True)
    return [Image(folder / str(name), people, int(image)) for name, people, image in photos if len(people)]


def predict_all(predictor: Any, photos: Iterable[Image]) -> Poses:
    """Return the people of all photos. Raises InputError if a photo cannot be read."""
    parts = []
    for prediction in predictor.stream(photos):
        if prediction.error is not None:
            raise prediction.error
        if len(prediction.poses):  # poses of nobody may lack columns
            parts.append(replace(prediction.poses, photos=None))
    return Poses.concatenate(parts)


def results_of(truth: TruthFile, poses: Poses, score: np.ndarray | None = None) -> ResultsFile:
    """Return poses as a results file has them, ranked by these scores (N,) or by their own."""
    ranking = poses.ranking_score if score is None else score
    return ResultsFile(poses, ranking, np.full(len(poses), truth.category_id), "results in memory", "")


def audited(
    truth: TruthFile, poses: Poses, score: np.ndarray | None = None, *, draws: int = 0, area: Area = "file"
) -> Audit:
    """Audit poses that were never in a file."""
    return audit(truth, results_of(truth, poses, score), area=area, draws=draws)


def numbers_of(record: Audit, names: Iterable[str]) -> dict[str, Interval | None]:
    """Return numbers of an audit by name, each with its interval; None for one that it does not have."""
    numbers = {name: record.number(name) for name in names}
    return {
        name: None if value is None else [value, *record.intervals.get(name, ())] for name, value in numbers.items()
    }


def gains_of(truth: TruthFile, poses: Poses, score: np.ndarray, draws: int, area: Area = "file") -> dict[str, Any]:
    """Return what ranking by the poses' own trust gains over a score: AP, and the share of the headroom."""
    worth = rescoring(truth, poses, score, poses.ranking_score, area=area, draws=draws)
    intervals = worth.intervals
    closed = None if worth.closed is None else [worth.closed, *intervals.get("closed", ())]
    return {"gain": [worth.gain, *intervals.get("gain", ())], "closed": closed}


def ap_of(poses: Poses, score: np.ndarray, truth: Truth) -> float:
    """Return COCO's AP."""
    return evaluate(poses, truth, score, sigmas=COCO_17.sigmas, area="file").summary().AP


def of_photos(truth: Truth, image_ids: Sequence[int] | np.ndarray) -> Truth:
    """Return the labelled people of some photos."""
    return truth[np.flatnonzero(np.isin(truth.image_id, image_ids))]


def in_photos(truth: TruthFile, images: np.ndarray) -> TruthFile:
    """Return the ground truth of some photos alone."""
    photos = truth.images[np.isin(truth.images.id, images)]
    return replace(truth, truth=of_photos(truth.truth, images), images=photos)


def spread(image_ids: np.ndarray, count: int | None) -> np.ndarray:
    """Return so many ids at equal distances, or all."""
    return image_ids if count is None else image_ids[np.unique(np.linspace(0, len(image_ids) - 1, count).astype(int))]


@dataclass(frozen=True, eq=False)
class Split:
    """Photos (I,) of `train` or `dev` in the order of their ids, with the labels of their people."""

    folder: Path
    file: TruthFile
    image_id: np.ndarray

    @classmethod
    def read(cls, data: Path, name: str) -> "Split":
        file = ground_truth(data, name)
        return cls(data / "coco" / name, file, np.sort(file.images.id))

    @property
    def truth(self) -> Truth:
        return self.file.truth

    def select(self, image_id: np.ndarray) -> "Split":
        """Return some of the photos, with their labels only."""
        return Split(self.folder, replace(self.file, truth=of_photos(self.truth, image_id)), np.sort(image_id))

    def photos(self) -> list[Image]:
        """Return the photos, without boxes."""
        return photos_of(self.file, self.folder, self.image_id)

    def average_precision(self, poses: Poses, score: np.ndarray, counts: np.ndarray) -> dict[str, Estimate]:
        """Return AP, AP50, AP75 and AR as COCO has them, and in every draw (B, I) of the photos."""
        evaluation = evaluate(poses, self.truth, score, sigmas=COCO_17.sigmas, area="file")
        images = [np.searchsorted(self.image_id, column) for column in (poses.image_id, self.truth.image_id)]
        summary, draws = evaluation.summary(), average_precision_replicates(evaluation, counts, *images, ("all",))
        return {name: Estimate(getattr(summary, name), drawn) for name, drawn in draws.items()}


def thirds_by_crowding(truth: Truth) -> list[np.ndarray]:
    """Return the ids of photos with labelled keypoints in three parts, by the crowd index, the least crowded first."""
    labelled = np.unique(truth.image_id[(truth.v > 0).any(axis=1)])
    return np.array_split(labelled[np.argsort(crowd_index(truth, labelled), kind="stable")], 3)
