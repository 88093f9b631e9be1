"""Tracks of Parquet in parts are those of the same clips in memory."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.cases import run
from tests.cli.test_in_batches import rows_in
from tests.parquet_cases import write_parts
from tests.tracking.cases import walking
from trustpose.io import parquet as parquet_parts
from trustpose.io import parquet as parquet_sorting
from trustpose.poses import Poses
from trustpose.tracking import track

VIDEOS = ("a/one.mp4", "a/two.mp4", "b/three.MOV")


def rows_of(poses: Poses, name: str | None) -> list[dict[str, Any]]:
    return [row | ({} if name is None else {"file_name": name}) for row in poses.to_coco()]


def clips() -> list[Poses]:
    """Frames of three videos: every second one of the second, and people who leave for a while in the third."""
    found = []
    for number, (start, speed) in enumerate((([0, 300], [3, -3]), ([50, 200, 400], [0, 2, -4]), ([10], [5]))):
        poses = walking(start, speed, 12, seed=number)
        assert poses.image_id is not None
        image = poses.image_id * (2 if number == 1 else 1) + 10_000_000 * number
        found.append(replace(poses, image_id=image, annotation_id=None))
    away = found[2][np.isin(found[2].image_id % 100, (0, 1, 2, 8, 9))]
    return [found[0], found[1], away]


def expected_ids(options: dict[str, Any]) -> np.ndarray:
    ids, before = [], 0
    for poses in clips():
        found = track(poses, **options).track_id
        assert found is not None
        ids.append(found + before)
        before = int(ids[-1].max())
    return np.concatenate(ids)


@pytest.mark.parametrize("order", ["ascending", "shuffled"])
@pytest.mark.parametrize("memory", [30, 2])
def test_tracks_of_videos_are_those_in_memory(tmp_path: Path, monkeypatch, capsys, order: str, memory: int) -> None:
    monkeypatch.setattr(parquet_parts, "ROWS", 5)
    monkeypatch.setattr(parquet_sorting, "_AT_ONCE", 9)
    rows = [row for name, poses in zip(VIDEOS, clips(), strict=True) for row in rows_of(poses, name)]
    given = rows if order == "ascending" else [rows[at] for at in np.random.default_rng(0).permutation(len(rows))]
    parts = write_parts(tmp_path / "parts", given, np.random.default_rng(memory))
    assert run("track", parts, "--out", tmp_path / "out", "--memory", memory) == 0
    found, expected = rows_in(tmp_path / "out"), expected_ids({"memory": memory})
    assert f"{expected.max()} tracks of {len(rows)} poses in 3 clips" in capsys.readouterr().out
    if order == "ascending":
        assert [row.pop("track_id") for row in found] == expected.tolist()
        assert found == rows
    else:  # people of one frame come in the order of the file
        assert {row["track_id"] for row in found} == set(expected.tolist())
        assert [row["image_id"] for row in found] == [row["image_id"] for row in rows]


def test_one_clip_without_names_is_that_of_the_same_rows_in_memory(tmp_path: Path) -> None:
    rows = [row for poses in clips() for row in rows_of(poses, None)]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    write_parts(tmp_path / "parts", rows, np.random.default_rng(0))
    for source in ("rows.json", "parts"):
        assert run("track", tmp_path / source, "--out", tmp_path / f"{source}.out.json") == 0
    assert rows_in(tmp_path / "parts.out.json") == rows_in(tmp_path / "rows.json.out.json")


def test_what_is_refused(tmp_path: Path, capsys) -> None:
    rows = [row for name, poses in zip(VIDEOS, clips(), strict=True) for row in rows_of(poses, name)]
    between = [row | {"file_name": VIDEOS[0]} if row["image_id"] > 20_000_000 else row for row in rows]
    mixed = [row | {"category_id": 1 + at % 2} for at, row in enumerate(rows)]
    for name, some in (("parts", rows), ("between", between), ("mixed", mixed)):
        write_parts(tmp_path / name, some, np.random.default_rng(0))
    refused = {
        "--images: expected results in one file": [tmp_path / "parts", "--images", tmp_path / "no.json"],
        "field 'file_name': frames of 'a/one.mp4' have image ids on both sides": [tmp_path / "between"],
        "field 'category_id': expected one category": [tmp_path / "mixed"],
    }
    for message, arguments in refused.items():
        assert run("track", *arguments, "--out", tmp_path / "out") == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
