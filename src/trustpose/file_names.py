"""Convert file names to text. A name on disk is bytes and need not be UTF-8; Python then uses lone surrogates.

Such a name cannot be written into a JSON or HTML file or hashed as UTF-8, and some libraries crash on it.
"""

import codecs
import os
import re
from pathlib import Path

SHOWN = "trustpose.shown"
"""An error handler for stream encodings: characters that cannot be encoded are written as by `shown`."""
_BYTE = re.compile(r"\\x(5c|[89a-f][0-9a-f])")


def shown(name: str | Path) -> str:
    r"""Return a name as valid UTF-8 text that `hidden` converts back: each byte that is not UTF-8 becomes \xNN.

    A name in UTF-8 is unchanged. In other names a backslash that would look like such a byte becomes \x5c.
    """
    text = os.fspath(name)
    try:
        text.encode()
    except UnicodeEncodeError:
        return _BYTE.sub(lambda match: r"\x5c" + match[0][1:], text).encode("utf-8", SHOWN).decode()
    return text


def hidden(text: str) -> str:
    """Return the name that `shown` converts to this text, if it is not a UTF-8 name."""
    return _BYTE.sub(lambda match: "\\" if match[1] == "5c" else chr(0xDC00 + int(match[1], 16)), text)


def find_shown(folder: Path, text: str) -> Path:
    """Return the file with this name, or whose name is shown so; it need not exist."""
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
