"""Model folders on the Hugging Face hub, by name: "hf:USER/NAME", or "hf:USER/NAME@REVISION" for a branch, tag or
commit.

A model folder's files are downloaded, and nothing else of a repository; loading them runs no code. The hub's package
(extra `hub`) keeps them in its cache, from where they are read without a network: always with `HF_HUB_OFFLINE=1`, and
a commit that is in the cache is never looked up again.
"""

import re
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.models.spec import MODEL_JSON, MODEL_ONNX, MODEL_PARTS, MODEL_WEIGHTS

PREFIX = "hf:"
FILES = (MODEL_JSON, MODEL_ONNX, *MODEL_PARTS, MODEL_WEIGHTS, "README.md")
"""The files of a model folder: only these are pushed and downloaded."""
_PART = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9])?"
_NAME = re.compile(rf"{PREFIX}({_PART}/{_PART})(?:@([A-Za-z0-9._/-]+))?")
_COMMIT = re.compile("[0-9a-f]{40}")


@dataclass(frozen=True)
class HubName:
    """A repository "USER/NAME" of the hub, at a branch, tag or commit; revision None is its main branch."""

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}" + ("" if self.revision is None else f"@{self.revision}")

    @property
    def is_commit(self) -> bool:
        """Whether the revision is a commit's full hash, whose files never change."""
        return self.revision is not None and _COMMIT.fullmatch(self.revision) is not None

    @classmethod
    def read(cls, text: str) -> "HubName":
        """Read "hf:USER/NAME[@REVISION]". Raises InputError for anything else."""
        match = _NAME.fullmatch(text)
        if match is None:
            raise InputError(f"{text}: expected {PREFIX}USER/NAME or {PREFIX}USER/NAME@REVISION")
        return cls(match[1], match[2])


def download_model(
    name: str, *, local_files_only: bool = False, cache_dir: str | Path | None = None, token: str | None = None
) -> Path:
    """Return the local folder of a model on the hub, downloaded if it is not in the cache.

    name: "hf:USER/NAME" or "hf:USER/NAME@REVISION"; a commit that is in the cache needs no network, another revision is
    looked up on the hub and read from the cache if that cannot be reached. local_files_only: never use the network.
    cache_dir: instead of the hub's own (`HF_HOME`). token: for a private repository, instead of the one that the hub's
    package has stored. Raises InputError, in one line, if the package is missing, the hub cannot be reached, or
    repository or revision do not exist or hold no model folder.
    """
    hub_name, hub = HubName.read(name), hub_package()
    options: dict[str, Any] = {"cache_dir": cache_dir, "token": token, "allow_patterns": list(FILES)}
    folder = _cached(hub, hub_name, options) if hub_name.is_commit else None
    if folder is None:
        try:
            folder = _download(hub, hub_name, options | {"local_files_only": local_files_only})
        except hub_failures(hub) as error:
            raise hub_error(hub, str(hub_name), error) from None
    for file in (MODEL_JSON, MODEL_ONNX):
        if not (folder / file).is_file():
            raise InputError(f"{hub_name}: holds no {file}, expected a model folder of trustpose")
    return folder


def _cached(hub: Any, hub_name: HubName, options: dict[str, Any]) -> Path | None:
    try:
        return _download(hub, hub_name, options | {"local_files_only": True})
    except hub.errors.LocalEntryNotFoundError:
        return None


def _download(hub: Any, hub_name: HubName, options: dict[str, Any]) -> Path:
    return Path(hub.snapshot_download(hub_name.repository, revision=hub_name.revision, **options))


def hub_package() -> Any:
    """Return `huggingface_hub`. Raises InputError with the install line if it is missing."""
    try:
        hub = import_module("huggingface_hub")
        for part in ("constants", "errors"):  # not among the names that it imports by itself
            import_module(f"huggingface_hub.{part}")
    except ModuleNotFoundError:
        raise InputError(not_installed("huggingface_hub", "hub")) from None
    return hub


def hub_failures(hub: Any) -> tuple[type[Exception], ...]:
    """Return what the package raises for the network, the hub's answers and the cache: errors of its HTTP library,
    whichever that is in this release, and of files."""
    return (*hub.errors.HfHubHTTPError.__bases__, OSError)


def hub_error(hub: Any, name: str, error: Exception) -> InputError:
    """Return what the package raised as one line about `name`."""
    kinds = hub.errors
    if isinstance(error, kinds.GatedRepoError):
        return InputError(f"{name}: access is restricted; request it on the model's page, then run hf auth login")
    if isinstance(error, kinds.RepositoryNotFoundError):
        endpoint = hub.constants.ENDPOINT
        return InputError(f"{name}: no such repository on {endpoint}, or a private one that needs hf auth login")
    if isinstance(error, kinds.RevisionNotFoundError):
        return InputError(f"{name}: the repository has no such branch, tag or commit")
    if isinstance(error, (kinds.LocalEntryNotFoundError, kinds.OfflineModeIsEnabled)):
        return InputError(f"{name}: is not in the local cache, and the hub is not reachable, or offline is set")
    reason = " ".join(str(error).split())[:200] or type(error).__name__
    return InputError(f"{name}: the hub cannot be used ({reason})")
