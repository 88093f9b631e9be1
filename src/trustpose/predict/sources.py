"""Everything that a predictor or a run takes, as a stream of `Image`: files, folders, videos, webcams, arrays."""

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from io import BytesIO
from itertools import chain, count, islice
from pathlib import Path
from typing import Any

import numpy as np

from trustpose.files import InputError, shown
from trustpose.images import Images
from trustpose.io.coco.labels import number_in_name, rows_by_name
from trustpose.io.coco.truth import TruthFile, read_coco_truth
from trustpose.io.columns import NO_TEXTS, IdTexts
from trustpose.io.download import is_address, name_in
from trustpose.io.photos import MAX_PIXELS, SUFFIXES, UNREAD_SUFFIXES, image_size, reason_unread
from trustpose.io.video import SUFFIXES as VIDEO_SUFFIXES
from trustpose.io.video import Video
from trustpose.predict.boxes import Boxes, boxes_from_detections, boxes_from_truth
from trustpose.predict.photos import (
    CallersImage,
    CameraFrame,
    EncodedPhoto,
    Image,
    VideoFrame,
    WebPhoto,
    check_channels,
    is_pillow,
    is_tensor,
    is_webcam,
)

GLOB = frozenset("*?[")


@dataclass(frozen=True)
class ReadOptions:
    """How to read what was given: the order of arrays' channels; subfolders too; at most `frames` of each video or
    webcam; photo files with more than `max_pixels` are refused."""

    channels: str = "RGB"
    recursive: bool = False
    frames: int | None = None
    max_pixels: int = MAX_PIXELS

    def __post_init__(self) -> None:
        check_channels(self.channels)
        if self.frames is not None and self.frames < 1:
            raise ValueError(f"frames: expected at least 1, got {self.frames}")


def images_of(images: Any, options: ReadOptions) -> Iterator[Image]:
    """Yield each photo or frame, numbered from 0 in `image_id`; an `Image` is left as it is.

    Raises InputError for a folder or pattern without photos or videos, and a video or webcam that cannot be read;
    ValueError for anything that is no image. A photo file that cannot be read is yielded: the predictor reports it.
    """
    numbers = count()
    if is_many(images):
        for image in images:
            if is_many(image) or isinstance(image, (int, np.integer)):
                raise ValueError(
                    f"images: expected images, got a list that holds {type(image).__name__}: {image!r:.60}"
                )
            yield from _images_in(image, options, numbers)
    elif isinstance(images, (int, np.integer)) and not isinstance(images, bool):
        yield from _frames(int(images), options, numbers)
    else:
        yield from _images_in(images, options, numbers)


def is_many(images: object) -> bool:
    """Return whether this is a list or an iterator of images, not one thing by itself."""
    return isinstance(images, Iterable) and not (
        isinstance(images, (str, bytes, bytearray, memoryview, np.ndarray)) or is_tensor(images) or is_pillow(images)
    )


def without_videos(images: Iterable[Image]) -> Iterator[Image]:
    """Yield the images, to be given boxes. Raises ValueError for a frame of a video or webcam."""
    for image in images:
        if isinstance(image.origin, (VideoFrame, CameraFrame)):
            raise ValueError(
                f"boxes: are for photos, not for {image.origin.name}; `run` takes a file of boxes by frame"
            )
        yield image


def is_video(name: str | Path) -> bool:
    """Return whether a file's name has a video's suffix."""
    return Path(name).suffix.lower() in VIDEO_SUFFIXES


def _images_in(source: Any, options: ReadOptions, numbers: Iterator[int]) -> Iterator[Image]:
    if isinstance(source, Image):
        yield source
    elif isinstance(source, (str, Path)):
        yield from _images_named(source, options, numbers)
    elif isinstance(source, (bytes, bytearray, memoryview)):
        yield Image(EncodedPhoto("bytes", bytes(source), options.max_pixels), image_id=next(numbers))
    elif isinstance(source, np.ndarray) or is_tensor(source) or is_pillow(source):
        if getattr(source, "ndim", 3) != 4:
            origin = CallersImage.of(source, options.channels)
            yield Image(source, image_id=next(numbers), origin=origin, channels=options.channels)
            return
        for row, image in enumerate(source):
            origin = CallersImage.of(source, options.channels, row)
            yield Image(image, image_id=next(numbers), origin=origin, channels=options.channels)
    else:
        expected = "a path, folder, pattern, address, webcam's number, bytes, array, tensor or Pillow image"
        raise ValueError(f"images: expected {expected}, or several of them, got {type(source).__qualname__}")


def _images_named(name: str | Path, options: ReadOptions, numbers: Iterator[int]) -> Iterator[Image]:
    """Yield what a path, a pattern, an address or the text of a webcam's number stands for."""
    if isinstance(name, str) and is_address(name):
        if is_video(name_in(name)):
            raise InputError(f"{name}: is a video's address; download it, or give it to `run` or the command line")
        yield Image(WebPhoto(name, options.max_pixels), image_id=next(numbers))
        return
    if isinstance(name, str) and is_webcam(name):
        yield from _frames(int(name), options, numbers)
        return
    for path in find_files([name], recursive=options.recursive) if _stands_for_many(name) else [Path(name)]:
        if is_video(path):
            yield from _frames(path, options, numbers)
        else:
            yield Image(path, image_id=next(numbers))


def _stands_for_many(name: str | Path) -> bool:
    try:
        return Path(name).is_dir() or (not Path(name).exists() and bool(GLOB & set(str(name))))
    except OSError:  # a name that is too long: reading it says so
        return False


def _frames(source: Path | int, options: ReadOptions, numbers: Iterator[int]) -> Iterator[Image]:
    with Video(source) as video:
        number = -1
        for number, pixels in video.frames(options.frames):
            origin = CameraFrame(f"webcam {source}", number) if isinstance(source, int) else VideoFrame(source, number)
            yield Image(pixels, image_id=next(numbers), origin=origin)
        if number < 0:
            raise InputError(f"{source}: holds no frame that can be read")


_MOST_FRAMES = 10_000_000
_MOST_NAMED = 3
_MOST_HEADERS, _HEADER = 1000, 2**16  # photos whose boxes show the format of all, bytes of each


@dataclass(frozen=True)
class PeopleOptions:
    """The source of people's boxes: ground truth (`all_people`: including people with only a box), detections with at
    least `min_box_score`, or, with `is_detected`, a detector."""

    gt: Path | None = None
    boxes: Path | None = None
    min_box_score: float | None = None
    all_people: bool = False
    is_detected: bool = False


@dataclass(frozen=True)
class Sources:
    """The input of a run: `photos` of `files`, or the `video`, a file or a webcam's index, with each frame's boxes and
    its frame rate.

    `frame_boxes` None means that boxes are detected; `is_numbered_here` that the photos' ids are their positions, from
    1; `unreadable` has a line for each video, or kind of photo, that cannot be read; `image_texts` and
    `annotation_texts` map a ground truth's text ids.
    """

    files: list[Path] = field(default_factory=list)
    photos: list[Image] = field(default_factory=list)
    category_id: int = 1
    is_numbered_here: bool = False
    video: Path | int | None = None
    frame_rate: float = 0.0
    frame_boxes: list[Boxes] | None = None
    image_texts: IdTexts = NO_TEXTS
    annotation_texts: IdTexts = NO_TEXTS
    folder: str = ""
    videos: tuple["Sources", ...] = ()
    unreadable: tuple[str, ...] = ()

    @property
    def parts(self) -> list["Sources"]:
        """The photos, or the one video; and each further video: what gets a results file of its own."""
        return ([self] if self.files or self.video is not None else []) + list(self.videos)

    @property
    def numbered(self) -> Images:
        """The photos with their ids, to be listed where these are counted here."""
        ids = np.array([photo.image_id for photo in self.photos], np.int64)
        return Images(ids, [str(photo.source) for photo in self.photos])

    @property
    def fingerprint(self) -> str:
        """Return a value that is equal for the same files with the same names in the same order."""
        names = [str(self.video)] if self.video is not None else [str(path.resolve()) for path in self.files]
        return hashlib.sha256(os.fsencode("\n".join(names))).hexdigest()


def find_sources(
    names: Sequence[str], people: PeopleOptions, *, recursive: bool = False, out: Path | None = None
) -> Sources:
    """Find the photos and videos given as files, folders and globs, or a webcam by its number; recursive: in subfolders
    too, without `out`. Raises InputError."""
    cameras = [name for name in names if is_webcam(name)]
    if cameras and len(names) > 1:
        raise InputError(f"{cameras[0]}: a webcam needs a run and a folder (--out) of its own")
    files, unread = _readable([] if cameras else find_files(names, recursive=recursive, out=out))
    videos: list[Path | int] = [int(name) for name in cameras]
    videos += [path for path in files if is_video(path)]
    photos = [path for path in files if not is_video(path)]
    if not videos:
        if not photos:
            raise InputError(unread[0])
        return replace(photos_with_people(photos, people), unreadable=tuple(unread))
    if people.gt is not None:
        raise InputError(f"{people.gt}: --gt is for photos, not for {videos[0]}, which needs --boxes or --detector")
    if len(videos) == 1 and not photos:
        return replace(_video(videos[0], people), unreadable=tuple(unread))
    if people.boxes is not None:
        raise InputError(f"{people.boxes}: --boxes is for photos or for one video, and {videos[0]} is beside others")
    video_sources: list[Sources] = []
    for path, folder in zip(videos, _folders(videos), strict=True):
        try:
            video_sources.append(replace(_video(path, people), folder=folder))
        except InputError as error:
            unread.append(str(error))
    alone = photos_with_people(photos, people) if photos else Sources()
    return replace(alone, videos=tuple(video_sources), unreadable=tuple(unread))


def _readable(files: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return the files without photos of formats that cannot be read, and a line for each reason that names these."""
    by_reason: dict[str, list[Path]] = {}
    readable = []
    for path in files:
        reason = reason_unread(path)
        if reason is None:
            readable.append(path)
        else:
            by_reason.setdefault(reason, []).append(path)
    return readable, [f"{_listed(paths)}: {reason}" for reason, paths in by_reason.items()]


def _listed(paths: Sequence[Path]) -> str:
    more = len(paths) - _MOST_NAMED
    names = ", ".join(str(path) for path in paths[:_MOST_NAMED])
    return f"{names} and {more} more" if more > 0 else names


def _video(video: Path | int, people: PeopleOptions) -> Sources:
    with Video(video) as opened:  # fails early if it cannot be read
        if not opened.is_webcam and next(opened.frames(1), None) is None:
            raise InputError(f"{video}: holds no frame that can be read")
        size = (opened.width, opened.height)
        boxes = None if people.boxes is None else _by_frame(people.boxes, people.min_box_score, size)
    files = [] if isinstance(video, int) else [video]
    return Sources(files=files, video=video, frame_rate=opened.frame_rate, frame_boxes=boxes)


def _folders(videos: Sequence[Path | int]) -> list[str]:
    """Return a folder's name for each video: its file's name without suffix; with it, or numbered, if that is taken."""
    folder_names: dict[str, None] = {}
    for video in videos:
        path = Path(str(video))
        numbered = (f"{path.name}-{number}" for number in count(2))
        folder_names[next(name for name in chain((path.stem, path.name), numbered) if name not in folder_names)] = None
    return list(folder_names)


def photos_with_people(files: list[Path], people: PeopleOptions) -> Sources:
    """Return each photo with its id and its people's boxes.

    Ids come from the ground truth if given, else from the number at the end of each name. Boxes come from the
    detections if given, else from the ground truth; there are none if they are to be detected. Only then may photos
    have names without numbers: they are counted from 1. Raises InputError.
    """
    truth = None if people.gt is None else read_coco_truth(people.gt)
    category_id = 1 if truth is None else truth.category_id
    if truth is not None:
        ids, sizes = _ids_from_truth(files, truth)
        is_numbered_here = False
    else:
        ids, is_numbered_here = _ids_from_names(files, may_count=people.is_detected)
        sizes = [None] * len(files)
    first: dict[int, Path] = {}
    for path, image_id in zip(files, ids, strict=True):
        if first.setdefault(image_id, path) != path:
            raise InputError(f"{path}: is image {image_id}, and so is {first[image_id]}; give each photo once")
    boxes: Sequence[Boxes | None] = [None] * len(files)
    if people.boxes is not None:
        header_sizes = _header_sizes(files, ids) if truth is None else None
        detections = boxes_from_detections(people.boxes, category_id, people.min_box_score, truth, header_sizes)
        if not np.isin(detections.image_id, ids).any():
            raise InputError(f"{people.boxes}: field 'image_id': no box is in any of the {len(files)} photos given")
        boxes = detections.of_images(np.array(ids))
    elif not people.is_detected:
        assert truth is not None
        boxes = boxes_from_truth(truth.truth, "boxed" if people.all_people else "labelled").of_images(np.array(ids))
    photos = [Image(*photo) for photo in zip(files, boxes, ids, sizes, strict=True)]
    texts = NO_TEXTS if truth is None else truth.image_texts
    people_texts = NO_TEXTS if truth is None else truth.annotation_texts
    return Sources(files, photos, category_id, is_numbered_here, image_texts=texts, annotation_texts=people_texts)


def _by_frame(path: Path, min_box_score: float | None, size: tuple[int, int]) -> list[Boxes]:
    detections = boxes_from_detections(path, min_score=min_box_score, sizes=lambda ids: np.tile(size, (len(ids), 1)))
    if len(detections) and not 0 <= detections.image_id.min() <= detections.image_id.max() < _MOST_FRAMES:
        raise InputError(f"{path}: field 'image_id': expected the numbers of a video's frames, from 0")
    return detections.of_images(np.arange(detections.image_id.max(initial=-1) + 1))


def _header_sizes(files: list[Path], ids: list[int]) -> Callable[[np.ndarray], np.ndarray]:
    """Return what gives the sizes of some of the photos by id: their longer side both ways, as orientation is not read
    from headers; 0 unknown."""
    sides = {}
    for path, image_id in islice(zip(files, ids, strict=True), _MOST_HEADERS):
        with suppress(OSError), path.open("rb") if path.is_file() else BytesIO() as file:
            sides[image_id] = max(image_size(file.read(_HEADER)) or (0, 0))
    return lambda image_id: np.array([[sides.get(number, 0)] * 2 for number in image_id.tolist()], np.int64)


def _ids_from_truth(files: list[Path], truth: TruthFile) -> tuple[list[int], list[tuple[int, int] | None]]:
    images = truth.images
    row_by_name = rows_by_name(images)
    unknown = next((path for path in files if shown(path.name) not in row_by_name), None)
    if unknown is not None:
        raise InputError(f"{unknown}: this photo is not among the images of {truth.path} (by file_name)")
    rows = [row_by_name[shown(path.name)] for path in files]
    ids = images.id[rows]
    pairs = [(width, height) for width, height in images.sizes(ids).tolist()]
    return ids.tolist(), [pair if min(pair) > 0 else None for pair in pairs]


def _ids_from_names(files: list[Path], *, may_count: bool) -> tuple[list[int], bool]:
    """Return ids from the numbers in the names, and whether they were counted instead: if `may_count`, and a name has
    no number or two have the same."""
    numbers = [number_in_name(path) for path in files]
    ids = [number for number in numbers if number is not None]
    if may_count and len(set(ids)) < len(files):
        return list(range(1, len(files) + 1)), True
    if len(ids) < len(files):
        path = files[numbers.index(None)]
        raise InputError(
            f"{path}: its name does not end in a number to use as image id; give the photos' ids with --gt"
        )
    return ids, False


def find_files(
    sources: Sequence[str | Path], *, recursive: bool = False, out: Path | None = None, videos: bool = True
) -> list[Path]:
    """Find the photos and, with `videos`, the videos given as files, folders and globs, each once, in the given order
    and by name within a folder or glob.

    A folder gives its files with a photo's or video's suffix, with `videos` also photos of formats that are not read,
    so that they are named; recursive: those of its subfolders too, without `out`. Hidden files and folders are
    left out, and links to folders are not followed. Raises InputError if a file is missing, or if a folder or glob
    contains none.
    """
    suffixes, kind = SUFFIXES, "photos"
    if videos:
        suffixes, kind = SUFFIXES + UNREAD_SUFFIXES + VIDEO_SUFFIXES, "photos or videos"
    files: dict[Path, None] = {}
    for source in sources:
        path = Path(source)
        if path.is_dir():
            matches = _in_folder(path, suffixes, out) if recursive else _with_suffix(path.iterdir(), suffixes)
            if not matches:
                raise InputError(f"{path}: the folder holds no {kind} ({', '.join(SUFFIXES[:5])}, …)")
        elif path.exists():
            matches = [path]
        elif GLOB & set(str(source)):
            matches = _expand(path, suffixes)
        else:
            raise InputError(f"{path}: no such file or folder")
        files.update(dict.fromkeys(matches))
    return list(files)


def find_photos(sources: Sequence[str | Path]) -> list[Path]:
    """Find photos as `find_files`, without videos."""
    return find_files(sources, videos=False)


def _in_folder(folder: Path, suffixes: tuple[str, ...], out: Path | None) -> list[Path]:
    left_out = None if out is None else out.resolve()
    files: list[Path] = []
    for root, folders, names in os.walk(folder):
        subfolder = Path(root)
        folders[:] = [name for name in folders if not name.startswith(".") and (subfolder / name).resolve() != left_out]
        files += _with_suffix((subfolder / name for name in names), suffixes)
    return sorted(files)


def _with_suffix(entries: Iterable[Path], suffixes: tuple[str, ...]) -> list[Path]:
    return sorted(
        entry
        for entry in entries
        if entry.suffix.lower() in suffixes and not entry.name.startswith(".") and entry.is_file()
    )


def _expand(pattern: Path, suffixes: tuple[str, ...]) -> list[Path]:
    root = Path(pattern.anchor) if pattern.is_absolute() else Path()
    try:
        matches = _with_suffix(root.glob(str(pattern.relative_to(root))), suffixes)
    except ValueError as error:
        raise InputError(f"{pattern}: not a pattern for files ({error})") from None
    if not matches:
        raise InputError(f"{pattern}: no photo fits this pattern")
    return matches
