"""Lists of models: the networks of a folder, the bundled ones, those for training, and other packages' estimators."""

from importlib import import_module
from pathlib import Path
from typing import Any

from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.shipped import PREFIX, shipped_calibrators
from trustpose.extras import install_line, not_installed
from trustpose.files import InputError
from trustpose.models.outputs.surfaces import SurfaceOutput
from trustpose.models.outputs.trust import TrustOutput
from trustpose.models.runtime.sessions import open_session, output_names, trust_names
from trustpose.models.spec import ModelSpec, shipped_folders
from trustpose.predict.adapters import ADAPTERS
from trustpose.predict.bottom_up import GroupHead

Row = dict[str, Any]

_NUMBERS = {"pose.pearson": "r(pose, OKS)", "keypoint.pearson": "r(keypoint)", "pose.ece": "pose ECE"}
_RANDOM = {"normal_", "uniform_", "kaiming_normal_", "kaiming_uniform_", "constant_", "fill_", "zero_"}


def models_in(folder: Path) -> tuple[list[Row], list[InputError]]:
    """List the networks of a folder: NETWORK.onnx with NETWORK.json next to it, or folders with model.json.

    Returns:
        A row for each network, sorted by name, and the errors of those that cannot be read.

    Raises:
        InputError: if there is no such folder.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: " + ("is a file, expected a folder" if folder.exists() else "no such folder"))
    paths = [path for path in folder.iterdir() if path.suffix == ".onnx" or (path / "model.json").is_file()]
    if (folder / "model.json").is_file():  # the folder of one model
        paths = [folder]
    rows, problems = [], []
    for path in sorted(paths):
        try:
            rows.append(_row(path, folder))
        except InputError as problem:
            problems.append(problem)
    return rows, problems


def bundled_models() -> list[Row]:
    """Return a row for each bundled model, then for each bundled calibrator, with its out-of-fold numbers."""
    rows = [_row(path, path.parent) for path in shipped_folders()]
    for name, file in shipped_calibrators().items():
        card = Calibrator.load(file).card
        values = {label: card.after[key] for key, label in _NUMBERS.items()}
        rows.append(
            {
                "model": PREFIX + name,
                "name": f"calibrator for {card.estimator}, {card.results.used} people",
                "gives": f"trust ({card.method}): quality, visibility, pose_quality",
                "input": "COCO results",
                "skeleton": f"{card.skeleton.name} ({len(card.keypoints)})",
                "MB": round(file.stat().st_size / 1e6, 1),
                "licence": "Apache-2.0",
                "source": f"{card.truth.file}",
                "measured": {label: round(value[0], 3) for label, value in values.items() if value is not None},
                "trust": None,
            }
        )
    return rows


def networks_for_training() -> list[Row]:
    """Return names and parameter counts of the networks that can be trained, built without memory for their weights.

    Raises InputError without the extra `train`.
    """
    try:
        torch, zoo = import_module("torch"), import_module("trustpose.networks.zoo")
    except ModuleNotFoundError as missing:
        raise InputError(not_installed(missing.name, "train")) from None

    class NotInitialised(torch.overrides.TorchFunctionMode):
        """Weights stay as they are: without memory there is nothing to draw, and drawing takes half of the time."""

        def __torch_function__(self, function: Any, _: Any, arguments: Any = (), options: Any = None) -> Any:
            if function.__name__ in _RANDOM:
                return arguments[0] if arguments else options["tensor"]
            return function(*arguments, **(options or {}))

    rows = []
    for name in zoo.NETWORKS:
        with torch.device("meta"), NotInitialised():
            network = zoo.build(name)
        rows.append({"name": name, "parameters": sum(tensor.numel() for tensor in network.parameters())})
    return rows


def other_estimators() -> list[Row]:
    """Return the estimators of other packages that `tp.load` takes: whether they are installed, licence, install
    line."""
    return [
        {
            "model": adapter.usage,
            "gives": adapter.gives,
            "installed": "yes" if adapter.is_installed else "no",
            "licence": adapter.licence,
            "install": install_line(adapter.extra),
        }
        for adapter in ADAPTERS.values()
    ]


def describe_model(path: Path) -> dict[str, str]:
    """Open one model, and return what it is. Raises InputError if its JSON is broken or does not match its network."""
    spec = ModelSpec.read(path)
    session = open_session(spec.onnx, 1)
    further_inputs = spec.output.inputs if isinstance(spec.output, SurfaceOutput) else {}
    names = output_names(session, spec.onnx, spec.input, spec.output.tensors, spec.trust, further_inputs)
    if spec.trust is not None and spec.trust.file is not None:
        GroupHead(spec, spec.trust)
        output_names(session, spec.onnx, spec.input, spec.trust.maps)
    else:
        trust_names(session, spec.onnx, spec.trust)
    shapes = {node.name: node.shape for node in session.get_outputs()}
    tensor = spec.input
    description = {
        "kind": spec.output.kind,
        "name": spec.name,
        "network": f"{spec.onnx.name}" + ("" if spec.network is None else f", weights of {spec.network}"),
        "input": f"{tensor.name}: {tensor.size}, {tensor.layout}, {tensor.dtype}, {tensor.channels}",
        "outputs": "; ".join(f"{name} {' × '.join(map(str, shapes[name]))}" for name in names),
        "gives": spec.output.describe(),
        "people": "detected by the network" if spec.people == "photo" else "need boxes",
        "skeleton": f"{spec.skeleton.name}, {len(spec.skeleton)} keypoints" if len(spec.skeleton) else "none",
        "trust": "none" if spec.trust is None else _trust(spec.trust),
        "licence": spec.licence,
    }
    if spec.people == "boxes":
        description["crop"] = f"box × {spec.padding}"
    return description


def _row(path: Path, folder: Path) -> Row:
    spec = ModelSpec.read(path)
    if not spec.onnx.is_file():
        raise InputError(f"{spec.onnx}: no such file, but its JSON exists")
    trust = "" if spec.trust is None else f"; trust ({spec.trust.head}): {', '.join(spec.trust.outputs)}"
    return {
        "model": path.name if path == folder else str(path.relative_to(folder)),
        "name": spec.name,
        "gives": spec.output.describe() + trust,
        "input": spec.input.size,
        "skeleton": f"{spec.skeleton.name} ({len(spec.skeleton)})" if len(spec.skeleton) else "",
        "MB": round(spec.onnx.stat().st_size / 1e6, 1),
        "licence": spec.licence,
        "source": spec.source,
        "measured": dict(spec.measured),
        "trust": None if spec.trust is None else spec.trust.to_json(),
    }


def _trust(trust: TrustOutput) -> str:
    return f"{', '.join(trust.outputs)} by {trust.head}, fitted to OKS on {trust.area} area"
