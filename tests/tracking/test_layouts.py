"""The same rows get the same tracks, and are smoothed alike, in any layout: JSON, CSV, Parquet, parts in any order."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.cli.cases import run
from tests.cli.test_parquet import rows_in
from tests.evaluation.test_layouts import as_csv
from tests.parquet_cases import write_parts
from tests.tracking.cases import rows_of_clips, same_partition, three_clips, walking
from trustpose.images import Images
from trustpose.io import parquet
from trustpose.io.tables import read_rows
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17
from trustpose.tracking import smooth, track

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


def rows_of(source: Path) -> Rows:
    """The rows of a layout, in its order."""
    files = sorted(source.glob("*.parquet")) if source.is_dir() else [source]
    return [row for file in files for row in read_rows(file.read_bytes(), file) or json.loads(file.read_text())]


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
        assert [row["keypoints"] for row in tracked] == [row["keypoints"] for row in rows_of(source)]
        assert len(tracked) == len(rows) and all(row["track_id"] for row in tracked)
        tracks.append({(row["image_id"], *row["keypoints"]): row["track_id"] for row in tracked})
    assert all(of_layout == tracks[0] for of_layout in tracks[1:])
    assert (len(set(tracks[0].values())) > 1) and len(tracks[0]) == len(rows)


@pytest.mark.parametrize("listing", [False, True])
@pytest.mark.usefixtures("small")
def test_all_layouts_are_smoothed_alike_a_clip_at_a_time(tmp_path: Path, listing: bool, monkeypatch) -> None:
    sizes: list[int] = []

    def counted(poses: Poses, *arguments: Any, **options: Any) -> Any:
        sizes.append(len(poses))
        return smooth(poses, *arguments, **options)

    monkeypatch.setattr("trustpose.tracking.smoothed_results.smooth", counted)
    rows, people = rows_of_clips(), Counter[int]()
    for row in rows:
        people[row["image_id"]] += 1
        row["track_id"] = people[row["image_id"]]
    options = ["--images", listed(tmp_path)] if listing else []
    smoothed = []
    for source in layouts(tmp_path, rows):
        out = tmp_path / f"{source.name} smooth{'' if source.is_dir() else source.suffix}"
        sizes.clear()
        assert run("smooth", source, "--fill", "6", *options, "--out", out) == 0
        assert sorted(sizes) == sorted(map(len, three_clips()))
        written = rows_in(out)
        assert [row["image_id"] for row in written[: len(rows)]] == [row["image_id"] for row in rows_of(source)]
        smoothed.append([*sorted(written[: len(rows)], key=str), *written[len(rows) :]])
    assert all(of_layout == smoothed[0] for of_layout in smoothed[1:])
    assert (len(smoothed[0]) > len(rows)) != listing  # a listed clip has no frame without its people


def test_smoothing_of_a_clip_does_not_depend_on_others() -> None:
    clips = [
        replace(poses, track_id=np.zeros(len(poses), np.int64) + number) for number, poses in enumerate(one_each())
    ]
    together = smooth(Poses.concatenate(clips), clip_images(clips))
    alone = [smooth(poses, clip_images([poses])) for poses in clips]
    np.testing.assert_array_equal(together.poses.xy, np.concatenate([one.poses.xy for one in alone]))


def one_each() -> list[Poses]:
    """Two clips of a person each, which move differently."""
    return [walking([50], [speed], 20, seed=speed, first_frame=100 * speed) for speed in (1, 9)]


def clip_images(clips: list[Poses]) -> Images:
    """The frames of clips, each with its name."""
    ids = [poses.image_id for poses in clips]
    return Images(np.concatenate(ids), clip=[str(number) for number, of_clip in enumerate(ids) for _ in of_clip])


def test_tracks_in_parts_are_measured(tmp_path: Path, capsys) -> None:
    rows = rows_of_clips()
    people = [
        {"id": number + 1, "image_id": row["image_id"], "category_id": 1, "iscrowd": 0, "area": 1e4, "track_id": number,
         "bbox": [0, 0, 400, 200], "keypoints": [*row["keypoints"][:2], 2, *[0] * 48]}
        for number, row in enumerate(rows)
    ]  # fmt: skip
    category = {"id": 1, "name": "person", "keypoints": list(COCO_17.keypoints)}
    images = [{"id": image_id} for image_id in dict.fromkeys(row["image_id"] for row in rows)]
    gt = tmp_path / "gt.json"
    gt.write_text(json.dumps({"images": images, "annotations": people, "categories": [category]}))
    printed = set()
    for source in layouts(tmp_path, rows):
        assert run("track", source, "--gt", gt, "--out", tmp_path / f"out {source.name}") == 0
        printed.add(next(line for line in capsys.readouterr().out.splitlines() if line.startswith("HOTA")))
    assert len(printed) == 1


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
