"""DeepLabCut's HDF5 in both layouts of pandas equals its CSV; hostile files give one line and run no code."""

import contextlib
import pickle
import pickletools
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.io import samples
from trustpose.files import InputError
from trustpose.io.plain_pickle import read_plain_pickle
from trustpose.io.pose_files import ToolPoses, find_files, read_pose_files


def read(path: Path) -> ToolPoses:
    tool, (found,) = read_pose_files(find_files([path]))
    assert tool == "deeplabcut"
    return found


@pytest.mark.parametrize("layout", ["table", "fixed"])
@pytest.mark.parametrize("folder", ["", "labeled-formats/video/"])
@pytest.mark.parametrize("text", [samples.DEEPLABCUT_MULTI, samples.DEEPLABCUT_SINGLE], ids=["multi", "single"])
def test_both_layouts_equal_the_csv(tmp_path: Path, layout: str, folder: str, text: str) -> None:
    if folder:
        head, body = text.split("coords,", 1)
        first, *rows = body.splitlines()
        text = "\n".join([f"{head}coords,{first}", *(f"{folder}img{row.replace(',', '.png,', 1)}" for row in rows)])
    expected = read(samples.write(tmp_path / "csv" / "video.csv", text))
    tool_poses = read(samples.write_hdf5(tmp_path / "video.h5", text, layout))
    for name in ("xy", "score", "image_id", "track_id"):
        np.testing.assert_array_equal(getattr(tool_poses.poses, name), getattr(expected.poses, name), err_msg=name)
    assert (tool_poses.photo, tool_poses.skeleton, tool_poses.notes) == (
        expected.photo,
        expected.skeleton,
        expected.notes,
    )
    assert (tool_poses.photo is None) == (not folder)


def test_rows_called_by_folders_apart(tmp_path: Path) -> None:
    """An index of several levels, which only the layout "fixed" has."""
    path = samples.write_hdf5(tmp_path / "photos.h5", samples.DEEPLABCUT_SINGLE, "fixed")
    with h5py.File(path, "r+") as file:
        del file["df_with_missing/axis1"]
        samples.write_levels(
            file["df_with_missing"], "axis1", [("labeled-data", "img0.png"), ("labeled-data", "b.png")]
        )
    assert read(path).photo == ("img0.png", "b.png")


def test_of_a_csv_and_an_hdf5_of_one_name_one_is_taken(tmp_path: Path) -> None:
    both = [samples.write(tmp_path / "aDLC.csv", "…"), tmp_path / "aDLC.h5", tmp_path / "bDLC.h5"]
    for path in both[1:]:
        samples.write_hdf5(path, samples.DEEPLABCUT_SINGLE, "table")
    assert find_files([tmp_path]) == [both[0], both[2]]
    assert find_files([both[1]]) == [both[1]]


def test_without_h5py_one_line_names_the_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = samples.write_hdf5(tmp_path / "video.h5", samples.DEEPLABCUT_SINGLE, "table")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match=r"h5py is not installed: .*\[deeplabcut\].*; or .* as CSV \(save_as_csv=True"):
        read(path)


KIND = "values_block_0_kind"


def _outside(frame: h5py.Group) -> None:
    del frame["table"]
    frame["table"] = h5py.ExternalLink("other.h5", "/df_with_missing/table")


def _soft(frame: h5py.Group) -> None:
    frame.move("table", "elsewhere")
    frame["table"] = h5py.SoftLink("/df_with_missing/elsewhere")


def _elsewhere(frame: h5py.Group) -> None:
    attributes = dict(frame["table"].attrs)
    kind, shape = frame["table"].dtype, frame["table"].shape
    del frame["table"]
    frame.create_dataset("table", shape, kind, external=[("/etc/passwd", 0, h5py.h5f.UNLIMITED)])
    frame["table"].attrs.update(attributes)


def _claims(frame: h5py.Group) -> None:
    attributes, kind = dict(frame["table"].attrs), frame["table"].dtype
    del frame["table"]
    frame.create_dataset("table", (2**44,), kind, chunks=(1024,)).attrs.update(attributes)


def _objects(frame: h5py.Group) -> None:
    del frame["table"]
    frame.create_dataset("table", (2,), [("index", "<i8"), ("values_block_0", h5py.vlen_dtype(np.uint8))])


def _of_kind(frame: h5py.Group, name: str, value: Any) -> None:
    frame["table"].attrs[name] = value


class Runs:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.write_text, (self.path, "it ran")


HOSTILE = [
    (_outside, "'table': expected values in the file itself"),
    (_soft, "'table': expected values in the file itself"),
    (_elsewhere, "'table': expected values in the file itself"),
    (_claims, "far more than the file has"),
    (_objects, "'table': expected numbers or texts"),
    (lambda frame: _of_kind(frame, KIND, np.bytes_(pickle.dumps(Runs(Path("ran.txt")), 0))), "more than hold names"),
    (lambda frame: _of_kind(frame, KIND, np.bytes_(b"(lp0\n")), "pickle"),
    (lambda frame: _of_kind(frame, KIND, np.bytes_(pickle.dumps([1, 2], 0))), "the names of its columns"),
    (lambda frame: _of_kind(frame, KIND, np.bytes_(pickle.dumps([("a", "b", "x")], 0))), "6 values for 2 rows and 1"),
    (lambda frame: _of_kind(frame, KIND, np.bytes_(pickle.dumps([("b", "x")] * 6, 0))), "expected columns of scorer"),
    (lambda frame: _of_kind(frame, "index_kind", np.bytes_(b"datetime64")), "got 'datetime64'"),
    (lambda frame: frame.attrs.__setitem__("pandas_type", np.bytes_(b"series_table")), "expected a pandas DataFrame"),
    (lambda frame: frame.attrs.__delitem__("pandas_type"), "expected one table of pandas in it, got 0"),
]


@pytest.mark.parametrize(("spoil", "message"), HOSTILE)
def test_what_is_no_table_is_one_line_and_runs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Any, message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    path = samples.write_hdf5(tmp_path / "video.h5", samples.DEEPLABCUT_SINGLE, "table")
    with h5py.File(path, "r+") as file:
        spoil(file["df_with_missing"])
    with pytest.raises(InputError) as error:
        read(path)
    assert str(error.value).startswith(f"{path}: is not a table that DeepLabCut writes (")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "ran.txt").exists()


@pytest.mark.parametrize("layout", ["table", "fixed"])
def test_damaged_files_are_one_line_or_poses(tmp_path: Path, layout: str) -> None:
    path = samples.write_hdf5(tmp_path / "video.h5", samples.DEEPLABCUT_MULTI, layout)
    content, random, refused = path.read_bytes(), np.random.default_rng(5), 0
    rows = np.flatnonzero(np.frombuffer(content, np.uint8))  # most of an HDF5 file is padding
    for _ in range(20):
        damaged = bytearray(content)
        for index in random.choice(rows, random.integers(1, 20)):
            damaged[index] = random.integers(256)
        path.write_bytes(damaged)
        try:
            assert read(path).poses.keypoint_count >= 0
        except InputError as error:
            refused += 1
            assert str(error).startswith(str(path))
            assert "\n" not in str(error)
    assert refused > 4


@pytest.mark.parametrize("content", [b"no HDF5", b"\x89HDF\r\n\x1a\n", b"\x89HDF\r\n\x1a\n" + bytes(2000)])
def test_what_is_no_hdf5_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "video.h5"
    path.write_bytes(content)
    with pytest.raises(
        InputError, match=r"video\.h5: (expected DeepLabCut's HDF5|is not a table that DeepLabCut writes)"
    ):
        read(path)


PLAIN = st.recursive(
    st.none() | st.text() | st.integers() | st.floats(allow_nan=False),
    lambda inner: st.lists(inner) | st.lists(inner, min_size=1).map(tuple) | st.dictionaries(st.text(), inner),
    max_leaves=15,
)


@given(PLAIN)
def test_plain_values_come_out_of_a_pickle_as_they_went_in(value: Any) -> None:
    assert read_plain_pickle(pickle.dumps(value, 0)) == value


@given(st.binary() | st.lists(st.sampled_from([op.code.encode("latin-1") for op in pickletools.opcodes])).map(b"".join))
def test_any_other_pickle_is_a_value_error(content: bytes) -> None:
    with contextlib.suppress(ValueError):
        read_plain_pickle(content)
