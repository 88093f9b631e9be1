"""`trustpose serve`: a local web page for poses, audits and calibration."""

import sys
from dataclasses import dataclass

import typer

from trustpose.cli.command import command
from trustpose.extras import not_installed
from trustpose.files import InputError
from trustpose.options import option
from trustpose.predict.options import SpeedOptions

_LOCAL = ("127.0.0.1", "localhost", "[::1]", "::1")


@dataclass(frozen=True)
class ServeOptions(SpeedOptions):
    """Which model is served, and where."""

    model: str = option(
        "default", help="The bundled model, NETWORK.onnx with NETWORK.json next to it, or a model folder."
    )
    host: str = option("127.0.0.1", help="Address to listen on. Any other than localhost lets other computers connect.")
    port: int = option(8000, minimum=0, maximum=65535, help="Port to listen on; 0 takes a free one.")
    max_pixels: int = option(50_000_000, minimum=1, help="Refuse photos and videos with more pixels than this.")


@command("trustpose serve --port 8080")
def serve(options: ServeOptions) -> None:
    """Serve a web page: drop a photo, video or results file; audit and calibrate results files.

    Everything stays on this computer, and uploads are deleted when the server stops (Ctrl-C). There is no password:
    with --host 0.0.0.0 anybody on your network can use it.

    Example: trustpose serve --port 8080, then open http://localhost:8080 in a browser.
    """
    try:
        from trustpose.web.app import create_app, listen, server_of
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("trustpose"):
            raise
        raise InputError(f"serve: {not_installed(missing.name, 'web')}") from None
    from trustpose.predict.load import load
    from trustpose.web.requests import Limits

    host = options.host
    with listen(host, options.port) as listener:  # first, as it fails sooner than the model loads
        limits = Limits(pixels=options.max_pixels)
        is_local = host in _LOCAL
        names = ["127.0.0.1", "localhost", "[::1]"] if is_local else ["*"]
        predictor = load(options.model, flip=options.flip, fast=options.fast, max_pixels=options.max_pixels)
        app = create_app(predictor, names, limits)
        name = {"127.0.0.1": "localhost", "[::1]": "[::1]", "::1": "[::1]"}.get(host, host)
        address = f"{name}:{listener.getsockname()[1]}"
        if not is_local:
            typer.echo(f"trustpose: warning: anybody who can reach {address} can use this server", err=True)
        typer.echo(f"http://{address}  (Ctrl-C stops it)")
        sys.stdout.flush()
        server_of(app, limits).run(sockets=[listener])
