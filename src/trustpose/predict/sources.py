"""Find the input of a run from the user's names: photos with their ids and people's boxes, or one video."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from trustpose.file_names import shown
from trustpose.files import InputError
from trustpose.formats.coco import TruthFile, read_truth
from trustpose.formats.coco.ids import NO_TEXTS, IdTexts
from trustpose.formats.coco.names import number_in_name, rows_by_name
from trustpose.formats.video import SUFFIXES as VIDEO_SUFFIXES
from trustpose.formats.video import Video
from trustpose.predict.boxes import Boxes, boxes_from_detections, boxes_from_truth
from trustpose.predict.images import find_photos
from trustpose.predict.photos import Image

_MOST_FRAMES = 10_000_000


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
    1; `image_texts` and `annotation_texts` map a ground truth's text ids.
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

    @property
    def fingerprint(self) -> str:
        """Return a value that is equal for the same files with the same names in the same order."""
        names = [str(self.video)] if self.video is not None else [str(path.resolve()) for path in self.files]
        return hashlib.sha256(os.fsencode("\n".join(names))).hexdigest()


def find_sources(names: Sequence[str], people: PeopleOptions) -> Sources:
    """Find the photos, or the one video, given as files, folders, globs or a webcam's index. Raises InputError."""
    videos = [name for name in names if _is_video(name)]
    if not videos:
        return photos_with_people(find_photos(names), people)
    if len(names) > 1:
        raise InputError(f"{videos[0]}: a video takes a run and a folder (--out) of its own")
    if people.gt is not None:
        raise InputError(f"{people.gt}: --gt is for photos; the people of a video need --boxes or --detector")
    name = videos[0]
    video = int(name) if name.isdigit() and not Path(name).exists() else Path(name)
    with Video(video) as opened:  # fails early if it cannot be read
        boxes = None if people.boxes is None else _by_frame(people.boxes, people.min_box_score)
    return Sources(
        files=[] if isinstance(video, int) else [video], video=video, frame_rate=opened.frame_rate, frame_boxes=boxes
    )


def photos_with_people(files: list[Path], people: PeopleOptions) -> Sources:
    """Return each photo with its id and its people's boxes.

    Ids come from the ground truth if given, else from the number at the end of each name. Boxes come from the
    detections if given, else from the ground truth; there are none if they are to be detected. Only then may photos
    have names without numbers: they are counted from 1. Raises InputError.
    """
    truth = None if people.gt is None else read_truth(people.gt)
    category_id = 1 if truth is None else truth.category_id
    if truth is not None:
        ids, sizes = _ids_from_truth(files, truth)
        is_numbered_here = False
    else:
        ids, is_numbered_here = _ids_from_names(files, may_count=people.is_detected)
        sizes = [None] * len(files)
    first: dict[int, Path] = {}
    for path, one in zip(files, ids, strict=True):
        if first.setdefault(one, path) != path:
            raise InputError(f"{path}: is image {one}, and so is {first[one]}; give each photo once")
    boxes: Sequence[Boxes | None] = [None] * len(files)
    if people.boxes is not None:
        found = boxes_from_detections(people.boxes, category_id, people.min_box_score, truth)
        if not np.isin(found.image_id, ids).any():
            raise InputError(f"{people.boxes}: field 'image_id': no box is in any of the {len(files)} photos given")
        boxes = found.of_images(np.array(ids))
    elif not people.is_detected:
        assert truth is not None
        boxes = boxes_from_truth(truth.truth, "boxed" if people.all_people else "labelled").of_images(np.array(ids))
    photos = [Image(*photo) for photo in zip(files, boxes, ids, sizes, strict=True)]
    texts = NO_TEXTS if truth is None else truth.image_texts
    people_texts = NO_TEXTS if truth is None else truth.annotation_texts
    return Sources(files, photos, category_id, is_numbered_here, image_texts=texts, annotation_texts=people_texts)


def _is_video(name: str) -> bool:
    path = Path(name)
    return (name.isdigit() and not path.exists()) or (path.suffix.lower() in VIDEO_SUFFIXES and not path.is_dir())


def _by_frame(path: Path, min_box_score: float | None) -> list[Boxes]:
    found = boxes_from_detections(path, min_score=min_box_score)
    if len(found) and not 0 <= found.image_id.min() <= found.image_id.max() < _MOST_FRAMES:
        raise InputError(f"{path}: field 'image_id': expected the numbers of a video's frames, from 0")
    return found.of_images(np.arange(found.image_id.max(initial=-1) + 1))


def _ids_from_truth(files: list[Path], truth: TruthFile) -> tuple[list[int], list[tuple[int, int] | None]]:
    images = truth.images
    known = rows_by_name(images)
    unknown = next((path for path in files if shown(path.name) not in known), None)
    if unknown is not None:
        raise InputError(f"{unknown}: this photo is not among the images of {truth.path} (by file_name)")
    places = [known[shown(path.name)] for path in files]
    ids = images.id[places]
    pairs = [(width, height) for width, height in images.sizes(ids).tolist()]
    return ids.tolist(), [pair if min(pair) > 0 else None for pair in pairs]


def _ids_from_names(files: list[Path], *, may_count: bool) -> tuple[list[int], bool]:
    """Return ids from the numbers in the names, and whether they were counted instead: if `may_count`, and a name has
    no number or two have the same."""
    found = [number_in_name(path) for path in files]
    ids = [number for number in found if number is not None]
    if may_count and len(set(ids)) < len(files):
        return list(range(1, len(files) + 1)), True
    if len(ids) < len(files):
        path = files[found.index(None)]
        raise InputError(f"{path}: its name ends in no number to take the image id from; --gt names the photos")
    return ids, False
