"""Rows of results with a calibrator's trust, batch by batch."""

from typing import Any

from trustpose.calibration.calibrator import Calibrator, CalibratorStream, ProgressCallback
from trustpose.calibration.opinions import Seconds
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile
from trustpose.io.columns import Rows
from trustpose.io.parquet import ParquetParts
from trustpose.io.tables import results_schema


def calibrated_schema(calibrator: Calibrator, parts: ParquetParts) -> Any:
    """Return the Arrow schema of these results with trust."""
    added = {"pose_score", "pose_quality", "keypoint_quality", "visibility"}
    added |= set() if calibrator.card.presence is None else {"presence"}
    added |= set() if calibrator.card.decision is None else {"visibility_label"}
    return results_schema(parts.schema, parts.occurring | added)


def calibrated_rows(
    stream: CalibratorStream,
    batch: ResultsFile,
    rows: Rows,
    *,
    second: Seconds = None,
    tick: ProgressCallback | None = None,
) -> list[dict[str, Any]]:
    """Return a batch's rows with trust, and with the names of their photos. Raises InputError naming the file, or the
    row from which on something is wrong."""
    try:
        poses = stream(batch.poses, second, tick)
    except InputError as error:
        location = f"{rows.place(0)} and later" if len(rows) else rows.path
        raise InputError(f"{location}: {error}") from None
    texts = {"image_id": batch.image_texts.text_of, "annotation_id": batch.annotation_texts.text_of}
    calibrated = poses.to_coco(category_id=batch.category_id, texts=texts)
    if "file_name" in rows.fields:
        for row, name in zip(calibrated, rows.values("file_name"), strict=True):
            row |= {} if name is None else {"file_name": name}
    return calibrated
