"""The page of `trustpose serve` in a real browser: its speed, what it logs, the server's memory.

    python benchmarks/page.py CHROMIUM [--photo FILE] [--requests N]

Needs playwright and the Chromium named. A server is started on a free port, with the default model, as users start it.

  photo     milliseconds from choosing the file until its poses are drawn, the median of ten, and the longest
  pointer   frames a second while the pointer moves over the photo, a step each frame, joints described below it
  console   what the browser logged meanwhile
  requests  the server's resident memory before and after as many photos, sent one after another

The photo is Matplotlib's sample of Grace Hopper unless another is given.
"""

import socket
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from harness import parser, run
from matplotlib import cbook

_FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
_POINTER = """() => new Promise((done) => {
    const figure = document.getElementById("ours"), tip = document.getElementById("tip");
    const box = figure.querySelector(".stage").getBoundingClientRect(), joints = [];
    const describes = (clientX, clientY) => {
        figure.dispatchEvent(new PointerEvent("pointermove", { clientX, clientY, bubbles: true }));
        return !tip.classList.contains("hidden");
    };
    for (let x = box.left; x < box.right; x += 10)
        for (let y = box.top; y < box.bottom; y += 10)
            if (describes(x, y)) joints.push([x, y]);
    const start = performance.now();
    let frames = 0, described = 0;
    const step = () => {
        const along = (frames * 7 % 101) / 101, down = (frames * 13 % 103) / 103;
        const anywhere = [box.left + along * box.width, box.top + down * box.height];
        described += describes(...(frames % 2 && joints.length ? joints[frames * 31 % joints.length] : anywhere));
        frames += 1;
        const seconds = (performance.now() - start) / 1000;
        if (seconds < 3) requestAnimationFrame(step);
        else done([frames / seconds, described]);
    };
    requestAnimationFrame(step);
})"""


@contextmanager
def server() -> Iterator[tuple[str, int]]:
    """Serve the page on a free port; yield its address and the process' id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = subprocess.Popen([sys.executable, "-m", "trustpose", "serve", "--port", str(port)])
    try:
        deadline = time.monotonic() + 60
        while served.poll() is None and time.monotonic() < deadline:
            with socket.socket() as connection:
                if connection.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.2)
        yield f"http://localhost:{port}/", served.pid
    finally:
        served.terminate()
        served.wait()


def opened(browser: Any, address: str, log: list[str]) -> Any:
    """Return the page, loaded; what it logs is added to `log`."""
    page = browser.new_page(viewport={"width": 1100, "height": 960})
    page.on("console", lambda message: log.append(message.text))
    page.on("pageerror", lambda error: log.append(str(error)))
    page.goto(address)
    page.wait_for_selector("#model:not(:has-text('loading'))")
    return page


def photo_times(page: Any, photo: Path, rounds: int) -> list[float]:
    """Return milliseconds from the choice of a photo to its drawn poses; the first, which warms up, is left out."""
    times = []
    for _ in range(rounds + 1):
        page.evaluate("document.getElementById('status').textContent = ''")
        page.set_input_files("#file", [])
        started = time.perf_counter()
        page.set_input_files("#file", photo)
        page.wait_for_selector("#status:text-matches(' in [0-9.]+ s$')")
        times.append(1000 * (time.perf_counter() - started))
    return times[1:]


def frames_per_second(page: Any) -> tuple[float, int]:
    """Move the pointer for three seconds, a step before each frame, every other step onto a joint; return frames a
    second and how many steps had a joint's description."""
    page.locator("#ours .stage").scroll_into_view_if_needed()
    return tuple(page.evaluate(_POINTER))


def resident(process: int) -> float:
    """Return the resident memory of a process in MB."""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1000


def memory(address: str, process: int, photo: Path, requests: int) -> tuple[float, float]:
    """Send a photo again and again; return the server's MB after a tenth as many requests, and after all."""
    content = photo.read_bytes()
    before = 0.0
    for number in range(requests + requests // 10):
        if number == requests // 10:
            before = resident(process)
        request = urllib.request.Request(f"{address}api/photo", content)
        with urllib.request.urlopen(request) as answer:
            answer.read()
    return before, resident(process)


def measure(chromium: str, photo: Path, requests: int) -> dict[str, Any]:
    """Return all measurements by name."""
    from playwright.sync_api import sync_playwright

    log: list[str] = []
    with sync_playwright() as playwright, server() as (address, process):
        browser = playwright.chromium.launch(executable_path=chromium, args=_FLAGS)
        page = opened(browser, address, log)
        times = photo_times(page, photo, 10)
        rate, described = frames_per_second(page)
        before, after = memory(address, process, photo, requests)
        browser.close()
    return {
        "photo_ms": statistics.median(times),
        "longest_photo_ms": max(times),
        "frames_per_second": rate,
        "steps_on_a_joint": described,
        "console": log,
        "requests": requests,
        "megabytes": [before, after],
    }


def main(options):
    record = measure(options.chromium, options.photo, options.requests)
    before, after = record["megabytes"]
    print(f"photo to drawn poses     {record['photo_ms']:.0f} ms, longest {record['longest_photo_ms']:.0f} ms")
    print(
        f"pointer on the photo     {record['frames_per_second']:.0f} frames/s, {record['steps_on_a_joint']} on a joint"
    )
    print(f"console                  {record['console'] or 'nothing'}")
    print(f"{record['requests']} requests             {before:.0f} MB before, {after:.0f} MB after")
    return record


if __name__ == "__main__":
    options_parser = parser(__doc__)
    photo = Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
    options_parser.add_argument("chromium", help="the browser's file")
    options_parser.add_argument("--photo", type=Path, default=photo, help="photo to send")
    options_parser.add_argument("--requests", type=int, default=500, help="photos sent for the memory")
    run(main, options_parser)
