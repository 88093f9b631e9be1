"""Push a model folder to the Hugging Face hub, with a card that the hub understands; `tp.load("hf:USER/NAME")` loads
it."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trustpose.files import InputError, read_bytes
from trustpose.models.hub import FILES, PREFIX, HubName, hub_error, hub_failures, hub_package
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_PARTS, MODEL_WEIGHTS, ModelSpec

README = "README.md"
# the hub's names of licences (huggingface.co/docs/hub/repositories-licenses) that a model's JSON may have
_LICENCES = frozenset(
    "afl-3.0 agpl-3.0 apache-2.0 bsd bsd-2-clause bsd-3-clause bsl-1.0 cc cc0-1.0 cc-by-2.0 cc-by-3.0 cc-by-4.0 "
    "cc-by-nc-2.0 cc-by-nc-3.0 cc-by-nc-4.0 cc-by-nc-nd-4.0 cc-by-nc-sa-4.0 cc-by-nd-4.0 cc-by-sa-3.0 cc-by-sa-4.0 "
    "gpl gpl-2.0 gpl-3.0 isc lgpl lgpl-2.1 lgpl-3.0 mit mpl-2.0 unknown unlicense".split()
)


def push_model(
    folder: str | Path,
    repository: str,
    *,
    private: bool = False,
    revision: str | None = None,
    message: str | None = None,
    tags: Sequence[str] = (),
    token: str | None = None,
) -> str:
    """Push a model folder to the hub's repository "USER/NAME" as one commit; return "hf:USER/NAME@COMMIT", which
    `tp.load` takes.

    model.json, model.onnx, and model.safetensors if there, are pushed unchanged, README.md as by `model_card`, and
    nothing else; of these four, the repository loses those that the folder lacks. A repository that does
    not exist is created, `private` or not. revision: an existing branch, None for the main one. token: instead of the
    one that `hf auth login` has stored. Raises InputError, before anything is sent, if the folder is no model folder;
    and, in one line, if the package (extra `hub`), the network or the right to write is missing.
    """
    folder, hub_name = Path(folder), HubName.read(f"{PREFIX}{repository}")
    if hub_name.revision is not None:
        raise InputError(f"{repository}: expected USER/NAME; a branch is revision=…")
    hub = hub_package()
    card, spec = model_card(folder, repository, tags), ModelSpec.read(folder)
    files: dict[str, Any] = {README: card.encode(), MODEL_JSON: folder / MODEL_JSON, MODEL_ONNX: spec.onnx}
    files |= {MODEL_WEIGHTS: spec.training_weights} if spec.training_weights.is_file() else {}
    files |= {name: folder / name for name in MODEL_PARTS if (folder / name).is_file()}
    api = hub.HfApi(token=token)
    try:
        api.create_repo(repository, private=private, exist_ok=True)
        remote_files = set(api.list_repo_files(repository, revision=revision))
        operations = [
            hub.CommitOperationAdd(path_in_repo=name, path_or_fileobj=content) for name, content in files.items()
        ]
        operations += [
            hub.CommitOperationDelete(path_in_repo=name) for name in FILES if name in remote_files - set(files)
        ]
        message = message or f"{spec.name}, pushed by trustpose"
        done = api.create_commit(repository, operations, commit_message=message, revision=revision)
    except hub_failures(hub) as error:
        raise hub_error(hub, str(hub_name), error) from None
    return str(HubName(repository, done.oid))


def model_card(folder: str | Path, repository: str, tags: Sequence[str] = ()) -> str:
    """Return the README.md of a model folder as the hub expects it: a metadata header, then the text.

    The header has licence, library, pipeline (keypoint-detection, or object-detection for boxes), skeleton and other
    tags, from model.json; entries in the header of the folder's own README.md are kept. Without a README.md the text is
    made from model.json, and shows how to load it. Raises InputError as `push_model`.
    """
    spec = _spec(Path(folder))
    readme = Path(folder) / README
    stated, text = _parts(readme) if readme.is_file() else ({}, _text(spec, repository))
    derived = {
        name: value for name, value in _metadata(spec).items() if "license" not in stated or name[:7] != "license"
    }
    data = hub_package().ModelCardData(**(derived | stated))
    data.tags = list(dict.fromkeys([*(stated.get("tags") or []), *_tags(spec), *tags]))
    return f"---\n{data.to_yaml()}\n---\n\n{text.strip()}\n"


def _parts(readme: Path) -> tuple[dict[str, Any], str]:
    """Return the header of a README.md, empty if it has none, and its text. Raises InputError."""
    try:
        text = read_bytes(readme, "a model card").decode()
        if not text.startswith("---"):
            return {}, text
        card = hub_package().ModelCard(text)
    except UnicodeDecodeError:
        raise InputError(f"{readme}: is not UTF-8 text") from None
    except ValueError as error:  # no mapping; InputError is one too
        raise _header(readme, error) from None
    except Exception as error:
        if not type(error).__module__.startswith("yaml"):  # which the hub's package reads it with
            raise
        raise _header(readme, error) from None
    return card.data.to_dict(), card.text


def _header(readme: Path, error: Exception) -> InputError:
    if isinstance(error, InputError):
        return error
    reason = " ".join(str(error).split())[:120]
    return InputError(f"{readme}: its header between lines of --- is not readable as YAML ({reason})")


def _spec(folder: Path) -> ModelSpec:
    """Read the spec of a complete model folder. Raises InputError."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder, expected a model folder")
    spec = ModelSpec.read(folder)
    if spec.onnx.name != MODEL_ONNX:
        raise InputError(f"{folder}: its network is {spec.onnx.name}, expected {MODEL_ONNX}, as in a model folder")
    read_bytes(spec.onnx, "an ONNX network")
    return spec


def _metadata(spec: ModelSpec) -> dict[str, Any]:
    licence = spec.licence.lower()
    header = {"license": licence} if licence in _LICENCES else {"license": "other", "license_name": _slug(licence)}
    task = "keypoint-detection" if len(spec.skeleton) else "object-detection"
    return header | {"library_name": "trustpose", "pipeline_tag": task}


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9.]+", "-", text).strip("-")


def _tags(spec: ModelSpec) -> list[str]:
    pose = ["human-pose-estimation", "pose-estimation", spec.skeleton.name] if len(spec.skeleton) else ["detection"]
    return ["onnx", *pose, *(["calibration", spec.trust.head] if spec.trust is not None else [])]


def _text(spec: ModelSpec, repository: str) -> str:
    """Return a card's text from the spec alone."""
    lines = [f"# {spec.name}", "", f"Source: {spec.source}.", "", f"Licence of the weights: {spec.licence}.", ""]
    finds = spec.output.describe() + (f", {spec.skeleton.name}" if len(spec.skeleton) else "")
    lines += [f"Input {spec.input.width} × {spec.input.height} pixels; gives {finds}.", ""]
    if spec.trust is not None:
        lines += [f"Trust head {spec.trust.head}: {', '.join(spec.trust.outputs)}.", ""]
    if spec.measured:
        rows = (f"| {name} | {value} |" for name, value in spec.measured.items())
        lines += ["| measured | |", "|---|---|", *rows, ""]
    name = f'"{PREFIX}{repository}"'
    arguments = name if len(spec.skeleton) else f'"default", detector={name}'
    lines += ["```python", "import trustpose as tp", "", f'poses = tp.load({arguments})("photo.jpg")', "```", ""]
    return "\n".join(lines)
