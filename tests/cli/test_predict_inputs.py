"""`trustpose predict` on folders with videos, subfolders and addresses, and its window."""

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import cv2
import numpy as np
import pytest

import trustpose as tp
from tests.cli.predict_cases import case as case  # a fixture
from tests.cli.predict_cases import common, refused, run, stop_after
from tests.predict.test_inputs import write_video
from trustpose.cli.progress import Interrupted
from trustpose.io.coco.results import read_results
from trustpose.report import window

WHOLE = ("--detector", "whole")


@pytest.fixture
def folder(case):
    """Photos, a video and a photo in a subfolder."""
    path, _ = case
    write_video(path / "photos" / "film.mp4", 3)
    (path / "photos" / "more").mkdir()
    (path / "photos" / "more" / "14.png").write_bytes((path / "photos" / "one.png").read_bytes())
    return path


def files_in(out):
    return sorted(str(path.relative_to(out)) for path in out.rglob("*") if path.is_file())


def test_a_folder_with_a_video(folder):
    code, output = run(folder / "photos", *WHOLE, *common(folder))
    assert code == 0, output
    lines = output.splitlines()
    assert lines[1].startswith("3 people on 3 photos in ") and lines[1].endswith("results.json and 3 pictures")
    assert lines[2].startswith("3 people on 3 frames in ") and lines[2].endswith("film/results.json and a video")
    expected = ["film/film.mp4", "film/results.json", "images.json", "none.jpg", "one.jpg", "results.json", "two.jpg"]
    assert files_in(folder / "out") == expected
    code, _ = run(
        folder / "photos", "--recursive", *WHOLE, "--model", folder / "colours.onnx", "--out", folder / "deep"
    )
    assert (
        code == 0
        and "14.jpg" in files_in(folder / "deep")
        and len(read_results(folder / "deep" / "results.json").poses) == 4
    )
    done = tp.load(folder / "colours.onnx", detector="whole").run(folder / "photos", folder / "python")
    assert (done.people, done.videos["film"].people, done.complaints) == (3, 3, [])
    for name in ("results.json", "film/results.json", "images.json"):
        assert (folder / "python" / name).read_bytes() == (folder / "out" / name).read_bytes()
    poses = tp.load(folder / "colours.onnx", detector="whole")(folder / "photos")
    photos, film = (read_results(folder / "out" / name).poses for name in ("results.json", "film/results.json"))
    by_name = [poses.photo(index).name.rpartition("/")[2] for index in range(6)]
    assert by_name == ["film.mp4, frame 0", "film.mp4, frame 1", "film.mp4, frame 2", "none.png", "one.png", "two.jpg"]
    np.testing.assert_array_equal(poses.xy, np.concatenate([film.xy, photos.xy]))
    np.testing.assert_array_equal(poses.score, np.concatenate([film.score, photos.score]))


def test_a_folder_with_a_video_is_resumed(folder, monkeypatch):
    whole = (folder / "photos", *WHOLE, "--model", folder / "colours.onnx", "--no-draw")
    run(*whole, "--out", folder / "whole")
    with monkeypatch.context() as patch:
        stop_after(patch, 4)  # in the video, when the photos are finished
        with pytest.raises(Interrupted):
            run(*whole, "--out", folder / "out")
    assert {"results.json", "results.json.journal", "film/results.json.journal"} <= set(files_in(folder / "out"))
    with monkeypatch.context() as patch:
        stop_after(patch, 2)  # what was predicted is not predicted again
        code, output = run(*whole, "--out", folder / "out", "--resume")
    assert code == 0 and files_in(folder / "out") == files_in(folder / "whole"), output
    for name in files_in(folder / "whole"):
        assert (folder / "whole" / name).read_bytes() == (folder / "out" / name).read_bytes()


def test_a_broken_video_beside_photos_is_reported(folder):
    (folder / "photos" / "broken.mp4").write_bytes(b"broken")
    code, output = run(folder / "photos", *WHOLE, *common(folder), "--no-draw")
    assert code == 1 and "broken.mp4: cannot be read as a video" in output and "3 people on 3 frames" in output
    refused("--gt is for photos", folder / "photos", "--gt", folder / "gt.json", *common(folder))
    refused(
        "--boxes is for photos or for one video", folder / "photos", "--boxes", folder / "boxes.json", *common(folder)
    )


def test_photos_and_videos_at_addresses(folder):
    handler = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder / "photos"))) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        names = (f"{address}/one.png", f"{address}/film.mp4", f"{address}/..%2F..%2Fmore%2F14.png?.mp4")
        code, output = run(*names, *WHOLE, *common(folder))
        assert code == 0, output
        refused("out: holds results.json of an earlier run", names[0], *WHOLE, *common(folder))
        arguments = (*WHOLE, "--model", folder / "colours.onnx", "--out", folder / "other")
        refused(r"none\.jpg: the server answers 404", f"{address}/none.jpg", *arguments)
        refused("expected an address with http or https, not ftp", "ftp://a/b.jpg", *arguments)
        refused(r"http://127\.0\.0\.1:1/a\.jpg: cannot be reached \(", "http://127.0.0.1:1/a.jpg", *arguments)
        server.shutdown()
    kept = [name for name in files_in(folder / "out") if name.startswith("downloads/")]
    assert kept == ["downloads/14.png", "downloads/film.mp4", "downloads/one.png"]
    run(folder / "photos" / "one.png", *WHOLE, "--model", folder / "colours.onnx", "--out", folder / "file")
    near, far = (read_results(folder / name / "results.json").poses for name in ("file", "out"))
    np.testing.assert_array_equal(near.xy[0], far.xy[0])
    again = (*names[:2], *WHOLE, "--model", folder / "colours.onnx", "--out", folder / "out", "--resume", "--no-draw")
    assert run(*again)[0] == 0, "the server is gone: with --resume its files are there"


def test_a_window_needs_one(case, monkeypatch):
    path, _ = case
    arguments = (path / "photos", "--show", *WHOLE, *common(path))
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           NONE\n")
    refused("--show: this OpenCV has no windows", *arguments)
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           QT5\n    QT: YES")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    refused("--show: there is no display", *arguments)
    assert not (path / "out").exists()


def test_what_the_window_shows(folder, monkeypatch):
    """The window is replaced by a list: a drawing for each photo and frame; files as without a window."""
    pictures, keys = [], []
    monkeypatch.setattr(window, "check_windows", lambda: None)
    monkeypatch.setattr(cv2, "imshow", lambda _, picture: pictures.append(picture))
    monkeypatch.setattr(cv2, "waitKey", lambda _: keys.pop() if keys else -1)
    monkeypatch.setattr(cv2, "destroyAllWindows", lambda: None)
    arguments = (folder / "photos", *WHOLE, "--model", folder / "colours.onnx")
    run(*arguments, "--out", folder / "plain")
    code, _ = run(*arguments, "--out", folder / "out", "--show")
    assert code == 0 and len(pictures) == 6 and files_in(folder / "plain") == files_in(folder / "out")
    assert [picture.shape[:2] for picture in pictures[3:]] == [(128, 160)] * 3
    photo = cv2.imread(str(folder / "photos" / "none.png"))
    assert 0 < (pictures[0] != photo).mean() < 0.9
    for name in files_in(folder / "plain"):
        if name.endswith(".mp4"):  # its bytes differ from run to run
            continue
        assert (folder / "plain" / name).read_bytes() == (folder / "out" / name).read_bytes()
    run(*arguments, "--out", folder / "shown", "--show", "--no-draw")
    assert len(pictures) == 12 and "one.jpg" not in files_in(folder / "shown")
    keys.append(ord("q"))
    with pytest.raises(Interrupted, match="--resume"):
        run(*arguments, "--out", folder / "closed", "--show")
