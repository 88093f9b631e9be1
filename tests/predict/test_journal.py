"""The journal: numbers are stored exactly, an incomplete line is dropped, other settings are refused."""

import json
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from trustpose.files import InputError
from trustpose.poses import Poses
from trustpose.predict.journal import Journal

SETTINGS = {"model": "abc", "flip": False, "min_box_score": None}


def _poses(count, seed=0):
    rng = np.random.default_rng(seed)
    return Poses(
        xy=rng.normal(0, 1e3, (count, 17, 2)),
        score=rng.normal(size=(count, 17)).astype(np.float32).astype(np.float64),
        pose_score=rng.normal(size=count),
        box=rng.normal(size=(count, 4)) / 3,
        image_id=np.full(count, 4),
        annotation_id=np.arange(count),
        missing=rng.random((count, 17)) < 0.2,
        visibility_label=rng.integers(0, 3, (count, 17)).astype(np.int8),
    )


def _same(a, b):
    for name, column in vars(a).items():
        other = getattr(b, name)
        assert (column is None) == (other is None)
        if column is not None:
            np.testing.assert_array_equal(column, other)
            assert column.dtype == other.dtype


def _write(path, parts, **settings):
    with Journal(path, SETTINGS | settings, is_resumed=False) as journal:
        for image_id, poses in parts.items():
            journal.add(image_id, poses)


def test_what_was_done_comes_back_exactly(tmp_path):
    parts = {4: _poses(3), 9: _poses(0), 2: _poses(1, seed=2)}
    _write(tmp_path / "sub" / "journal", parts)
    with Journal(tmp_path / "sub" / "journal", SETTINGS, is_resumed=True) as journal:
        assert list(journal.done) == [4, 9, 2]
        for image_id, poses in parts.items():
            _same(journal.done[image_id], poses)
        journal.add(5, _poses(2))
    with Journal(tmp_path / "sub" / "journal", SETTINGS, is_resumed=True) as journal:
        assert list(journal.done) == [4, 9, 2, 5]
        journal.remove()
    assert not (tmp_path / "sub" / "journal").exists()


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=34, max_size=34))
def test_every_float_survives(tmp_path_factory, numbers):
    path = tmp_path_factory.mktemp("journal") / "journal"
    poses = Poses(xy=np.array(numbers).reshape(1, 17, 2))
    _write(path, {1: poses})
    with Journal(path, SETTINGS, is_resumed=True) as journal:
        _same(journal.done[1], poses)


@pytest.mark.parametrize("cut", [1, 2, 50, 10_000])
def test_a_line_that_was_not_finished_is_forgotten(tmp_path, cut):
    path = tmp_path / "journal"
    _write(path, {4: _poses(2)})
    whole = path.read_bytes()
    _write(path, {4: _poses(2), 7: _poses(40)})
    path.write_bytes(path.read_bytes()[:-cut])
    with Journal(path, SETTINGS, is_resumed=True) as journal:
        assert list(journal.done) == [4]
        assert path.read_bytes() == whole
        journal.add(7, _poses(1))
    with Journal(path, SETTINGS, is_resumed=True) as journal:
        assert list(journal.done) == [4, 7] and len(journal.done[7]) == 1


def test_other_settings_are_refused(tmp_path):
    path = tmp_path / "journal"
    _write(path, {4: _poses(2)})
    for name, value, message in (("flip", True, "flip was False, now True"), ("new", 3, "new was none, now 3")):
        with pytest.raises(
            InputError, match=f"cannot resume with other settings: {message}; start over without --resume"
        ):
            Journal(path, SETTINGS | {name: value}, is_resumed=True)
    with Journal(path, SETTINGS | {"flip": True}, is_resumed=False) as journal:  # starting anew is always possible
        assert journal.done == {}


def test_starting_without_a_journal(tmp_path):
    for content in (None, b"", b'{"format": '):  # none; killed before or within the first line
        if content is not None:
            (tmp_path / "journal").write_bytes(content)
        with Journal(tmp_path / "journal", SETTINGS, is_resumed=True) as journal:
            assert journal.done == {}
        assert json.loads((tmp_path / "journal").read_bytes()[9:])["settings"] == SETTINGS


def _line(value):
    content = json.dumps(value).encode()
    return b"%08x %b\n" % (zlib.crc32(content), content)


ENTRY = {"image_id": 3, "shape": [1, 1], "poses": {"xy": [[[1.0, 2.0]]]}}
NO_ENTRIES = [
    [],
    {"image_id": 3},
    {"image_id": 3, "shape": [2, 17], "poses": {"xy": [1]}},
    *(ENTRY | {"image_id": value} for value in ("3", 3.0, True, None, 2**70)),
    *(ENTRY | {"shape": value} for value in (3, [1], [-1, 1], [2**40, 1], ["1", 1], None)),
    *(
        ENTRY | {"poses": value}
        for value in ([], {}, {"xy": "a"}, {"xy": [[[1, {}]]]}, {"z": [1]}, {"image_id": [2**70]})
    ),
]


@pytest.mark.parametrize("value", NO_ENTRIES)
def test_lines_that_no_run_writes_are_named_though_their_checksum_is_right(tmp_path, value):
    path = tmp_path / "journal"
    _write(path, {})
    with path.open("ab") as file:
        file.write(_line(value) + _line(ENTRY | {"image_id": 4}))
    with pytest.raises(InputError, match="journal: line 2 is damaged; start over without --resume"):
        Journal(path, SETTINGS, is_resumed=True)


def test_one_digit_that_changed_is_found(tmp_path):
    path = tmp_path / "journal"
    _write(path, {4: _poses(3), 9: _poses(2)})
    whole = path.read_bytes()
    index = whole.index(b'"score"') + 13
    path.write_bytes(whole[:index] + (b"1" if whole[index : index + 1] != b"1" else b"2") + whole[index + 1 :])
    with pytest.raises(InputError, match="journal: line 2 is damaged"):
        Journal(path, SETTINGS, is_resumed=True)


def test_poses_of_another_kind_are_not_joined(tmp_path):
    path = tmp_path / "journal"
    _write(path, {4: _poses(2), 5: Poses(xy=np.zeros((0, 3, 2)))})
    poses = Poses(xy=np.zeros((1, 5, 2)))
    with (
        Journal(path, SETTINGS, is_resumed=True) as journal,
        pytest.raises(InputError, match="poses of a different kind"),
    ):
        journal.add(6, poses)
    with path.open("ab") as file:
        file.write(_line(ENTRY))
    with pytest.raises(InputError, match="line 4 is damaged"):
        Journal(path, SETTINGS, is_resumed=True)


@pytest.mark.parametrize(
    "line", ["[]", '{"format": "x"}', "{", "00000000 {}", '{"format":"trustpose journal 1","settings":{}}']
)
def test_other_files_are_no_journals(tmp_path, line):
    path = tmp_path / "journal"
    path.write_text(line + "\n")
    message = "is not a journal of this version of trustpose" if "journal 1" in line else "line 1 is damaged"
    with pytest.raises(InputError, match=f"journal: {message}; start over without --resume"):
        Journal(path, SETTINGS, is_resumed=True)
    with pytest.raises(InputError, match="cannot be written"):
        Journal(path / "below", SETTINGS, is_resumed=False)
