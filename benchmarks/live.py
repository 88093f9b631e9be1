"""How old poses are when they arrive from a camera: frames used and skipped, beside reading by hand.

    python benchmarks/live.py [--rates 5 10 30 60] [--people 1 4] [--seconds N] [--threads N] [--model NAME] [--fast]

The camera is made up: a thread takes a picture at each tick, a COCO photo of one or of four people with the time in its
first rows, and keeps up to four of them until they are read, oldest first, as Video4Linux does; new ones are dropped
while there is no space. The ages are those of the clock in the picture when its poses are there. Each rate is read in
three ways, one after the other:

  newest     `predictor.stream(camera)`: a thread reads on, and only the newest frame is predicted.
  by hand    `camera.read()`, then `predictor(frame)`, in a loop.
  each       `predictor.stream(camera, live=False)`: each frame that the camera still has, read ahead in threads.

"one" is the time of one prediction of this picture alone, the median of 20 before each rate, while no camera runs;
other work on the machine shows as an age above the aim. The aim: a median age of at most one + half a period + 10 ms,
95 % of at most one + a period + 20 ms.
"""

import argparse
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from coco_photos import boxed_photos, ground_truth
from harness import parser, run, table

import trustpose as tp
from trustpose.files import InputError
from trustpose.io.photos import read_image
from trustpose.predict.base_predictor import BasePredictor

BITS, SIDE, BUFFERS = 32, 10, 4  # of the clock in the picture; pixels of each; pictures that the camera keeps
WARM_UP = 1.0  # seconds that do not count


def with_clock(pixels: np.ndarray) -> np.ndarray:
    """Return a copy of a picture with the time of now, in milliseconds, in its first rows."""
    marked = pixels.copy()
    bits = int(time.monotonic() * 1000) % 2**BITS >> np.arange(BITS) & 1
    marked[: 2 * SIDE, : BITS * SIDE] = np.repeat(np.where(bits, 255, 0), SIDE)[None, :, None]
    return marked


def seconds_since(pixels: np.ndarray) -> float:
    """Return how long ago a picture was taken, by the clock in it."""
    bits = pixels[SIDE, SIDE // 2 : BITS * SIDE : SIDE].mean(axis=1) > 127
    milliseconds = int((bits.astype(np.int64) << np.arange(BITS)).sum())
    return ((int(time.monotonic() * 1000) - milliseconds) % 2**BITS) / 1000


class Camera:
    """Takes a picture at each tick until it is stopped; `read()` as of cv2.VideoCapture."""

    def __init__(self, pixels: np.ndarray, rate: float) -> None:
        self._pixels, self._rate, self._pictures = pixels, rate, list[np.ndarray]()
        self._changed, self._is_over, self.count = threading.Condition(), False, 0
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        start = time.monotonic()
        while not self._is_over:
            time.sleep(max(0.0, start + self.count / self._rate - time.monotonic()))
            picture = with_clock(self._pixels)
            with self._changed:
                self.count += 1
                if len(self._pictures) < BUFFERS:
                    self._pictures.append(picture)
                self._changed.notify()

    def read(self) -> tuple[bool, np.ndarray | None]:
        """Return the oldest picture that was not read, BGR."""
        with self._changed:
            self._changed.wait_for(lambda: self._pictures or self._is_over)
            return (True, self._pictures.pop(0)) if self._pictures else (False, None)

    def stop(self) -> None:
        """Take no more pictures."""
        self._is_over = True
        self._thread.join()


def newest(predictor: BasePredictor, camera: Camera) -> Iterator[np.ndarray]:
    """Yield the pixels of each predicted frame, read live."""
    for prediction in predictor.stream(camera):
        assert prediction.pixels is not None
        yield prediction.pixels


def by_hand(predictor: BasePredictor, camera: Camera) -> Iterator[np.ndarray]:
    """Yield the pixels of each frame, read and predicted in a loop."""
    while True:
        _, frame = camera.read()
        assert frame is not None
        pixels = cv2.cvtColor(frame, cv2.COLOR_BGR2RGB)
        predictor(pixels)
        yield pixels


def every_frame(predictor: BasePredictor, camera: Camera) -> Iterator[np.ndarray]:
    """Yield the pixels of each frame, read ahead."""
    for prediction in predictor.stream(camera, live=False):
        assert prediction.pixels is not None
        yield prediction.pixels


WAYS: dict[str, Callable[[BasePredictor, Camera], Iterator[np.ndarray]]] = {
    "newest": newest,
    "by hand": by_hand,
    "each": every_frame,
}


def ages_of(frames: Iterator[np.ndarray], seconds: float) -> list[float]:
    """Return the age of each frame's poses at their arrival, over some seconds after a warm-up from the first poses."""
    ages: list[float] = []
    start: float | None = None
    for pixels in frames:
        age, now = seconds_since(pixels), time.monotonic()
        start = now if start is None else start
        if now - start > WARM_UP + seconds:
            break
        if now - start > WARM_UP:
            ages.append(age)
    frames.close()  # type: ignore[attr-defined]
    return ages


def one_prediction(predictor: BasePredictor, pixels: np.ndarray) -> np.ndarray:
    """Return the seconds that predictions of one picture take."""
    seconds = []
    for _ in range(25):
        start = time.perf_counter()
        predictor(pixels)
        seconds.append(time.perf_counter() - start)
    return np.array(seconds[5:])


def main(options: argparse.Namespace) -> dict[str, Any]:
    """Read each made-up camera in each way."""
    predictor = tp.load(options.model, fast=options.fast, threads=options.threads)
    record: dict[str, Any] = {}
    for people in options.people:
        pixels = photo_of(options, people)
        rows: dict[str, dict[str, float | int | str]] = {}
        for rate in options.rates:
            prediction_seconds = one_prediction(predictor, pixels)
            for way, frames_of in WAYS.items():
                camera = Camera(np.ascontiguousarray(pixels[..., ::-1]), rate)
                ages = np.array(ages_of(frames_of(predictor, camera), options.seconds))
                camera.stop()
                half = len(ages) // 2
                rows[f"{rate:g} fps, {way}"] = {
                    "median ms": float(1000 * np.median(ages)),
                    "95 % ms": float(1000 * np.quantile(ages, 0.95)),
                    "used a second": len(ages) / options.seconds,
                    "skipped a second": max(0.0, rate - len(ages) / options.seconds),
                    "second half ms": float(1000 * np.median(ages[half:])),
                    "one ms": float(1000 * np.median(prediction_seconds)),
                    "aim, median": float(1000 * (np.median(prediction_seconds) + 0.5 / rate) + 10),
                    "aim, 95 %": float(1000 * (np.median(prediction_seconds) + 1 / rate) + 20),
                }
        table(f"people: {people}", rows, ".0f", used_a_second=".1f", skipped_a_second=".1f")
        record[str(people)] = rows
    return record


def photo_of(options: argparse.Namespace, people: int) -> np.ndarray:
    """Return the first photo of COCO `train` on which so many people are labelled with keypoints, RGB."""
    photos = boxed_photos(ground_truth(options.data, "train"), options.data / "coco" / "train")
    for photo in photos:
        if photo.boxes is not None and len(photo.boxes) == people:
            pixels = read_image(photo.source)
            if pixels.shape[1] >= BITS * SIDE:
                return pixels
    raise InputError(f"--people: no photo of `train` has {people} labelled people")


if __name__ == "__main__":
    described = parser(__doc__, "data")
    described.add_argument("--rates", nargs="+", type=float, default=[5.0, 10.0, 30.0, 60.0], help="frames per second")
    described.add_argument("--people", nargs="+", type=int, default=[1, 4], help="people in the picture")
    described.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    described.add_argument("--threads", type=int, help="of the predictor; one for each CPU without it")
    described.add_argument("--model", default="default", help="name or folder")
    described.add_argument("--fast", action="store_true", help="its fast setting")
    run(main, described)
