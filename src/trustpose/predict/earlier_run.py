"""What an earlier run left in a run's folder: it is continued or replaced only if asked to, and the rest is named."""

from collections.abc import Iterable
from pathlib import Path

from trustpose.files import InputError
from trustpose.formats.tables import FORMATS
from trustpose.predict.options import RunOptions

IMAGES, JOURNAL = "images.json", "results.json.journal"  # file names in the folder of a run
TABLES = [f"results.{format_}" for format_ in FORMATS]
_DRAWINGS = (".jpg", ".mp4")


def earlier_result(folder: Path, results: str) -> str | None:
    """Return the name of a file of an earlier run that a run with this results file would replace, if there is one."""
    return next((name for name in (results, JOURNAL, IMAGES) if (folder / name).exists()), None)


def check_earlier(folder: Path, options: RunOptions, results: str) -> None:
    """Raise InputError if a folder has an earlier run's results and the options neither resume nor overwrite them."""
    earlier = None if options.resume or options.overwrite else earlier_result(folder, results)
    if earlier is not None:
        raise InputError(
            f"{folder}: holds {earlier} of an earlier run; --resume continues it, --overwrite replaces it, or choose "
            "another --out"
        )


def left_files(folder: Path, current_files: Iterable[Path]) -> list[Path]:
    """Return what may be of an earlier run in a folder, in order: drawings, results, and folders of a video's results,
    without `current_files`, the files and folders of this run."""
    current_paths = {path.resolve() for path in current_files}
    entries = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in entries if path.resolve() not in current_paths and _is_of_a_run(path)]


def _is_of_a_run(path: Path) -> bool:
    if path.is_dir():
        return any((path / name).exists() for name in TABLES)
    return path.name in TABLES or path.suffix in _DRAWINGS
