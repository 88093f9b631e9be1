"""The web page: photos, videos, results files, audits and calibrators in a browser, served by FastAPI.

Poses, scores and texts are those of `predict/`, `evaluation/` and `report/`; the page only draws them. Everything that
it loads comes from this server, and nothing of it is inline, so that the content security policy can forbid the rest.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from trustpose.files import InputError
from trustpose.predict.base import BasePredictor
from trustpose.web import files, photos
from trustpose.web.limits import Limits
from trustpose.web.requests import Busy, Gate
from trustpose.web.uploads import Stalled, Store, TooLarge

STATIC = Path(__file__).with_name("static")
_PAGES = {
    "": "index.html",
    "page.js": "page.js",
    "canvas.js": "canvas.js",
    "files.js": "files.js",
    "page.css": "page.css",
}


def create_app(predictor: BasePredictor, hosts: Sequence[str], limits: Limits = Limits()) -> FastAPI:  # noqa: B008
    """Return the application for one loaded predictor.

    hosts: the names under which it answers, so that another site's page cannot reach it under a name of its own that
    points here. Uploads go to a temporary folder, which is removed when the server stops.
    """
    store = Store(limits)

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(title="trustpose", docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.add_middleware(Gate, limits=limits)
    for error in (InputError, TooLarge, Stalled, Busy):
        app.exception_handler(error)(_refuse)
    for name, file in _PAGES.items():
        app.get(f"/{name}", response_model=None)(_page(STATIC / file))
    app.include_router(photos.router(predictor, store, limits))
    app.include_router(files.router(store, limits))
    return app


def _page(path: Path) -> Callable[[], FileResponse]:
    return lambda: FileResponse(path)


async def _refuse(_: Request, error: Exception) -> Response:
    """Answer bad input with one line."""
    if isinstance(error, Busy):
        return error.response()
    if isinstance(error, Stalled):
        return JSONResponse({"error": "the upload came too slowly"}, 408, {"Connection": "close"})
    if isinstance(error, TooLarge):
        return JSONResponse({"error": "the upload is larger than this server's limit"}, 413)
    line: Any = " ".join(str(error).split())
    return JSONResponse({"error": line}, 422)
