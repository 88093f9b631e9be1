"""`trustpose import`: convert a public checkpoint to a model folder."""

import hashlib
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from trustpose.cli.choices import choices, completed, skeletons
from trustpose.extras import not_installed
from trustpose.files import InputError

_LARGEST = 2048  # pixels; larger inputs exhaust memory


def import_checkpoint(
    checkpoint: Annotated[
        str,
        typer.Argument(metavar="FILE", help="A .pth, .pt, .safetensors or .caffemodel file, or its URL."),
    ],
    network: Annotated[str, typer.Option(help="The checkpoint's network; `trustpose models --zoo` lists them.")],
    out: Annotated[Path, typer.Option(help="The model folder to write; must not exist yet.")],
    family: Annotated[
        str | None, typer.Option("--from", help="Project whose tensor names it has. Default: recognised from them.")
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="Input height x width. Default: 256x192; OpenPose's own for its networks.")
    ] = None,
    skeleton: Annotated[
        str | None,
        typer.Option(**completed(skeletons), help="Skeleton, NAME or FILE.json. Default: by the number of keypoints."),
    ] = None,
    channels: Annotated[
        str | None,
        typer.Option(**choices("rgb", "bgr", about="Default: the project's order; required for pose_resnet.")),
    ] = None,
    sha256: Annotated[
        str | None, typer.Option(help="The file's expected SHA-256; required with http and https.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The model's name. Default: the network's.")] = None,
    licence: Annotated[
        str | None, typer.Option(help="The checkpoint's licence. Default: the project's, where it is known.")
    ] = None,
    source: Annotated[str | None, typer.Option(help="The checkpoint's source. Default: FILE.")] = None,
) -> None:
    """Convert a public checkpoint to a model folder: ONNX to run, JSON spec with the licence, safetensors for training.

    Strict: a missing or surplus tensor is an error that names it. No code in the file is run.
    """
    height, width = (None, None) if size is None else _size(size, 8 if "openpose" in network else 32)
    if channels is not None and channels.upper() not in ("RGB", "BGR"):
        raise InputError(f"--channels: expected rgb or bgr, got {channels!r}")
    try:
        from trustpose.networks.checkpoint_files import read_tensors

        with _fetched(checkpoint, sha256) as file:
            tensors = read_tensors(file)  # before the networks are imported, so that bad files fail fast
        from trustpose.export.model_folder import UNKNOWN, Provenance
        from trustpose.export.public_checkpoints import import_checkpoint as run
    except ModuleNotFoundError as missing:
        raise InputError(not_installed(missing.name, "train")) from None
    spec = run(
        tensors,
        network,
        out,
        file=file,
        family=family,
        height=height,
        width=width,
        skeleton=skeleton,
        channels=None if channels is None else channels.upper(),
        provenance=Provenance(name or network, licence or UNKNOWN, source or checkpoint),
    )
    what = f"{spec.name}, {len(spec.skeleton)} keypoints ({spec.skeleton.name})"
    typer.echo(f"{out}: {what}, {spec.input.height}×{spec.input.width}")
    if spec.licence != UNKNOWN:
        typer.echo(f"Licence of the weights: {spec.licence}")


def _size(text: str, multiple: int) -> tuple[int, int]:
    height, _, width = text.lower().partition("x")
    sides = [int(side) if side.isdecimal() and len(side) < 6 else 0 for side in (height, width)]
    if not all(32 <= side <= _LARGEST for side in sides):
        raise InputError(f"--size: expected height x width, 32 to {_LARGEST} pixels, such as 256x192, got {text!r}")
    if int(height) % multiple or int(width) % multiple:
        raise InputError(f"--size: expected multiples of {multiple}, got {text!r}")
    return int(height), int(width)


@contextmanager
def _fetched(place: str, sha256: str | None) -> Iterator[Path]:
    """Yield the checkpoint as a local file with the expected SHA-256."""
    from urllib.error import URLError
    from urllib.parse import urlsplit
    from urllib.request import url2pathname, urlopen

    if not place.startswith(("http://", "https://")):
        file = Path(url2pathname(urlsplit(place).path) if place.startswith("file:") else place)
        _check(file, sha256)
        yield file
        return
    if sha256 is None:
        raise InputError(f"{place}: a downloaded checkpoint needs --sha256, to verify it")

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / (Path(urlsplit(place).path).name or "checkpoint.pth")
        try:
            with urlopen(place, timeout=60) as answer, file.open("wb") as target:
                shutil.copyfileobj(answer, target)
        except (URLError, OSError) as error:
            raise InputError(f"{place}: cannot be downloaded ({getattr(error, 'reason', error)})") from None
        _check(file, sha256, place)
        yield file


def _check(file: Path, sha256: str | None, place: str | None = None) -> None:
    if sha256 is None:
        return
    if not file.is_file():
        raise InputError(f"{file}: no such file")
    with file.open("rb") as content:
        found = hashlib.file_digest(content, "sha256").hexdigest()
    if found != sha256.lower():
        raise InputError(f"{place or file}: its SHA-256 is {found}, expected {sha256.lower()}")
