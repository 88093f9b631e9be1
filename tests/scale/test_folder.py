"""The folder of a run: it is continued only with the same settings, and only what is missing is done again."""

from dataclasses import replace

import pytest

from trustpose.files import InputError, read_json
from trustpose.scale.cluster import Share, share, unwrap_error
from trustpose.scale.folder import RunFolder, Total
from trustpose.scale.run import remaining
from trustpose.scale.storage import StoragePath
from trustpose.scale.table import Counts, Unread, block_content
from trustpose.scale.units import TAR, Unit

UNITS = [Unit(number, TAR, "/", (f"{number}.tar",), block=2, first=0) for number in range(3)]


def test_another_run_needs_a_word(tmp_path):
    folder = RunFolder(StoragePath.of(tmp_path / "out"))
    folder.begin({"flip": True, "block": 2}, is_resumed=True, is_replaced=False)
    folder.commit(UNITS[0].block_name(0, is_last=True), block_content([], Counts(1)))
    with pytest.raises(InputError, match="of an earlier run; --resume continues it"):
        folder.begin({"flip": True, "block": 2}, is_resumed=False, is_replaced=False)
    with pytest.raises(InputError, match="cannot resume with other settings: flip was True, now False"):
        folder.begin({"flip": False, "block": 2}, is_resumed=True, is_replaced=False)
    folder.begin({"flip": True, "block": 2}, is_resumed=True, is_replaced=False)
    assert len(folder.finished()) == 1
    folder.begin({"flip": False, "block": 2}, is_resumed=False, is_replaced=True)
    assert not folder.finished() and read_json(tmp_path / "out" / "manifest.json")["settings"]["flip"] is False
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file, expected a folder"):
        RunFolder(StoragePath.of(tmp_path / "file")).begin({}, is_resumed=False, is_replaced=False)


@pytest.mark.parametrize(
    "content", [b"[]", b'{"format": "x", "settings": {}}', b'{"format": "trustpose run at scale 1", "settings": 3}']
)
def test_other_manifests_are_refused(tmp_path, content):
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(InputError, match=r"manifest.json: is not a manifest of this version of trustpose"):
        RunFolder(StoragePath.of(tmp_path)).begin({}, is_resumed=True, is_replaced=False)


def test_only_what_is_missing_is_left(tmp_path):
    folder = RunFolder(StoragePath.of(tmp_path))
    unread = (Unread(7, "a.jpg", "why"),)
    for name in (
        UNITS[0].block_name(0, is_last=False),
        UNITS[0].block_name(1, is_last=True),
        UNITS[1].block_name(0, is_last=False),
        UNITS[1].block_name(2, is_last=True),
        replace(UNITS[2], block=3).block_name(0, is_last=True),  # of another cut
    ):
        folder.commit(name, block_content([], Counts(2, 0, 1, unread)))
    whole = tmp_path / "poses" / "0000" / f"{UNITS[1].block_name(2, is_last=True)}.parquet"
    assert remaining(UNITS, folder.finished()) == [replace(UNITS[1], done=(0, 2)), UNITS[2]]
    whole.write_bytes(whole.read_bytes()[:-9])  # a file that is not whole is none
    (whole.parent / f".{whole.name}.0a.part").touch()
    finished = folder.finished()
    assert remaining(UNITS, finished) == [replace(UNITS[1], done=(0,)), UNITS[2]]
    total = Total()
    for counts in finished.values():
        total.add(counts)
    assert total.to_json() == {"blocks": 4, "photos": 8, "people": 0, "without_people": 4, "unread": 4}


def test_the_cluster_is_divided():
    assert share([(16, 0)], None, None) == Share(4, 4, 0)
    assert share([(2, 0)], None, None) == Share(1, 2, 0) and share([(2, 0)], 2, None) == Share(2, 1, 0)
    assert share([(16, 2), (8, 2)], None, "auto") == Share(4, 4, 1) and share([(16, 2)], 4, "cuda") == Share(4, 4, 0.5)
    assert share([(16, 2)], None, "cpu") == Share(4, 4, 0)
    assert share([(5, 0), (3, 0)], 4, None) == Share(4, 1, 0)  # 2 CPUs each would leave room for three
    with pytest.raises(InputError, match="the cluster has 4 CPUs, too few for 5 workers"):
        share([(4, 0)], 5, None)


def test_an_error_of_a_worker_is_its_own():
    carried = RuntimeError("with a trace")
    carried.__cause__ = InputError("x.onnx: no such file")
    assert unwrap_error(carried) is carried.__cause__ and unwrap_error(KeyError("x")).args == ("x",)
