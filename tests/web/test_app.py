"""The web page's server: the same poses as Python, hostile uploads, other sites' requests, stored and removed files."""

import asyncio
import gc
import json
import os
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from threading import Event

import cv2
import numpy as np
import pytest

import trustpose as tp
from tests.calibration.cases import as_json, made_up
from trustpose.poses import write_results
from trustpose.web.app import create_app
from trustpose.web.photos import _lines
from trustpose.web.requests import Busy, Limits
from trustpose.web.uploads import Store

fastapi = pytest.importorskip("fastapi.testclient")
LIMITS = Limits(photo_bytes=300_000, video_bytes=300_000, file_bytes=300_000, pixels=1_000_000, frames=5)
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


@pytest.fixture(scope="module")
def client():
    app = create_app(tp.load("default"), ["localhost", "testserver"], LIMITS)
    with fastapi.TestClient(app, base_url="http://localhost") as client:
        yield client


def encoded(pixels: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, pixels[..., ::-1])[1].tobytes()


def test_a_photo_has_the_poses_of_python(client, data_dir: Path) -> None:
    path = data_dir / "coco" / "dev" / "000000006894.jpg"
    found, poses = client.post("/api/photo", content=path.read_bytes()).json(), tp.load("default")(path)
    assert len(found["people"]) == len(poses) > 0
    best = found["people"][0]
    assert best["score"] == pytest.approx(float(poses.ranking_score.max()), abs=1e-3)
    row = int(poses.ranking_score.argmax())
    np.testing.assert_allclose([joint["xy"] for joint in best["joints"]], poses.xy[row], atol=1e-3)
    np.testing.assert_allclose([joint["visibility"] for joint in best["joints"]], poses.visibility[row], atol=1e-3)
    from trustpose.report.describe import read_out

    assert found["reading"] == read_out(poses)
    numbers = [person["number"] for person in found["people"]]
    assert sorted(numbers) == list(range(len(poses))) and numbers[0] == row, "those of the reading and of poses[number]"
    decided = [[joint["decided"] for joint in person["joints"]] for person in found["people"]]
    np.testing.assert_array_equal(decided, poses.decided_visibility[numbers])
    skeleton = client.get("/api/model").json()["skeleton"]
    assert [name.startswith("left_") for name in skeleton["keypoints"]] == skeleton["left"]
    for (a, b), is_left in zip(skeleton["limbs"], skeleton["left_limbs"], strict=True):
        assert is_left == ("left_" in skeleton["keypoints"][a] and "right_" not in skeleton["keypoints"][b])


def test_the_page_and_its_policy(client) -> None:
    for name, kind in {"": "html", "page.js": "javascript", "canvas.js": "javascript", "page.css": "css"}.items():
        answer = client.get(f"/{name}")
        assert answer.status_code == 200 and kind in answer.headers["content-type"]
        policy = answer.headers["content-security-policy"]
        assert policy.startswith("default-src 'none'") and "unsafe" not in policy
        assert "http://" not in answer.text.replace("http://localhost", "") and "https://" not in answer.text
    html = client.get("/").text
    assert "<style" not in html and " style=" not in html and "onclick" not in html and "<script>" not in html


PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
HOSTILE = {
    "nothing": b"",
    "text": b"hello",
    "svg with a script": SVG,
    "html": b"<!doctype html><script>alert(1)</script>",
    "pickle": b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00\x8c\x02os\x94.",
    "zip": b"PK\x03\x04" + bytes(100),
    "elf": b"\x7fELF" + bytes(100),
    "pdf": b"%PDF-1.7\n" + bytes(100),
    "png of 32,000 × 32,000": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"
    + (32000).to_bytes(4, "big") * 2
    + b"\x08\x02\0\0\0"
    + bytes(40),
    "png of nothing": PNG + bytes(8) + b"\x08\x02\0\0\0" + bytes(40),
    "half a jpeg's header": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "gif without pictures": b"GIF89a" + bytes(7),
    "path": b"../../../../etc/passwd",
    "url": b"http://localhost/api/model",
    "json bomb": b"[" * 100_000,
    "nan": b'[{"image_id": NaN}]',
    "long number": b'[{"image_id": ' + b"9" * 100_000 + b"}]",
    "not utf-8": b"\xff\xfe\xff",
    "random": bytes(np.random.default_rng(0).integers(0, 256, 5000, dtype=np.uint8)),
    "zeros": bytes(5000),
}


@pytest.mark.parametrize("upload", HOSTILE)
@pytest.mark.parametrize("route", ["photo", "video", "upload/results", "upload/truth", "upload/calibrator"])
def test_hostile_uploads_get_one_line(client, upload: str, route: str) -> None:
    answer = client.post(f"/api/{route}", content=HOSTILE[upload], headers={"X-File-Name": "../../<script>.jpg"})
    line = answer.json()["error"]
    assert answer.status_code == 422 and line and "\n" not in line and len(line) < 400
    assert "trustpose-" not in line and "Traceback" not in line, "our temporary folder is nobody's business"


def test_larger_than_the_limit(client) -> None:
    for route in ("photo", "video", "upload/truth"):
        answer = client.post(f"/api/{route}", content=bytes(LIMITS.photo_bytes + 1))
        assert answer.status_code == 413 and "larger" in answer.json()["error"]
    pixels = encoded(np.zeros((1001, 1000, 3), np.uint8))
    assert "more than the limit" in client.post("/api/photo", content=pixels).json()["error"]


def test_other_sites_are_refused(client) -> None:
    photo = encoded(np.zeros((64, 64, 3), np.uint8))
    assert client.post("/api/photo", content=photo, headers={"Origin": "https://evil.example"}).status_code == 403
    assert client.post("/api/photo", content=photo, headers={"Origin": "null"}).status_code == 403
    assert client.post("/api/photo", content=photo, headers={"Origin": "http://localhost"}).status_code == 200
    assert client.get("/api/model", headers={"Host": "evil.example"}).status_code == 400


def test_keys_are_of_one_kind_and_unknown_ones_are_refused(client) -> None:
    for path in ("results/x/1", "report/x", "download/calibrator/x", "download/../x", "report/..%2f..%2fetc%2fpasswd"):
        assert client.get(f"/api/{path}").status_code in (404, 422)
    assert "upload it again" in client.post("/api/audit", content=b'{"truth": "x", "results": ["y"]}').json()["error"]
    assert "the request: expected an object" in client.post("/api/apply", content=b"[]").json()["error"]
    for files in ([], ["x"] * 5, "x", [3]):
        answer = client.post("/api/audit", json={"truth": "x", "results": files})
        assert answer.json()["error"].startswith("the request: field 'results"), answer.json()


@pytest.fixture(scope="module")
def files(client, tmp_path_factory) -> dict[str, str]:
    """Keys of a ground truth and results of made-up people, uploaded."""
    folder = tmp_path_factory.mktemp("people")
    truth, results = made_up(120)
    (folder / "gt.json").write_text(json.dumps(as_json(truth)))
    write_results(folder / "results.json", results.poses)
    found = {}
    for kind, name in (("truth", "gt.json"), ("results", "results.json")):
        answer = client.post(f"/api/upload/{kind}", content=(folder / name).read_bytes()).json()
        found[kind] = answer["key"]
    return found


def test_another_estimators_people(client, files) -> None:
    people = client.get(f"/api/results/{files['results']}/1").json()["people"]
    assert len(people) == 2 and people[0]["score"] >= people[1]["score"]
    assert people[0]["joints"][0]["quality"] is None and people[0]["joints"][0]["score"] is not None


def test_an_audit_is_the_reports_page(client, files) -> None:
    key = client.post("/api/audit", json={"truth": files["truth"], "results": [files["results"]]}).json()["report"]
    answer = client.get(f"/api/report/{key}")
    assert "oracle AP" in answer.text and "results 1.json" in answer.text
    policy = answer.headers["content-security-policy"]
    assert "script-src" not in policy and "sandbox" in policy
    assert "trustpose-" not in answer.text, "our temporary folder is nobody's business"


def test_calibrators_are_fitted_downloaded_and_applied(client, files) -> None:
    found = client.post("/api/calibrate", json={"truth": files["truth"], "results": files["results"]}).json()
    assert found["rows"][0][0] == "pose r, score with OKS" and found["rows"][0][2] > found["rows"][0][1]
    content = client.get(f"/api/download/calibrator/{found['key']}").content
    again = client.post("/api/upload/calibrator", content=content).json()
    assert again["method"] == found["method"]
    applied = client.post("/api/apply", json={"calibrator": again["key"], "results": files["results"]}).json()
    rows = json.loads(client.get(f"/api/download/calibrated/{applied['key']}").content)
    assert any("was fitted on 60 of these photos" in note for note in applied["notes"])
    assert len(rows) == 120 and all("pose_quality" in row and len(row["visibility"]) == 17 for row in rows)
    assert client.get(f"/api/download/calibrated/{found['key']}").status_code == 422, "a calibrator is no results file"


def kept(store: Store, kind: str = "truth") -> str:
    path = store.new_path(".json")
    path.write_text("{}")
    return store.add(kind, path)


def test_only_used_and_old_uploads_make_room(tmp_path: Path) -> None:
    store = Store(replace(LIMITS, kept_files=3), tmp_path)
    first, second, third = (kept(store) for _ in range(3))
    with pytest.raises(Busy) as busy:
        kept(store)
    assert 500 < busy.value.seconds <= 600 and len(list(tmp_path.iterdir())) == 3, "others still wait for their files"
    with store.using(second, "truth") as using:
        with pytest.raises(Busy):
            kept(store)
        assert using.path.is_file()
    fourth = kept(store)
    with pytest.raises(tp.InputError, match="upload it again"), store.using(second, "truth"):
        pass
    for key in (first, third, fourth):
        with store.using(key, "truth") as file:
            assert file.path.is_file()
    store.close()
    assert not tmp_path.exists()


def test_waiting_uploads_end_and_bytes_are_counted(tmp_path: Path) -> None:
    store = Store(replace(LIMITS, kept_bytes=5, keep_seconds=0), tmp_path)
    keys = [kept(store) for _ in range(4)]
    assert len(list(tmp_path.iterdir())) == 2
    with store.using(keys[-1], "truth") as file:
        assert file.size == 2
    with pytest.raises(Busy):
        store.take(6)


def test_a_video_frame_by_frame(client, tmp_path: Path) -> None:
    path = tmp_path / "clip.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    for value in range(8):
        writer.write(np.full((48, 64, 3), value * 20, np.uint8))
    writer.release()
    first, *frames = [
        json.loads(line) for line in client.post("/api/video", content=path.read_bytes()).text.splitlines()
    ]
    assert (first["width"], first["height"], first["frames"]) == (64, 48, LIMITS.frames)
    assert [frame["frame"] for frame in frames] == list(range(LIMITS.frames))


def test_a_browser_that_leaves_in_the_middle_of_a_frame(tmp_path: Path) -> None:
    """The frame in progress ends, then the video is closed and removed."""
    path, started, go_on, closed = tmp_path / "clip", Event(), Event(), Event()
    path.write_bytes(b"video")

    def frames():
        try:
            yield {"frame": 0}
            started.set()
            go_on.wait(10)
            yield {"frame": 1}
        finally:
            closed.set()

    async def leave() -> None:
        resources = ExitStack()
        resources.callback(path.unlink)
        lines = _lines(frames(), asyncio.Lock(), resources)
        assert json.loads(await anext(lines)) == {"frame": 0}
        waiting = asyncio.ensure_future(anext(lines))
        await asyncio.to_thread(started.wait, 10)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert not closed.is_set()
        go_on.set()
        assert await asyncio.to_thread(closed.wait, 10)

    asyncio.run(leave())
    assert not path.exists()


@pytest.mark.slow
def test_memory_stays_flat(client) -> None:
    """Twenty photos that stayed would be 18 MB."""
    photo = encoded(np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8), ".jpg")
    for _ in range(10):
        client.post("/api/photo", content=photo)
    gc.collect()
    before = _resident()
    for _ in range(20):
        client.post("/api/photo", content=photo)
    gc.collect()
    assert _resident() - before < 15e6


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
