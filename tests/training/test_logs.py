"""Tables that survive a kill."""

import pytest

from trustpose.files import InputError
from trustpose.training.logs import Table


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


def test_another_table_is_said(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match=r"t.csv: expected a table with a column of whole numbers 'step'"):
        Table(path, "step", 5)
