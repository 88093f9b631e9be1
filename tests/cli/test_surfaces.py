"""`trustpose surfaces`: the same surfaces as in Python, drawn and written; one line for what cannot be."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.cases import run
from tests.predict.test_surfaces import trained as trained  # a fixture
from trustpose.io.coco.surface_results import read_surface_results
from trustpose.io.photos import read_image
from trustpose.predict.surfaces import SurfacePredictor
from trustpose.training.surface_task import SurfaceTask

Trained = tuple[SurfaceTask, Path]


def boxes_file(task: SurfaceTask, path: Path) -> Path:
    """Write the labelled boxes as detections, of photos 0, 1, …"""
    corners = task.crops.truth.box
    sides = np.c_[corners[:, :2], corners[:, 2:] - corners[:, :2]].tolist()
    rows = [{"image_id": row, "category_id": 1, "bbox": box, "score": 0.9} for row, box in enumerate(sides)]
    path.write_text(json.dumps(rows))
    return path


def test_the_command_writes_what_python_predicts(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    task, folder = trained
    photos, boxes = folder / "people" / "images", boxes_file(task, tmp_path / "boxes.json")
    arguments = ("surfaces", photos, "--model", folder / "model", "--boxes", boxes)
    assert run(*arguments, "--out", tmp_path / "out") == 0
    assert "4 people on 4 photos in " in capsys.readouterr().out
    written = read_surface_results(tmp_path / "out" / "surfaces.json")
    predictor = SurfacePredictor(folder / "model")
    for row, surface in enumerate(written):
        predicted = predictor(photos / f"{row}.png", task.crops.truth.box[row : row + 1])
        np.testing.assert_array_equal(surface.part, predicted.surfaces[0].part)
        np.testing.assert_allclose(surface.uv, predicted.surfaces[0].uv, atol=1 / 255)
        assert written.score[row] == pytest.approx(predicted.score[0]) and written.image_id[row] == row
        drawn, photo = read_image(tmp_path / "out" / f"{row}.jpg"), read_image(photos / f"{row}.png")
        assert drawn.shape == photo.shape and np.abs(drawn.astype(int) - photo).max() > 60
    assert run(*arguments, "--out", tmp_path / "bare", "--no-draw") == 0
    assert [path.name for path in (tmp_path / "bare").iterdir()] == ["surfaces.json"]


def test_photos_without_numbers_are_listed_and_unreadable_ones_skipped(
    trained: Trained, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = trained[1]
    (tmp_path / "photos").mkdir()
    shutil.copy(folder / "people" / "images" / "0.png", tmp_path / "photos" / "walk.png")
    (tmp_path / "photos" / "text.png").write_text("no photo")
    arguments = ("surfaces", tmp_path / "photos", "--model", folder / "model", "--detector", "whole")
    assert run(*arguments, "--out", tmp_path / "out", "--style", "trust") == 1
    assert "text.png" in capsys.readouterr().err
    listed = json.loads((tmp_path / "out" / "images.json").read_text())
    assert [(image["id"], Path(image["file_name"]).name) for image in listed] == [(1, "text.png"), (2, "walk.png")]
    assert read_surface_results(tmp_path / "out" / "surfaces.json").image_id.tolist() == [2]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--detector", "whole", "--boxes", "boxes.json"), "--detector: is for photos without boxes"),
        (("--style", "lines"), "--style: expected one of contours, parts, trust, got 'lines'"),
        (("--texture", "0.png"), "expected a texture of 6 × 4 squares"),
        (("--model", "default"), "gives heatmaps, expected a network that gives surfaces"),
    ],
)
def test_refusals(
    trained: Trained,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    message: str,
) -> None:
    task, folder = trained
    boxes_file(task, tmp_path / "boxes.json")
    shutil.copy(folder / "people" / "images" / "0.png", tmp_path / "0.png")
    monkeypatch.chdir(tmp_path)
    assert run("surfaces", "0.png", "--model", folder / "model", *words) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "surfaces").exists()
