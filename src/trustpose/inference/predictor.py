"""`Predictor`: photos and boxes in, poses out. Photos are read and cropped in threads while the network runs."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError
from trustpose.geometry.crops import affine_to_crop, grow_box, invert_affine, transform, warp
from trustpose.inference.boxes import Boxes
from trustpose.inference.images import as_rgb, read_image
from trustpose.inference.onnx import cpu_count
from trustpose.inference.pipeline import ahead
from trustpose.inference.runtime import Runtime, module_of, open_runtime
from trustpose.inference.spec import ModelSpec
from trustpose.poses import Poses

Source = str | Path | np.ndarray

_PHOTOS_BETWEEN_BATCHES = 32  # a batch runs half-filled rather than hold more photos in memory


@dataclass(frozen=True, eq=False)
class Photo:
    """One photo to predict on: a file or RGB pixels, its people's boxes (None: the whole photo is one), its id.

    `size` (width, height), where given, is what the boxes were made for; a photo of another size is an error.
    """

    source: Source
    boxes: Boxes | None = None
    image_id: int = 0
    size: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """What became of one photo: its pixels and its people's poses, or the error that stopped it."""

    photo: Photo
    poses: Poses
    pixels: UInt8[np.ndarray, "H W 3"] | None = None
    error: InputError | None = None


@dataclass(eq=False)
class _Job:
    """A photo on its way: crops (n, H, W, 3), affines back to the image (n, 2, 3), and what came out so far."""

    photo: Photo
    boxes: Boxes
    crops: np.ndarray
    to_image: np.ndarray
    xy: np.ndarray
    score: np.ndarray
    pixels: np.ndarray | None = None
    error: InputError | None = None
    waiting: int = field(init=False)

    def __post_init__(self) -> None:
        self.waiting = len(self.crops)


_Batch = list[tuple[_Job, slice]]


class Predictor:
    """A network with everything around it, top-down: box → crop → network → codec → image pixels.

    Results do not depend on `batch_size` beyond float rounding. `flip` averages each crop's output with its mirror
    image's. `threads` read and crop photos, and run the network. `decoding` reads the heatmaps in another way than the
    spec says (`codecs.heatmaps.DECODINGS`); crops and flips keep to the convention that the network was trained in.
    """

    def __init__(
        self,
        runtime: Runtime,
        *,
        batch_size: int = 16,
        flip: bool = False,
        threads: int | None = None,
        decoding: str | None = None,
    ) -> None:
        if batch_size < 1:
            raise ValueError(f"batch_size: expected at least 1, got {batch_size}")
        self.runtime = runtime
        self.spec = runtime.spec if decoding is None else runtime.spec.with_decoding(decoding)
        self.codec = self.spec.codec
        self.batch_size = batch_size
        self.flip = flip
        self.threads = threads or cpu_count()

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        batch_size: int = 16,
        flip: bool = False,
        threads: int | None = None,
        decoding: str | None = None,
        backend: str = "onnx",
        device: str | None = None,
        precision: str = "float32",
    ) -> "Predictor":
        """The predictor of a model folder, or of network.onnx with network.json beside it.

        backend "onnx" runs anywhere; "torch" (the `train` extra) runs a model folder's weights on `device` ("cpu",
        "cuda", "mps"; default: the best there is) in `precision` float32, bfloat16 or float16. Raises InputError.
        """
        spec = ModelSpec.read(path)
        runtime = open_runtime(spec, backend=backend, device=device, precision=precision, threads=threads)
        return cls(runtime, batch_size=batch_size, flip=flip, threads=threads, decoding=decoding)

    @cached_property
    def network(self) -> Any:
        """The network as an `nn.Module`, (B, 3, H, W) normalised crops → `Outputs`; needs torch and a model folder.

        Raises InputError where torch is not installed or only an ONNX file is there.
        """
        return module_of(self.runtime)

    def __call__(
        self,
        images: Source | Sequence[Source],
        boxes: Boxes | Float[np.ndarray, "N 4"] | Sequence[Float[np.ndarray, "_ 4"] | None] | None = None,
    ) -> Poses:
        """Poses of the people in one image or several: files, or arrays (H, W, 3) RGB.

        boxes: xyxy in image pixels, (N, 4) for one image, a list of those for several; or `Boxes`, whose image_id then
        counts the images from 0. None takes each whole image as one person. `image_id` of the poses is the image's
        place in `images`; they come image by image, in the order of the boxes.
        Raises InputError for an image that cannot be read, ValueError for arrays and boxes of a wrong shape.
        """
        is_one = isinstance(images, (str, Path, np.ndarray))
        sources = [images] if is_one else list(images)
        photos = [
            Photo(source, some, at)
            for at, (source, some) in enumerate(zip(sources, _boxes_of(boxes, len(sources), is_one), strict=True))
        ]
        parts = []
        for prediction in self.stream(photos):
            if prediction.error is not None:
                raise prediction.error
            parts.append(prediction.poses)
        return Poses.concatenate(_same_columns(parts)) if parts else self._no_poses()

    def stream(self, photos: Iterable[Photo]) -> Iterator[Prediction]:
        """What became of each photo, in order, as soon as it is done; photos are drawn as they are needed."""
        waiting: deque[_Job] = deque()
        with (
            ThreadPoolExecutor(self.threads, "trustpose-read") as readers,
            ThreadPoolExecutor(2, "trustpose-batch") as runners,  # two batches, so that the CPUs never wait for one
        ):
            jobs = ahead(readers, self._prepare, photos, 2 * self.threads + 2)
            for batch in ahead(runners, self._run, self._batches(jobs, waiting), 3):
                for job, rows in batch:
                    job.waiting -= rows.stop - rows.start
                while waiting and not waiting[0].waiting:
                    yield self._finish(waiting.popleft())
            while waiting:
                yield self._finish(waiting.popleft())

    def _prepare(self, photo: Photo) -> _Job:
        """Read one photo and cut its people out."""
        wanted, count = self.spec.input, self.spec.output.keypoints
        pixels, error = None, None
        try:
            pixels = as_rgb(photo.source) if isinstance(photo.source, np.ndarray) else read_image(photo.source)
            _check_size(pixels, photo)
        except InputError as problem:
            error = problem
        boxes = photo.boxes if photo.boxes is not None else _whole(pixels, photo.image_id)
        if pixels is None or error is not None:
            boxes = boxes[np.zeros(0, dtype=np.int64)]
        grown = grow_box(boxes.xyxy, self.spec.padding, wanted.width / wanted.height)
        affine = affine_to_crop(grown, *self.codec.crop_extent(wanted.width, wanted.height))  # (n, 2, 3)
        crops = np.empty((len(boxes), wanted.height, wanted.width, 3), np.uint8)
        if pixels is not None:
            for row in range(len(boxes)):
                crops[row] = warp(pixels, affine[row], wanted.width, wanted.height)
        xy, score = np.empty((len(boxes), count, 2)), np.empty((len(boxes), count))
        return _Job(photo, boxes, crops, invert_affine(affine), xy, score, pixels, error)

    def _batches(self, jobs: Iterable[_Job], waiting: deque[_Job]) -> Iterator[_Batch]:
        """Rows of `batch_size` crops across photos; each photo joins `waiting` on its way."""
        batch: _Batch = []
        room, photos = self.batch_size, 0
        for job in jobs:
            waiting.append(job)
            photos += 1
            start = 0
            while start < len(job.crops):
                stop = min(len(job.crops), start + room)
                batch.append((job, slice(start, stop)))
                room -= stop - start
                start = stop
                if not room:
                    yield batch
                    batch, room, photos = [], self.batch_size, 0
            if photos >= _PHOTOS_BETWEEN_BATCHES:
                yield batch
                batch, room, photos = [], self.batch_size, 0
        if batch:
            yield batch

    def _run(self, batch: _Batch) -> _Batch:
        """Network and codec on one batch, written into its jobs."""
        if not batch:
            return batch
        pixels = np.concatenate([job.crops[rows] for job, rows in batch])  # (B, H, W, 3)
        outputs = self.runtime(pixels)
        if self.flip:
            mirrored = self.runtime(pixels[:, :, ::-1])
            outputs = self.codec.average_flipped(outputs, mirrored, self.spec.skeleton.flip_index)
        candidates = self.codec.decode(outputs)
        start = 0
        for job, rows in batch:
            stop = start + rows.stop - rows.start
            job.xy[rows] = transform(job.to_image[rows], candidates.xy[start:stop])
            job.score[rows] = candidates.score[start:stop]
            start = stop
        return batch

    def _finish(self, job: _Job) -> Prediction:
        boxes = job.boxes
        poses = Poses(
            xy=job.xy,
            score=job.score,
            pose_score=job.score.mean(axis=1),
            box=boxes.xyxy,
            box_score=boxes.score,
            image_id=np.full(len(boxes), job.photo.image_id),
            annotation_id=boxes.annotation_id,
        )
        return Prediction(job.photo, poses, job.pixels, job.error)

    def _no_poses(self) -> Poses:
        count = self.spec.output.keypoints
        return Poses(
            xy=np.zeros((0, count, 2)),
            score=np.zeros((0, count)),
            pose_score=np.zeros(0),
            box=np.zeros((0, 4)),
            image_id=np.zeros(0, np.int64),
        )


def _check_size(pixels: np.ndarray, photo: Photo) -> None:
    height, width = pixels.shape[:2]
    if photo.size is not None and photo.size != (width, height):
        expected = f"{photo.size[0]} × {photo.size[1]}"
        raise InputError(f"{photo.source}: is {width} × {height} pixels, but its boxes are for one of {expected}")


def _whole(pixels: np.ndarray | None, image_id: int) -> Boxes:
    height, width = (0, 0) if pixels is None else pixels.shape[:2]
    return Boxes(np.array([[0.0, 0.0, width, height]]), np.array([image_id]))


def _boxes_of(boxes: object, count: int, is_one: bool) -> list[Boxes | None]:
    """Each image's boxes, from any of the forms that `Predictor.__call__` takes."""
    if boxes is None:
        return [None] * count
    if isinstance(boxes, Boxes):
        if len(boxes) and (boxes.image_id.min() < 0 or boxes.image_id.max() >= count):
            raise ValueError(f"boxes: expected image_id from 0 to {count - 1}, the images' places")
        return list(boxes.of_images(np.arange(count)))
    arrays = [boxes] if is_one and isinstance(boxes, np.ndarray) else boxes
    if not isinstance(arrays, Sequence) or len(arrays) != count:
        got = len(arrays) if isinstance(arrays, Sequence) else type(arrays).__name__
        raise ValueError(f"boxes: expected one array (N, 4) for each of the {count} images, got {got}")
    found: list[Boxes | None] = []
    for at, some in enumerate(arrays):
        array = None if some is None else np.asarray(some, dtype=np.float64)
        if array is not None and not array.size:
            array = array.reshape(0, 4)
        if array is not None and (array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all()):
            raise ValueError(f"boxes of image {at}: expected finite xyxy of shape (N, 4), got {array.shape}")
        found.append(None if array is None else Boxes(array, np.full(len(array), at)))
    return found


def _same_columns(parts: list[Poses]) -> list[Poses]:
    """The parts that hold people (empty ones may lack a column), or one empty part."""
    return [part for part in parts if len(part)] or parts[:1]
