"""Send seeded mutations of uploads to `trustpose serve`: no tracebacks in its log, and it still answers at the end.

    python tools/fuzz_uploads.py [--count 1000] [--seed 0]

Photos, a video, results, a ground truth and multipart bodies, broken in their bytes, go to every route that takes an
upload. Every answer must be JSON with a code below 500, or 503. It prints the counts by route and code, and exits with
1 where a request, or the server after all of them, failed.
"""

import argparse
import collections
import http.client
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.calibration.cases import as_json, made_up
from tests.fuzz.mutations import mutate_bytes
from trustpose.formats.coco import write_results

_ROUTES = ("photo", "video", "upload/results", "upload/truth", "upload/calibrator", "audit", "calibrate", "apply")


def main() -> None:
    """Start a server, send the mutations, and count the answers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(_fuzz(Path(folder), options.count, np.random.default_rng(options.seed)))


def _fuzz(folder: Path, count: int, random: np.random.Generator) -> int:
    uploads, log = _seeds(folder), folder / "log.txt"
    command = [sys.executable, "-m", "trustpose", "serve", "--fast", "--port", "0"]
    with log.open("w") as errors, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True) as server:
        try:
            assert server.stdout is not None
            port = int(server.stdout.readline().split()[0].rpartition(":")[2])
            codes: collections.Counter[str] = collections.Counter()
            for _ in range(count):
                route = _ROUTES[random.integers(len(_ROUTES))]
                content = mutate_bytes(uploads[random.integers(len(uploads))], random)
                codes[f"{route} {_post(port, route, content)}"] += 1
            answers = _post(port, "photo", uploads[0]) == "200"
        finally:
            server.terminate()
            server.wait(60)
    tracebacks = log.read_text().count("Traceback")
    for name, times in sorted(codes.items()):
        print(f"{times:6d}  {name}")
    failures = sum(times for name, times in codes.items() if not name.split()[1].startswith(("2", "4", "503")))
    print(json.dumps({"requests": count, "failures": failures, "tracebacks": tracebacks, "still_answers": answers}))
    return int(bool(failures or tracebacks or not answers))


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


def _post(port: int, route: str, content: bytes) -> str:
    """Return the status, or the name of what went wrong instead; a video's answer is lines of JSON."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
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


if __name__ == "__main__":
    main()
