"""The photos that ground truth and results have in common: kept and removed rows, and the notes on them."""

import json
from pathlib import Path

import pytest

from tests.cli.cases import run, small_files
from trustpose.evaluation.audit import audit
from trustpose.files import InputError
from trustpose.io.coco.results import common_photos, read_results
from trustpose.io.coco.truth import read_coco_truth


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """gt.json of photos 1, 2, 3; results.json of 2, 3 and 99; less.json of 3 alone; both.json: what 2 and 3 have."""
    results, truth = small_files(tmp_path)
    chosen_results = [row for row in results if row["image_id"] != 1]
    stranger = results[0] | {"image_id": 99, "annotation_id": 1}  # its person is in photo 1
    (tmp_path / "results.json").write_text(json.dumps([*chosen_results, stranger]))
    (tmp_path / "less.json").write_text(json.dumps([row for row in chosen_results if row["image_id"] == 3]))
    (tmp_path / "both.json").write_text(json.dumps(chosen_results))
    cut = {
        name: [row for row in truth[name] if row[key] != 1]
        for name, key in (("images", "id"), ("annotations", "image_id"))
    }
    (tmp_path / "cut_gt.json").write_text(json.dumps(truth | cut))
    return tmp_path


def test_common_photos_give_the_numbers_of_files_cut_by_hand(folder: Path) -> None:
    common = audit(folder / "gt.json", folder / "results.json", common=True, draws=30)
    by_hand = audit(folder / "cut_gt.json", folder / "both.json", draws=30)
    ours, theirs = common.as_dict(), by_hand.as_dict()
    left_out = {"images": 1, "people": 2}, {"images": 1, "results": 1}
    assert (ours["inputs"]["ground_truth"]["left_out"], ours["inputs"]["results"]["left_out"]) == left_out
    assert common.notes[:2] == (
        "--common: photos without results, left out: 1 of 3, with 2 labelled or boxed people",
        "--common: results in photos that are not compared, left out: 1 of 3, photos: 1",
    )
    for name in ("inputs", "notes"):
        del ours[name], theirs[name]
    assert ours == theirs
    assert by_hand.inputs["results"]["left_out"] is None


def test_without_common_the_error_names_it(folder: Path, capsys) -> None:
    files = ["--gt", folder / "gt.json", "--results", folder / "results.json", "--draws", 0]
    assert run("audit", *files) == 2
    complaint = capsys.readouterr().err
    assert "field 'image_id': 99 not in the images of" in complaint
    assert "--common leaves such photos out" in complaint
    assert run("audit", *files, "--common", "--json", folder / "audit.json") == 0
    assert "--common: photos without results, left out: 1 of 3" in capsys.readouterr().out
    assert json.loads((folder / "audit.json").read_text())["inputs"]["results"]["results"] == 2


def test_several_files_are_compared_on_the_photos_of_all(folder: Path) -> None:
    truth = read_coco_truth(folder / "gt.json")
    both = [read_results(folder / name, truth=truth, common=True) for name in ("results.json", "less.json")]
    cut, (first, second) = common_photos(truth, both)
    assert cut.images.id.tolist() == [3]
    assert first.poses.image_id.tolist() == second.poses.image_id.tolist() == [3]
    assert (first.left_out, second.left_out) == ({"images": 2, "results": 2}, {})
    assert cut.left_out == {"images": 2, "people": 3}
    files = ["--gt", folder / "gt.json", "--results", folder / "results.json", folder / "less.json"]
    assert run("audit", *files, "--common", "--draws", 20, "--json", folder / "audit.json") == 0
    assert json.loads((folder / "audit.json").read_text())[0]["compare"]


def test_nothing_in_common_is_reported(folder: Path) -> None:
    rows = json.loads((folder / "results.json").read_text())
    (folder / "none.json").write_text(json.dumps([row | {"image_id": 99} for row in rows]))
    truth = read_coco_truth(folder / "gt.json")
    with pytest.raises(
        InputError, match=r"none\.json: no result is in a photo of .*gt\.json, but --common needs photos in common"
    ):
        read_results(folder / "none.json", truth=truth, common=True)
    (folder / "two.json").write_text(json.dumps([row for row in rows if row["image_id"] == 2]))
    results_files = [read_results(folder / name, truth=truth, common=True) for name in ("two.json", "less.json")]
    with pytest.raises(InputError, match=r"gt\.json: none of its photos is in .*two\.json, .*less\.json"):
        common_photos(truth, results_files)
