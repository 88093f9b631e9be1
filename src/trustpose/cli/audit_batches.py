"""`trustpose audit` of Parquet that does not fit into memory."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trustpose.cli.outputs import say_written
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.skeletons import Skeleton


def is_audited_in_batches(gt: Path, results: list[Path]) -> bool:
    """Return whether a ground truth or results are Parquet that is read in batches: a folder of parts, a file of more
    than a million results, or any ground truth in Parquet."""
    from trustpose.formats.parquet_parts import is_parts, parts_in

    is_table = gt.suffix.lower() == ".parquet" or (gt.is_dir() and bool(parts_in(gt)))
    return is_table or any(map(is_parts, results))


def audit_parts(
    gt: Path,
    results: list[Path],
    in_memory: Mapping[str, Any],
    *,
    json: Path | None,
    skeleton: "Skeleton | None",
    **options: Any,
) -> None:
    """Audit one table of results in batches, print its numbers and write them to `json`; `options` are those of
    `audit_in_batches`. Raises InputError, also if options for results `in_memory` were given."""
    from trustpose.calibration.applied_record import in_sample_notes
    from trustpose.cli.audit_tables import print_notes, print_numbers
    from trustpose.cli.in_batches import bar
    from trustpose.evaluation.in_batches import audit_in_batches
    from trustpose.files import write_json
    from trustpose.formats.parquet_parts import open_parts

    given = next((name for name, value in in_memory.items() if value), None)
    if given is not None:
        raise InputError(f"{given}: is for files in memory, and Parquet in parts is audited in batches without it")
    if len(results) > 1:
        raise InputError(f"{results[1]}: expected one table of results, Parquet in parts is audited in batches")
    if not results[0].is_dir() and results[0].suffix.lower() != ".parquet":
        raise InputError(f"{results[0]}: expected Parquet, as the ground truth is; `trustpose convert` writes it")
    with bar("auditing", open_parts(results[0]).rows) as advance:
        record = audit_in_batches(gt, results[0], skeleton=skeleton, tick=advance, **options)
    notes = in_sample_notes(results[0], record.inputs["ground_truth"]["sha256"])
    record = replace(record, notes=(*record.notes, *notes))
    print_numbers([record])
    print_notes([record])
    if json is not None:
        write_json(json, record.as_dict())
        say_written(json, "the numbers as JSON")
