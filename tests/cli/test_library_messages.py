"""Standard error has only our lines, and other output that is not known to be noise."""

import subprocess
import sys

import cv2

from tests.tiny_onnx import photo_of_people, write_network


def test_broken_photos_give_only_our_messages(tmp_path):
    photo = photo_of_people(1)[0]
    for suffix in (".jpg", ".png"):
        content = bytearray(cv2.imencode(suffix, photo)[1].tobytes())
        content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
        (tmp_path / f"1{suffix}").write_bytes(content)
        command = [sys.executable, "-m", "trustpose", "predict", str(tmp_path / f"1{suffix}"), "--detector", "whole"]
        command += ["--model", str(write_network(tmp_path)), "--out", str(tmp_path / "out"), "--overwrite", "--no-draw"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == (1 if suffix == ".png" else 0)
        assert all(line.startswith("trustpose: ") for line in done.stderr.splitlines()), done.stderr


def test_what_is_hidden_and_what_is_shown():
    code = """
import os, sys
from trustpose.cli.library_messages import hide_library_messages
try:
    with hide_library_messages():
        print("ours", file=sys.stderr)
        os.write(2, b"libpng error: IDAT: CRC error\\n[ WARN:0@1.2] global loadsave.cpp\\n\\nterminate called\\n")
        os.write(2, b"Corrupt JPEG data: 3 extraneous bytes\\nanother\\n")
        raise RuntimeError("and this")
except RuntimeError as error:
    print(error, file=sys.stderr)
os.write(2, b"libpng error: afterwards all is as before\\n")
""".replace("\\\\", "\\")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    expected = ["ours", "terminate called", "another", "and this", "libpng error: afterwards all is as before"]
    assert done.stderr.splitlines() == expected


def test_a_stream_that_is_not_the_processs_own_is_left_alone(capsys):
    from trustpose.cli.library_messages import hide_library_messages

    before = sys.stderr
    with hide_library_messages():
        assert sys.stderr is before
        print("kept", file=sys.stderr)
    assert capsys.readouterr().err == "kept\n"
