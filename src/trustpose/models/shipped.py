"""The models that come with the package: a pose network with its trust head, and a person detector."""

from pathlib import Path

from trustpose.files import InputError

# a model folder: the spec, the network to run, the weights to train on
MODEL_JSON, MODEL_ONNX, MODEL_WEIGHTS = "model.json", "model.onnx", "model.safetensors"
DEFAULT = "default"
_SHIPPED = Path(__file__).parent


def default_folder() -> Path:
    """The model folder of the default pose network. Raises InputError where this installation lacks it."""
    return shipped_folder(DEFAULT)


def detector_folder() -> Path:
    """The model folder of the default detector. Raises InputError as above."""
    return shipped_folder("default-detector")


def shipped_folder(name: str) -> Path:
    """The folder of a model that comes with the package. Raises InputError where this installation lacks it."""
    folder = _SHIPPED / name
    if not (folder / MODEL_JSON).is_file():
        raise InputError(f"{folder}: is missing in this installation of trustpose, install it again")
    return folder


def shipped_folders() -> list[Path]:
    """The model folders that come with the package."""
    return sorted(path.parent for path in _SHIPPED.glob(f"*/{MODEL_JSON}"))
