"""The order of photos in Parquet: whether a photo's rows follow each other."""

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import numpy as np

from trustpose.files import InputError
from trustpose.formats.parquet_parts import ParquetParts

_AT_ONCE = 4_000_000  # ids of runs compared at a time


def is_ascending(parts: ParquetParts) -> bool:
    """Return whether photos come in ascending order of their ids, each once."""
    last: Any = None
    for ids in runs(parts):
        ordered = ids if last is None else np.concatenate([[last], ids])
        if (ordered[1:] <= ordered[:-1]).any():
            return False
        last = ids[-1]
    return True


def check_photos(parts: ParquetParts) -> None:
    """Raise InputError naming a photo whose rows are in two places, with rows of others between them."""
    twice = find_scattered(parts)
    if twice is not None:
        raise InputError(
            f"{parts.path}: field 'image_id': the rows of photo {twice!r} are in two places, with others between them; "
            f"expected each photo's {parts.noun}s together"
        )


def find_scattered(parts: ParquetParts) -> Any:
    """Return the id of a photo whose rows are in two places; None if each photo's rows follow each other.

    Ascending ids take one pass; others are compared a part of them at a time, so that memory is bounded.
    """
    if is_ascending(parts):
        return None
    share = 1 + sum(len(ids) for ids in runs(parts)) // _AT_ONCE
    for remainder in range(share):
        chosen = [ids[_part(ids, share) == remainder] for ids in runs(parts)]
        ids, count = np.unique(np.concatenate(chosen), return_counts=True)
        if (count > 1).any():
            return ids[count > 1][0].item()
    return None


def find_duplicate(parts: ParquetParts, field: str) -> Any:
    """Return a whole number that occurs twice in a column; None if each occurs once. Nulls do not count."""
    share = 1 + parts.rows // _AT_ONCE
    for remainder in range(share):
        chosen = [np.zeros(0, np.int64)]
        for table, *_ in parts.tables([field], _AT_ONCE):
            ids = table.column(field).drop_null().to_numpy()
            chosen.append(ids[_part(ids, share) == remainder])
        ids, count = np.unique(np.concatenate(chosen), return_counts=True)
        if (count > 1).any():
            return ids[count > 1][0].item()
    return None


def runs(parts: ParquetParts) -> Iterator[np.ndarray]:
    """Yield the image ids, numbers or texts, of runs of rows with the same one."""
    for image in parts.runs():
        ids = image.drop_null().to_numpy(zero_copy_only=False)
        if len(ids):
            yield ids.astype(np.str_) if ids.dtype == object else ids


def _part(ids: np.ndarray, share: int) -> np.ndarray:
    if ids.dtype.kind in "iu":
        return ids % share
    return np.array([crc32(str(image_id).encode()) % share for image_id in ids.tolist()])
