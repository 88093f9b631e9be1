"""File names as text. A name on disk is bytes and need not be UTF-8; Python then holds it with lone surrogates.

Such a name cannot be written into a JSON or HTML file or hashed as UTF-8, and some libraries crash on it.
"""

import codecs
import os
import re
from pathlib import Path

SHOWN = "trustpose.shown"
"""A handler of encoding errors, for streams: what cannot be encoded is shown as `shown` shows it."""
_BYTE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")


def shown(name: str | Path) -> str:
    r"""A name as text that is valid UTF-8 and can be read back by `hidden`: each byte that is not UTF-8 as \xNN.

    A name that is UTF-8 stays as it is. In another one a backslash that would be taken for such a byte becomes \x5c.
    """
    text = os.fspath(name)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _BYTE.sub(lambda found: r"\x5c" + found[0][1:], text).encode("utf-8", SHOWN).decode()
    return text


def hidden(text: str) -> str:
    """The name that `shown` shows as this text, where it is none that is UTF-8."""
    return _BYTE.sub(lambda found: "\\" if found[1] == "5c" else chr(0xDC00 + int(found[1], 16)), text)


def find_shown(folder: Path, text: str) -> Path:
    """The file of a folder that is called so, or whose name is shown so; that file may be missing."""
    path = folder / text
    return path if "\\x" not in text or path.exists() else folder / hidden(text)


def _show(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    letters = error.object[error.start : error.end]
    return "".join(
        f"\\x{ord(letter) - 0xDC00:02x}"
        if 0xDC80 <= ord(letter) <= 0xDCFF
        else letter.encode("ascii", "backslashreplace").decode()
        for letter in letters
    ), error.end


codecs.register_error(SHOWN, _show)
