"""Results files, ground truths and calibrators sent to the page: other estimators' poses, audits, calibration."""

import asyncio
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, TypeVar

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse, Response
from msgspec import Meta

from trustpose.calibration.applied_record import fitted_photos, in_sample_sentence, is_same_file, photo_ids
from trustpose.calibration.calibrator import Calibrator
from trustpose.calibration.card import LABELS
from trustpose.calibration.fit import fit
from trustpose.calibration.metrics import PlainValue
from trustpose.evaluation.audit import audit
from trustpose.evaluation.comparison import with_comparisons
from trustpose.files import InputError
from trustpose.io.coco.results import ResultsFile, read_results
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.json_records import OpenRecord, parse_record
from trustpose.poses import write_results
from trustpose.report.page import page
from trustpose.web.photos import people_json, skeleton_json
from trustpose.web.requests import Limits
from trustpose.web.uploads import Budget, Share, Store, StoredUpload, read_body, save_body

T = TypeVar("T")
_MOST_JSON = 10_000
_MOST_COMPARED = 4  # results files in one audit
_UPLOADS = f"one to {_MOST_COMPARED} uploads"
_REPORT_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; base-uri 'none'; form-action 'none'"
)
_NAMES = {"calibrator": "calibrator.cal", "calibrated": "calibrated.json"}


def router(store: Store, limits: Limits) -> APIRouter:
    """Return the routes; heavy work takes turns."""
    routes = APIRouter(prefix="/api")
    turn = asyncio.Lock()

    @routes.post("/upload/{kind}")
    async def upload(kind: str, request: Request) -> JSONResponse:
        if kind not in _READERS:
            raise InputError(f"upload: expected one of {', '.join(_READERS)}, got another kind")
        path = store.new_path(".json" if kind != "calibrator" else ".cal")
        with Share(store) as share:
            await save_body(request, path, limits.file_bytes, limits, share)
            try:
                async with turn:
                    value, summary = await asyncio.to_thread(_READERS[kind], path)
            except BaseException as error:
                path.unlink()
                raise _without_path(error, path) if isinstance(error, InputError) else error from None
            return JSONResponse({"key": store.add(kind, path, value, share), **summary})

    @routes.get("/results/{key}/{image_id}")
    async def results(key: str, image_id: int) -> JSONResponse:
        with store.using(key, "results") as upload:
            poses = upload.value.poses
            return JSONResponse({"people": people_json(poses[poses.image_id == image_id])})

    @routes.post("/audit")
    async def audited(request: Request) -> JSONResponse:
        keys = await _fields(_Compared, request, limits)
        with ExitStack() as stack:
            truth = stack.enter_context(store.using(keys.truth, "truth"))
            files = [stack.enter_context(store.using(key, "results")) for key in keys.results]
            async with turn:
                html = await asyncio.to_thread(_audit, truth, files)
        path = store.new_path(".html")
        path.write_text(html, encoding="utf-8")
        return JSONResponse({"report": store.add("report", path)})

    @routes.get("/report/{key}")
    async def report(key: str) -> HTMLResponse:
        with store.using(key, "report") as upload:
            html = upload.path.read_text(encoding="utf-8")
        return HTMLResponse(html, headers={"Content-Security-Policy": _REPORT_POLICY})

    @routes.post("/calibrate")
    async def calibrate(request: Request) -> JSONResponse:
        keys, path = await _fields(_Fitted, request, limits), store.new_path(".cal")
        with store.using(keys.truth, "truth") as truth, store.using(keys.results, "results") as results:
            async with turn:
                calibrator, summary = await asyncio.to_thread(_fit, truth, results, path)
        return JSONResponse({"key": store.add("calibrator", path, calibrator), **summary})

    @routes.post("/apply")
    async def apply(request: Request) -> JSONResponse:
        keys, path = await _fields(_Applied, request, limits), store.new_path(".json")
        with (
            store.using(keys.calibrator, "calibrator") as calibrator,
            store.using(keys.results, "results") as results,
        ):
            async with turn:
                notes = await asyncio.to_thread(_apply, calibrator.value, results.value, path)
        return JSONResponse({"key": store.add("calibrated", path), "notes": notes})

    @routes.get("/download/{kind}/{key}")
    async def download(kind: str, key: str) -> Response:
        if kind not in _NAMES:
            raise InputError(f"download: expected one of {', '.join(_NAMES)}, got another kind")
        disposition = {"Content-Disposition": f'attachment; filename="{_NAMES[kind]}"'}
        with store.using(key, kind) as upload:
            return Response(upload.path.read_bytes(), headers=disposition, media_type="application/octet-stream")

    return routes


@dataclass(frozen=True)
class _Compared(OpenRecord):
    truth: str
    results: Annotated[tuple[str, ...], Meta(min_length=1, max_length=_MOST_COMPARED, description=_UPLOADS)]


@dataclass(frozen=True)
class _Fitted(OpenRecord):
    truth: str
    results: str


@dataclass(frozen=True)
class _Applied(OpenRecord):
    calibrator: str
    results: str


async def _fields(kind: type[T], request: Request, limits: Limits) -> T:
    """Return the record, of keys of uploads, in a request's JSON. Raises InputError."""
    with Share(Budget(_MOST_JSON)) as share:
        return parse_record(kind, await read_body(request, _MOST_JSON, limits, share), "the request")


def _read_results(path: Path) -> tuple[ResultsFile, dict[str, Any]]:
    results_file = read_results(path)
    assert results_file.poses.image_id is not None
    images, counts = np.unique(results_file.poses.image_id, return_counts=True)
    skeleton = None if results_file.poses.skeleton is None else skeleton_json(results_file.poses.skeleton)
    summary = {"poses": len(results_file.poses), "keypoints": results_file.poses.keypoint_count, "skeleton": skeleton}
    return results_file, summary | {"images": dict(zip(map(str, images.tolist()), counts.tolist(), strict=True))}


def _read_truth(path: Path) -> tuple[TruthFile, dict[str, Any]]:
    truth_file = read_coco_truth(path)
    return truth_file, {"people": len(truth_file.truth), "images": len(truth_file.images)}


def _read_calibrator(path: Path) -> tuple[Calibrator, dict[str, Any]]:
    calibrator = Calibrator.load(path)
    return calibrator, {"method": calibrator.card.method, "estimator": calibrator.card.estimator}


_READERS: dict[str, Callable[[Path], tuple[Any, dict[str, Any]]]] = {
    "results": _read_results,
    "truth": _read_truth,
    "calibrator": _read_calibrator,
}


def _audit(truth: StoredUpload, files: list[StoredUpload]) -> str:
    """Return the report of `trustpose audit` on these results. Raises InputError without our files' names."""
    try:
        # read with the ground truth, which has their photos and number of keypoints
        results_files = [read_results(file.path, truth=truth.value) for file in files]
        named = [
            replace(results_file, path=f"results {number}.json")
            for number, results_file in enumerate(results_files, start=1)
        ]
        labels = replace(truth.value, path="ground truth.json")  # the names of our files mean nothing to the user
        return page(with_comparisons([audit(labels, results_file) for results_file in named]))
    except InputError as error:
        raise _without_path(error, truth.path, *(file.path for file in files)) from None


def _fit(truth: StoredUpload, results: StoredUpload, out: Path) -> tuple[Calibrator, dict[str, Any]]:
    try:
        results_file = replace(read_results(results.path, truth=truth.value), path="results.json")
        fitted = fit(replace(truth.value, path="ground truth.json"), results_file)
    except InputError as error:
        raise _without_path(error, truth.path, results.path) from None
    calibrator = Calibrator.of(fitted.parts)
    calibrator.save(out)
    card = calibrator.card
    rows = [[label, _value(card.before[name]), _value(card.after[name])] for name, label in LABELS.items()]
    return calibrator, {"method": card.method, "rows": rows}


def _value(number: PlainValue) -> float | None:
    return None if number is None else round(number[0], 3)


def _apply(calibrator: Calibrator, results_file: ResultsFile, out: Path) -> list[str]:
    applied = calibrator.apply(results_file.poses)
    texts = {"image_id": results_file.image_texts.text_of, "annotation_id": results_file.annotation_texts.text_of}
    write_results(out, applied.poses, category_id=results_file.category_id, texts=texts)
    is_same = is_same_file(results_file.sha256, calibrator.card.results.sha256)
    sentence = in_sample_sentence(fitted_photos(calibrator, photo_ids(results_file)), is_same=is_same)
    return [*applied.warnings, *([] if sentence is None else [sentence])]


def _without_path(error: InputError, *paths: Path) -> InputError:
    """Return the error with "the upload" instead of the server's file names."""
    text = str(error)
    for path in paths:
        text = text.replace(str(path), "the upload")
    return InputError(text)
