"""Ready-made calibrators, bundled with the package: "shipped:NAME" wherever a calibrator's file is expected.

Each NAME.cal has a card for people beside it, NAME.md: what it was fitted on, what its network had seen, its numbers
and its limits. `tools/ship_calibrators.py` makes them.
"""

from pathlib import Path

from trustpose.files import InputError
from trustpose.names import expected_one_of

PREFIX = "shipped:"
_FOLDER = Path(__file__).parent


def calibrator_file(name_or_path: str | Path) -> Path:
    """Return the file that a user names: a path, or "shipped:NAME". Raises InputError for an unknown name."""
    prefix, colon, name = str(name_or_path).partition(":")
    if prefix + colon != PREFIX:
        return Path(name_or_path)
    bundled = shipped_calibrators()
    if name not in bundled:
        names = [PREFIX + calibrator for calibrator in bundled]
        raise InputError(f"calibrator: {expected_one_of(names, str(name_or_path))}")
    return bundled[name]


def shipped_calibrators() -> dict[str, Path]:
    """Return the files of the bundled calibrators, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.cal"))}
