"""`trustpose serve`: a local web page for poses, audits and calibration."""

import sys
from typing import Annotated

import typer

from trustpose.extras import not_installed
from trustpose.files import InputError

_LOCAL = ("127.0.0.1", "localhost", "[::1]", "::1")


def serve(
    model: Annotated[
        str, typer.Option(help="The bundled model, NETWORK.onnx with NETWORK.json next to it, or a model folder.")
    ] = "default",
    *,
    fast: Annotated[bool, typer.Option("--fast", help="Use the model's smaller, faster networks.")] = False,
    flip: Annotated[bool, typer.Option("--flip", help="Flip test: slower, more accurate.")] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any other than localhost lets other computers connect.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.", min=0, max=65535)] = 8000,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse photos and videos with more pixels.")] = 50_000_000,
) -> None:
    """Serve a web page: drop a photo, video or results file; audit and calibrate results files.

    Everything stays on this computer, and uploads are deleted when the server stops (Ctrl-C). There is no password:
    with --host 0.0.0.0 anybody on your network can use it.

    Example: trustpose serve --port 8080, then open http://localhost:8080 in a browser.
    """
    try:
        from trustpose.web.app import create_app
        from trustpose.web.server import listen, server_of
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("trustpose"):
            raise
        raise InputError(f"serve: {not_installed(missing.name, 'web')}") from None
    from trustpose.predict.load import load
    from trustpose.web.limits import Limits

    with listen(host, port) as listener:  # first, as it fails sooner than the model loads
        limits = Limits(pixels=max_pixels)
        is_local = host in _LOCAL
        names = ["127.0.0.1", "localhost", "[::1]"] if is_local else ["*"]
        app = create_app(load(model, flip=flip, fast=fast, max_pixels=max_pixels), names, limits)
        name = {"127.0.0.1": "localhost", "[::1]": "[::1]", "::1": "[::1]"}.get(host, host)
        address = f"{name}:{listener.getsockname()[1]}"
        if not is_local:
            typer.echo(f"trustpose: warning: anybody who can reach {address} can use this server", err=True)
        typer.echo(f"http://{address}  (Ctrl-C stops it)")
        sys.stdout.flush()
        server_of(app, limits).run(sockets=[listener])
