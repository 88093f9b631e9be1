"""Import a public checkpoint, a file or an address, as a model folder: what `trustpose import` does."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import url2pathname, urlopen

from trustpose.export.model_folder import UNKNOWN, Provenance
from trustpose.export.public_checkpoints import import_checkpoint
from trustpose.files import InputError
from trustpose.models.spec import ModelSpec
from trustpose.networks.checkpoint_files import read_tensors

_LARGEST = 2048  # pixels; larger inputs exhaust memory


def import_file(
    checkpoint: str,
    network: str,
    out: Path,
    *,
    from_: str | None = None,
    size: str | None = None,
    skeleton: str | None = None,
    channels: str | None = None,
    sha256: str | None = None,
    name: str | None = None,
    licence: str | None = None,
    source: str | None = None,
) -> ModelSpec:
    """Convert a public checkpoint to a model folder. No code in the file is run.

    Args:
        checkpoint: a .pth, .pt, .safetensors or .caffemodel file, or its address.
        network: the checkpoint's network, one of `networks.zoo.NETWORKS`.
        out: the folder to write, which must not exist yet.
        from_: the project whose tensor names it has; None: recognised from them.
        size: input height x width, such as "256x192"; None: the network's usual one.
        skeleton: NAME or FILE.json; None: by the number of keypoints.
        channels: "rgb" or "bgr"; None: the project's order.
        sha256: the file's expected SHA-256, required for an address.
        name, licence, source: what the model's spec says of its origin; None: the network's name, the project's
            licence, `checkpoint`.

    Returns:
        The spec of the model.

    Raises:
        InputError: naming the option or tensor at fault.
    """
    height, width = (None, None) if size is None else _read_size(size, _multiple_of(network))
    with _local_file(checkpoint, sha256) as file:
        tensors = read_tensors(file)
    return import_checkpoint(
        tensors,
        network,
        out,
        file=file,
        family=from_,
        height=height,
        width=width,
        skeleton=skeleton,
        channels=None if channels is None else channels.upper(),
        provenance=Provenance(name or network, licence or UNKNOWN, source or checkpoint),
    )


def _multiple_of(network: str) -> int:
    """Return the number of pixels of which a network's input sides are multiples."""
    return next((multiple for kind, multiple in (("openpose", 8), ("pifpaf", 16)) if kind in network), 32)


def _read_size(text: str, multiple: int) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    sides = [int(side) if side.isdecimal() and len(side) < 6 else 0 for side in (height, width)]
    if not all(32 <= side <= _LARGEST for side in sides):
        raise InputError(f"--size: expected height x width, 32 to {_LARGEST} pixels, such as 256x192, got {text!r}")
    if int(height) % multiple or int(width) % multiple:
        raise InputError(f"--size: expected multiples of {multiple}, got {text!r}")
    return int(height), int(width)


@contextmanager
def _local_file(checkpoint: str, sha256: str | None) -> Iterator[Path]:
    """Yield the checkpoint as a local file with the expected SHA-256."""
    if not checkpoint.startswith(("http://", "https://")):
        file = Path(url2pathname(urlsplit(checkpoint).path) if checkpoint.startswith("file:") else checkpoint)
        _check_sha256(file, sha256)
        yield file
        return
    if sha256 is None:
        raise InputError(f"{checkpoint}: a downloaded checkpoint needs --sha256, to verify it")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / (Path(urlsplit(checkpoint).path).name or "checkpoint.pth")
        try:
            with urlopen(checkpoint, timeout=60) as answer, file.open("wb") as target:
                shutil.copyfileobj(answer, target)
        except (URLError, OSError) as error:
            raise InputError(f"{checkpoint}: cannot be downloaded ({getattr(error, 'reason', error)})") from None
        _check_sha256(file, sha256, checkpoint)
        yield file


def _check_sha256(file: Path, sha256: str | None, address: str | None = None) -> None:
    if sha256 is None:
        return
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    with file.open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    if digest != sha256.lower():
        raise InputError(f"{address or file}: its SHA-256 is {digest}, expected {sha256.lower()}")
