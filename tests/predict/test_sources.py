"""The input of a run: ids and boxes of photos, videos and webcams by their names."""

import json
import sys

import cv2
import numpy as np
import pytest

from trustpose.files import InputError
from trustpose.predict.photos import read_pixels
from trustpose.predict.sources import PeopleOptions, find_sources
from trustpose.report.video import VideoWriter

FOUND = PeopleOptions(is_detected=True)
HEIC_START = b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf" + bytes(40)


def _photos(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        cv2.imwrite(str(folder / name), np.zeros((8, 8, 3), np.uint8))
    return [str(folder / name) for name in names]


def test_ids_from_names_or_counted(tmp_path):
    names = _photos(tmp_path, "000007.jpg", "x_12.png")
    work = find_sources(names, FOUND)
    assert [photo.image_id for photo in work.photos] == [7, 12] and not work.is_numbered_here
    assert [photo.boxes for photo in work.photos] == [None, None]
    for more in (_photos(tmp_path, "me.jpg"), _photos(tmp_path / "sub", "7.jpg")):  # no number; the same number twice
        work = find_sources([*names, *more], FOUND)
        assert [photo.image_id for photo in work.photos] == [1, 2, 3] and work.is_numbered_here
    (tmp_path / "boxes.json").write_text(json.dumps([_box(7)]))
    with pytest.raises(InputError, match=r"me\.jpg: its name does not end in a number"):
        find_sources([str(tmp_path / "me.jpg")], PeopleOptions(boxes=tmp_path / "boxes.json"))


def _box(image_id, score=0.5):
    return {"image_id": image_id, "category_id": 1, "bbox": [1, 2, 3, 4], "score": score}


@pytest.fixture
def video(tmp_path):
    with VideoWriter(tmp_path / "v.mp4", 32, 32, 5.0) as writer:
        for _ in range(3):
            writer.write(np.zeros((32, 32, 3), np.uint8))
    return tmp_path / "v.mp4"


def test_a_video(tmp_path, video):
    work = find_sources([str(video)], FOUND)
    assert work.video == video and work.files == [video] and work.frame_boxes is None and not work.photos
    (tmp_path / "boxes.json").write_text(json.dumps([_box(2), _box(0), _box(2, score=0.1)]))
    work = find_sources([str(video)], PeopleOptions(boxes=tmp_path / "boxes.json"))
    assert [len(boxes) for boxes in work.frame_boxes] == [1, 0, 2]
    work = find_sources([str(video)], PeopleOptions(boxes=tmp_path / "boxes.json", min_box_score=0.3))
    assert [len(boxes) for boxes in work.frame_boxes] == [1, 0, 1]
    (tmp_path / "boxes.json").write_text(json.dumps([_box(-1)]))
    with pytest.raises(InputError, match=r"boxes\.json: field 'image_id'"):
        find_sources([str(video)], PeopleOptions(boxes=tmp_path / "boxes.json"))


def test_options_that_videos_refuse(tmp_path, video):
    photos = _photos(tmp_path, "1.jpg")
    with pytest.raises(InputError, match="0: a webcam needs a run and a folder"):
        find_sources([str(video), "0"], FOUND)
    with pytest.raises(InputError, match="--boxes is for photos or for one video"):
        find_sources([str(video), *photos], PeopleOptions(boxes=tmp_path / "boxes.json"))
    with pytest.raises(InputError, match="--gt is for photos"):
        find_sources([str(video)], PeopleOptions(gt=tmp_path / "gt.json"))
    with pytest.raises(InputError, match="no such file"):
        find_sources([str(tmp_path / "none.mp4")], FOUND)
    with pytest.raises(InputError, match="webcam 93: not found"):
        find_sources(["93"], FOUND)


def test_a_photo_whose_name_is_a_number(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _photos(tmp_path, "7.png")
    (tmp_path / "7.png").rename(tmp_path / "7")
    assert find_sources(["7"], FOUND).photos[0].image_id == 7


def test_the_fingerprint(tmp_path):
    names = _photos(tmp_path, "1.jpg", "2.jpg")
    one = find_sources(names, FOUND).fingerprint
    assert one == find_sources([str(tmp_path)], FOUND).fingerprint
    assert one != find_sources(names[::-1], FOUND).fingerprint and one != find_sources(names[:1], FOUND).fingerprint


def test_videos_beside_photos(tmp_path, video):
    """Each has a folder of its own; a broken one is left out; hidden folders and the folder of the run are not read."""
    photos = _photos(tmp_path, "7.jpg")
    for name in ("deep/v.mp4", "deep/v.avi", "out/v.mp4", ".hidden/v.mp4"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(video.read_bytes())
    (tmp_path / "broken.mp4").write_bytes(b"broken")
    writer = cv2.VideoWriter(str(tmp_path / "cut.avi"), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    content = (tmp_path / "cut.avi").read_bytes()
    (tmp_path / "cut.avi").write_bytes(content[: content.index(b"movi") + 4])  # a header, and no frame after it
    work = find_sources([str(tmp_path)], FOUND, recursive=True, out=tmp_path / "out")
    assert work.files == [tmp_path / "7.jpg"] and work.photos[0].image_id == 7 and work.video is None
    assert [(part.folder, part.video) for part in work.videos] == [
        *(("v", tmp_path / "deep" / "v.avi"), ("v.mp4", tmp_path / "deep" / "v.mp4"), ("v.mp4-2", video))
    ]
    assert work.parts == [work, *work.videos] and "broken.mp4: cannot be read as a video" in work.unreadable[0]
    assert len(work.unreadable) == 2 and "cut.avi: holds no frame that can be read" in work.unreadable[1]
    flat = find_sources([str(tmp_path)], FOUND, out=tmp_path / "out")
    assert [part.video for part in flat.parts] == [None, video]
    assert [part.video for part in find_sources([str(video), str(tmp_path / "deep")], FOUND).parts] == [
        *(video, tmp_path / "deep" / "v.avi", tmp_path / "deep" / "v.mp4")
    ]
    assert find_sources([*photos, str(tmp_path / "broken.mp4")], FOUND).parts[0].files == [tmp_path / "7.jpg"]


def test_photos_that_are_not_read_are_named(tmp_path, monkeypatch):
    """One line a reason; a photo is not counted twice because its raw file lies beside it."""
    _photos(tmp_path, "7.jpg")
    (tmp_path / "7.heic").write_bytes((tmp_path / "7.jpg").read_bytes())  # converted, but not renamed
    for name in ("a.tga", "b.TGA", "c.tga", "d.tga", "7.CR2", "e.ico"):
        (tmp_path / name).write_bytes(b"II*\0")
    (tmp_path / "7.heic").rename(tmp_path / "8.heic")
    (tmp_path / "9.HEIC").write_bytes(HEIC_START)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    work = find_sources([str(tmp_path)], FOUND)
    assert [(path.name, photo.image_id) for path, photo in zip(work.files, work.photos, strict=True)] == [
        *(("7.jpg", 7), ("8.heic", 8))
    ]
    folder = f"{tmp_path}/"
    assert [line.replace(folder, "") for line in work.unreadable] == [
        "7.CR2: a camera's raw format is not read; convert it to JPEG or PNG",
        '9.HEIC: HEIC: pillow_heif is not installed: pip install "trustpose[heic]"',
        "a.tga, b.TGA, c.tga and 1 more: TGA is not read; convert it to JPEG or PNG",
        "e.ico: ICO is not read; convert it to JPEG or PNG",
    ]
    with pytest.raises(InputError, match=r"a\.tga: TGA is not read"):
        find_sources([str(tmp_path / "a.tga")], FOUND)
    with pytest.raises(InputError, match=r"9\.HEIC: HEIC: pillow_heif is not installed"):
        read_pixels(tmp_path / "9.HEIC")
    with pytest.raises(InputError, match=r"7\.CR2: a camera's raw format is not read"):
        read_pixels(tmp_path / "7.CR2")
