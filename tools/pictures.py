"""Take the pictures of the docs that show the program: `python tools/pictures.py CHROMIUM` writes docs/assets/*.png and
*.jpg.

Needs playwright, the Chromium named, and the data of `TRUSTPOSE_DATA`. The photo is Matplotlib's sample of Grace
Hopper, a work of the US Navy in the public domain; of the data only numbers are shown. The pictures show one machine's
fonts, so no test compares them.
"""

import io
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from matplotlib import cbook
from PIL import Image
from playwright.sync_api import sync_playwright

OUT = Path(__file__).parents[1] / "docs" / "assets"
DATA = Path(os.environ.get("TRUSTPOSE_DATA", "../shared/data"))
PHOTO = Path(cbook.get_sample_data("grace_hopper.jpg", asfileobj=False))
DESKTOP, PHONE = (1100, 960), (390, 844)
_FLAGS = ["--no-sandbox", "--disable-gpu"]
_JPEG_QUALITY = 82


def trustpose(*arguments: object) -> None:
    """Run a command as a user would."""
    subprocess.run([sys.executable, "-m", "trustpose", *map(str, arguments)], check=True)


def write_results(folder: Path) -> None:
    """Predict on the photo; audit SimplePose's results before and after calibration, fitted on other photos."""
    trustpose("predict", PHOTO, "--out", folder / "out", "--style", "trust")
    shutil.copy(folder / "out" / "grace_hopper.jpg", OUT / "drawn-photo.jpg")
    truth, results = DATA / "coco" / "dev_gt.json", folder / "simplepose.json"
    shutil.copy(DATA / "results" / "simplepose.dev.json", results)
    trustpose("audit", "--gt", truth, "--results", results, "--report", folder / "audit.html")
    fitted, calibrated = folder / "simplepose.cal", folder / "calibrated.json"
    train = ["--gt", DATA / "coco" / "train_gt.json", "--results", DATA / "results" / "simplepose.train.json"]
    trustpose("calibrate", "fit", *train, "--out", fitted)
    trustpose("calibrate", "apply", "--calibrator", fitted, "--results", results, "--out", calibrated)
    both = ["--results", results, "--results", calibrated]
    trustpose("audit", "--gt", truth, *both, "--report", folder / "both.html")
    truth, converted = DATA / "mpii" / "annot" / "valid.h5", [folder / "ours.json", folder / "example.json"]
    for file in converted:
        predictions = DATA / "mpii" / "preds" / f"valid-{file.stem}.h5"
        trustpose("convert", predictions, "--gt", truth, "--out", file)
    trustpose("audit", "--gt", truth, "--results", *converted, "--report", folder / "joints.html")


def take(browser: Any, folder: Path) -> None:
    """Take the pictures of the audits' pages and of `trustpose serve`."""
    page = browser.new_page(viewport={"width": DESKTOP[0], "height": 790})
    page.goto((folder / "audit.html").as_uri())
    save(page.screenshot(), "audit-first-screen.png")
    page.set_viewport_size({"width": 720, "height": 800})
    page.goto((folder / "both.html").as_uri())
    save(page.locator("#score .grid").screenshot(), "calibration-before-after.png")
    page.set_viewport_size({"width": 1100, "height": 1600})
    page.goto((folder / "joints.html").as_uri())
    around = page.locator("#joints .panels").first.bounding_box()
    margin = 14  # labels of axes stand a little outside
    clip = {"x": around["x"] - margin, "y": around["y"], "width": around["width"] + 2 * margin}
    save(page.screenshot(clip=clip | {"height": around["height"]}), "joint-curves.png")
    with server() as address:
        for (width, height), name in ((DESKTOP, "page-desktop.jpg"), (PHONE, "page-phone.jpg")):
            page = browser.new_page(viewport={"width": width, "height": height})
            page.goto(address)
            page.wait_for_selector("#model:not(:has-text('loading'))")
            page.set_input_files("#file", PHOTO)
            page.wait_for_selector("#save:not(.hidden)")
            stage = page.locator("#ours .stage")
            stage.scroll_into_view_if_needed()
            hover(page, stage.bounding_box())
            save(page.screenshot(), name)


def hover(page: Any, stage: dict[str, float]) -> None:
    """Point at a joint, the first from above that is found on the left: no joint's place is known here."""
    for along in range(2, 99, 2):
        for down in range(2, 99, 2):
            page.mouse.move(stage["x"] + stage["width"] * along / 100, stage["y"] + stage["height"] * down / 100)
            if page.locator("#tip:not(.hidden)").count():
                return
    raise SystemExit("no joint was found")


@contextmanager
def server() -> Iterator[str]:
    """Serve the page on a free port; yield its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    served = subprocess.Popen([sys.executable, "-m", "trustpose", "serve", "--port", str(port)])
    try:
        for _ in range(120):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.5)
        yield f"http://localhost:{port}/"
    finally:
        served.terminate()
        served.wait()


def save(png: bytes, name: str) -> None:
    """Write a screenshot with as few bytes as suit it: 256 colours, or JPEG where there is a photo."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    if name.endswith(".png"):
        picture.quantize(256, dither=Image.Dither.NONE).save(OUT / name, optimize=True)
    else:
        picture.save(OUT / name, quality=_JPEG_QUALITY, optimize=True)


def run() -> None:
    with tempfile.TemporaryDirectory() as name, sync_playwright() as playwright:
        write_results(Path(name))
        browser = playwright.chromium.launch(executable_path=sys.argv[1], args=_FLAGS)
        take(browser, Path(name))
        browser.close()


if __name__ == "__main__":
    run()
