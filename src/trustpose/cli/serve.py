"""`trustpose serve`: a local web page for poses, audits and calibration."""

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
    port: Annotated[int, typer.Option(help="Port to listen on.", min=1, max=65535)] = 8000,
    max_pixels: Annotated[int, typer.Option(min=1, help="Refuse photos and videos with more pixels.")] = 50_000_000,
) -> None:
    """Serve a web page: drop a photo, video or results file; audit and calibrate results files.

    Everything stays on this computer, and uploads are deleted when the server stops (Ctrl-C). There is no password:
    with --host 0.0.0.0 anybody on your network can use it.

    Example: trustpose serve --port 8080, then open http://localhost:8080 in a browser.
    """
    try:
        import uvicorn

        from trustpose.web.app import create_app
    except ModuleNotFoundError as missing:
        if (missing.name or "").startswith("trustpose"):
            raise
        raise InputError(f"serve: {not_installed(missing.name, 'web')}") from None
    from trustpose.predict.load import load
    from trustpose.web.limits import Limits

    predictor = load(model, flip=flip, fast=fast, max_pixels=max_pixels)
    is_local = host in _LOCAL
    names = ["127.0.0.1", "localhost", "[::1]"] if is_local else ["*"]
    app = create_app(predictor, names, Limits(pixels=max_pixels))
    if not is_local:
        typer.echo(f"trustpose: warning: anybody who can reach {host}:{port} can use this server", err=True)
    typer.echo(f"http://{'localhost' if is_local else host}:{port}  (Ctrl-C stops it)")
    uvicorn.run(app, host=host, port=port, log_level="warning", server_header=False, date_header=False)
