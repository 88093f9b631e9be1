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
"""

import contextlib
import io
import json
import statistics
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
from coco_photos import boxed_photos, ground_truth
from harness import in_turns, parser, run, table

from trustpose.extras import not_installed
from trustpose.models.runtime.sessions import open_session, to_tensor
from trustpose.models.spec import ModelSpec
from trustpose.predict.load import load
from trustpose.predict.photos import Image
from trustpose.threads import cpu_count

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
        runs = count * size // len(part)
        list(pool.map(lambda _: single.run(None, {spec.input.name: part}), range(runs)))
        return runs * len(part)

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


def saved_again(photos: list[Image], folder: Path) -> list[Image]:
    again = []
    for photo in photos:
        path = folder / Path(str(photo.source)).name
        cv2.imwrite(str(path), cv2.imread(str(photo.source)), [cv2.IMWRITE_JPEG_QUALITY, 90])
        again.append(Image(path, photo.boxes, photo.image_id))
    return again


def decoded(photos: list[Image]) -> list[Image]:
    pixels = [cv2.cvtColor(cv2.imread(str(photo.source)), cv2.COLOR_BGR2RGB) for photo in photos]
    return [Image(array, photo.boxes, photo.image_id) for array, photo in zip(pixels, photos, strict=True)]


def is_progressive(path: Path) -> bool:
    """Whether a JPEG has its frame header (SOF2) before any baseline one (SOF0)."""
    content = path.read_bytes()
    starts = [content.find(marker) for marker in (b"\xff\xc2", b"\xff\xc0")]
    return starts[0] >= 0 and (starts[1] < 0 or starts[0] < starts[1])


def find_network(name: str, data: Path, folder: Path) -> Path | None:
    """The ONNX file: of that name in the data, or exported from the zoo with random weights."""
    published = data / "networks" / f"{name}.onnx"
    if published.is_file():
        return published
    try:
        from trustpose.export.onnx import export_onnx
        from trustpose.networks.zoo import build
    except ModuleNotFoundError as missing:
        print(f"{name} is left out: {not_installed(missing.name, 'train')}")
        return None
    path = folder / f"{name}.onnx"
    export_onnx(build(ZOO[name]), path, 256, 192)
    spec = json.loads((data / "networks" / "simplepose.json").read_text())
    spec["onnx"], spec["name"] = path.name, name
    spec["input"]["name"] = "image"
    path.with_suffix(".json").write_text(json.dumps(spec))
    return path


def measure(candidates: dict[str, Run], rounds: int) -> dict[str, tuple[float, float]]:
    """Median people a second and processor milliseconds a person of each, all taking turns."""
    return {
        name: (
            statistics.median(timing.result / timing.seconds for timing in timings),
            statistics.median(1000 * timing.cpu_seconds / timing.result for timing in timings),
        )
        for name, timings in in_turns(candidates, rounds).items()
    }


def compare(name: str, model: Path, photos: list[Image], rounds: int) -> dict[str, object]:
    spec = ModelSpec.read(model)
    with tempfile.TemporaryDirectory() as folder:
        candidates = bare(spec) | {
            "arrays": ours(model, decoded(photos)),
            "baseline": ours(model, saved_again(photos, Path(folder))),
            "files": ours(model, photos),
        }
        peer = rtmlib(spec, photos)
        if peer is not None:
            candidates["rtmlib"] = peer
        measured = measure(candidates, rounds)
    speed, cpu = ({way: pair[column] for way, pair in measured.items()} for column in (0, 1))
    fastest = max(speed["bare, shared"], speed["bare, beside"])
    lowest = min(cpu["bare, shared"], cpu["bare, beside"])
    people = sum(len(photo.boxes) for photo in photos)
    fixed = open_session(spec.onnx, 1).get_inputs()[0].shape[0]
    size = f"{fixed}, fixed by the file" if isinstance(fixed, int) else str(BATCH)
    print(f"\n{people} people on {len(photos)} photos, {cpu_count()} CPUs, batches of {size}, median of {rounds}")
    rows = {
        way: {
            "people/s": speed[way],
            "share": speed[way] / fastest,
            "CPU ms": cpu[way],
            "share of CPU": lowest / cpu[way],
        }
        for way in measured
    }
    table(name, rows, ".2f", people_s=".1f")
    shares: dict[str, object] = {way: round(rows[way]["share"], 3) for way in ("arrays", "baseline", "files")}
    shares["cpu"] = {way: round(rows[way]["share of CPU"], 3) for way in ("arrays", "baseline", "files")}
    shares["files_of_default_bare"] = round(speed["files"] / speed["bare, shared"], 3)
    if peer is not None:
        shares["times_rtmlib"] = round(speed["files"] / speed["rtmlib"], 2)
    return shares


def main(options):
    photos = boxed_photos(ground_truth(options.data, "dev"), options.data / "coco" / "dev")[: options.photos]
    progressive = sum(is_progressive(Path(str(photo.source))) for photo in photos)
    print(f"{progressive} of {len(photos)} files are progressive JPEG")
    shares: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.networks:
            model = find_network(name, options.data, Path(folder))
            if model is not None:
                is_small = name == "simplepose"
                subset = photos if is_small else photos[: max(1, len(photos) // 10)]
                shares[name] = compare(name, model, subset, options.rounds if is_small else 3)
    return shares


if __name__ == "__main__":
    options_parser = parser(__doc__, "rounds", "data")
    names = ["simplepose", *ZOO]
    options_parser.add_argument("--networks", nargs="+", default=names, choices=names, help="which networks")
    photos_help = "for simplepose; the large networks get a tenth"
    options_parser.add_argument("--photos", type=int, default=150, help=photos_help)
    run(main, options_parser)
