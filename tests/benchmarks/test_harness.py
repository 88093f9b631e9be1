"""What benchmarks share: tables for people, one last line of JSON, one line of what is missing, and turns."""

import json

import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("in_benchmarks")


def test_cells_show_intervals_and_what_is_unknown():
    from harness import cell, percent

    assert cell(0.12345) == "0.123"
    assert cell([0.7, 0.68, 0.72]) == "0.700 [0.680, 0.720]"
    assert cell((-1.25, -2.0, 0.5), "+.1f") == "-1.2 [-2.0, +0.5]"
    assert cell(percent([0.7, 0.68, 0.72]), ".1f") == "70.0 [68.0, 72.0]"
    assert cell(1234567) == "1,234,567"
    assert cell(None) == cell(float("nan")) == "–"
    assert (cell(True), cell(np.bool_(False)), cell("as it is")) == ("yes", "no", "as it is")
    assert percent(None) is None


def test_tables_are_aligned_and_may_be_turned(capsys):
    from harness import table

    rows = {"ours": {"AP": 0.7, "people": 990}, "theirs": {"AP": None, "a name": "text"}}
    table("people", rows, AP=".1f")
    assert capsys.readouterr().out == (
        "\npeople   AP  people  a name\nours    0.7     990       –\ntheirs    –       –    text\n"
    )
    table("", rows, AP=".1f", down=True)
    assert capsys.readouterr().out == (
        "\n        ours  theirs\nAP       0.7       –\npeople   990       –\na name     –    text\n"
    )


def test_the_record_is_the_last_line(capsys, monkeypatch):
    from harness import parser, run

    monkeypatch.setattr("sys.argv", ["benchmark", "--draws", "7"])
    run(lambda options: print("a table") or {"draws": options.draws}, parser("What is measured.", draws=1000))
    assert json.loads(capsys.readouterr().out.splitlines()[-1]) == {"draws": 7}


def test_missing_data_is_one_line(capsys, monkeypatch, tmp_path):
    from harness import parser, run

    monkeypatch.setattr("sys.argv", ["benchmark", "--data", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        run(lambda options: (options.data / "labels.npz").read_bytes(), parser("What is measured.", "data"))
    assert ended.value.code == 2
    assert capsys.readouterr().err == (
        f"{tmp_path}/labels.npz: no such file; --data or TRUSTPOSE_DATA names the folder of the data sets\n"
    )


def test_help_names_defaults():
    from harness import parser

    text = parser("What is measured.", "flip", "mediapipe", rounds=3).format_help()
    assert "take turns (default: 3)" in text
    assert "default: None" not in text and "default: False" not in text


def test_candidates_take_turns():
    from harness import in_turns

    calls: list[str] = []
    timings = in_turns({name: lambda name=name: calls.append(name) or len(calls) for name in "ab"}, 2)
    assert calls == list("ababab")
    assert [timing.result for timing in timings["b"]] == [4, 6]  # the first round warms up
    assert all(timing.seconds >= 0 and timing.cpu_seconds >= 0 for turns in timings.values() for timing in turns)


def test_a_process_reports_its_output_and_costs_and_its_failure_ends_the_program():
    from harness import process

    child = process("-c", "print(1 + 1)")
    assert child.output == "2\n"
    assert set(child.costs) == {"seconds", "cpu_seconds", "peak_mb"} and child.peak_mb > 5
    with pytest.raises(SystemExit, match="failed"):
        process("-c", "raise SystemExit(3)")
