"""Read a file from an address, http or https: with a limit on its size and on the time it takes."""

import http.client
import re
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from trustpose.files import InputError, atomic_write
from trustpose.io.video import SUFFIXES as VIDEO_SUFFIXES

MAX_BYTES = 100_000_000  # of a photo
SILENCE = 15.0  # seconds without an answer
LONGEST = 300.0  # seconds for the whole file
_CHUNK = 1 << 16
_LONGEST_NAME = 100
_SCHEMES = ("http", "https")


def is_address(text: str) -> bool:
    """Return whether a text is an address ("scheme://…") and no file's name."""
    head, mark, _ = text.partition("://")
    return bool(mark) and head.isascii() and head.replace("+", "").replace("-", "").isalnum()


def name_in(url: str) -> str:
    """Return the last part of an address' path, which may be empty; never trust it as a file's name."""
    return unquote(urlsplit(url).path).rpartition("/")[2]


def download(url: str, limit: int = MAX_BYTES) -> bytes:
    """Return the content at an address. Raises InputError as `chunks`."""
    return b"".join(chunks(url, limit))


def chunks(url: str, limit: int = MAX_BYTES) -> Iterator[bytes]:
    """Yield the content at an address, http or https, a part at a time; redirections are followed to these only.

    Raises InputError, in one line, for another scheme, an address with a password, an answer other than success, one of
    more than `limit` bytes, one that ends early, and if nothing comes for 15 s or not all in 300 s.
    """
    with _answer(url) as answer:
        yield from _content(answer, url, limit)


def content_type(url: str) -> str:
    """Return the type of the content at an address, such as "image/jpeg". Raises InputError as `chunks`."""
    with _answer(url) as answer:
        return answer.headers.get_content_type()


@contextmanager
def _answer(url: str) -> Iterator[Any]:
    """The server's answer, while it is read. Raises InputError."""
    _check(url)
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "trustpose"})
        with _opener().open(request, timeout=SILENCE) as answer:
            yield answer
        return
    except InputError:
        raise
    except urllib.error.HTTPError as error:
        problem = f"the server answers {error.code} {_one_line(error.reason)}"
    except urllib.error.URLError as error:
        problem = f"cannot be reached ({_one_line(error.reason)})"
    except TimeoutError:
        problem = f"no data arrived for {SILENCE:g} s"
    except (OSError, http.client.HTTPException, ValueError) as error:  # ValueError: a host that is no name
        problem = f"cannot be read ({_one_line(error) or type(error).__name__})"
    raise InputError(f"{url}: {problem}")  # here it has no OSError behind it, which would pass for one of writing


def download_files(names: Sequence[str], folder: Path, *, is_resumed: bool = False) -> list[str]:
    """Return names with each address replaced by a file in `folder` to which its content is downloaded.

    is_resumed: files that are there already are not downloaded again. Videos may have 20 times as many bytes as photos.
    Raises InputError.
    """
    files: dict[str, Path] = {}
    for name in filter(is_address, names):
        if name in files:
            continue
        plain = re.sub(r"[^A-Za-z0-9._-]", "_", name_in(name))[-_LONGEST_NAME:].lstrip(".") or "photo"
        path, number = folder / plain, 2
        while path in files.values():
            path, number = folder / f"{number}-{plain}", number + 1
        files[name] = path
        if not (is_resumed and path.exists()):
            with atomic_write(path) as file:
                for part in chunks(name, MAX_BYTES * (20 if path.suffix.lower() in VIDEO_SUFFIXES else 1)):
                    file.write(part)
    return [str(files.get(name, name)) for name in names]


class _Redirections(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        _check(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Return an opener for http and https: the usual one also reads local files and ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        *(urllib.request.ProxyHandler(), urllib.request.HTTPHandler(), urllib.request.HTTPSHandler()),
        *(urllib.request.HTTPDefaultErrorHandler(), _Redirections(), urllib.request.HTTPErrorProcessor()),
    ):
        opener.add_handler(handler)
    return opener


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise InputError(f"{url}: is not a web address ({error})") from None
    if parts.scheme not in _SCHEMES:
        raise InputError(f"{url}: expected an address with http or https, not {parts.scheme}")
    if "@" in parts.netloc:
        raise InputError(f"{parts.scheme}://…@{host}: expected an address without a user's name and password")
    if not host:
        raise InputError(f"{url}: is not a web address, it names no host")


def _content(answer: Any, url: str, limit: int) -> Iterator[bytes]:
    length = answer.headers.get("Content-Length")
    expected = int(length) if length is not None and length.isdigit() else None
    if expected is not None and expected > limit:
        raise _too_large(url, limit)
    started, count = time.monotonic(), 0
    while part := answer.read1(_CHUNK):  # `read` would wait for a full chunk, however slowly it comes
        count += len(part)
        if count > limit:
            raise _too_large(url, limit)
        if time.monotonic() - started > LONGEST:
            raise InputError(f"{url}: the download did not finish within {LONGEST:g} s")
        yield part
    if expected is not None and count < expected:
        raise InputError(f"{url}: ends after {count} of {expected} bytes")
    if not count:
        raise InputError(f"{url}: the answer is empty")


def _too_large(url: str, limit: int) -> InputError:
    return InputError(f"{url}: has more than {limit} bytes, the limit")


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
