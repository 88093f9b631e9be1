"""Photos and videos sent to the page: their people's poses."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path
from threading import Lock
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse

from trustpose.files import InputError
from trustpose.formats.photos import decode_photo
from trustpose.formats.video import Video
from trustpose.predict.photos import BasePredictor, Image
from trustpose.report.describe import read_out
from trustpose.web.limits import Limits
from trustpose.web.people import people_json, skeleton_json
from trustpose.web.uploads import Store, read_body, save_body


def router(predictor: BasePredictor, store: Store, limits: Limits) -> APIRouter:
    """Return the routes of one predictor, which works on one request at a time."""
    routes = APIRouter(prefix="/api")
    turn = asyncio.Lock()

    @routes.get("/model")
    async def model() -> dict[str, Any]:
        skeleton = skeleton_json(predictor.skeleton)
        return {"name": predictor.name, "licence": predictor.licence, "skeleton": skeleton}

    @routes.post("/photo")
    async def photo(request: Request) -> JSONResponse:
        content = await read_body(request.stream(), limits.photo_bytes)
        async with turn:
            return JSONResponse(await asyncio.to_thread(_of_photo, predictor, content, limits.pixels))

    @routes.post("/video")
    async def video(request: Request) -> StreamingResponse:
        path = store.new_path(".video")
        await save_body(request.stream(), path, limits.video_bytes)
        try:
            opened = await asyncio.to_thread(_open_video, path, limits.pixels)
        except InputError:
            path.unlink()
            raise
        lines = _lines(_of_frames(predictor, opened, limits.frames), turn, path)
        return StreamingResponse(lines, media_type="application/x-ndjson")

    return routes


def _of_photo(predictor: BasePredictor, content: bytes, most_pixels: int) -> dict[str, Any]:
    started = time.perf_counter()
    pixels = decode_photo(content, "the upload", most_pixels)
    poses = predictor(pixels)
    height, width = pixels.shape[:2]
    return {
        "width": width,
        "height": height,
        "seconds": round(time.perf_counter() - started, 3),
        "reading": read_out(poses, predictor.skeleton),
        "people": people_json(poses),
    }


def _open_video(path: Path, most_pixels: int) -> Video:
    try:
        opened = Video(path)
    except InputError:
        raise InputError("the upload: cannot be read as a video") from None
    if opened.width * opened.height > most_pixels:
        opened.close()
        raise InputError(f"the upload: has frames of {opened.width} × {opened.height} pixels, more than {most_pixels}")
    return opened


def _of_frames(predictor: BasePredictor, opened: Video, most: int) -> Iterator[dict[str, Any]]:
    """Yield the video's properties, then each frame's people."""
    with opened:
        count = None if opened.count is None else min(opened.count, most)
        yield {"width": opened.width, "height": opened.height, "frame_rate": opened.frame_rate, "frames": count}
        frames = (Image(pixels, image_id=number) for number, pixels in opened.frames(most))
        with closing(predictor.stream(frames)) as predictions:  # type: ignore[type-var]
            for prediction in predictions:
                if prediction.error is not None:
                    raise prediction.error
                yield {"frame": prediction.photo.image_id, "people": people_json(prediction.poses)}


class _Steps:
    """A generator that one thread may close while another still waits for its next value."""

    def __init__(self, found: Iterator[dict[str, Any]], path: Path) -> None:
        self._found, self._path, self._lock = found, path, Lock()

    def next(self) -> dict[str, Any] | None:
        """Return the next value, None at the end."""
        with self._lock:
            return next(self._found, None)

    def close(self) -> None:
        """Wait for the value in progress, then close the generator and remove its file."""
        with self._lock:
            self._found.close()  # type: ignore[attr-defined]
            self._path.unlink(missing_ok=True)


async def _lines(found: Iterator[dict[str, Any]], turn: asyncio.Lock, path: Path) -> AsyncIterator[str]:
    """Write each object as a line, one frame at a time, so that photos in between need not wait for the whole video; an
    error becomes the last line. Stops if the browser leaves."""
    steps = _Steps(found, path)
    try:
        while True:
            error = None
            async with turn:
                try:
                    value = await asyncio.to_thread(steps.next)
                except InputError as problem:
                    value, error = None, " ".join(str(problem).split())
            if error is not None:
                yield json.dumps({"error": error}) + "\n"
            if value is None:
                return
            yield json.dumps(value) + "\n"
    finally:  # not awaited: the browser may have left while a frame is in progress
        asyncio.get_running_loop().run_in_executor(None, steps.close)
