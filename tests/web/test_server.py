"""The server on loopback, under load: clients that leave and stall, limits of the whole server, its port and its end.

Bounded: at most 48 connections at a time, 60 MB in flight, and time-outs on every socket.
"""

import http.client
import json
import logging
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("fastapi")
from tests.calibration.cases import as_json, made_up
from trustpose.files import InputError
from trustpose.poses import Poses, write_results
from trustpose.skeletons import COCO_17
from trustpose.web.app import create_app, listen, server_of
from trustpose.web.requests import Limits

LIMITS = Limits(requests=8, memory_bytes=4_000_000, stall_seconds=1, bytes_per_second=100_000)
MEGABYTE = 1_000_000


class SlowPredictor:
    """Sees nobody, in a twentieth of a second."""

    name, licence, skeleton = "slow", "none", COCO_17

    def __call__(self, _: np.ndarray) -> Poses:
        time.sleep(0.05)
        return Poses(xy=np.zeros((0, 17, 2)), score=np.zeros((0, 17)), pose_score=np.zeros(0), skeleton=COCO_17)


class Running:
    """A server on a free port of loopback, until its block ends."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits

    def __enter__(self) -> "Running":
        listener = listen("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        self.server = server_of(create_app(SlowPredictor(), ["127.0.0.1"], self.limits), self.limits)
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [listener]})
        self.thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(30)
        assert not self.thread.is_alive()

    def begin(self, length: int, sent: bytes = b"") -> socket.socket:
        """Return a connection on which a photo of `length` bytes has begun."""
        connection = socket.create_connection(("127.0.0.1", self.port), 10)
        head = f"POST /api/photo HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {length}\r\n\r\n"
        connection.sendall(head.encode() + sent)
        return connection

    def post(self, path: str, body: bytes) -> tuple[int, http.client.HTTPMessage, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request("POST", path, body)
            answer = connection.getresponse()
            return answer.status, answer.headers, answer.read()
        finally:
            connection.close()

    def post_patiently(self, path: str, body: bytes) -> dict:
        """Post again after Retry-After, as the page does."""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            status, headers, content = self.post(path, body)
            if status != 503:
                return json.loads(content)
            time.sleep(min(0.2, float(headers["Retry-After"])))
        raise TimeoutError


@pytest.fixture
def running(caplog) -> Iterator[Running]:
    with caplog.at_level(logging.WARNING), Running(LIMITS) as running:
        yield running
    assert not caplog.records, "a server's log is for its own faults"


def photo() -> bytes:
    import cv2

    return cv2.imencode(".png", np.zeros((32, 32, 3), np.uint8))[1].tobytes()


def test_a_client_that_leaves(running: Running, capfd) -> None:
    for sent in (b"", bytes(1000)):
        running.begin(100_000, sent).close()
    waiting = running.begin(len(photo()), photo())
    waiting.close()
    assert running.post("/api/photo", photo())[0] == 200
    assert capfd.readouterr().err == ""


def test_stalled_uploads_end(running: Running) -> None:
    connection = running.begin(100_000, bytes(1000))
    started = time.monotonic()
    answer = connection.makefile("rb").read()  # until the connection is closed
    assert answer.startswith(b"HTTP/1.1 408 ") and b"too slowly" in answer and time.monotonic() - started < 5
    connection.close()


def test_uploads_that_drip_end(running: Running) -> None:
    connection = running.begin(100_000)
    started = time.monotonic()
    while not select.select([connection], [], [], 0.2)[0]:
        connection.sendall(b"x")
        assert time.monotonic() - started < 10
    assert connection.recv(4096).startswith(b"HTTP/1.1 408 ")
    connection.close()


@pytest.mark.parametrize(
    "sent", [b"", b"POST /api/photo HTTP/1.1\r\nHost:", b"GET /no HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\nGET"]
)
def test_connections_without_a_request_end(running: Running, sent: bytes) -> None:
    connection = socket.create_connection(("127.0.0.1", running.port), 10)
    connection.sendall(sent)
    while connection.recv(4096):
        pass
    connection.close()


def test_memory_is_bounded_for_all_together(running: Running) -> None:
    held = [running.begin(MEGABYTE, bytes(MEGABYTE - 1)) for _ in range(4)]
    time.sleep(0.2)
    status, headers, content = running.post("/api/photo", bytes(10 * MEGABYTE))
    assert status == 503 and int(headers["Retry-After"]) >= 1 and b"busy" in content
    for connection in held:
        connection.close()
    assert running.post_patiently("/api/photo", bytes(MEGABYTE))["error"].startswith("the upload: cannot be decoded")


def test_requests_in_progress_are_bounded(running: Running) -> None:
    with ThreadPoolExecutor(48) as pool:
        answers = list(pool.map(lambda _: running.post("/api/photo", photo()), range(48)))
    statuses = [status for status, _, _ in answers]
    assert set(statuses) == {200, 503} and statuses.count(200) >= LIMITS.requests
    assert all(int(headers["Retry-After"]) >= 1 for status, headers, _ in answers if status == 503)
    with ThreadPoolExecutor(48) as pool:
        people = list(pool.map(lambda _: running.post_patiently("/api/photo", photo())["people"], range(48)))
    assert people == [[]] * 48


def test_parallel_uploads_keep_each_others_files(tmp_path: Path) -> None:
    truth, results = made_up(20)
    write_results(tmp_path / "results.json", results.poses)
    contents = {"truth": json.dumps(as_json(truth)).encode(), "results": (tmp_path / "results.json").read_bytes()}
    all_sent = threading.Barrier(48, timeout=60)
    with Running(replace(LIMITS, requests=24)) as running:

        def apply(_: int) -> bool:
            keys = {kind: running.post_patiently(f"/api/upload/{kind}", contents[kind])["key"] for kind in contents}
            all_sent.wait()
            connection = http.client.HTTPConnection("127.0.0.1", running.port, timeout=30)
            connection.request("GET", f"/api/results/{keys['results']}/1")
            return "people" in json.loads(connection.getresponse().read())

        with ThreadPoolExecutor(48) as pool:
            assert all(pool.map(apply, range(48)))


def test_a_stalled_client_does_not_hold_up_the_end(caplog) -> None:
    with Running(replace(LIMITS, stall_seconds=60)) as running:
        connection = running.begin(100_000, bytes(1000))
        time.sleep(0.2)
        started = time.monotonic()
    assert time.monotonic() - started < 15 and "Traceback" not in caplog.text
    connection.close()


def test_a_port_in_use_is_one_line() -> None:
    with listen("127.0.0.1", 0) as listener, pytest.raises(InputError, match=r"in use.*--port"):
        listen("127.0.0.1", listener.getsockname()[1])
    with pytest.raises(InputError, match="cannot listen on no-such-host"):
        listen("no-such-host.invalid", 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_prints_the_address_of_a_port_that_it_has(number: signal.Signals) -> None:
    command = [sys.executable, "-m", "trustpose", "serve", "--port"]
    first = subprocess.Popen([*command, "0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert first.stdout is not None
    try:
        address = first.stdout.readline()
        port = int(address.split()[0].rpartition(":")[2])
        assert address == f"http://localhost:{port}  (Ctrl-C stops it)\n"
        socket.create_connection(("127.0.0.1", port), 10).close()
        second = subprocess.run([*command, str(port)], capture_output=True, text=True, timeout=120)
        assert (second.returncode, second.stdout) == (2, "")
        assert (
            second.stderr.startswith("trustpose: error: serve: cannot listen on port")
            and second.stderr.count("\n") == 1
        )
    finally:
        first.send_signal(number)
        _, message = first.communicate(timeout=60)
    assert (first.returncode, message) == (128 + number, "trustpose: interrupted\n")
