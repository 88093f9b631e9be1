"""The same rows get the same tracks in any layout: JSON, CSV, Parquet, parts in any order."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.cases import run
from tests.cli.test_parquet import rows_in
from tests.evaluation.test_layouts import as_csv
from tests.parquet_cases import write_parts
from tests.tracking.cases import rows_of_clips, same_partition, three_clips
from trustpose.io import parquet
from trustpose.poses import Poses
from trustpose.tracking import track

Rows = list[dict[str, Any]]


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches and files so small that a clip needs many of each."""
    monkeypatch.setattr(parquet, "ROWS", 5)
    monkeypatch.setattr(parquet, "_AT_ONCE", 9)


def layouts(folder: Path, rows: Rows) -> list[Path]:
    """The rows in every layout, the last one with its frames in another order."""
    random = np.random.default_rng(1)
    by_frame: dict[int, Rows] = {}
    for row in rows:
        by_frame.setdefault(row["image_id"], []).append(row)
    shuffled = [row for frame in random.permutation(list(by_frame)).tolist() for row in by_frame[frame]]
    (folder / "rows.json").write_text(json.dumps(rows))
    (folder / "shuffled.json").write_text(json.dumps(shuffled))
    (folder / "rows.csv").write_text(as_csv(rows))
    write_parts(folder / "one", rows, random, cuts=[])
    (folder / "one" / "00.parquet").rename(folder / "rows.parquet")
    parts = [write_parts(folder / "parts", rows, random), write_parts(folder / "shuffled", shuffled, random)]
    return [folder / name for name in ("rows.json", "shuffled.json", "rows.csv", "rows.parquet")] + parts


def listed(folder: Path) -> Path:
    """A list of the frames in which the second clip runs backwards, and two frames have nobody."""
    ids = [*dict.fromkeys(row["image_id"] for row in rows_of_clips()), 10_000_100, 10_000_101]
    images = [{"id": image_id, "clip": str(image_id // 10_000_000), "time": -image_id / 25} for image_id in ids]
    (folder / "images.json").write_text(json.dumps(images))
    return folder / "images.json"


@pytest.mark.parametrize("named", [True, False])
@pytest.mark.parametrize(
    "options", [[], ["--memory", "2"], ["--distance", "box", "--history", "3"], ["--images"], ["categories"]]
)
@pytest.mark.usefixtures("small")
def test_all_layouts_have_the_same_tracks(tmp_path: Path, named: bool, options: list[Any]) -> None:
    rows = rows_of_clips(named=named)
    if options == ["categories"]:
        rows, options = [row | {"category_id": 1 + number % 2} for number, row in enumerate(rows)], []
    if options == ["--images"]:
        options = ["--images", listed(tmp_path)]
    tracks = []
    for source in layouts(tmp_path, rows):
        out = tmp_path / f"{source.name} tracked{'' if source.is_dir() else source.suffix}"
        assert run("track", source, *options, "--out", out) == 0
        tracked = rows_in(out)
        assert len(tracked) == len(rows) and all(row["track_id"] for row in tracked)
        tracks.append({(row["image_id"], *row["keypoints"]): row["track_id"] for row in tracked})
    assert all(of_layout == tracks[0] for of_layout in tracks[1:])
    assert (len(set(tracks[0].values())) > 1) and len(tracks[0]) == len(rows)


@pytest.mark.parametrize("memory", [30, 2])
@pytest.mark.usefixtures("small")
def test_tracks_of_videos_are_those_of_each_alone(tmp_path: Path, memory: int, capsys) -> None:
    expected, before = [], 0
    for poses in three_clips():
        ids = track(poses, memory=memory).track_id
        assert ids is not None
        expected.append(ids + before)
        before = int(expected[-1].max())
    rows = rows_of_clips()
    parts = write_parts(tmp_path / "parts", rows, np.random.default_rng(memory))
    assert run("track", parts, "--out", tmp_path / "out", "--memory", memory) == 0
    assert f"{before} tracks of {len(rows)} poses in 3 clips" in capsys.readouterr().out
    tracked = rows_in(tmp_path / "out")
    assert [row.pop("track_id") for row in tracked] == np.concatenate(expected).tolist()
    assert tracked == rows


def test_categories_are_tracked_apart() -> None:
    clip = three_clips()[0]
    twice = Poses.concatenate([clip, clip])  # two people at each place, of two categories
    groups = np.repeat([1, 2], len(clip))
    expected = track(clip).track_id
    assert expected is not None
    tracked = track(twice, groups=groups).track_id
    assert tracked is not None and len(set(tracked.tolist())) == 2 * len(set(expected.tolist()))
    for group in (1, 2):
        assert same_partition(tracked[groups == group], expected)


@pytest.mark.parametrize("layout", ["rows.json", "parts"])
def test_clips_whose_ids_overlap_are_refused(tmp_path: Path, layout: str, capsys) -> None:
    rows = rows_of_clips()
    mixed = [row | {"file_name": "a/one.mp4"} if row["image_id"] > 20_000_000 else row for row in rows]
    source = next(path for path in layouts(tmp_path, mixed) if path.name == layout)
    assert run("track", source, "--out", tmp_path / "out") == 2
    assert "field 'file_name': frames of 'a/one.mp4' have image ids on both sides" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_frames_that_are_not_listed_are_refused(tmp_path: Path, capsys) -> None:
    images = tmp_path / "images.json"
    images.write_text(json.dumps([{"id": 3}]))
    for source in layouts(tmp_path, rows_of_clips()):
        assert run("track", source, "--images", images, "--out", tmp_path / "out") == 2
        assert "image_id: 0 is not among the 1 images" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
