"""Ray Data predicts what one process does, and what is killed on the way, a worker or the driver, changes nothing."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest

from tests.scale.cases import BROKEN, WHOLE, digest, model_in, rows, write_photos
from tests.scale.killer import KilledOnce
from trustpose.files import read_json
from trustpose.predict.load import load
from trustpose.scale.options import ScaleOptions
from trustpose.scale.run import Progress, predict_at_scale

ray = pytest.importorskip("ray", reason="Ray is not installed (the extra `ray`)")
COUNT = 11
HOW = ScaleOptions(block=2, workers=1)


@pytest.fixture(scope="module")
def cluster():
    """One node on this machine; its address."""
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0"}
    context = ray.init(
        address="local",
        num_cpus=1,
        include_dashboard=False,
        object_store_memory=80 << 20,
        logging_level="ERROR",
        log_to_driver=False,
    )
    yield context.address_info["gcs_address"]
    ray.shutdown()


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """A folder with photos and a network."""
    folder = tmp_path_factory.mktemp("scale")
    write_photos(folder / "photos", COUNT)
    return folder, model_in(folder)


@pytest.fixture(scope="module")
def disturbed(cluster, photos):  # noqa: ARG001 (the program is connected to it)
    """A run whose worker is killed."""
    folder, model = photos
    options = replace(WHOLE, detector=KilledOnce(folder / "killed"))
    total = predict_at_scale(model, [str(folder / "photos")], str(folder / "out"), options, HOW)
    assert (folder / "killed").exists()
    return folder / "out", total


def test_a_worker_is_killed_and_the_poses_are_those_of_one_process(photos, disturbed):
    folder, model = photos
    out, total = disturbed
    assert (total.blocks, total.photos, total.people, len(total.unread)) == (6, COUNT, COUNT - 1, 1)
    alone = load(model, WHOLE).run(str(folder / "photos"), folder / "alone", format="parquet")
    found = rows(out)
    assert len(found) == COUNT - 1 == alone.people
    expected = parquet.read_table(folder / "alone" / "results.parquet").to_pylist()
    for row, one in zip(found, sorted(expected, key=lambda row: row["image_id"]), strict=True):
        assert row["image_id"] == one["image_id"] and Path(row["file_name"]).name == one["file_name"]
        for name in set(one) - {"file_name"}:
            np.testing.assert_allclose(row[name], one[name], rtol=1e-6, atol=1e-6)
    errors = parquet.read_table(out / "errors.parquet").to_pylist()
    assert [(Path(error["file"]).name, error["image_id"]) for error in errors] == [(BROKEN, 3)]
    assert errors[0]["reason"] == "cannot be decoded as an image (broken or truncated)"
    manifest = read_json(out / "manifest.json")
    assert manifest["status"] == "complete"
    assert manifest["counts"] == {"blocks": 6, "photos": COUNT, "people": COUNT - 1, "without_people": 0, "unread": 1}


DRIVER = """
import os, signal, sys
from pathlib import Path
from dataclasses import replace
from tests.scale.cases import WHOLE
from tests.scale.killer import KilledOnce
from trustpose.scale.options import ScaleOptions
from trustpose.scale.run import predict_at_scale
folder, model, address = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
seen = []
def tell(progress):
    seen.append(progress)
    if len(seen) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
options = replace(WHOLE, detector=KilledOnce(folder / "killed"))
how = ScaleOptions(block=2, workers=1, address=address)
predict_at_scale(model, [str(folder / "photos")], str(folder / "resumed"), options, how, tell=tell)
"""


def test_a_killed_driver_is_started_again(cluster, photos, disturbed):
    folder, model = photos
    command = [sys.executable, "-c", DRIVER, str(folder), model, cluster]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    out = folder / "resumed"
    assert read_json(out / "manifest.json")["status"] == "running"
    before = {file: file.stat().st_mtime_ns for file in (out / "poses").rglob("*.parquet")}
    assert 2 <= len(before) < 6
    told: list[Progress] = []
    options = replace(WHOLE, detector=KilledOnce(folder / "killed"))
    changed_how = replace(HOW, resume=True)
    total = predict_at_scale(model, [str(folder / "photos")], str(out), options, changed_how, tell=told.append)
    assert (total.blocks, total.photos, len(told)) == (6, COUNT, 6)
    assert digest(rows(out)) == digest(rows(disturbed[0]))
    assert read_json(out / "manifest.json")["photos_of_earlier_runs"] >= 4
    assert parquet.read_table(out / "errors.parquet").equals(parquet.read_table(disturbed[0] / "errors.parquet"))
