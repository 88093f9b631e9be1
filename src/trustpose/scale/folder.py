"""The folder of a run at scale: its manifest, a Parquet file for each finished block, and errors.parquet at the end."""

import re
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Literal

from trustpose.files import InputError, json_bytes, parse_json
from trustpose.json_records import OpenRecord, read_record
from trustpose.predict.journal import check_same_settings
from trustpose.scale.storage import Attempt, StoragePath
from trustpose.scale.table import Counts, Unread, errors_content, read_counts
from trustpose.scale.units import LAST

MANIFEST, POSES, ERRORS, ATTEMPTS = "manifest.json", "poses", "errors.parquet", "attempts"
_FORMAT = "trustpose run at scale 1"
_NAME = re.compile(rf"^(\d{{7}})-(\d{{5}})-([0-9a-f]{{12}})({LAST})?\.parquet$")
_FOLDER = 1000  # units: some file systems are slow with a hundred thousand files in one folder
_AT_ONCE = 16


@dataclass
class Total:
    """The counts of a run: blocks, photos or frames, people, photos without people; and what could not be read."""

    blocks: int = 0
    photos: int = 0
    people: int = 0
    without_people: int = 0
    unread: list[Unread] = field(default_factory=list)

    def add(self, counts: Counts) -> None:
        """Add those of a block."""
        self.blocks += 1
        self.photos += counts.photos
        self.people += counts.people
        self.without_people += counts.without_people
        self.unread += counts.unread

    def to_json(self) -> dict[str, int]:
        """Return the numbers of the manifest."""
        return {
            **{"blocks": self.blocks, "photos": self.photos, "people": self.people},
            **{"without_people": self.without_people, "unread": len(self.unread)},
        }


@dataclass(frozen=True)
class _Manifest(OpenRecord):
    format: Literal["trustpose run at scale 1"]
    settings: Mapping[str, Any]


@dataclass
class RunFolder:
    """The folder of a run, on a disk of this machine or at an address."""

    location: StoragePath

    def begin(self, settings: Mapping[str, Any], *, is_resumed: bool, is_replaced: bool) -> None:
        """Write the manifest of a run that begins, or check that an earlier one's settings are the same.

        Raises InputError if there is an earlier run that is neither to be continued nor replaced, if its settings
        differ, and if the folder cannot be written.
        """
        if self.location.exists() and not self.location.is_folder():
            raise InputError(f"{self.location.name}: is a file, expected a folder for the results (--out)")
        manifest = self.location / MANIFEST
        if not manifest.exists():
            if (self.location / POSES).exists():
                raise InputError(
                    f"{self.location.name}: holds a folder {POSES}, but no {MANIFEST}; choose another --out"
                )
        elif is_resumed:
            check_same_settings(manifest.name, self._earlier(manifest), parse_json(json_bytes(settings), "settings"))
        elif is_replaced:
            manifest.write(json_bytes({"format": _FORMAT, "status": "being replaced"}))
            (self.location / POSES).remove_folder()
            (self.location / ATTEMPTS).remove_folder()
            (self.location / ERRORS).write(errors_content([]))
        else:
            raise InputError(
                f"{self.location.name}: holds {MANIFEST} of an earlier run; --resume continues it, --overwrite "
                "replaces it, or choose another --out"
            )
        manifest.write(json_bytes({"format": _FORMAT, "status": "running", "settings": settings}))

    def commit(self, name: str, content: bytes) -> None:
        """Write a block's file at once. Twice the same block leaves one file. Raises InputError, DiskError."""
        self.file(name).write(content)

    def attempt(self, name: str) -> Attempt:
        """Begin an attempt at a block or a unit of that name. Raises InputError, DiskError."""
        return Attempt.begin(self.location / ATTEMPTS / f"{name}.json")

    def finished(self) -> dict[str, Counts]:
        """Return the counts of the blocks that are finished, by name. A file that cannot be read is not."""
        names = [file for file in (self.location / POSES).files(recursive=True) if _NAME.match(_file_name(file))]
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            counts_by_name = dict(
                zip(
                    [_file_name(file).removesuffix(".parquet") for file in names],
                    pool.map(_counts, names),
                    strict=True,
                )
            )
        return {name: counts for name, counts in counts_by_name.items() if counts is not None}

    def finish(self, settings: Mapping[str, Any], total: Total, about: Mapping[str, Any]) -> None:
        """Write errors.parquet and the manifest of a run that is complete. Raises InputError, DiskError."""
        unread = sorted(total.unread, key=lambda photo: (photo.image_id, photo.file))
        (self.location / ERRORS).write(errors_content(unread))
        manifest = {"format": _FORMAT, "status": "complete", "counts": total.to_json(), **about, "settings": settings}
        (self.location / MANIFEST).write(json_bytes(manifest))
        (self.location / ATTEMPTS).remove_folder()

    def file(self, name: str) -> StoragePath:
        """Return the file of a block."""
        return self.location / POSES / f"{int(name[:7]) // _FOLDER:04d}" / f"{name}.parquet"

    def _earlier(self, manifest: StoragePath) -> Mapping[str, Any]:
        content = parse_json(manifest.read("JSON"), manifest.name)
        try:
            return read_record(_Manifest, content).settings
        except InputError:
            raise InputError(
                f"{manifest.name}: is not a manifest of this version of trustpose; start over without --resume"
            ) from None


def _counts(file: StoragePath) -> Counts | None:
    try:
        return read_counts(file)
    except InputError:
        return None


def _file_name(file: StoragePath) -> str:
    return file.path.rpartition("/")[2]
