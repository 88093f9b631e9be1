"""Rows of results with a calibrator's trust, batch by batch."""

from typing import Any

from trustpose.calibration.calibrator import Calibrator, CalibratorStream, ProgressCallback
from trustpose.calibration.opinions import Seconds
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile
from trustpose.io.columns import Rows
from trustpose.io.parquet import ParquetParts
from trustpose.io.tables import TableOrRows, results_schema
from trustpose.poses.poses import coco_columns
from trustpose.poses.tables import package, results_table


def calibrated_schema(calibrator: Calibrator, parts: ParquetParts) -> Any:
    """Return the Arrow schema of results with trust.

    Args:
        calibrator: Which gives the trust.
        parts: The results.

    Returns:
        The columns of the results, but unknown ones, and of the trust.
    """
    card = calibrator.card
    added = {"pose_score", "pose_quality", "keypoint_quality", "visibility"}
    added |= set() if card.presence is None else {"presence"}
    added |= set() if card.decision is None else {"visibility_label"}
    return results_schema(parts.schema, parts.occurring | added)


def calibrated_rows(
    stream: CalibratorStream,
    batch: ResultsFile,
    rows: Rows,
    schema: Any = None,
    *,
    second: Seconds = None,
    tick: ProgressCallback | None = None,
) -> TableOrRows:
    """Return a batch's rows with trust, and with the names of their photos.

    Args:
        stream: The calibrator, called with one batch after another.
        batch: Results on whole photos.
        rows: The same, as they were read.
        schema: Of the Arrow table that is returned; None: objects are.
        second: Second opinions on these photos.
        tick: Called with the number of people done.

    Returns:
        A row for each result, in order.

    Raises:
        InputError: Naming the file, if the calibrator cannot be applied to these poses.
    """
    try:
        poses = stream(batch.poses, second, tick)
    except InputError as error:
        raise InputError(f"{rows.path}: {error}") from None
    texts = {"image_id": batch.image_texts.text_of, "annotation_id": batch.annotation_texts.text_of}
    if schema is not None:
        table = results_table(coco_columns(poses, category_id=batch.category_id), schema, texts)
        return _with_names(table, rows)
    calibrated = poses.to_coco(category_id=batch.category_id, texts=texts)
    if rows.has("file_name"):
        for row, name in zip(calibrated, rows.values("file_name"), strict=True):
            row |= {} if name is None else {"file_name": name}
    return calibrated


def _with_names(table: Any, rows: Rows) -> Any:
    """Return a table with the names of the rows' photos, if it has a column for them."""
    column = table.schema.get_field_index("file_name")
    if column < 0 or not rows.has("file_name"):
        return table
    names = package("pyarrow").array(rows.values("file_name"), table.schema.field(column).type)
    return table.set_column(column, table.schema.field(column), names)
