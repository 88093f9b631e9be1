"""torch's checkpoint files as archives, looked at before torch opens them."""

import zipfile
from pathlib import Path

from trustpose.files import InputError, check_regular


def check_archive(path: str | Path) -> bool:
    """Whether the file is a whole zip, as torch has written since 1.6; not its older format, or damaged.

    torch stores tensors as they are. A zip with compressed entries, or with more bytes in it than the file has, is
    nobody's checkpoint, and could take any memory: InputError, as where the file is missing or not regular.
    """
    check_regular(path)
    try:
        with zipfile.ZipFile(path) as file:
            parts = file.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError):
        return False
    is_stored = all(part.compress_type == zipfile.ZIP_STORED for part in parts)
    if not is_stored or sum(part.file_size for part in parts) > Path(path).stat().st_size:
        raise InputError(f"{path}: is not a readable checkpoint (a compressed zip file; torch's are not)")
    return True
