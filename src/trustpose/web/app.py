"""The web page: photos, videos, results files, audits and calibrators in a browser, served by FastAPI.

Poses, scores and words are those of `predict/`, `audit/` and `report/`; the page only draws them. Everything that it
loads comes from this server, and nothing of it is inline, so that the content security policy can forbid the rest.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import FileResponse, JSONResponse
from starlette.middleware.trustedhost import TrustedHostMiddleware

from trustpose.files import InputError
from trustpose.predict.photos import BasePredictor
from trustpose.web import files, photos
from trustpose.web.limits import Limits
from trustpose.web.uploads import Store, TooLarge

STATIC = Path(__file__).with_name("static")
_PAGES = {
    "": "index.html",
    "page.js": "page.js",
    "canvas.js": "canvas.js",
    "files.js": "files.js",
    "page.css": "page.css",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(self), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


def create_app(predictor: BasePredictor, hosts: Sequence[str], limits: Limits = Limits()) -> FastAPI:  # noqa: B008
    """Return the application for one loaded predictor.

    hosts: the names under which it answers, so that another site's page cannot reach it under a name of its own that
    points here. Uploads go to a temporary folder, which is removed when the server stops.
    """
    store = Store()

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = FastAPI(title="trustpose", docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=list(hosts))
    app.middleware("http")(_guard)
    app.exception_handler(InputError)(_refuse)
    app.exception_handler(TooLarge)(_refuse)
    for name, file in _PAGES.items():
        app.get(f"/{name}", response_model=None)(_page(STATIC / file))
    app.include_router(photos.router(predictor, store, limits))
    app.include_router(files.router(store, limits))
    return app


def _page(path: Path) -> Callable[[], FileResponse]:
    return lambda: FileResponse(path)


async def _guard(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
    """Refuse what another site's page sends, and add the headers."""
    origin = request.headers.get("origin")
    is_ours = origin is None or origin.partition("://")[2] == request.headers.get("host")
    if request.method == "POST" and not is_ours:
        response: Response = JSONResponse({"error": "expected a request of this server's own page"}, 403)
    else:
        response = await call_next(request)
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    return response


async def _refuse(_: Request, error: Exception) -> Response:
    """Answer bad input with one line."""
    if isinstance(error, TooLarge):
        return JSONResponse({"error": "the upload is larger than this server's limit"}, 413)
    line: Any = " ".join(str(error).split())
    return JSONResponse({"error": line}, 422)
