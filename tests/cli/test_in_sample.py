"""Trust on the people of the fit is named: by `calibrate apply`, and by `audit` of its results."""

import hashlib
import json
from pathlib import Path

import pytest

from tests.calibration.cases import as_json, made_up
from tests.cli.test_calibrate import apply, folder, run

__all__ = ["folder"]


def notes_of(folder: Path, tmp_path: Path, results: Path, gt: str = "gt.json") -> list[str]:
    files = ("--gt", folder / gt, "--results", results, "--draws", "0")
    assert run("audit", *files, "--json", tmp_path / "audit.json") == 0
    return [note for note in json.loads((tmp_path / "audit.json").read_text())["notes"] if "fitted on" in note]


def test_in_sample_trust_is_named_by_apply_and_by_the_audit(folder, tmp_path, capsys) -> None:
    sentence = "was fitted on 60 of these photos: these numbers are in-sample, better than on new photos"
    assert apply(folder, "results.json", tmp_path / "fitted.json") == 0
    assert f"the calibrator {sentence}" in capsys.readouterr().err
    record = json.loads((tmp_path / "fitted.json.calibrator.json").read_text())
    assert record["calibrator"]["sha256"] == hashlib.sha256((folder / "one.cal").read_bytes()).hexdigest()
    assert record["fitted"]["ground_truth"]["file"] == "gt.json" and record["source"]["file"] == "results.json"
    assert notes_of(folder, tmp_path, tmp_path / "fitted.json") == [f"the calibrator one.cal {sentence}"]
    (tmp_path / "fitted.json").write_bytes((folder / "results.json").read_bytes())  # the record is another file's
    assert notes_of(folder, tmp_path, tmp_path / "fitted.json") == []


def test_a_damaged_record_is_named(folder, tmp_path, capsys) -> None:
    assert apply(folder, "results.json", tmp_path / "fitted.json") == 0
    record = tmp_path / "fitted.json.calibrator.json"
    record.write_text(record.read_text().replace('"fitted_photos":60', '"fitted_photos":"60"'))
    capsys.readouterr()
    files = ("--gt", folder / "gt.json", "--results", tmp_path / "fitted.json", "--json", tmp_path / "audit.json")
    assert run("audit", *files, "--draws", "0") == 2
    assert f"{record}: field 'fitted_photos': expected a whole number, got '60'" in capsys.readouterr().err


@pytest.mark.parametrize("content", ["[]", '{"results": "fitted.json", "errors": {}}'])
def test_a_damaged_error_model_is_named(folder, tmp_path, capsys, content) -> None:
    assert apply(folder, "results.json", tmp_path / "fitted.json") == 0
    errors = tmp_path / "fitted.errors.json"
    errors.write_text(content)
    capsys.readouterr()
    files = ("--gt", folder / "gt.json", "--results", tmp_path / "fitted.json", "--json", tmp_path / "audit.json")
    assert run("audit", *files, "--draws", "0") == 2
    assert str(errors) in capsys.readouterr().err


def test_ids_alone_do_not_say_that_photos_are_those_of_the_fit(folder, tmp_path, capsys) -> None:
    """Other people, whose photos have the numbers of the fit's, as photos of many data sets are numbered from 0."""
    (folder / "other_gt.json").write_text(json.dumps(as_json(made_up(60, 1)[0])))
    assert apply(folder, "others.json", tmp_path / "out.json") == 0
    warning = capsys.readouterr().err
    notes = notes_of(folder, tmp_path, tmp_path / "out.json", "other_gt.json")
    for text in (warning, *notes):
        assert (
            "30 of these photos have the same ids as photos that the calibrator" in text
            and "if they are the same" in text
        )
    assert len(notes) == 1
    rows = json.loads((folder / "others.json").read_text())
    (folder / "far.json").write_text(json.dumps([row | {"image_id": row["image_id"] + 10**6} for row in rows]))
    assert apply(folder, "far.json", tmp_path / "far.json") == 0
    assert "these photos" not in capsys.readouterr().err
    assert json.loads((tmp_path / "far.json.calibrator.json").read_text())["fitted_photos"] == 0


def test_the_record_overwrites_no_input(folder, tmp_path, capsys) -> None:
    (tmp_path / "out.json.calibrator.json").write_bytes((folder / "results.json").read_bytes())
    results = tmp_path / "out.json.calibrator.json"
    arguments = ("--calibrator", folder / "one.cal", "--results", results, "--out", tmp_path / "out.json")
    assert run("calibrate", "apply", *arguments) == 2 and "would be overwritten" in capsys.readouterr().err
    assert results.read_bytes() == (folder / "results.json").read_bytes()
