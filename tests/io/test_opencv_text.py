"""OpenCV's YAML and XML read by ourselves, against `cv2.FileStorage`; and the files at which that ends the process."""

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from trustpose.files import InputError
from trustpose.io.cameras import read_cameras
from trustpose.io.cameras.opencv import parse_xml, parse_yaml

PARSERS = {".xml": parse_xml, ".yml": parse_yaml}
NAMES = (
    "cam 3",
    "a",
    'quo"ted',
    "it's",
    "12",
    "a: b",
    "back\\slash",
    "ü",
    "- dash",
    "#no comment",
    "[x]",
    "two\nlines",
)


def written(random: np.random.Generator, suffix: str) -> bytes:
    """A file by OpenCV with maps and sequences in each other, of numbers, texts and matrices."""
    storage = cv2.FileStorage(suffix, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)

    def write(name: str, depth: int) -> None:
        kind = int(random.integers(0, 7 if depth < 4 else 5))
        if kind == 0:
            storage.write(name, float(random.choice([0, 1.5, -1e-300, 1e300, np.pi, -7, 5e-324])))
        elif kind == 1:
            storage.write(name, int(random.integers(-(2**31), 2**31)))
        elif kind == 2:
            storage.write(name, str(random.choice(NAMES)))
        elif kind <= 4:
            shape = tuple(int(side) for side in random.integers(1, 6, 2))
            numbers = random.normal(0, 10.0 ** random.integers(-5, 6), shape)
            storage.write(name, numbers if kind == 3 else numbers.clip(-1e6, 1e6).astype(random.choice(["f4", "i4"])))
        else:
            node = cv2.FILE_NODE_MAP if kind == 5 else cv2.FILE_NODE_SEQ
            is_flow = cv2.FILE_NODE_FLOW if random.random() < 0.3 else 0
            if is_flow and depth == 3:
                node = cv2.FILE_NODE_SEQ
            storage.startWriteStruct(name, node | is_flow)
            for number in range(random.integers(1, 5)):
                write("" if node == cv2.FILE_NODE_SEQ else f"field_{number}", 4 if is_flow else depth + 1)
            storage.endWriteStruct()

    for number in range(4):
        write(f"top_{number}", 0)
    return storage.releaseAndGetString().encode()


def by_opencv(node: Any) -> Any:
    if node.isMap():
        is_matrix = {"rows", "cols", "dt", "data"} <= set(node.keys())
        return node.mat() if is_matrix else {key: by_opencv(node.getNode(key)) for key in node.keys()}  # noqa: SIM118
    if node.isSeq():
        return [by_opencv(node.at(index)) for index in range(node.size())]
    return node.real() if node.isReal() or node.isInt() else node.string() if node.isString() else None


def assert_equal(ours: Any, theirs: Any) -> None:
    if isinstance(theirs, np.ndarray):
        assert isinstance(ours, np.ndarray)
        np.testing.assert_array_equal(ours.astype(theirs.dtype), theirs)
    elif isinstance(theirs, dict):
        assert list(ours) == list(theirs)
        for key, value in theirs.items():
            assert_equal(ours[key], value)
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for first, second in zip(ours, theirs, strict=True):
            assert_equal(first, second)
    else:
        assert ours == theirs


@pytest.mark.parametrize("suffix", PARSERS)
def test_what_opencv_writes_is_read_as_opencv_reads_it(suffix: str) -> None:
    count = 0
    for seed in range(80):
        content = written(np.random.default_rng(seed), suffix)
        try:
            storage = cv2.FileStorage(content.decode(), cv2.FILE_STORAGE_READ | cv2.FILE_STORAGE_MEMORY)
        except (cv2.error, SystemError):  # it does not read all that it writes
            continue
        assert_equal(PARSERS[suffix](content), by_opencv(storage.root()))
        count += 1
    assert count > 40


BY_HAND = """%YAML:1.0
# a comment
---
model_type: PINHOLE   # another
camera_name: "cam: #0"
image_width : 640
image_height: 480
cameras:
- name: left
  size: [640, 480]
-
  name: 'right'
  place: {x:1, y : 2,
          z:-3.5e+01 }
camera_matrix: !!opencv-matrix
   rows: 2
   cols: 2
   dt: "d"
   data: [ 1., .5,
           -.Inf, 0 ]
nothing:
"""


def test_what_people_write_is_read() -> None:
    value = parse_yaml(BY_HAND.replace("\n", "\r\n").encode("utf-8-sig"))
    assert value.pop("camera_matrix").tolist() == [[1, 0.5], [-np.inf, 0]]
    assert value == {
        "model_type": "PINHOLE", "camera_name": "cam: #0", "image_width": 640, "image_height": 480, "nothing": None,
        "cameras": [{"name": "left", "size": [640, 480]}, {"name": "right", "place": {"x": 1, "y": 2, "z": -35}}],
    }  # fmt: skip


@pytest.mark.parametrize("suffix", PARSERS)
@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("cols", "-1", "whole numbers of rows and cols"),
        ("rows", "-3", "whole numbers of rows and cols"),
        ("cols", "4294967297", "expected 3 × 4.29497e.09 numbers in data, got 9 values"),
        ("cols", "2147483647", "numbers in data, got 9 values"),
        ("rows", "0", "expected 0 × 3 numbers in data"),
        ("rows", "1.5", "whole numbers of rows and cols"),
        ("dt", "d5000d", "a letter in dt"),
        ("dt", "99d", "expected 3 × 3 × 99 numbers in data"),
        ("cols", "x", "whole numbers of rows and cols"),
    ],
)
def test_sizes_that_are_none_are_named(tmp_path: Path, suffix: str, field: str, value: str, message: str) -> None:
    """`cv2.FileStorage` ends the process, in some of ten runs, at cols −1: double free."""
    storage = cv2.FileStorage(suffix, cv2.FILE_STORAGE_WRITE | cv2.FILE_STORAGE_MEMORY)
    storage.write("camera_matrix", np.eye(3))
    storage.write("distortion_coefficients", np.zeros((5, 1)))
    content = storage.releaseAndGetString()
    number = "d" if field == "dt" else "3"
    ends = (f"<{field}>", f"</{field}>") if suffix == ".xml" else (f"{field}: ", "\n")
    assert number.join(ends) in content
    path = tmp_path / f"camera{suffix}"
    path.write_text(content.replace(number.join(ends), value.join(ends), 1))
    with pytest.raises(InputError, match=message):
        read_cameras(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("%YAML:1.0\ncamera_matrix: [", "a bracket is not closed"),
        ("%YAML:1.0\na: [1, 2]]\n", "expected nothing after the bracket"),
        ("%YAML:1.0\na: [1 2\n", "a bracket is not closed"),
        ("%YAML:1.0\na: {b}\n", "expected ':', got '}'"),
        ("%YAML:1.0\na: " + "[" * 50 + "]" * 50, "brackets within one another"),
        ("%YAML:1.0\n" + "".join(" " * index + "a:\n" for index in range(50)), "within one another"),
        ("%YAML:1.0\na: 1\na: 2\n", "field 'a' is there twice"),
        ("%YAML:1.0\na: 1\n  b: 2\n", "line 3: expected another indentation"),
        ("%YAML:1.0\na: 1\nb\n", "line 3: expected a name and a value"),
        ("%YAML:1.0\n- 1\n- 2\n", "with the names of its fields"),
        ("<opencv_storage><a>1</opencv_storage>", "mismatched tag"),
        ("<opencv_storage>" + "<a>" * 50 + "</a>" * 50 + "</opencv_storage>", "within one another"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><opencv_storage><a>&b;</a></opencv_storage>', "holds an XML entity"),
    ],
)
def test_files_that_are_none_are_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "camera.yml"
    path.write_text(content)
    with pytest.raises(InputError, match=message) as caught:
        read_cameras(path)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 300 + len(str(path))
