"""`--quiet`: a command prints problems only, each a line that begins with `trustpose:`, to standard error."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TextIO

QUIET = "--quiet"
_LISTS = ("models", "recipes", "serve")  # what they print is all they do
_SHOWS = ("--help", "-h", "--version", "--show-completion", "--install-completion")


def without_quiet(words: list[str]) -> tuple[bool, list[str]]:
    """Return whether the words of a command line ask for quiet, anywhere before `--`, and the others."""
    end = words.index("--") if "--" in words else len(words)
    rest = [word for word in words[:end] if word != QUIET] + words[end:]
    is_asked = len(rest) < len(words)
    return is_asked and not (rest[:1] and rest[0] in _LISTS) and not set(rest) & set(_SHOWS), rest


@contextmanager
def quiet() -> Iterator[None]:
    """Inside the block nothing is printed but problems; what is written to `-` still is."""
    with ExitStack() as stack:
        nowhere = stack.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        problems = ProblemLines(sys.stderr)
        stack.callback(problems.flush)
        stack.enter_context(redirect_stdout(nowhere))
        stack.enter_context(redirect_stderr(problems))
        yield


class ProblemLines(io.TextIOBase):
    """A text stream that passes on lines that begin with `trustpose:`, and no others. It is no terminal, so that
    progress bars stay away."""

    encoding = "utf-8"  # pyright: ignore[reportAssignmentType]

    def __init__(self, stream: TextIO) -> None:
        self._stream, self._line = stream, ""

    def write(self, text: str) -> int:
        """Keep what is no whole line yet; pass on whole lines that tell of a problem."""
        if not isinstance(text, str):  # how click tells text streams from others
            raise TypeError(f"expected text, got {type(text).__name__}")
        *whole, self._line = (self._line + text).split("\n")
        for line in whole:
            if line.startswith("trustpose:"):
                self._stream.write(f"{line}\n")
        return len(text)

    def flush(self) -> None:
        """Flush what was passed on."""
        self._stream.flush()
