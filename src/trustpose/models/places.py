"""Where a model lies: one rule for whatever reads one, and the models that come with the package: a pose network with
its trust head, and a person detector.
"""

from dataclasses import dataclass
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


@dataclass(frozen=True)
class Place:
    """The files of a model: its JSON, and its ONNX file where that was named and not the JSON (else the JSON says)."""

    json: Path
    onnx: Path | None = None


def find_model(name: str | Path) -> Place:
    """The files of the model that `name` means. The JSON need not be there for a missing file's error to name it.

    In this order: "default", the pose network that comes with the package; a folder with model.json; NETWORK.json;
    NETWORK.onnx with NETWORK.json beside it; the name of another model that comes with the package. Raises InputError
    where there is no such folder or file.
    """
    path = Path(name)
    if str(name) == DEFAULT or (str(name) in [folder.name for folder in shipped_folders()] and not path.exists()):
        return Place(shipped_folder(str(name)) / MODEL_JSON)
    if path.is_dir():
        if not (path / MODEL_JSON).is_file():
            raise InputError(f"{path}: holds no {MODEL_JSON}, expected a model folder or a network's file")
        return Place(path / MODEL_JSON)
    if path.suffix == ".json":
        return Place(path)
    json = path.with_suffix(".json")
    if path.is_file() and not json.exists():
        raise InputError(f"{json}: no such file; a network needs its spec beside it")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    return Place(json, path)
