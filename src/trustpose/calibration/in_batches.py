"""Apply a calibrator to results too large for memory, batch by batch, with a single call's trust and warnings."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.calibration.calibrator import FEWEST, Calibrator, compared_rows
from trustpose.calibration.features import pose_features
from trustpose.calibration.scale import ScaleCheck
from trustpose.files import InputError
from trustpose.formats.coco import ResultsFile
from trustpose.formats.parquet_parts import ParquetParts
from trustpose.formats.row_writing import results_schema
from trustpose.formats.table_rows import TableRows
from trustpose.poses import Poses
from trustpose.skeletons import Skeleton


class CalibratorInBatches:
    """Call it with batches of whole photos, `count` poses in all, in the order of a single call; then `warnings`.

    Scores on another scale are only known after all batches: `warnings` raises that error, and the output is to be
    discarded. The people compared with the fitted ones are those of a single call, kept from each batch. Several may
    share the work, each from pose `start` on; `join` then gives one what the others have `found`.
    """

    def __init__(
        self, calibrator: Calibrator, count: int, skeleton: Skeleton | str | Path | None = None, start: int = 0
    ) -> None:
        self._calibrator, self._count, self._skeleton = calibrator, count, skeleton
        self._scale = ScaleCheck(calibrator.domain.scores)
        self._compared, self._done = compared_rows(count), start
        self._features: list[dict[str, np.ndarray]] = []
        self._scores: list[np.ndarray] = []

    def __call__(self, poses: Poses) -> Poses:
        """Return the poses with trust, as `Calibrator.__call__` does. Raises InputError, but not for scores on another
        scale."""
        people = self._calibrator.people_of(poses, self._skeleton)
        self._scale.add(poses)
        applied = self._calibrator.trust_of(poses, self._calibrator.with_opinions(people, poses, ()), None)
        start, self._done = self._done, self._done + len(poses)
        chosen = np.arange(len(poses))
        if self._compared is not None:
            first, end = np.searchsorted(self._compared, [start, self._done])
            chosen = self._compared[first:end] - start
        if len(chosen):
            some = people.rows(chosen)
            self._features.append(pose_features(some))
            self._scores.append(some.score_of_found())
        return applied

    def found(self) -> dict[str, np.ndarray]:
        """Return what `warnings` needs of the poses so far, as arrays by name."""
        arrays = {"scale": np.array(self._scale.state())}
        if self._features:
            arrays["scores"] = np.concatenate(self._scores, axis=1)
            names = list(self._features[0])
            arrays["names"] = np.array(names)
            arrays["features"] = np.stack([np.concatenate([part[name] for part in self._features]) for name in names])
        return arrays

    def join(self, found: Mapping[str, np.ndarray], count: int) -> None:
        """Add what another one `found` in the next `count` poses."""
        self._scale.join(found["scale"].tolist())
        self._done += count
        if "names" in found:
            self._features.append(dict(zip(found["names"].tolist(), found["features"], strict=True)))
            self._scores.append(found["scores"])

    def warnings(self) -> tuple[str, ...]:
        """Return sentences on distribution shift, as `Calibrator.apply` does. Raises InputError for scores on another
        scale."""
        self._scale.check()
        if self._done != self._count:
            raise InputError(f"{self._done:,} poses were read, expected {self._count:,}: did the files change?")
        if self._count < FEWEST:
            return ()
        features = {name: np.concatenate([part[name] for part in self._features]) for name in self._features[0]}
        return tuple(self._calibrator.domain.compare(features, np.concatenate(self._scores, axis=1)).warnings())


def calibrated_schema(calibrator: Calibrator, parts: ParquetParts) -> Any:
    """Return the Arrow schema of these results with trust."""
    added = {"pose_score", "pose_quality", "keypoint_quality", "visibility"}
    added |= set() if calibrator.card.presence is None else {"presence"}
    added |= set() if calibrator.card.decision is None else {"visibility_label"}
    return results_schema(parts.schema, parts.occurring | added)


def calibrated_rows(applied: CalibratorInBatches, batch: ResultsFile, rows: TableRows) -> list[dict[str, Any]]:
    """Return a batch's rows with trust, and with the names of their photos. Raises InputError naming a row."""
    try:
        poses = applied(batch.poses)
    except InputError as error:
        raise InputError(f"{rows.place(0)} and later: {error}") from None
    texts = {"image_id": batch.image_texts.text_of, "annotation_id": batch.annotation_texts.text_of}
    found = poses.to_coco(category_id=batch.category_id, texts=texts)
    if "file_name" in rows.fields:
        for row, name in zip(found, rows.values("file_name"), strict=True):
            row |= {} if name is None else {"file_name": name}
    return found
