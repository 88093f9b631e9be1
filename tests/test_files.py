"""`atomic_write`: whole or not at all; devices, links and permissions stay what they are; a full disk is one line."""

import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.small_disk import needs_root, small_disk
from trustpose.files import DiskError, InputError, atomic_write, is_stdout, write_json

NOBODY = 65534


def write(path: Path, content: bytes = b"new") -> None:
    with atomic_write(path) as file:
        file.write(content)


def as_nobody(does: Callable[[], None]) -> int:
    """The exit code of a child process that is not root: 0 where nothing was raised."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            does()
            code = 0
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that any user may write into, as pytest's are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o777)
    yield folder
    shutil.rmtree(folder)


def test_a_symbolic_link_stays_and_leads_to_the_new_content(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "far" / "old.json").write_bytes(b"old")
    for name, leads_to in (("link", "far/old.json"), ("dangling", "far/new.json"), ("twice", "link")):
        (tmp_path / name).symlink_to(leads_to)
        write(tmp_path / name, name.encode())
        assert (tmp_path / name).is_symlink() and (tmp_path / name).read_bytes() == name.encode()
    assert sorted(entry.name for entry in (tmp_path / "far").iterdir()) == ["new.json", "old.json"]
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["dangling", "far", "link", "twice"]


def test_a_link_to_itself_is_reported(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(InputError, match=r"loop: cannot be written .*symbolic links"):
        write(tmp_path / "loop")


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o755])
def test_permissions_of_a_file_that_is_there_stay(tmp_path, mode):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(mode)
    write(path)
    assert stat.S_IMODE(path.stat().st_mode) == mode and path.read_bytes() == b"new"


def test_a_new_file_has_the_usual_permissions(tmp_path):
    before = os.umask(0o027)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


@needs_root
def test_root_leaves_the_owner(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    os.chown(path, NOBODY, NOBODY)
    write(path)
    assert (path.stat().st_uid, path.stat().st_gid) == (NOBODY, NOBODY)


@needs_root
def test_without_the_right_to_write(open_folder):
    for name, mode, owner in (("own", 0o600, NOBODY), ("read-only", 0o444, NOBODY), ("of-root", 0o644, 0)):
        (open_folder / name).write_bytes(b"old")
        (open_folder / name).chmod(mode)
        os.chown(open_folder / name, owner, owner)
    assert as_nobody(lambda: write(open_folder / "own")) == 0
    assert (open_folder / "own").read_bytes() == b"new"
    assert as_nobody(lambda: write(open_folder / "fresh")) == 0
    for name in ("read-only", "of-root"):

        def refused(name=name):
            with pytest.raises(InputError, match=f"{name}: cannot be written .Permission denied"):
                write(open_folder / name)

        assert as_nobody(refused) == 0
        assert (open_folder / name).read_bytes() == b"old"


@needs_root
def test_a_device_stays_a_device(open_folder):
    """As root, who may replace it, and as somebody else."""
    null = open_folder / "null"
    try:
        os.mknod(null, 0o666 | stat.S_IFCHR, os.makedev(1, 3))
        null.chmod(0o666)
        null.write_bytes(b"")
    except OSError:
        pytest.skip("making a device is not allowed here")
    write(null)
    assert as_nobody(lambda: write(null)) == 0
    assert null.is_char_device() and list(open_folder.iterdir()) == [null]


def test_the_null_device_by_a_link(tmp_path):
    (tmp_path / "null").symlink_to(os.devnull)
    write(tmp_path / "null")
    assert Path(os.devnull).is_char_device() and (tmp_path / "null").is_symlink()
    assert not is_stdout(Path(os.devnull))


def test_a_pipe_is_written_into(tmp_path):
    pipe, got = tmp_path / "pipe", []
    os.mkfifo(pipe)
    reader = threading.Thread(target=lambda: got.append(pipe.read_bytes()))
    reader.start()
    write_json(pipe, [1])
    reader.join(timeout=10)
    assert got == [b"[1]\n"] and pipe.is_fifo()


@pytest.mark.parametrize("name", ["-", "link"])
def test_standard_output(tmp_path, name):
    """Sent to a pipe, or to a file that others have written into and go on to. The link is what /dev/stdout is."""
    if name == "link":
        (tmp_path / "link").symlink_to("/proc/self/fd/1")
        name = str(tmp_path / "link")
        if not Path("/proc/self/fd").is_dir():
            pytest.skip("there is no /proc here")
    program = (
        "import sys; from pathlib import Path; from trustpose.files import *; print('before'); "
        "assert is_stdout(Path(sys.argv[1])); write_json(sys.argv[1], 7); print('after')"
    )
    command = [sys.executable, "-c", program, name]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "before\n7\nafter\n"
    with (tmp_path / "out").open("w") as out:
        for _ in range(2):
            subprocess.run(command, stdout=out, check=True)
    assert (tmp_path / "out").read_text() == 2 * "before\n7\nafter\n"
    assert not is_stdout(tmp_path / "out")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EIO])
def test_a_disk_that_is_full_or_broken(tmp_path, number):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with pytest.raises(DiskError, match=rf"^{path}: cannot be written \({os.strerror(number)}\)$"), atomic_write(path):
        raise OSError(number, os.strerror(number))
    assert path.read_bytes() == b"old" and list(tmp_path.iterdir()) == [path]


def test_an_error_over_the_one_of_writing(tmp_path):
    """As torch and zipfile raise one of their own when what they write to has failed."""
    with pytest.raises(DiskError, match="No space left"), atomic_write(tmp_path / "file"):
        try:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        except OSError:
            raise RuntimeError("unexpected pos 3648 vs 3542")  # noqa: B904  # as they do it
    assert not list(tmp_path.iterdir())


def test_a_reader_that_has_enough_is_no_error_of_ours(tmp_path):
    with pytest.raises(BrokenPipeError), atomic_write(tmp_path / "file"):
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))


def test_another_file_is_not_taken_for_this_one(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_write(tmp_path / "file"):
        (tmp_path / "none").read_bytes()
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not Path("/dev/full").is_char_device(), reason="there is no /dev/full here")
def test_a_full_device(tmp_path):
    (tmp_path / "full").symlink_to("/dev/full")
    with pytest.raises(DiskError, match=r"full: cannot be written \(No space left on device\)"):
        write(tmp_path / "full")
    assert Path("/dev/full").is_char_device()


@needs_root
def test_a_full_disk(tmp_path):
    with small_disk(tmp_path / "disk", "64k") as disk:
        write(disk / "file", b"old")
        with pytest.raises(DiskError, match=r"file: cannot be written \(No space left on device\)"):
            write(disk / "file", bytes(10**6))
        assert (disk / "file").read_bytes() == b"old" and len(list(disk.iterdir())) == 1


@pytest.mark.parametrize("name", ["🙂" * 60 + ".json", "x" * 250 + ".json", "."])
def test_names_as_long_as_they_may_be(tmp_path, name):
    path = tmp_path / name
    if name == ".":
        with pytest.raises(InputError, match="is a directory, expected a file to write"):
            write(path)
        return
    write(path)
    assert path.read_bytes() == b"new"


def test_a_name_that_cannot_be(tmp_path):
    with pytest.raises(InputError, match=r"cannot be written \(.*embedded null (byte|character)"):
        write(tmp_path / "a\0b")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(InputError, match=r"cannot be written \(Not a directory\)"):
        write(tmp_path / "file" / "below")


def test_parts_of_killed_runs_are_removed_and_those_of_running_ones_stay(tmp_path: Path) -> None:
    target = tmp_path / "a[b]*.json"
    write = "with atomic_write(sys.argv[1]): os.kill(os.getpid(), 9)"
    code = f"import os, sys\nfrom trustpose.files import atomic_write\n{write}"
    assert subprocess.run([sys.executable, "-c", code, str(target)]).returncode == -9
    (left,) = tmp_path.iterdir()
    assert left.suffix == ".part"
    os.utime(left, (0, 0))
    path = tmp_path / ".other.json.01234567.part"
    path.touch()
    os.utime(path, (0, 0))
    with atomic_write(target) as file:
        assert not left.exists() and path.exists(), "only parts of the same file"
        (running,) = set(tmp_path.iterdir()) - {path}
        os.utime(running, (0, 0))
        with atomic_write(target) as second:
            second.write(b"2")
        file.write(b"1")
    assert target.read_bytes() == b"1" and set(tmp_path.iterdir()) == {target, path}
