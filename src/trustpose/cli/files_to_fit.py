"""The files that `trustpose calibrate fit` reads: in memory, or in batches of which some photos are kept."""

from pathlib import Path
from typing import TYPE_CHECKING

from trustpose.cli.audit_batches import is_audited_in_batches
from trustpose.files import InputError

if TYPE_CHECKING:
    from trustpose.formats.coco import ResultsFile, TruthFile
    from trustpose.skeletons import Skeleton


def files_to_fit(
    gt: Path,
    results: Path,
    category: str | None,
    skeleton: "Skeleton | None",
    most: int,
    *,
    common: bool,
    has_second: bool,
) -> "tuple[TruthFile, ResultsFile]":
    """Return ground truth and results, at most `most` unless there are second opinions. Raises InputError, also for
    options that are not for Parquet in parts."""
    from trustpose.calibration.sample import limited, read_limited
    from trustpose.formats.coco import read_results, read_truth
    from trustpose.formats.coco.together import common_photos

    if is_audited_in_batches(gt, [results]):
        for name, value in (("--common", common), ("--second", has_second)):
            if value:
                raise InputError(f"{name}: is for files in memory, and Parquet in parts is read in batches without it")
        if not results.is_dir() and results.suffix.lower() != ".parquet":
            raise InputError(f"{results}: expected Parquet, as the ground truth is; `trustpose convert` writes it")
        return read_limited(gt, results, most, category=category, skeleton=skeleton)
    truth = read_truth(gt, category, skeleton)
    printed = read_results(results, truth=truth, common=common)
    if common:
        truth, (printed,) = common_photos(truth, [printed])
    return (truth, printed) if has_second else limited(truth, printed, most)
