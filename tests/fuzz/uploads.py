"""Mutated uploads, sent to `trustpose serve`: no traceback in its log, and it still answers afterwards.

Photos, a video, results, a ground truth and multipart bodies, broken in their bytes, go to every route that takes an
upload. Every answer must be JSON with a code below 500, or 503.
"""

import http.client
import json
import subprocess
import sys
import zlib
from pathlib import Path
from types import TracebackType
from typing import Any

import cv2
import numpy as np

from tests.calibration.cases import as_json, made_up
from tests.fuzz.mutations import mutate_bytes
from trustpose.poses import write_results

NAME = "uploads"
_ROUTES = ("photo", "video", "upload/results", "upload/truth", "upload/calibrator", "audit", "calibrate", "apply")


class Uploads:
    """A server in a process of its own, its log in the folder `work`; uploads that failed are written to `keep`."""

    def __init__(self, work: Path, keep: Path | None = None) -> None:
        self.keep, self._log = keep, work / "log.txt"
        self._seeds = _seeds(work)
        command = [sys.executable, "-m", "trustpose", "serve", "--fast", "--port", "0"]
        with self._log.open("w") as log:
            self._server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True)
        assert self._server.stdout is not None
        self._port = int(self._server.stdout.readline().split()[0].rpartition(":")[2])

    def __enter__(self) -> "Uploads":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.terminate()
        self._server.communicate(timeout=60)

    def mutate(self, target: str, seed: int, number: int) -> dict[str, Any]:
        """The outcome of one upload, as the runner of files gives it: read (200), refused or failed."""
        random = np.random.default_rng([seed, zlib.crc32(target.encode()), number])
        route = _ROUTES[random.integers(len(_ROUTES))]
        content = mutate_bytes(self._seeds[random.integers(len(self._seeds))], random)
        status = self._post(route, content)
        outcome = "read" if status == "200" else "refused" if status.startswith("4") or status == "503" else "failed"
        answer = {"target": target, "seed": seed, "number": number, "outcome": outcome, "why": f"{route}: {status}"}
        log = self._log.read_text(errors="replace")
        if "Traceback" in log or self._server.poll() is not None:
            self._log.write_text("")
            answer |= {"outcome": "failed", "why": f"{route}: {status}, a traceback or the end", "trace": log[-3000:]}
        if answer["outcome"] == "failed" and self.keep is not None:
            self.keep.mkdir(parents=True, exist_ok=True)
            (self.keep / f"{NAME}-{seed}-{number}").write_bytes(content)
        return answer

    def _post(self, route: str, content: bytes) -> str:
        """The status, or the name of what went wrong instead; a video's answer is lines of JSON."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", f"/api/{route}", content, {"Content-Type": "multipart/form-data; boundary=part"})
            answer = connection.getresponse()
            for line in answer.read().splitlines():
                json.loads(line)
        except (OSError, http.client.HTTPException, ValueError) as error:
            return type(error).__name__
        else:
            return str(answer.status)
        finally:
            connection.close()


def _seeds(folder: Path) -> list[bytes]:
    """Valid uploads: photos, the first of them a PNG, a video, JSON files, and a form of several parts."""
    pixels = np.random.default_rng(0).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    photos = [cv2.imencode(suffix, pixels)[1].tobytes() for suffix in (".png", ".jpg", ".webp", ".bmp", ".tiff")]
    clip = folder / "clip.avi"
    writer = cv2.VideoWriter(str(clip), cv2.VideoWriter.fourcc(*"MJPG"), 10, (48, 64))
    for _ in range(4):
        writer.write(pixels)
    writer.release()
    truth, results = made_up(20)
    write_results(folder / "results.json", results.poses)
    head = b'--part\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n'
    form = head + photos[0] + b"\r\n--part--\r\n"
    request = b'{"truth": "x", "results": ["y"], "calibrator": "z"}'
    labels = json.dumps(as_json(truth)).encode()
    return [*photos, clip.read_bytes(), labels, (folder / "results.json").read_bytes(), form, request]
