"""`trustpose import`: convert a public checkpoint to a model folder."""

from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.records import skeleton_names
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.options import argument, option


@dataclass(frozen=True)
class ImportOptions:
    """The checkpoint and the model folder to write: what `export.checkpoint_import.import_file` takes, by the same
    names."""

    checkpoint: str = argument(
        metavar="FILE", help="A .pth, .pt, .safetensors or .caffemodel file, or its web address."
    )
    network: str = option(help="The checkpoint's network; `trustpose models --zoo` lists them.")
    out: Path = option(help="The model folder to write; must not exist yet.")
    from_: str | None = option(
        None, help="Project whose tensor names the checkpoint has. Default: recognised from them."
    )
    size: str | None = option(None, help="Input height x width. Default: 256x192; OpenPose's own for its networks.")
    skeleton: str | None = option(
        None, names=skeleton_names, help="Skeleton: NAME or FILE.json. Default: by the number of keypoints."
    )
    channels: str | None = option(
        None,
        names=("rgb", "bgr"),
        help="Order of the colour channels. Default: the project's; required for pose_resnet.",
    )
    sha256: str | None = option(None, help="The file's expected SHA-256; required with a web address.")
    name: str | None = option(None, help="The model's name. Default: the network's.")
    licence: str | None = option(None, help="The checkpoint's licence. Default: the project's, where it is known.")
    source: str | None = option(None, help="Where the checkpoint is from. Default: FILE.")


@command(
    "trustpose import checkpoint.pth --network hrnet-w32 --out hrnet",
    "trustpose predict photos/ --model hrnet",
)
def import_checkpoint(options: ImportOptions) -> None:
    """Convert a public checkpoint to a model folder: ONNX to run, JSON spec with the licence, safetensors for training.

    A missing or surplus tensor is an error that names it. No code in the file is run.
    """
    try:
        from trustpose.export.checkpoint_import import import_file
        from trustpose.export.model_folder import UNKNOWN
    except ModuleNotFoundError as error:  # torch is in an extra
        raise InputError(not_installed(error.name, "train")) from None
    spec = import_file(**asdict(options))
    skeleton, size = spec.skeleton, f"{spec.input.height}×{spec.input.width}"
    typer.echo(f"{options.out}: {spec.name}, {len(skeleton)} keypoints ({skeleton.name}), {size}")
    if spec.licence != UNKNOWN:
        typer.echo(f"Licence of the weights: {spec.licence}")
