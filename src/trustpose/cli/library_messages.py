"""Hide messages that image libraries print to standard error about broken files.

libpng and libjpeg, inside OpenCV, and Ray write to the file descriptor, which neither Python nor OpenCV's settings
control.
"""

import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO

_KNOWN = re.compile(
    rb"libpng (warning|error): |Corrupt JPEG data: |Premature end of JPEG file|Invalid SOS parameters|"
    rb"Inconsistent progression sequence|Unknown Adobe color transform|Unsupported marker type|"
    rb"Application transferred too |Warning: unknown JFIF revision|\[ ?(WARN|ERROR|INFO):\d+@|"
    rb"\[[^\]]+\] core_worker\.cc:\d+: Actor with class name: |Token authentication is enabled for this Ray"
)


@contextmanager
def hide_library_messages() -> Iterator[None]:
    """Inside the block `sys.stderr` works as usual; other output to the descriptor is shown when the block ends,
    without those libraries' lines. Nothing changes if standard error is not the process's own, or no file can be
    created."""
    before = sys.stderr
    aside = _file(before) if before is sys.__stderr__ and before is not None else None
    if before is None or aside is None:
        yield
        return
    before.flush()
    ours = os.dup(2)
    os.dup2(aside.fileno(), 2)
    sys.stderr = os.fdopen(os.dup(ours), "w", buffering=1, encoding=before.encoding, errors=before.errors)
    try:
        yield
    finally:
        sys.stderr.close()
        sys.stderr = before
        os.dup2(ours, 2)
        os.close(ours)
        with aside:
            aside.seek(0)
            is_dropped = False
            for line in aside:
                is_dropped = _KNOWN.match(line) is not None or (is_dropped and not line.strip())  # OpenCV adds a blank
                if not is_dropped:
                    os.write(2, line)


def _file(stream: IO[str]) -> IO[bytes] | None:
    try:
        if stream.fileno() != 2:
            return None
        return os.fdopen(os.memfd_create("stderr"), "w+b") if hasattr(os, "memfd_create") else tempfile.TemporaryFile()
    except (OSError, ValueError):  # a full disk; a stream without a descriptor
        return None
