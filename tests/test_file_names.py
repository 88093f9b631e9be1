"""Names of files that are not UTF-8: shown readably, read back, and opened by libraries that take none."""

import os
from pathlib import Path

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st

from trustpose.files import SHOWN, find_shown, json_bytes, original_name, parse_json, shown, utf8_name
from trustpose.io.video import Video
from trustpose.report.video import VideoWriter

LATIN = os.fsdecode(b"caf\xe9.jpg")


@given(st.binary(max_size=20))
@example(b"\xff\\xff\\x5c\\")
def test_what_is_shown_is_utf8_and_comes_back(content):
    name = os.fsdecode(content)
    text = shown(name)
    assert text.encode().decode() == text
    is_utf8 = text == name
    assert is_utf8 == _decodes(content)
    assert is_utf8 or os.fsencode(original_name(text)) == content


def _decodes(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


@given(st.lists(st.binary(max_size=6).map(lambda end: os.fsdecode(b"\xff" + end)), unique=True, max_size=5))
def test_other_names_are_shown_in_another_way(names):
    assert len({shown(name) for name in names}) == len(names)


def test_how_it_looks():
    assert shown(LATIN) == r"caf\xe9.jpg" == LATIN.encode("ascii", SHOWN).decode()
    assert shown(Path("café.jpg")) == "café.jpg"
    assert "é–".encode("ascii", SHOWN) == rb"\xe9\u2013"


def test_json_of_such_names():
    value = {LATIN: [LATIN, {"deep": (LATIN, np.arange(2))}], "é": "é"}
    text = shown(LATIN)
    assert parse_json(json_bytes(value), "it") == {text: [text, {"deep": [text, [0, 1]]}], "é": "é"}


def test_a_file_is_found_by_what_is_shown(tmp_path):
    (tmp_path / LATIN).touch()
    (tmp_path / r"as\xffis").touch()
    assert find_shown(tmp_path, shown(LATIN)) == tmp_path / LATIN
    assert find_shown(tmp_path, r"as\xffis") == tmp_path / r"as\xffis"
    assert not find_shown(tmp_path, r"no\xffne").exists()


def test_a_name_for_libraries(tmp_path):
    folder = tmp_path / os.fsdecode(b"\xff")
    folder.mkdir()
    with utf8_name(folder / LATIN) as name:
        assert Path(name).suffix == ".jpg" and name.encode()
        Path(name).write_bytes(b"made through it")
    assert (folder / LATIN).read_bytes() == b"made through it" and not Path(name).is_symlink()
    with utf8_name(tmp_path / "é") as name:
        assert name == str(tmp_path / "é")


def test_a_video_of_such_a_name(tmp_path):
    """OpenCV ends the process where it is given the name itself."""
    path = tmp_path / os.fsdecode(b"\xff.mp4")
    with VideoWriter(path, 64, 48, 10.0) as video:
        for _ in range(3):
            video.write(np.zeros((48, 64, 3), np.uint8))
    with Video(path) as video:
        assert len(list(video.frames())) == 3
    assert list(tmp_path.iterdir()) == [path]
