"""Reading from addresses, with a server of our own: good answers and faulty ones."""

import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from trustpose.files import InputError
from trustpose.io.download import download, is_address, name_in

CONTENT = bytes(range(256)) * 40


class Answers(BaseHTTPRequestHandler):
    """A server with one page for each way to answer."""

    def do_GET(self) -> None:
        page = self.path.strip("/").partition("?")[0]
        if page == "to-a-file":
            return self.redirect("file:///etc/hostname")
        if page == "to-ftp":
            return self.redirect("ftp://localhost/a.jpg")
        if page == "elsewhere":
            return self.redirect("/good")
        if page == "for-ever":
            return self.redirect("/for-ever")
        if page == "missing":
            return self.send_error(404, "Not here")
        if page == "silent":
            return time.sleep(2)
        self.send_response(200)
        lengths = {"good": len(CONTENT), "early": len(CONTENT) + 5, "said-large": 10**12, "empty": 0}
        if page in lengths:
            self.send_header("Content-Length", str(lengths[page]))
        self.end_headers()
        if page in ("good", "early"):
            self.wfile.write(CONTENT)
        while page in ("endless", "slow"):
            try:
                self.wfile.write(CONTENT)
                self.wfile.flush()
            except OSError:
                return None
            time.sleep(0.05 if page == "slow" else 0)
        return None

    def redirect(self, where: str) -> None:
        self.send_response(302)
        self.send_header("Location", where)
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as running:
        running.daemon_threads = True
        threading.Thread(target=running.serve_forever, args=(0.05,), daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_a_good_answer(server: str) -> None:
    assert download(f"{server}/good") == CONTENT
    assert download(f"{server}/elsewhere?a=b") == CONTENT
    assert download(f"{server}/good", limit=len(CONTENT)) == CONTENT


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("missing", "/missing: the server answers 404 Not here"),
        ("early", "/early: ends after 10240 of 10245 bytes"),
        ("said-large", "/said-large: has more than 1000000 bytes"),
        ("endless", "/endless: has more than 1000000 bytes"),
        ("empty", "/empty: the answer is empty"),
        ("slow", "/slow: the download did not finish within 0.2 s"),
        ("silent", "/silent: no data arrived for 0.5 s|/silent: cannot be reached"),
        ("to-a-file", "/to-a-file: the server answers 302 Found - Redirection to url .* is not allowed"),
        ("to-ftp", "ftp://localhost/a.jpg: expected an address with http or https, not ftp"),
        ("for-ever", "/for-ever: the server answers 302"),
    ],
)
def test_faulty_answers_of_a_server(server: str, page: str, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trustpose.io.download.SILENCE", 0.5)
    monkeypatch.setattr("trustpose.io.download.LONGEST", 0.2)
    started = time.monotonic()
    with pytest.raises(InputError, match=message) as error:
        download(f"{server}/{page}", limit=1_000_000)
    assert "\n" not in str(error.value) and time.monotonic() - started < 5


def test_addresses_that_are_not_read(tmp_path) -> None:
    (tmp_path / "secret").write_text("secret")
    for address, message in (
        (f"file://{tmp_path}/secret", "not file"),
        ("ftp://localhost/a.jpg", "not ftp"),
        ("http://user:sesame@localhost/a.jpg", "http://…@localhost: expected an address without"),
        ("http://", "names no host"),
        ("http://[::1", "is not a web address"),
        ("http://a b/c", "cannot be"),
        ("http://a..b/c", "cannot be"),
    ):
        with pytest.raises(InputError, match=message) as error:
            download(address)
        assert "sesame" not in str(error.value)
    with socket.socket() as taken:  # a port where nobody listens
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(InputError, match=r"cannot be reached \(.*refused"):
            download(f"http://127.0.0.1:{taken.getsockname()[1]}/a.jpg")


def test_addresses_are_recognised() -> None:
    assert all(is_address(text) for text in ("http://a", "https://a/b.jpg", "ftp://a", "x+y://a"))
    assert not any(is_address(text) for text in ("a.jpg", "/a//b.jpg", "photos/*.jpg", "0", "a b://c", "://a"))
    assert [name_in(url) for url in ("http://a/b/c%20d.jpg?x=/e.png#f", "http://a")] == ["c d.jpg", ""]
