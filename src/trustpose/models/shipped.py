"""The model that comes with the package: a pose network with its trust head, and a person detector."""

from pathlib import Path

from trustpose.files import InputError
from trustpose.models.spec import MODEL_JSON

DEFAULT = "default"
_SHIPPED = Path(__file__).parent


def default_folder() -> Path:
    """The model folder of the default pose network. Raises InputError where this installation lacks it."""
    return _folder("default")


def detector_folder() -> Path:
    """The model folder of the default detector. Raises InputError as above."""
    return _folder("default-detector")


def shipped_folders() -> list[Path]:
    """The model folders that come with the package."""
    return sorted(path.parent for path in _SHIPPED.glob(f"*/{MODEL_JSON}"))


def _folder(name: str) -> Path:
    folder = _SHIPPED / name
    if not (folder / MODEL_JSON).is_file():
        raise InputError(f"{folder}: is missing in this installation of trustpose, install it again")
    return folder
