"""Find ids and sizes of the photos named in files of poses."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from trustpose.file_names import shown
from trustpose.files import InputError
from trustpose.formats.coco.names import number_in_name, rows_by_name
from trustpose.formats.coco.truth import TruthFile
from trustpose.formats.photos import SUFFIXES, read_image
from trustpose.formats.tool_poses import ToolPoses, files_in


class Photos:
    """Ids and sizes of photos, from a ground truth and a folder; each is optional."""

    def __init__(self, truth: TruthFile | None = None, folder: Path | None = None) -> None:
        if folder is not None and not folder.is_dir():
            raise InputError(f"{folder}: no such directory, --images expects the folder with the photos")
        self.truth = truth
        self.folder = folder
        self._size: dict[str, tuple[int, int]] = {}

    def counted(self, parts: Sequence[ToolPoses]) -> dict[str, int]:
        """Return ids for photos if their names give none: if one does not end in a number, or two end in the same, all
        photos of `parts` are numbered from 1 in the order of their names (by code point), including those without
        people.

        Empty if the names have suitable numbers, and if a ground truth or the files themselves have ids.
        """
        named = [part for part in parts if part.poses.image_id is None]
        if self.truth is not None or not any(part.photo for part in named):
            return {}
        names = sorted({name for part in named for name in (*(part.photo or ()), *part.empty)})
        numbers = [number_in_name(name) for name in names]
        if None not in numbers and len(set(numbers)) == len(names):
            return {}
        return {name: number for number, name in enumerate(names, 1)}

    def ids(self, file_poses: ToolPoses, counted: Mapping[str, int]) -> np.ndarray:
        """Return the image id (N,) of each pose of a file, int64.

        With a ground truth, it is that of the image with the photo's name, ignoring folders and, if need be, suffixes.
        Otherwise, or if photos have no names, it is the file's own number; else the photo's number in `counted`, if not
        empty, or the number at the end of its name. Raises InputError if a ground truth does not have the photo.
        """
        ids = file_poses.poses.image_id
        if file_poses.photo is None or (self.truth is None and ids is not None):
            assert ids is not None
            if self.truth is not None and not self.truth.image_texts.are_numbers:
                raise InputError(f"{file_poses.path}: image ids are numbers, but those of {self.truth.path} are texts")
            if self.truth is not None and not np.isin(ids, self.truth.images.id).all():
                unknown = ids[~np.isin(ids, self.truth.images.id)][0]
                raise InputError(
                    f"{file_poses.path}: image {unknown} is not among the images of {self.truth.path} (by id)"
                )
            return ids
        of_name = {name: self._id(name, file_poses.path, counted) for name in dict.fromkeys(file_poses.photo)}
        return np.array([of_name[name] for name in file_poses.photo], dtype=np.int64)

    def sizes(self, file_poses: ToolPoses, ids: np.ndarray) -> np.ndarray:
        """Return width and height (N, 2) of the photo of each pose, from the file in the folder or the ground truth.

        Raises InputError if neither has it.
        """
        names = file_poses.photo or tuple(map(str, ids))
        return np.array(
            [self._size_of(name, int(image_id), file_poses.path) for name, image_id in zip(names, ids, strict=True)]
        ).reshape(len(ids), 2)

    def _id(self, name: str, path: str, counted: Mapping[str, int]) -> int:
        if self.truth is None:
            number = counted[name] if counted else number_in_name(name)
            assert number is not None  # `counted` has all photos where a name has no number
            return number
        rows = self._row_of_name.get(name) or self._rows_of_stem.get(name) or self._rows_of_stem.get(Path(name).stem)
        number = self.truth.image_texts.number_of.get(name)
        if rows is None and number is not None:
            return number
        if rows is None:
            raise InputError(f"{path}: photo {name!r} is not among the images of {self.truth.path} (by file_name)")
        if len(rows) > 1:
            raise InputError(f"{path}: photo {name!r} may be any of {len(rows)} images of {self.truth.path}")
        return int(self.truth.images.id[rows[0]])

    @cached_property
    def _row_of_name(self) -> dict[str, list[int]]:
        return {} if self.truth is None else {name: [row] for name, row in rows_by_name(self.truth.images).items()}

    @cached_property
    def _rows_of_stem(self) -> dict[str, list[int]]:
        rows: dict[str, list[int]] = {}
        for name, (row,) in self._row_of_name.items():
            rows.setdefault(Path(name).stem, []).append(row)
        return rows

    @cached_property
    def _files(self) -> dict[str, Path]:
        """Return the folder's files by name, and by name without suffix: photos before files of poses beside them."""
        assert self.folder is not None
        files = sorted(files_in(self.folder), key=lambda path: path.suffix.lower() in SUFFIXES)
        return {shown(path.stem): path for path in files} | {shown(path.name): path for path in files}

    def _size_of(self, name: str, image_id: int, path: str) -> tuple[int, int]:
        if name not in self._size:
            self._size[name] = self._find_size(name, image_id, path)
        return self._size[name]

    def _find_size(self, name: str, image_id: int, path: str) -> tuple[int, int]:
        if self.folder is not None:
            name = shown(name)
            file = self._files.get(name) or self._files.get(Path(name).stem)
            if file is None:
                raise InputError(f"{path}: photo {name!r} is not in {self.folder}")
            height, width = read_image(file).shape[:2]
            return width, height
        if self.truth is not None:
            images = self.truth.images
            width, height = images.sizes(np.array([image_id]))[0].tolist()
            if width > 0 and height > 0:
                return width, height
        raise InputError(
            f"{path}: coordinates are fractions of the photo, whose size is needed: give --images, the folder with the "
            "photos, or --gt, a ground truth with width and height"
        )
