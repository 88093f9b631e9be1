"""Tables that survive a kill, and events that fail where the run can answer it."""

import contextlib
import threading

import pytest

from tests.small_disk import needs_root, small_disk
from trustpose.files import InputError
from trustpose.training.logs import Events, Table


def test_rows_and_new_columns(tmp_path):
    table = Table(tmp_path / "t.csv", "step", None)
    table.write({"step": 1, "loss": 0.1})
    table.write({"step": 2, "loss": float("nan")})
    table.write({"step": 3, "oks": 1e-20})
    lines = (tmp_path / "t.csv").read_text().split()
    assert lines == ["step,loss,oks", "1,0.1,", "2,nan,", "3,,1e-20"]


def test_going_on_cuts_what_came_after_the_checkpoint(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("step,loss\n1,0.1\n2,0.2\n3,0.3\n4")  # the last line was cut short
    Table(path, "step", 2).write({"step": 3, "loss": 0.5})
    assert path.read_text().split() == ["step,loss", "1,0.1", "2,0.2", "3,0.5"]
    Table(path, "step", None)
    assert path.read_text() == ""


def test_another_table_is_reported(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"t.csv: expected a table with a column of whole numbers 'step'"):
        Table(path, "step", 5)


def test_events_of_a_folder_that_is_gone(tmp_path, capfd):
    """No thread prints anything: TensorBoard's own writer has a thread, which ends in a traceback."""
    pytest.importorskip("tensorboard", reason="the train extra is not installed")
    threads = set(threading.enumerate())
    events = Events(tmp_path / "events", 0)
    events.write({"loss": 1.0}, 1)
    (tmp_path / "events").rename(tmp_path / "away")
    events.write({"loss": 2.0}, 2)
    events.close()
    assert set(threading.enumerate()) <= threads
    assert capfd.readouterr() == ("", "") and not (tmp_path / "events").exists()


@needs_root
def test_events_on_a_full_disk(tmp_path):
    pytest.importorskip("tensorboard", reason="the train extra is not installed")
    with small_disk(tmp_path / "disk", "8k") as disk:
        events = Events(disk, 0)
        with pytest.raises(OSError, match="No space left"):
            for step in range(10_000):
                events.write({"loss": 1.0}, step)
        with contextlib.suppress(OSError):
            events.close()
