"""The model that comes with the package: a pose network with its trust head, and a person detector."""

from pathlib import Path

from trustpose.files import InputError
from trustpose.inference.box_detector import BoxDetector
from trustpose.inference.box_spec import BoxSpec
from trustpose.inference.spec import MODEL_JSON

DEFAULT = "default"
_SHIPPED = Path(__file__).parents[1] / "models"


def default_folder() -> Path:
    """The model folder of the default pose network. Raises InputError where this installation lacks it."""
    return _folder("default")


def default_detector(min_score: float | None = None) -> BoxDetector:
    """What finds people for it; `min_score` None leaves out boxes as its spec says. Raises InputError as above."""
    return BoxDetector(BoxSpec.read(detector_folder()), min_score)


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
