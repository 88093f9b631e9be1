"""Inputs that are no regular files are refused at once, by name, wherever a file is opened; nothing waits for them."""

import os
from pathlib import Path

import pytest

from trustpose.calibration.card import read_calibrator
from trustpose.files import InputError, check_regular, read_bytes
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.columns import parse_finite_json
from trustpose.io.photos import read_image
from trustpose.io.video import Video
from trustpose.models.runtime.sessions import open_session

READERS = {
    "bytes": read_bytes,
    "truth": read_coco_truth,
    "results": read_results,
    "calibrator": read_calibrator,
    "image": read_image,
    "video": Video,
    "network": lambda path: open_session(path, 1),
}


@pytest.mark.timeout(20)
@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_pipes_devices_and_loops(tmp_path, read):
    pipe, loop = tmp_path / "pipe", tmp_path / "loop"
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    for path, message in (
        (Path("/dev/zero"), "is a device, expected a regular file"),
        (loop, "Too many levels of symbolic links|no such file"),
        (pipe, "is a pipe, expected a regular file|no such file"),
    ):
        with pytest.raises(InputError, match=message):
            read(path)


def test_what_is_regular(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    check_regular(tmp_path / "link")
    for name, message in (("", "is a directory, expected a file"), ("none", "no such file"), ("a\0b", "null")):
        with pytest.raises(InputError, match=message):
            check_regular(tmp_path / name)


@pytest.mark.parametrize("content", ['{"a": NaN, "b": %s}', '{"b": %s, "a": NaN}'])
def test_nan_beside_an_integer_of_more_digits_than_python_reads(content):
    with pytest.raises(InputError, match=r"x.json: contains NaN, expected finite numbers"):
        parse_finite_json((content % ("9" * 100_000)).encode(), "x.json")
