"""The record beside calibrated results, OUT.calibrator.json: which calibrator gave their trust, and what it was
fitted on, so that an audit can say when it measures trust on the people of the fit.
"""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.card import FittedOn
from trustpose.calibration.shipped import calibrator_file
from trustpose.files import InputError, is_stdout, read_json, write_json
from trustpose.io.coco.results import ResultsFile
from trustpose.io.companions import results_sha256
from trustpose.json_records import read_record
from trustpose.poses import Poses


@dataclass(frozen=True)
class _File:
    file: str | None
    sha256: str | None


@dataclass(frozen=True)
class _CalibratorFile(_File):
    estimator: str | None


@dataclass(frozen=True)
class _Fitted:
    ground_truth: FittedOn
    results: FittedOn


@dataclass(frozen=True)
class _AppliedRecord:
    """The record's JSON: the results with trust, those without, the calibrator, what it was fitted on, and how many of
    the photos have ids of the fit's."""

    results: _File
    source: _File
    calibrator: _CalibratorFile
    fitted: _Fitted
    fitted_photos: int | None


class InSampleWarning(UserWarning):
    """A calibrator gave trust in photos that it was fitted on."""


def record_path(results: Path) -> Path:
    """Path of the record of these results, a file or a folder of parts."""
    return results.with_name(f"{results.name}.calibrator.json")


def in_sample_sentence(photos: int | None, *, is_same: bool, name: str = "") -> str | None:
    """What to say of photos of which `photos` have ids of the fit's, None where ids are texts; None if nothing.

    is_same: whether a fingerprint says that these are the results, or the ground truth, of the fit. Ids alone do not,
    as many data sets number their photos from 0.
    name: the calibrator's.
    """
    if photos == 0 or (photos is None and not is_same):
        return None
    calibrator = f"the calibrator {name}".strip()
    if not is_same:
        return (
            f"{photos:,} of these photos have the same ids as photos that {calibrator} was fitted on: if they are the "
            "same photos, these numbers are in-sample, better than on new photos"
        )
    part = "" if photos is None else f"{photos:,} of "
    return f"{calibrator} was fitted on {part}these photos: these numbers are in-sample, better than on new photos"


def is_same_file(sha256: str | None, fitted: str) -> bool:
    """Whether a file is one of the fit's, by their SHA-256; never where it has none, as tables read in batches."""
    return bool(sha256) and sha256 == fitted


def photo_ids(results: ResultsFile) -> list[np.ndarray] | None:
    """The ids of the photos of results in memory, None where they are texts."""
    image_id = results.poses.image_id
    return [image_id] if image_id is not None and results.image_texts.are_numbers else None


def fitted_photos(calibrator: Calibrator, image_ids: Iterable[np.ndarray] | None) -> int | None:
    """Number of photos, whose ids come in one or several arrays, that have ids of the fit's; None where the ids of
    either are texts (`image_ids` None, or arrays of texts)."""
    if image_ids is None or not len(calibrator.image_ids):
        return None
    photos = [np.zeros(0, np.int64)]
    for ids in image_ids:
        if ids.dtype.kind not in "iu":
            return None
        photos.append(np.intersect1d(ids, calibrator.image_ids))
    return len(np.unique(np.concatenate(photos)))


def write_record(
    out: Path,
    results: Path | None,
    path: Path | None,
    calibrator: Calibrator,
    image_ids: Iterable[np.ndarray] | None,
) -> tuple[str, ...]:
    """Write the record beside calibrated results, unless they went to a stream, and return a warning where they are of
    photos of the fit.

    out: the results with trust; results: those without, None for new predictions; path: the calibrator's, None for one
    that was never saved; image_ids: as for `fitted_photos`.
    """
    card, photos = calibrator.card, fitted_photos(calibrator, image_ids)
    source, name = (None if results is None else results_sha256(results)), ("" if path is None else path.name)
    if not is_stdout(out) and (out.is_file() or out.is_dir()):
        record = _AppliedRecord(
            results=_File(out.name, results_sha256(out)),
            source=_File(None if results is None else results.name, source),
            calibrator=_CalibratorFile(
                name, None if path is None else results_sha256(calibrator_file(path)), card.estimator
            ),
            fitted=_Fitted(card.truth, card.results),
            fitted_photos=photos,
        )
        write_json(record_path(out), asdict(record))
    sentence = in_sample_sentence(photos, is_same=is_same_file(source, card.results.sha256))
    return () if sentence is None else (sentence,)


def in_sample_notes(results: Path, truth_sha256: str | None) -> tuple[str, ...]:
    """A note for an audit of calibrated results on photos of the fit; none where no record says so, or where the record
    is of other results.

    truth_sha256: of the audit's ground truth.

    Raises InputError if the record is damaged.
    """
    path = record_path(results)
    if not path.is_file():
        return ()
    record = read_record(_AppliedRecord, read_json(path), path)
    is_same = is_same_file(truth_sha256, record.fitted.ground_truth.sha256)
    is_same |= is_same_file(record.source.sha256, record.fitted.results.sha256)
    sentence = in_sample_sentence(record.fitted_photos, is_same=is_same, name=record.calibrator.file or "")
    if sentence is None or record.results.sha256 != results_sha256(results):
        return ()
    return (sentence,)


def audit_notes(
    calibrator: Calibrator,
    truth: str,
    truth_sha256: str,
    keypoint_names: tuple[str, ...],
    image_ids: Int[np.ndarray, " I"] | None,
    poses: Poses,
    area: str,
) -> tuple[str, ...]:
    """Return notes for an audit of `poses` with this calibrator's trust; none if there is nothing to report.

    `truth`, `truth_sha256`, `keypoint_names`, and `image_ids`, None if they are texts, are the ground truth's. Raises
    InputError if the calibrator has another skeleton or cannot read these results.
    """
    card = calibrator.card
    if keypoint_names != card.keypoints:
        raise InputError(
            f"{truth}: its {len(keypoint_names)} keypoints are not the {len(card.keypoints)} that the calibrator was "
            "fitted on"
        )
    notes = []
    photos = fitted_photos(calibrator, None if image_ids is None else [image_ids])
    sentence = in_sample_sentence(photos, is_same=is_same_file(truth_sha256, card.truth.sha256))
    if sentence is not None:
        notes.append(f"{sentence}; its out-of-fold numbers show how it performs there")
    if area != card.area:
        notes.append(f"the calibrator was fitted with area {card.area!r}, this audit uses {area!r}")
    notes += [f"calibrator: {opinion.sentence()}" for opinion in card.opinions]
    return (*notes, *calibrator.shift(poses).warnings())
