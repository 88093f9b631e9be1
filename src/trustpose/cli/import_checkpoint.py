"""`trustpose import`: convert a public checkpoint to a model folder."""

from dataclasses import dataclass
from pathlib import Path

import typer

from trustpose.cli.command import command
from trustpose.cli.records import skeleton_names
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.options import argument, option


@dataclass(frozen=True)
class ImportOptions:
    """The arguments of `export.checkpoint_import.import_file`."""

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
    except ModuleNotFoundError as missing:
        raise InputError(not_installed(missing.name, "train")) from None
    spec = import_file(
        options.checkpoint,
        options.network,
        options.out,
        family=options.from_,
        size=options.size,
        skeleton=options.skeleton,
        channels=options.channels,
        sha256=options.sha256,
        name=options.name,
        licence=options.licence,
        source=options.source,
    )
    model = f"{spec.name}, {len(spec.skeleton)} keypoints ({spec.skeleton.name})"
    typer.echo(f"{options.out}: {model}, {spec.input.height}×{spec.input.width}")
    if spec.licence != UNKNOWN:
        typer.echo(f"Licence of the weights: {spec.licence}")
