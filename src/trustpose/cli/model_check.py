"""`trustpose models --validate`: read and open one model, and print a short table."""

import json
from pathlib import Path

import typer

from trustpose.models.spec import ModelSpec
from trustpose.models.trust_output import TrustOutput
from trustpose.predict.bottom_up import GroupHead
from trustpose.runtime.sessions import open_session, output_names, trust_names

_CHANNELS = "{0.layout}, {0.dtype}, {0.channels}"


def check_model(path: Path, *, as_json: bool) -> None:
    """Print what a model is. Raises InputError if its JSON is broken or does not match its network."""
    spec = ModelSpec.read(path)
    session = open_session(spec.onnx, 1)
    names = output_names(session, spec.onnx, spec.input, spec.output.tensors, spec.trust)
    if spec.trust is not None and spec.trust.file is not None:
        GroupHead(spec, spec.trust)
        output_names(session, spec.onnx, spec.input, spec.trust.maps)
    else:
        trust_names(session, spec.onnx, spec.trust)
    shapes = {node.name: node.shape for node in session.get_outputs()}
    wanted = spec.input
    rows = {
        "kind": spec.output.kind,
        "name": spec.name,
        "network": f"{spec.onnx.name}" + ("" if spec.network is None else f", weights of {spec.network}"),
        "input": f"{wanted.name}: {wanted.size}, {_CHANNELS.format(wanted)}",
        "outputs": "; ".join(f"{name} {' × '.join(map(str, shapes[name]))}" for name in names),
        "gives": spec.output.describe(),
        "people": "detected by the network" if spec.people == "photo" else "need boxes",
        "skeleton": f"{spec.skeleton.name}, {len(spec.skeleton)} keypoints" if len(spec.skeleton) else "none",
        "trust": "none" if spec.trust is None else _trust(spec.trust),
        "licence": spec.licence,
    }
    if spec.people == "boxes":
        rows["crop"] = f"box × {spec.padding}"
    if as_json:
        typer.echo(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    width = max(map(len, rows))
    for name, text in rows.items():
        typer.echo(f"{name:<{width}}  {text}")


def _trust(trust: TrustOutput) -> str:
    return f"{', '.join(trust.outputs)} by {trust.head}, fitted to OKS on {trust.area} area"
