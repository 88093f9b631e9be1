"""Photos to poses: `Predictor` beside the bare network and beside rtmlib, in one run.

    python benchmarks/prediction.py [--networks simplepose hrnet-w32 …] [--photos N] [--rounds N]

The photos are COCO's with the boxes of their labelled people. What is timed, taking turns, people a second:

  bare      onnxruntime alone on tensors that lie ready in memory, with as many CPUs and the same batch size as
            `Predictor` gives it, in whichever of two ways is faster: one run that all CPUs share (onnxruntime's
            default), or a run on each CPU, beside each other.
  arrays    `Predictor` on photos that are decoded already.
  baseline  `Predictor` on JPEG files, saved again as baseline JPEG, which is what cameras write.
  files     `Predictor` on the files as they are. This project's copies of COCO are progressive JPEG, which takes
            three times as long to decode; the line above the table says how many are.
  rtmlib    rtmlib's ViTPose class, its own code for heatmap networks, as it is: cv2.imread, then one call a photo with
            the same boxes, around the same ONNX file. Skipped where the file fixes another batch size than 1.

A share is speed / bare speed. "CPU" is processor seconds of one person, all threads; shares by these are steadier on a
machine that does other things as well. HRNet-W32 and ResNet-50 have random weights and need the extra `train`.
Last comes one line of JSON.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np

from trustpose.formats.coco import read_truth
from trustpose.models.spec import ModelSpec
from trustpose.predict.boxes import boxes_from_truth
from trustpose.predict.load import load
from trustpose.predict.photos import Image
from trustpose.runtime.sessions import cpu_count, open_session, to_tensor

DATA = Path(os.environ.get("TRUSTPOSE_DATA", Path(__file__).parents[2] / "shared" / "data"))
BATCH = 16
ZOO = {"hrnet-w32": "hrnet-w32", "resnet-50": "simple-baseline-r50"}
Run = Callable[[], int]  # does its work, returns the number of people


def bare(spec: ModelSpec) -> dict[str, Run]:
    """onnxruntime's two ways to use all CPUs, on tensors in memory."""
    threads = cpu_count()
    shared, single = open_session(spec.onnx, threads), open_session(spec.onnx, 1)
    fixed = shared.get_inputs()[0].shape[0]
    size = fixed if isinstance(fixed, int) else BATCH
    pixels = np.random.default_rng(0).integers(0, 256, (size, spec.input.height, spec.input.width, 3), dtype=np.uint8)
    tensor = to_tensor(pixels, spec.input)
    count = max(1, 4 * BATCH // size)
    pool = ThreadPoolExecutor(threads)

    def in_turn() -> int:
        for _ in range(count):
            shared.run(None, {spec.input.name: tensor})
        return count * size

    def beside() -> int:
        part = tensor[: min(4, -(-size // threads))]  # the same batch in the same parts as `OnnxNetwork` divides it
        each = count * size // len(part)
        list(pool.map(lambda _: single.run(None, {spec.input.name: part}), range(each)))
        return each * len(part)

    return {"bare, shared": in_turn, "bare, beside": beside}


def ours(model: Path, photos: list[Image]) -> Run:
    predictor = load(model, batch_size=BATCH)
    return lambda: sum(len(prediction.poses) for prediction in predictor.stream(photos))


def rtmlib(spec: ModelSpec, photos: list[Image]) -> Run | None:
    try:
        from rtmlib import ViTPose
    except ImportError as missing:
        print(f"rtmlib is left out: {missing} (pip install --no-deps rtmlib tqdm)")
        return None
    with contextlib.redirect_stdout(io.StringIO()):
        network = ViTPose(str(spec.onnx), (spec.input.width, spec.input.height), backend="onnxruntime", device="cpu")

    def run() -> int:
        return sum(len(network(cv2.imread(str(photo.source)), photo.boxes.xyxy)[0]) for photo in photos)

    return run


def find_photos(count: int) -> list[Image]:
    truth = read_truth(DATA / "coco" / "dev_gt.json")
    boxes = boxes_from_truth(truth.truth).of_images(truth.images.id)
    every = zip(truth.images.file_name, boxes, truth.images.id, strict=True)
    photos = [Image(DATA / "coco" / "dev" / str(name), some, int(at)) for name, some, at in every if len(some)]
    return photos[:count]


def saved_again(photos: list[Image], folder: Path) -> list[Image]:
    again = []
    for photo in photos:
        path = folder / Path(str(photo.source)).name
        cv2.imwrite(str(path), cv2.imread(str(photo.source)), [cv2.IMWRITE_JPEG_QUALITY, 90])
        again.append(Image(path, photo.boxes, photo.image_id))
    return again


def decoded(photos: list[Image]) -> list[Image]:
    pixels = [cv2.cvtColor(cv2.imread(str(photo.source)), cv2.COLOR_BGR2RGB) for photo in photos]
    return [Image(one, photo.boxes, photo.image_id) for one, photo in zip(pixels, photos, strict=True)]


def is_progressive(path: Path) -> bool:
    """Whether a JPEG has its frame header (SOF2) before any baseline one (SOF0)."""
    content = path.read_bytes()
    places = [content.find(marker) for marker in (b"\xff\xc2", b"\xff\xc0")]
    return places[0] >= 0 and (places[1] < 0 or places[0] < places[1])


def find_network(name: str, folder: Path) -> Path | None:
    """The ONNX file: of that name in the data, or exported from the zoo with random weights."""
    there = DATA / "networks" / f"{name}.onnx"
    if there.is_file():
        return there
    try:
        from trustpose.export.onnx import export_onnx
        from trustpose.networks.zoo import build
    except ModuleNotFoundError as missing:
        print(f"{name} is left out: {missing.name} is not installed (pip install '.[train]')")
        return None
    path = folder / f"{name}.onnx"
    export_onnx(build(ZOO[name]), path, 256, 192)
    spec = json.loads((DATA / "networks" / "simplepose.json").read_text())
    spec["onnx"], spec["name"] = path.name, name
    spec["input"]["name"] = "image"
    path.with_suffix(".json").write_text(json.dumps(spec))
    return path


def measure(runs: dict[str, Run], rounds: int) -> dict[str, tuple[float, float]]:
    """Median people a second and processor milliseconds a person of each, all taking turns."""
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in runs}
    for run in runs.values():
        run()
    for _ in range(rounds):
        for name, run in runs.items():
            start, cpu = time.perf_counter(), time.process_time()
            people = run()
            seconds, busy = time.perf_counter() - start, time.process_time() - cpu
            times[name].append((people / seconds, 1000 * busy / people))
    return {
        name: (statistics.median(a for a, _ in rows), statistics.median(b for _, b in rows))
        for name, rows in times.items()
    }


def compare(name: str, model: Path, photos: list[Image], rounds: int) -> dict[str, object]:
    spec = ModelSpec.read(model)
    with tempfile.TemporaryDirectory() as folder:
        runs = bare(spec) | {
            "arrays": ours(model, decoded(photos)),
            "baseline": ours(model, saved_again(photos, Path(folder))),
            "files": ours(model, photos),
        }
        peer = rtmlib(spec, photos)
        if peer is not None:
            runs["rtmlib"] = peer
        found = measure(runs, rounds)
    best = max(("bare, shared", "bare, beside"), key=lambda way: found[way][0])
    people = sum(len(photo.boxes) for photo in photos)
    fixed = open_session(spec.onnx, 1).get_inputs()[0].shape[0]
    size = f"{fixed}, fixed by the file" if isinstance(fixed, int) else str(BATCH)
    print(
        f"\n{name}: {people} people on {len(photos)} photos, {cpu_count()} CPUs, batches of {size}, median of {rounds}"
    )
    print(f"{'':14}{'people/s':>10}{'share':>8}{'CPU ms':>9}{'share':>8}")
    lowest = min(found[way][1] for way in ("bare, shared", "bare, beside"))
    for way, (speed, busy) in found.items():
        print(f"{way:14}{speed:10.1f}{speed / found[best][0]:8.2f}{busy:9.2f}{lowest / busy:8.2f}")
    shares: dict[str, object] = {
        way: round(found[way][0] / found[best][0], 3) for way in ("arrays", "baseline", "files")
    }
    shares["cpu"] = {way: round(lowest / found[way][1], 3) for way in ("arrays", "baseline", "files")}
    shares["files_of_default_bare"] = round(found["files"][0] / found["bare, shared"][0], 3)
    if peer is not None:
        shares["times_rtmlib"] = round(found["files"][0] / found["rtmlib"][0], 2)
    return shares


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--networks", nargs="+", default=["simplepose", *ZOO], choices=["simplepose", *ZOO])
    parser.add_argument("--photos", type=int, default=150, help="for simplepose; the large networks get a tenth")
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not (DATA / "coco" / "dev_gt.json").is_file():
        print(f"{DATA}: no real photos there; set TRUSTPOSE_DATA", file=sys.stderr)
        return 2
    photos = find_photos(options.photos)
    progressive = sum(is_progressive(Path(str(photo.source))) for photo in photos)
    print(f"{progressive} of {len(photos)} files are progressive JPEG")
    shares: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks:
            model = find_network(name, Path(folder))
            if model is not None:
                some = photos if name == "simplepose" else photos[: max(1, len(photos) // 10)]
                shares[name] = compare(name, model, some, options.rounds if name == "simplepose" else 3)
    print(json.dumps(shares))
    return 0


if __name__ == "__main__":
    sys.exit(main())
