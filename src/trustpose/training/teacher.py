"""Pseudo-labels for joints that a data set does not label, from a trained model: a teacher.

The teacher predicts all people with unknown joints, in the data's boxes, as they are and mirrored. If its expected OPKS
is high, its keypoint becomes a target for the heatmaps only: it does not distinguish visible and occluded, and a head
trained on it would learn the teacher's estimate of its own quality. Labels of a noisy set that are far from a very
confident prediction are removed.

Source: Radosavovic et al., Data Distillation: Towards Omni-Supervised Learning, CVPR 2018, section 3 (combined
predictions of transformed inputs as labels where their score is high), with our score instead of the network's own.
"""

import hashlib
import sys
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from trustpose.datasets.dataset_ops import with_pseudo_labels
from trustpose.datasets.people import People, PersonSample
from trustpose.files import InputError, atomic_write
from trustpose.geometry.oks import opks
from trustpose.io.arrays import read_npz
from trustpose.poses import box_size
from trustpose.predict.boxes import Boxes
from trustpose.predict.load import load
from trustpose.predict.photos import Image, prefetch
from trustpose.predict.predictor import Predictor
from trustpose.skeletons import Skeleton
from trustpose.threads import cpu_count
from trustpose.training import distributed
from trustpose.training.logs import progress

CACHE = "teacher.npz"
_FORMAT = "trustpose teacher, 1"
_CONFIDENT, _FAR = 0.9, 0.1  # remove labels with an OPKS below the second, to a prediction of at least the first
_MAX_BYTES = 2_000_000_000  # limit of its file: a million people take 0.3 GB
_BOX_SHARE = 0.53  # OKS area of people without a segment


@dataclass(frozen=True, eq=False)
class TeacherPredictions:
    """A teacher's predictions for M people: xy (M, K, 2) and the data's own label_xy in photo pixels; quality (M, K),
    its expected OPKS; area (M,), square photo pixels, for the labels' OPKS.
    """

    xy: Float[np.ndarray, "M K 2"]
    quality: Float[np.ndarray, "M K"]
    label_xy: Float[np.ndarray, "M K 2"]
    area: Float[np.ndarray, " M"]


def open_teacher(model: str | Path, skeleton: Skeleton) -> Predictor:
    """Load the model folder, network.onnx or "default", with flip test, as a teacher for that skeleton.

    Raises InputError if it is not such a model, predicts no keypoint quality, or has other keypoints.
    """
    predictor = load(model, flip=True)
    trust = predictor.spec.trust if isinstance(predictor, Predictor) else None
    if not isinstance(predictor, Predictor) or trust is None or "quality" not in trust.outputs:
        raise InputError(f"{model}: predicts no keypoint quality; a teacher needs a trust head that does")
    if predictor.spec.skeleton.keypoints != skeleton.keypoints:
        raise InputError(f"{model}: has skeleton {predictor.spec.skeleton.name}, but the training uses {skeleton.name}")
    return predictor


def with_teacher(people: People, teacher: Predictor, min_quality: float, path: Path) -> People:
    """Return the people with the teacher's labels added and noisy ones removed.

    min_quality: minimum expected OPKS of a teacher's keypoint. path: a cache of the predictions; read if it has the
    same labels, teacher and `min_quality`, else written. With several processes the first one predicts. Prints a
    summary to stderr. Raises InputError for a broken file.
    """
    fingerprint = _fingerprint(people, teacher, min_quality)
    if distributed.rank() > 0:
        distributed.gather_objects(None)  # until the first process has written it
    stored = _read(path, fingerprint)
    if stored is None:
        stored = _columns(people, teacher, min_quality)
        with atomic_write(path) as file:
            np.savez(file, fingerprint=np.array(fingerprint), **stored)  # type: ignore no flag
    if distributed.rank() == 0:
        distributed.gather_objects(None)
        filled, missing, removed = (int(stored[name].sum()) for name in ("is_filled", "is_missing", "is_removed"))
        print(
            f"trustpose: the teacher fills {filled} of {missing} missing joints and removes {removed} labels",
            file=sys.stderr,
        )
    return with_pseudo_labels(people, stored["xy"], stored["is_filled"], stored["is_removed"])


def select_pseudo_labels(
    predictions: TeacherPredictions,
    is_missing: Bool[np.ndarray, "M K"],
    is_noisy: Bool[np.ndarray, "M K"],
    min_quality: float,
    sigmas: Float[np.ndarray, " K"],
) -> tuple[Bool[np.ndarray, "M K"], Bool[np.ndarray, "M K"]]:
    """Return which missing joints are filled, (M, K), and which noisy labels are removed, (M, K)."""
    similarity = opks(predictions.xy, predictions.label_xy, np.ones(is_noisy.shape), predictions.area, sigmas)
    return is_missing & (predictions.quality >= min_quality), is_noisy & (predictions.quality >= _CONFIDENT) & (
        similarity < _FAR
    )


def predict(
    people: People, teacher: Predictor, rows: Int[np.ndarray, " M"], advance: Callable[[int], None] = lambda _: None
) -> TeacherPredictions:
    """Return the teacher's predictions for the people at `rows`; `advance` is called with the number done. Raises
    InputError."""
    count = len(people.skeleton)
    predictions = TeacherPredictions(
        np.zeros((len(rows), count, 2)),
        np.zeros((len(rows), count)),
        np.zeros((len(rows), count, 2)),
        np.zeros(len(rows)),
    )
    pending: deque[PersonSample] = deque()

    def photos(samples: Iterator[PersonSample]) -> Iterator[Image]:
        for sample in samples:
            pending.append(sample)
            scale, shift = np.diagonal(sample.affine), sample.affine[:, 2]
            box = (sample.box.reshape(2, 2) * scale + shift).reshape(1, 4)  # in the given pixels
            yield Image(sample.pixels, Boxes(box, np.zeros(1, np.int64)))

    with ThreadPoolExecutor(cpu_count(), "trustpose-people") as readers:
        samples = prefetch(readers, people.__getitem__, rows.tolist(), 2 * cpu_count() + 2)
        for row, prediction in enumerate(teacher.stream(photos(samples))):
            if prediction.error is not None:
                raise prediction.error
            sample, poses = pending.popleft(), prediction.poses
            assert poses.quality is not None
            predictions.xy[row] = (poses.xy[0] - sample.affine[:, 2]) / np.diagonal(sample.affine)
            predictions.quality[row] = poses.quality[0]
            predictions.label_xy[row] = sample.xy
            has_area = np.isfinite(sample.area)
            predictions.area[row] = sample.area if has_area else _BOX_SHARE * box_size(sample.box).prod()
            advance(row + 1)
    return predictions


def _columns(people: People, teacher: Predictor, min_quality: float) -> dict[str, np.ndarray]:
    """Return xy (N, K, 2) float32, is_filled, is_removed and is_missing (N, K)."""
    v, is_ternary = people.labels.v, people.labels.is_ternary
    missing, noisy = ~is_ternary & (v == 0), ~is_ternary & (v > 0)
    rows = np.flatnonzero((missing | noisy).any(axis=1))
    with progress(len(rows), 0, True) as show:
        predictions = predict(people, teacher, rows, lambda done: show(done, "the teacher's predictions"))
    columns = {
        "xy": np.zeros((*v.shape, 2), np.float32),
        "is_filled": np.zeros(v.shape, np.bool_),
        "is_removed": np.zeros(v.shape, np.bool_),
        "is_missing": missing,
    }
    filled, removed = select_pseudo_labels(
        predictions, missing[rows], noisy[rows], min_quality, teacher.spec.skeleton.sigmas
    )
    columns["is_filled"][rows], columns["is_removed"][rows] = filled, removed
    columns["xy"][rows] = np.where(filled[..., None], predictions.xy, 0)
    return columns


def _read(path: Path, fingerprint: str) -> dict[str, np.ndarray] | None:
    """Return the columns of a file with that fingerprint; None if there is none."""
    if not path.is_file():
        return None
    try:
        arrays = read_npz(path, _MAX_BYTES)
        if str(arrays["fingerprint"]) != fingerprint:
            return None
        return {name: arrays[name] for name in ("xy", "is_filled", "is_removed", "is_missing")}
    except (InputError, KeyError) as error:
        raise InputError(f"{path}: holds teacher predictions that cannot be read ({error}); remove the file") from None


def _fingerprint(people: People, teacher: Predictor, min_quality: float) -> str:
    """Compute the fingerprint of labels, teacher and thresholds; not of the photos, which are too many to read."""
    digest = hashlib.sha256(teacher.spec.onnx.read_bytes())
    settings = (
        replace(teacher.spec, onnx=Path()),
        teacher.skeleton.keypoints,
        min_quality,
        _CONFIDENT,
        _FAR,
        _FORMAT,
    )
    digest.update(repr(settings).encode() + people.identity.encode())
    return digest.hexdigest()
