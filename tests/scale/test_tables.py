"""Calibrating and tracking tables on Ray gives the rows of one process, also where another run stopped."""

import os
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from tests.calibration.cases import made_up
from tests.cli.cases import run
from tests.cli.test_parquet import rows_in
from tests.parquet_cases import write_parts
from tests.tracking.cases import rows_of_clips, same_partition
from trustpose.calibration.calibrator import Calibrator
from trustpose.files import DiskError, InputError, read_json
from trustpose.io.companions import read_errors
from trustpose.scale.folder import RunFolder
from trustpose.scale.options import ScaleOptions
from trustpose.scale.storage import StoragePath
from trustpose.scale.table import Counts
from trustpose.scale.tables import CLIP_IDS, Calibrate, TablePart, Track, run_on_table, settings_of
from trustpose.skeletons import COCO_17

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")


@pytest.fixture(scope="module", autouse=True)
def cluster():
    """One node on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(address="local", num_cpus=1, include_dashboard=False, object_store_memory=80 << 20, log_to_driver=False)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Rows of photos in four parts, a photo in one each; one.cal; rows of three videos in three parts."""
    folder = tmp_path_factory.mktemp("tables")
    truth, results = made_up(80)
    rows = [row | {"file_name": f"{row['image_id']}.jpg"} for row in results.poses.to_coco()]
    write_parts(folder / "parts", rows, np.random.default_rng(2), cuts=[20, 20, 44])
    Calibrator.fit(truth, results, method="platt", folds=2).save(folder / "one.cal")
    videos = rows_of_clips()
    write_parts(folder / "videos", videos, np.random.default_rng(0), cuts=[10, 59])
    return folder


def written(out: Path) -> list[dict]:
    table = parquet.read_table(out / "poses")
    return [{name: cell for name, cell in row.items() if cell is not None} for row in table.to_pylist()]


def test_calibrated_rows_are_those_of_one_process(folder: Path, tmp_path: Path, capsys) -> None:
    apply = ["calibrate", "apply", "--calibrator", folder / "one.cal", "--results", folder / "parts"]
    assert run(*apply, "--out", tmp_path / "alone") == 0
    expected = rows_in(tmp_path / "alone")
    task, out = (
        Calibrate.of(Calibrator.load(folder / "one.cal"), folder / "parts"),
        RunFolder(StoragePath.of(tmp_path / "out")),
    )
    first, *others = task.parts()  # of which a run that was killed has done one
    out.begin(settings_of(task, [first, *others]), is_resumed=False, is_replaced=False)
    out.commit(first.name, task.content(first)[0])
    st_mtime_ns = out.file(first.name).local.stat().st_mtime_ns
    assert run(*apply, "--out", tmp_path / "out", "--engine", "ray", "--workers", 1, "--resume") == 0
    assert written(tmp_path / "out") == expected and {"file_name", "pose_quality"} <= set(expected[0])
    errors = read_errors(tmp_path / "out" / "poses")
    assert errors is not None and errors == read_errors(tmp_path / "alone")
    assert out.file(first.name).local.stat().st_mtime_ns == st_mtime_ns
    assert "80 poses on 40 photos" in capsys.readouterr().out
    manifest = read_json(tmp_path / "out" / "manifest.json")
    assert manifest["status"] == "complete" and manifest["rows_of_earlier_runs"] == 20
    assert run(*apply, "--out", tmp_path / "out", "--engine", "ray") == 2
    assert "holds manifest.json of an earlier run" in capsys.readouterr().err


def test_warnings_are_those_of_one_process(folder: Path, tmp_path: Path) -> None:
    calibrator = Calibrator.load(folder / "one.cal")
    rows = [row for part in sorted((folder / "parts").glob("*.parquet")) for row in rows_in(part)]
    for row in rows:
        row["keypoints"][1::3] = [5 * keypoint for keypoint in row["keypoints"][1::3]]
    strange = Calibrate.of(calibrator, write_parts(tmp_path / "tall", rows, np.random.default_rng(0), cuts=[4]))
    found = [strange.rows(part, lambda _: None)[1] for part in strange.parts()]
    expected = calibrator.apply(strange.results.of_rows(next(iter(strange.results.parts.batches()))).poses).warnings
    assert strange.end(list(zip(found, (4, len(rows) - 4), strict=True))) == expected and expected


def test_tracks_are_those_of_one_process(folder: Path, tmp_path: Path, capsys) -> None:
    track = ["track", folder / "videos", "--out"]
    assert run(*track, tmp_path / "alone") == 0
    assert run(*track, tmp_path / "out", "--engine", "ray", "--workers", 1) == 0
    assert "65 poses on" in capsys.readouterr().out
    found, expected = written(tmp_path / "out"), rows_in(tmp_path / "alone")
    ids = [np.array([row.pop("track_id") for row in some]) for some in (found, expected)]
    assert found == expected
    assert same_partition(*ids)
    assert {*(ids[0] // CLIP_IDS).tolist()} == {0, 1, 2}
    # the second and third video share a part, and the first has one with the second
    parts = Track.of(folder / "videos", COCO_17, {}, {}).parts()
    assert [part.clips for part in parts] == [(0, 1, 2)] and parts[0].files == (0, 1, 2)
    by_video = write_parts(tmp_path / "by_video", expected, np.random.default_rng(0), cuts=[24, 60])
    assert [part.files for part in Track.of(by_video, COCO_17, {}, {}).parts()] == [(0,), (1,), (2,)]


def test_what_is_refused(folder: Path, tmp_path: Path, capsys) -> None:
    calibrator = Calibrator.load(folder / "one.cal")
    rows = rows_in(folder / "parts" / "00.parquet")
    across = write_parts(tmp_path / "across", rows, np.random.default_rng(0), cuts=[3])
    with pytest.raises(InputError, match=r"00.parquet: field 'image_id': rows of photo 2 are in the next file"):
        Calibrate.of(calibrator, across).parts()
    scaled = [row | {"keypoints": [100 * keypoint for keypoint in row["keypoints"]]} for row in rows]
    off = write_parts(tmp_path / "off", scaled, np.random.default_rng(0), cuts=[4])
    task = Calibrate.of(calibrator, off)
    with pytest.raises(InputError, match="another scale; do not use the output"):
        task.end(list(zip([task.rows(part, lambda _: None)[1] for part in task.parts()], (4, 16), strict=True)))
    apply = ["calibrate", "apply", "--calibrator", folder / "one.cal", "--out", tmp_path / "out", "--results"]
    refused = {
        "--workers: is for --engine ray": [*apply, folder / "parts", "--workers", 2],
        "--engine: expected ray": [*apply, folder / "parts", "--engine", "spark"],
        "--engine ray expects Parquet": [*apply, folder / "one.cal", "--engine", "ray"],
        "--resume: is for --engine ray": ["track", folder / "videos", "--out", tmp_path / "out", "--resume"],
    }
    for message, arguments in refused.items():
        assert run(*arguments) == 2
        assert message in capsys.readouterr().err


def test_a_full_disk_comes_from_a_worker_as_it_was(folder: Path, tmp_path: Path) -> None:
    class Full(Calibrate):
        def content(self, part: TablePart) -> tuple[bytes, Counts]:
            raise DiskError(f"{part.name}: cannot be written (No space left on device)")

    task = Full.of(Calibrator.load(folder / "one.cal"), folder / "parts")
    with pytest.raises(DiskError) as raised:
        run_on_table(task, str(tmp_path / "out"), ScaleOptions(workers=1))
    assert "\n" not in str(raised.value) and str(raised.value).endswith("(No space left on device)")
