"""Photos and videos sent to the page: their people's poses."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.requests import ClientDisconnect

from trustpose.files import InputError
from trustpose.geometry.expected_error import expected_error
from trustpose.io.photos import decode_photo
from trustpose.io.video import Video
from trustpose.poses import MISSING_ID, Poses
from trustpose.predict.base_predictor import BasePredictor
from trustpose.predict.photos import Image
from trustpose.report.describe import read_out
from trustpose.report.scene import LEFT, has_visible_joint, limb_sides, person_labels, person_numbers, sides
from trustpose.skeletons import Skeleton
from trustpose.web.requests import Limits
from trustpose.web.uploads import Budget, Share, Store, read_body, save_body

_PLACES = 3  # decimals


def skeleton_json(skeleton: Skeleton) -> dict[str, Any]:
    """Return the joints' names and the limbs, pairs of their indices, and which of either are on the left."""
    return {
        "name": skeleton.name,
        "keypoints": list(skeleton.keypoints),
        "limbs": [list(edge) for edge in skeleton.edges],
        "left": (sides(skeleton) == LEFT).tolist(),
        "left_limbs": (limb_sides(skeleton) == LEFT).tolist(),
    }


def people_json(poses: Poses) -> list[dict[str, Any]]:
    """Return one object per pose, the best-ranked first: the numbers that the results file has for it, the `number` of
    the person in drawings and texts, and whether a joint of it `is_seen`.

    A joint is {"xy", "score", "quality", "visibility", "error", "decided"}: image pixels, raw score, expected OPKS,
    P(absent), P(occluded), P(visible), the expected error, its median in pixels, and absent, occluded or visible as 0,
    1, 2, as drawings show it. What is unknown is null; `xy` is null for a missing joint.
    """
    error = expected_error(poses)
    columns = {
        "score": poses.score,
        "quality": poses.quality,
        "visibility": poses.visibility,
        "error": None if error is None else error.median,
        "decided": poses.decided_visibility,
    }
    numbers, labels, seen = person_numbers(poses), person_labels(poses), has_visible_joint(poses)
    xy = poses.xy.astype(np.float64).copy()
    if poses.missing is not None:
        xy[poses.missing] = np.nan
    whole = {"score": poses.ranking_score, "presence": poses.presence, "expected_oks": poses.pose_quality}
    whole |= {"box_score": poses.box_score}
    people = []
    for row in np.argsort(-poses.ranking_score, kind="stable").tolist():
        joints = [
            {"xy": _plain(xy[row, joint])}
            | {name: None if column is None else _plain(column[row, joint]) for name, column in columns.items()}
            for joint in range(poses.keypoint_count)
        ]
        person = {name: None if column is None else _plain(column[row]) for name, column in whole.items()}
        person["is_seen"] = bool(seen[row])
        person["box"] = None if poses.box is None else _plain(poses.box[row])
        number = int(numbers[row])
        person |= {"number": None if number == MISSING_ID else number, "label": labels[row]}
        people.append(person | {"joints": joints})
    return people


def _plain(value: Any) -> Any:
    """Round a number or an array; None if it is not finite."""
    array = np.asarray(value, dtype=np.float64)
    if not np.isfinite(array).all():
        return None
    return np.round(array, _PLACES).tolist()


def router(predictor: BasePredictor, store: Store, limits: Limits) -> APIRouter:
    """Return the routes of one predictor, which works on one request at a time."""
    routes = APIRouter(prefix="/api")
    turn = asyncio.Lock()
    memory = Budget(limits.memory_bytes)

    @routes.get("/model")
    async def model() -> dict[str, Any]:
        skeleton = skeleton_json(predictor.skeleton)
        return {"name": predictor.name, "licence": predictor.licence, "skeleton": skeleton}

    @routes.post("/photo")
    async def photo(request: Request) -> JSONResponse:
        with Share(memory) as share:
            content = await read_body(request, limits.photo_bytes, limits, share)
            async with turn:
                if await request.is_disconnected():
                    raise ClientDisconnect
                return JSONResponse(await asyncio.to_thread(_of_photo, predictor, content, limits.pixels))

    @routes.post("/video")
    async def video(request: Request) -> StreamingResponse:
        with ExitStack() as stack:
            share, path = stack.enter_context(Share(store)), store.new_path(".video")
            await save_body(request, path, limits.video_bytes, limits, share)
            stack.callback(path.unlink, missing_ok=True)
            opened = await asyncio.to_thread(_open_video, path, limits.pixels)
            frames = _of_frames(predictor, opened, limits.frames)
            return StreamingResponse(_lines(frames, turn, stack.pop_all()), media_type="application/x-ndjson")

    return routes


def _of_photo(predictor: BasePredictor, content: bytes, max_pixels: int) -> dict[str, Any]:
    started = time.perf_counter()
    pixels = decode_photo(content, "the upload", max_pixels)
    poses = predictor(pixels)
    height, width = pixels.shape[:2]
    return {
        "width": width,
        "height": height,
        "seconds": round(time.perf_counter() - started, 3),
        "reading": read_out(poses, predictor.skeleton),
        "people": people_json(poses),
    }


def _open_video(path: Path, max_pixels: int) -> Video:
    try:
        opened = Video(path)
    except InputError:
        raise InputError("the upload: cannot be read as a video") from None
    if opened.width * opened.height > max_pixels:
        opened.close()
        raise InputError(f"the upload: has frames of {opened.width} × {opened.height} pixels, more than {max_pixels}")
    return opened


def _of_frames(predictor: BasePredictor, opened: Video, max_frames: int) -> Iterator[dict[str, Any]]:
    """Yield the video's properties, then each frame's people."""
    with opened:
        count = None if opened.count is None else min(opened.count, max_frames)
        yield {"width": opened.width, "height": opened.height, "frame_rate": opened.frame_rate, "frames": count}
        frames = (Image(pixels, image_id=number) for number, pixels in opened.frames(max_frames))
        with closing(predictor.stream(frames)) as predictions:  # type: ignore[type-var]
            for prediction in predictions:
                if prediction.error is not None:
                    raise prediction.error
                yield {"frame": prediction.photo.image_id, "people": people_json(prediction.poses)}


class _Steps:
    """A generator that one thread may close while another still waits for its next value."""

    def __init__(self, lines: Iterator[dict[str, Any]], resources: ExitStack) -> None:
        self._lines, self._resources, self._lock = lines, resources, Lock()

    def next(self) -> dict[str, Any] | None:
        """Return the next value, None at the end."""
        with self._lock:
            return next(self._lines, None)

    def close(self) -> None:
        """Wait for the value in progress, then close the generator and what it needs, such as its file."""
        with self._lock:
            self._lines.close()  # type: ignore[attr-defined]
            self._resources.close()


async def _lines(lines: Iterator[dict[str, Any]], turn: asyncio.Lock, resources: ExitStack) -> AsyncIterator[str]:
    """Write each object as a line, one frame at a time, so that photos in between need not wait for the whole video; an
    error becomes the last line. Stops if the browser leaves."""
    steps = _Steps(lines, resources)
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
