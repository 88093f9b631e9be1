"""The records that every predictor takes and returns, `Image` and `Prediction`; how a photo is opened, in any of the
forms that users give it (files, addresses, bytes, arrays, Pillow images and tensors), and where its pixels can be read
again.
"""

import sys
import weakref
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Executor, Future, wait
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from trustpose.files import InputError
from trustpose.io.download import download, is_address
from trustpose.io.photos import MAX_PIXELS, decode_photo, read_image
from trustpose.io.video import Video
from trustpose.poses import Photo, Poses
from trustpose.predict.boxes import Boxes, check_boxes
from trustpose.skeletons import Skeleton

CHANNELS = ("RGB", "BGR")


@dataclass(frozen=True)
class PhotoFile:
    """A photo file."""

    path: Path
    max_pixels: int = MAX_PIXELS

    @property
    def name(self) -> str:
        """The path as it was given."""
        return str(self.path)

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Read the file. Raises InputError."""
        return read_image(self.path, self.max_pixels)


@dataclass(frozen=True)
class VideoFrame:
    """A frame of a video file, by its number from 0."""

    path: Path
    number: int

    @property
    def name(self) -> str:
        """The video's path and the frame's number."""
        return f"{self.path}, frame {self.number}"

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Read the video up to this frame: jumping there is not exact in every container. Raises InputError."""
        with Video(self.path) as video:
            for number, pixels in video.frames(self.number + 1):
                if number == self.number:
                    return pixels
        raise InputError(f"{self.path}: has no frame {self.number} any more")


@dataclass(frozen=True)
class CameraFrame:
    """A frame of a webcam or another live source, by the camera's name and the frame's number among all that it gave,
    from 0: it cannot be read again.

    Attributes:
        captured_at: when it arrived here, in seconds since 1970 (`time.time`); None where each frame is read.
        skipped: number of frames that were skipped before it.
        clock: when it arrived, by `time.monotonic`; NaN where each frame is read.
    """

    camera: str
    number: int
    captured_at: float | None = None
    skipped: int = 0
    clock: float = field(default=float("nan"), repr=False)

    @property
    def name(self) -> str:
        """The camera and the frame's number."""
        return f"{self.camera}, frame {self.number}"

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Raises InputError."""
        raise InputError(f"{self.name}: is not kept; a prediction of `stream` has its pixels: poses.draw(pixels)")


@dataclass(frozen=True, eq=False)
class CallersImage:
    """An image that the caller holds, such as an array: available for as long as the caller keeps it.

    Poses that kept the pixels of every frame of a video would fill the memory. It is gone after pickling or copying.
    """

    name: str
    channels: str
    row: int | None
    _image: "weakref.ref[Any]" = field(repr=False)

    @classmethod
    def of(cls, image: Any, channels: str = "RGB", row: int | None = None) -> "CallersImage":
        """Refer to an array, tensor or Pillow image, or to a row of a batch."""
        return cls(type(image).__name__, channels, row, weakref.ref(image))

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Return the image's pixels. Raises InputError if it no longer exists."""
        image = self._image()
        if image is None:
            raise InputError(f"the {self.name} that the poses came from no longer exists; give it: poses.draw(image)")
        return read_pixels(image if self.row is None else image[self.row], self.channels)

    def __reduce__(self) -> tuple[Any, ...]:
        return _gone, (self.name, self.channels, self.row)


@dataclass(frozen=True)
class EncodedPhoto:
    """The content of a photo file, which is kept as it is: far smaller than its pixels."""

    name: str
    content: bytes = field(repr=False)
    max_pixels: int = MAX_PIXELS

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Decode it. Raises InputError."""
        return decode_photo(self.content, self.name, self.max_pixels)


@dataclass(frozen=True)
class WebPhoto:
    """A photo at an address. It is read from there once, and then its content is kept."""

    name: str
    max_pixels: int = MAX_PIXELS

    @cached_property
    def _content(self) -> bytes:
        return download(self.name)

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Download it, the first time, and decode it. Raises InputError."""
        return decode_photo(self._content, self.name, self.max_pixels)


PHOTOS = (EncodedPhoto, WebPhoto)
"""Those that a predictor takes in the place of a file or pixels."""


def _gone(name: str, channels: str, row: int | None) -> CallersImage:
    return CallersImage(name, channels, row, weakref.ref(_Nothing()))


class _Nothing:
    """An object to create a weak reference to, which is deleted at once."""


Item = TypeVar("Item")
Result = TypeVar("Result")

ImageSource = Any  # one photo: a path, pixels, or another form of `images.read_pixels`; or one of `origins.PHOTOS`


@dataclass(frozen=True, eq=False, repr=False)
class Image:
    """One photo to predict: a file or pixels, its people's boxes (None: the whole photo is one), its id.

    `size` (width, height), if given, is the size for which the boxes were made; a photo of another size is an error.
    `keypoints` (N, K, 2), image pixels: given keypoints of these boxes, at which the trust head reads; NaN for the
    network's own. `origin` is where the pixels can be read again, if not from the source. `channels` is the order of an
    array's: "RGB" or "BGR".
    """

    source: ImageSource
    boxes: Boxes | None = None
    image_id: int = 0
    size: tuple[int, int] | None = None
    keypoints: Float[np.ndarray, "N K 2"] | None = None
    origin: Photo | None = None
    channels: str = "RGB"

    def __repr__(self) -> str:
        """One line: the photo, and how many boxes are given."""
        boxes = "no boxes" if self.boxes is None else f"{len(self.boxes)} boxes"
        return f"Image({self.image_id}: {name_of(self)}, {boxes})"


@dataclass(frozen=True, eq=False, repr=False)
class Prediction:
    """The result for one photo: its pixels and its people's poses, or the error that stopped it. `left_out` counts the
    people below the predictor's `min_presence` and doubles of others.

    A frame of a live source also has `captured_at`, when it arrived here, in seconds since 1970 (`time.time`); `age`,
    the seconds from then until its poses were ready, by a clock that never jumps; and `skipped`, the number of frames
    between the last prediction's and this one. They are None and 0 for photos and files.
    """

    photo: Image
    poses: Poses
    pixels: UInt8[np.ndarray, "H W 3"] | None = None
    error: InputError | None = None
    left_out: int = 0
    captured_at: float | None = None
    age: float | None = None
    skipped: int = 0

    def __repr__(self) -> str:
        """One line: the photo, and its poses or the error."""
        return f"Prediction({name_of(self.photo)}: {self.error or repr(self.poses)})"


def no_poses(skeleton: Skeleton) -> Poses:
    """Return empty poses, (0, K)."""
    keypoints = len(skeleton)
    return Poses(
        xy=np.zeros((0, keypoints, 2)),
        score=np.zeros((0, keypoints)),
        pose_score=np.zeros(0),
        box=np.zeros((0, 4)),
        image_id=np.zeros(0, np.int64),
        skeleton=skeleton,
    )


def open_photo(photo: Image, max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "H W 3"]:
    """Return a photo's pixels, RGB.

    Raises InputError if it cannot be read, has another size than expected or is a file with more than `max_pixels`, and
    if one of its boxes is invalid.
    """
    source = photo.source
    if isinstance(source, (str, Path)):
        pixels = read_image(source, max_pixels)
    else:
        pixels = source.read() if isinstance(source, PHOTOS) else read_pixels(source, photo.channels)
    height, width = pixels.shape[:2]
    if photo.size is not None and photo.size != (width, height):
        expected = f"{photo.size[0]} × {photo.size[1]}"
        raise InputError(f"{name_of(photo)}: is {width} × {height} pixels, but its boxes are for one of {expected}")
    if photo.boxes is not None:
        check_boxes(photo.boxes, width, height, name_of(photo))
    return pixels


def name_of(photo: Image) -> str:
    origin = origin_of(photo)
    return f"image {photo.image_id}" if isinstance(origin, CallersImage) else origin.name


def origin_of(photo: Image) -> Photo:
    """Return where the pixels of a photo can be read again."""
    source = photo.source
    if photo.origin is not None:
        return photo.origin
    if isinstance(source, (str, Path)):
        return PhotoFile(Path(source))
    return source if isinstance(source, PHOTOS) else CallersImage.of(source, photo.channels)


def prefetch(
    executor: Executor, work: Callable[[Item], Result], items: Iterable[Item], window: int
) -> Generator[Result, None, None]:
    """Yield work(item) for each item, in order; at most `window` of them are in progress or waiting.

    Items are read on demand, so an endless source works. Errors of `work` are raised in order; items that have not
    started by then are cancelled, and those in progress are waited for.
    """
    running: deque[Future[Result]] = deque()
    try:
        for item in items:
            running.append(executor.submit(work, item))
            if len(running) >= window:
                yield running.popleft().result()
        while running:
            yield running.popleft().result()
    finally:
        wait([future for future in running if not future.cancel()])


def as_rgb(image: np.ndarray) -> UInt8[np.ndarray, "H W 3"]:
    """Convert an array to RGB uint8: (H, W) or (H, W, 1) grey, (H, W, 3) RGB or (H, W, 4) RGBA, uint8 or uint16.

    As in `read_image`, alpha is dropped; 16 bits are reduced to the high byte. Raises ValueError for anything else.
    """
    is_image = image.ndim == 2 or (image.ndim == 3 and image.shape[2] in (1, 3, 4))
    if not is_image or image.dtype not in (np.uint8, np.uint16) or not image.size:
        raise ValueError(
            "image: expected (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of dtype uint8 or uint16, RGB, "
            f"got {image.shape} of {image.dtype}"
        )
    if image.dtype == np.uint16:
        image = (image >> 8).astype(np.uint8)
    if image.ndim == 2 or image.shape[2] == 1:
        image = np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return np.ascontiguousarray(image[..., :3])


def read_pixels(image: Any, channels: str = "RGB", max_pixels: int = MAX_PIXELS) -> UInt8[np.ndarray, "H W 3"]:
    """Return the pixels, RGB, of one image in any of the forms that predictors take.

    A path (str or Path) or an address (http, https); `bytes` of an image file; a Pillow image, with its EXIF
    orientation applied as for files; an array as in `as_rgb`; a torch tensor (C, H, W), uint8 or floating point from 0
    to 1. channels: the order of an array's or tensor's, "RGB" or "BGR" (OpenCV's); others' is known. Raises InputError
    for a file that cannot be read or decoded or has more than `max_pixels`, ValueError for anything else.
    """
    check_channels(channels)
    if isinstance(image, str) and is_address(image):
        return decode_photo(download(image), image, max_pixels)
    if isinstance(image, (str, Path)):
        return read_image(image, max_pixels)
    if isinstance(image, (bytes, bytearray, memoryview)):
        return decode_photo(bytes(image), "bytes", max_pixels)
    if is_pillow(image):
        return _of_pillow(image)
    if is_tensor(image):
        image = _of_tensor(image)
    if not isinstance(image, np.ndarray):
        raise ValueError(
            f"image: expected a path, an address, bytes, a Pillow image, an array or a tensor, got {_kind(image)}"
        )
    pixels = as_rgb(image)
    return pixels if channels == "RGB" else cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB)


def check_channels(channels: str) -> None:
    """Raise ValueError if the order of channels is not known."""
    if channels not in CHANNELS:
        raise ValueError(f"channels: expected 'RGB' or 'BGR', got {channels!r}")


def is_pillow(image: object) -> bool:
    """Return whether this is a Pillow image; Pillow is not imported for it."""
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(image, pillow.Image)


def is_tensor(image: object) -> bool:
    """Return whether this is a torch tensor; torch is not imported for it."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(image, torch.Tensor)


def is_webcam(name: str) -> bool:
    """Return whether a name is a webcam's number: digits, and no file has this name."""
    return name.isascii() and name.isdigit() and not Path(name).exists()


def _of_pillow(image: Any) -> UInt8[np.ndarray, "H W 3"]:
    if image.mode in ("I", "F"):
        raise ValueError(
            f"image: expected a Pillow image of mode RGB, L, P, I;16, …; {image.mode!r} has no known range"
        )
    try:  # Pillow reads a file only now
        turned = import_module("PIL.ImageOps").exif_transpose(image)
        return as_rgb(np.asarray(turned if turned.mode.startswith("I;16") else turned.convert("RGB")))
    except OSError as error:
        raise InputError(f"a Pillow image cannot be decoded ({error})") from None


def _of_tensor(image: Any) -> np.ndarray:
    """Return a tensor (C, H, W) as an array (H, W, C) of uint8."""
    values = image.detach().cpu()
    if values.ndim != 3 or values.shape[0] not in (1, 3, 4):
        raise ValueError(f"image: expected a tensor (C, H, W) of 1, 3 or 4 channels, got {tuple(values.shape)}")
    if values.dtype.is_floating_point:
        values = values.float()
        low, high = (float(values.min()), float(values.max())) if values.numel() else (0.0, 0.0)
        if not 0 <= low <= high <= 1:
            raise ValueError(f"image: expected a floating point tensor from 0 to 1, got {low:g} to {high:g}")
        values = (values * 255).round().byte()
    return values.permute(1, 2, 0).numpy()


def _kind(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}".removeprefix("builtins.")
