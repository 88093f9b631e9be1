"""`trustpose convert` of labels from an annotation tool: to a COCO ground truth."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustpose.cli.outputs import check_outputs, say_written
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.formats.coco import TruthFile

_SUFFIXES = (".xml", ".json", ".csv")


def convert_labels(sources: Sequence[Path], out: Path, other_options: Sequence[str]) -> bool:
    """Write the labels of CVAT, Label Studio or VIA as a ground truth, JSON or Parquet; return whether the one source
    is such a file. Raises InputError, also for `other_options`, the names of options that are for poses."""
    from trustpose.datasets.ground_truth import read_ground_truth
    from trustpose.files import read_bytes, write_json
    from trustpose.formats.label_tools import is_labelled

    if len(sources) != 1 or sources[0].suffix.lower() not in _SUFFIXES or not sources[0].is_file():
        return False
    if not is_labelled(read_bytes(sources[0], "labels"), str(sources[0])):
        return False
    check_outputs({"--out": out}, {"a file to convert": list(sources)})
    if other_options:
        raise InputError(f"{other_options[0]}: is for poses, {sources[0]} holds labels and keeps its people")
    truth = read_ground_truth(sources[0])
    if out.suffix.lower() == ".parquet":
        _write_parquet(out, truth)
    else:
        write_json(out, _as_coco(truth))
    say_written(out, f"{len(truth.truth):,} people on {len(truth.images):,} photos, a ground truth for --gt")
    return True


def _write_parquet(out: Path, truth: "TruthFile") -> None:
    from trustpose.formats.coco.truth_in_batches import truth_rows
    from trustpose.formats.row_writing import row_writer

    rows, schema = truth_rows(truth)
    with row_writer(out, schema) as write:
        write(rows)


def _as_coco(truth: "TruthFile") -> dict[str, Any]:
    """Return a ground truth in COCO's layout, whose category says what v means."""
    from trustpose.formats.coco.truth_in_batches import truth_columns
    from trustpose.formats.coco.visibility import LABELLED, TERNARY

    images = truth.images
    columns = {"id": images.id, "file_name": images.file_name, "width": images.width, "height": images.height}
    category = {"id": truth.category_id, "name": "person", "keypoints": list(truth.keypoint_names)}
    return {
        "images": _objects({name: column for name, column in columns.items() if column is not None}),
        "annotations": _objects(truth_columns(truth)),
        "categories": [category | {"visibility": TERNARY if truth.has_visibility else LABELLED}],
    }


def _objects(columns: dict[str, Any]) -> list[dict[str, Any]]:
    return [dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True)]
