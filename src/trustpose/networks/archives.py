"""Check torch's checkpoint files as archives before torch opens them."""

import zipfile
from pathlib import Path

from trustpose.files import InputError, check_regular


def check_archive(path: str | Path) -> bool:
    """Return whether the file is a complete zip, as torch has written since 1.6; False for its older format, or damage.

    torch stores tensors uncompressed. A zip with compressed entries, or with more bytes than the file has, is no valid
    checkpoint, and could take any amount of memory: raises InputError, as for a missing or irregular file.
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
