"""`trustpose calibrate --second`: another network's results beside the first's."""

import json
from pathlib import Path

import numpy as np
import pytest

import trustpose as tp
from tests.calibration.cases import another, as_json, made_up
from tests.cli.test_calibrate import run
from tests.parquet_cases import write_parts
from trustpose.io import parquet
from trustpose.io.coco.results import read_results
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.tables import row_writer
from trustpose.io.truth_stream import truth_rows
from trustpose.poses import write_results
from trustpose.predict import second_results
from trustpose.predict.second_results import opinions_at_fitting


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """gt.json with results.json and second.json of it; others.json and others2.json of other photos; two.cal."""
    folder = tmp_path_factory.mktemp("second")
    truth, results = made_up(120)
    (folder / "gt.json").write_text(json.dumps(as_json(truth)))
    write_results(folder / "results.json", results.poses)
    write_results(folder / "second.json", another(truth))
    others, printed = made_up(60, 1)
    write_results(folder / "others.json", printed.poses)
    write_results(folder / "others2.json", another(others))
    assert fit(folder, "two.cal", "exact=" + str(folder / "second.json")) == 0
    return folder


def fit(folder: Path, out: str, second: str, *more: str | Path) -> int:
    return run(
        "calibrate", "fit", "--gt", folder / "gt.json", "--results", folder / "results.json", "--folds", "2",
        "--draws", "20", "--method", "trees", "--second", second, "--out", folder / out, *more,
    )  # fmt: skip


def apply(folder: Path, out: Path, *more: str | Path) -> int:
    return run(
        "calibrate", "apply", "--calibrator", folder / "two.cal", "--results", folder / "others.json", "--out", out,
        *more,
    )  # fmt: skip


def test_fit_prints_the_effect_of_a_second_opinion(folder, tmp_path, capsys) -> None:
    assert fit(folder, "three.cal", str(folder / "second.json"), "--json", tmp_path / "fit.json") == 0
    printed = capsys.readouterr().out
    for wanted in ("second opinion of second.json, 120 people", "without it", "explained variance", "is used (out of"):
        assert wanted in printed
    (opinion,) = json.loads((tmp_path / "fit.json").read_text())["card"]["opinions"]
    assert opinion["kept"] and opinion["file"] == "second.json" and len(opinion["sha256"]) == 64
    assert opinion["change"]["pose.pearson"][0] > 0
    assert tp.Calibrator.load(folder / "two.cal").card.opinions[0].name == "exact"


def test_both_are_streamed_to_the_drawn_photos(folder, tmp_path, capsys, monkeypatch) -> None:
    """Of no layout does the fit have more second results than those in the photos that are drawn."""
    monkeypatch.setattr(parquet, "ROWS", 16)
    read: list[int] = []

    def counted(*arguments, **options):
        opinions = opinions_at_fitting(*arguments, **options)
        read.extend(len(opinion.poses) for opinion in opinions)
        return opinions

    monkeypatch.setattr(second_results, "opinions_at_fitting", counted)
    random, cards = np.random.default_rng(0), []
    truth = read_coco_truth(folder / "gt.json")
    people, schema = truth_rows(truth)
    with row_writer(tmp_path / "gt.parquet", schema) as write:
        write(people)
    for name in ("results", "second"):
        rows = json.loads((folder / f"{name}.json").read_text())
        shuffled = [rows[row] for row in random.permutation(len(rows))]
        (tmp_path / f"{name}.json").write_text(json.dumps(shuffled))
        write_parts(tmp_path / name, shuffled, random)
    for gt, results, second in (
        (folder / "gt.json", tmp_path / "results.json", tmp_path / "second.json"),
        (tmp_path / "gt.parquet", tmp_path / "results", tmp_path / "second"),
    ):
        arguments = ["--gt", gt, "--results", results, "--second", f"exact={second}", "--max-results", "90"]
        arguments += ["--folds", "2", "--draws", "20", "--method", "trees"]
        assert run("calibrate", "fit", *arguments, "--out", tmp_path / "out.cal") == 0
        assert "fitted on 9" in (printed := capsys.readouterr().out) or "fitted on 8" in printed
        cards.append(tp.Calibrator.load(tmp_path / "out.cal").card)
    (first,), (streamed,) = (card.opinions for card in cards)
    assert (first.change, first.people) == (streamed.change, streamed.people) and cards[0].after == cards[1].after
    assert read[0] == read[1] <= 90


def test_apply_reads_it(folder, tmp_path) -> None:
    assert apply(folder, tmp_path / "out.json", "--second", folder / "others2.json") == 0
    poses, other = (read_results(folder / name).poses for name in ("others.json", "others2.json"))
    expected = tp.Calibrator.load(folder / "two.cal")(poses, second=other)
    written = json.loads((tmp_path / "out.json").read_text())
    assert [row["pose_quality"] for row in written] == expected.pose_quality.tolist()


def test_texts_as_ids_are_the_same_in_both_files(folder, tmp_path) -> None:
    """Each file numbers its texts independently: one of them starts with a photo that the other lacks."""
    for name in ("others.json", "others2.json"):
        rows = json.loads((folder / name).read_text())
        for row in rows:
            row["image_id"] = f"photo {row['image_id']}"
            row.pop("annotation_id")
        if name == "others2.json":
            rows = [row for row in rows if row["image_id"] != "photo 1"] + [rows[0] | {"image_id": "a first photo"}]
        (tmp_path / name).write_text(json.dumps(rows))
    out = tmp_path / "out.json"
    assert (
        run("calibrate", "apply", "--calibrator", folder / "two.cal", "--results", tmp_path / "others.json",
            "--second", tmp_path / "others2.json", "--out", out) == 0
    )  # fmt: skip
    assert apply(folder, tmp_path / "numbers.json", "--second", folder / "others2.json") == 0
    texts, numbers = (json.loads(path.read_text()) for path in (out, tmp_path / "numbers.json"))
    same = [a["pose_quality"] == b["pose_quality"] for a, b in zip(texts, numbers, strict=True)]
    in_first_photo = np.array([row["image_id"] == "photo 1" for row in texts])
    assert np.array(same)[~in_first_photo].all() and not np.array(same)[in_first_photo].any()


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ([], "two.cal: the calibrator was fitted with the second opinion 'exact': expected it beside the poses"),
        (["--second", "tiny={}/others2.json"], "second opinion 'tiny': the calibrator was fitted with the second opin"),
        (["--second", "{}/others2.json", "--second", "{}/others2.json"], "expected 1 second opinion, as the calib"),
        (["--second", "{}/none.json"], "none.json: no such file"),
        (["--second", "=x.json"], "--second: expected a model or results, or NAME= before them, got '=x.json'"),
    ],
)
def test_refused_in_a_line(folder, tmp_path, capsys, more, message) -> None:
    assert apply(folder, tmp_path / "out.json", *(one.format(folder) for one in more)) == 2
    error = capsys.readouterr().err
    assert message in error and "\n" not in error.strip()
    assert list(tmp_path.iterdir()) == []


def test_an_input_is_not_overwritten(folder, capsys) -> None:
    assert apply(folder, folder / "others2.json", "--second", folder / "others2.json") == 2
    assert "would be overwritten by --out, but is given as --second" in capsys.readouterr().err
