"""The page of people in 3D: complete, safe, and its script draws what the numbers say."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tests.multiview.rings import ring
from trustpose.geometry.cameras import Cameras
from trustpose.poses import Poses3D
from trustpose.report.world import MAX_FRAMES, world_page
from trustpose.skeletons import COCO_17

STUB = """
const html = require("fs").readFileSync(0, "utf8");
const pick = (pattern) => html.match(pattern)[1];
const data = pick(/<script id="data" type="application\\/json">([\\s\\S]*?)<\\/script>/);
const dots = []; const texts = []; const parts = {};
const drawn = {
  arc: (x, y) => dots.push([x, y]),
  fillText: (text) => texts.push(text),
  clearRect: () => { dots.length = 0; texts.length = 0; },
};
const pen = new Proxy(drawn, { get: (own, name) => own[name] || (() => undefined), set: () => true });
const starts = { data, colour: "trust" };
const part = (id) => parts[id] ||= {
  on: {}, textContent: id === "data" ? data : "", value: starts[id] || "0",
  addEventListener(name, then) { this.on[name] = then; }, getContext: () => pen, setPointerCapture() {},
  getBoundingClientRect: () => ({ width: 800, height: 600 }),
};
global.document = { getElementById: part, documentElement: {} };
global.window = { devicePixelRatio: 1, addEventListener() {} };
global.getComputedStyle = () => ({ getPropertyValue: () => "#888" });
eval(pick(/<script>([\\s\\S]*?)<\\/script>/));
const seen = () => ({ dots: dots.slice(), texts: texts.slice(), label: parts.now.textContent });
const before = seen();
parts.time.value = "1"; parts.time.on.input();
const after = seen();
parts.view.on.wheel({ deltaY: -300, preventDefault() {} });
console.log(JSON.stringify([before, after, seen()]));
"""


def people(frames: int = 3) -> Poses3D:
    xyz = np.random.default_rng(0).uniform(-0.5, 0.5, (2 * frames, 17, 3)) + np.array([0, 0, 1.0])
    xyz[0, 2] = np.nan
    frame = np.repeat(np.arange(frames) + 7, 2)
    quality = np.linspace(0, 1, 2 * frames * 17).reshape(-1, 17)
    track = np.tile([1, 2], frames)
    return Poses3D(xyz, quality=quality, frame=frame, time=frame / 50, track_id=track, skeleton=COCO_17)


def parts_of(page: str) -> tuple[str, dict]:
    script = re.search(r"<script>(.*?)</script>", page, re.DOTALL)
    data = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert script is not None and data is not None
    return script[1], json.loads(data[1])


def test_the_policy_allows_the_script_of_the_page_only():
    page = world_page(people(), ring(4))
    script, data = parts_of(page)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{digest}'" in page
    assert not re.search(r"(?:src|href)=\"(?!data:)|https?://|@import|url\(", page)
    assert [frame["frame"] for frame in data["frames"]] == [7, 8, 9]
    first = data["frames"][0]["people"][0]
    assert first["xyz"][2] is None and len(first["xyz"]) == 17
    np.testing.assert_allclose(first["xyz"][3], people().xyz[0, 3], atol=1e-3)
    assert data["axes"][2] == [0, 0, 1] and len(data["cameras"]) == 4


def test_names_are_no_code():
    named = Cameras((replace(ring(1)[0], name="</script><b>x"), replace(ring(2)[1], name="b")))
    page = world_page(people(), named, title="<i>run</i>")
    assert parts_of(page)[1]["cameras"][0]["name"] == "</script><b>x"

    class Tags(HTMLParser):
        found: list[str]

        def handle_starttag(self, tag, _attrs):
            self.found.append(tag)

    reader = Tags()
    reader.found = []
    reader.feed(page)
    assert "b" not in reader.found and "i" not in reader.found


def test_long_clips_are_thinned_and_nobody_is_a_page():
    many = people(MAX_FRAMES + 1)
    assert len(parts_of(world_page(many))[1]["frames"]) <= MAX_FRAMES
    empty = parts_of(world_page(Poses3D(np.zeros((0, 17, 3))), ring(2)))[1]
    assert empty["frames"] == []


@pytest.mark.skipif(shutil.which("node") is None, reason="needs node to run the script of the page")
def test_the_script_draws_people():
    page = world_page(people(), ring(4))
    done = subprocess.run(["node", "-e", STUB], input=page, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    before, after, nearer = json.loads(done.stdout)
    assert len(before["dots"]) == 33 and len(after["dots"]) == 34  # one joint has no place in the first frame
    assert before["label"] == "frame 7, 0.14 s" and after["label"] == "frame 8, 0.16 s"
    assert {"cam0", "cam3", "1", "2"} <= set(before["texts"])
    width = [np.ptp(np.array(one["dots"])[:, 0]) for one in (after, nearer)]
    assert width[1] > 1.2 * width[0]  # the wheel brings the eye closer
