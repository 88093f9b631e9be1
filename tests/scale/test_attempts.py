"""A photo that ends its process is found and left out; machines that leave end a pass, and the rest goes on."""

import os
import signal
from dataclasses import dataclass, replace
from types import SimpleNamespace

import cv2
import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest

from tests.scale.cases import WHOLE, model_in, rows, run_here, write_photos
from tests.scale.test_inputs import write_video
from trustpose.files import DiskError, InputError
from trustpose.geometry.crops import Boxes
from trustpose.predict.fingerprints import model_fingerprint
from trustpose.scale import cluster, reading
from trustpose.scale.cluster import Cluster, ClusterChangedError, MachineWatch, Share
from trustpose.scale.folder import RunFolder
from trustpose.scale.reading import Encoded, blocks
from trustpose.scale.run import write_blocks
from trustpose.scale.stages import BlockPredictor, Predict, Read, Work, counts_of
from trustpose.scale.storage import ALONE, READS, TOGETHER, Attempt, StoragePath
from trustpose.scale.table import Counts
from trustpose.scale.units import TAR, Unit, find_inputs


@dataclass(frozen=True)
class Deadly:
    """Another detector of whole photos: one with this sum of pixels ends the process."""

    total: int

    def __call__(self, pixels: np.ndarray) -> Boxes:
        if int(pixels.sum()) == self.total:
            os.kill(os.getpid(), signal.SIGKILL)
        height, width = pixels.shape[:2]
        return Boxes(np.array([[0.0, 0.0, width, height]]), np.zeros(1, np.int64))


def survives(work) -> bool:
    """Whether another process came through."""
    child = os.fork()
    if child == 0:
        work()
        os._exit(0)
    status = os.waitpid(child, 0)[1]
    assert status in (0, signal.SIGKILL)
    return status == 0


def test_a_photo_that_kills_is_left_out_alone(tmp_path):
    photos, model = write_photos(tmp_path / "photos", 7), model_in(tmp_path)
    deadly = int(cv2.imread(str(photos / "photo_0005.png")).sum())
    predict = BlockPredictor(model, replace(WHOLE, detector=Deadly(deadly)), model_fingerprint(model))
    inputs = find_inputs([str(photos)], 7)
    folder = RunFolder(StoragePath.of(tmp_path / "out"))
    (block,) = blocks(inputs.units[0])

    def work():
        attempt = folder.attempt(block.name)
        content, _ = predict(block, attempt)
        folder.commit(block.name, content)
        attempt.over()

    tries = next(number for number in range(1, 20) if survives(work))
    assert tries == TOGETHER + ALONE + 1 and not list((tmp_path / "out" / "attempts").iterdir())
    (counts,) = folder.finished().values()
    assert (counts.photos, counts.people) == (7, 5)
    assert [(photo.image_id, photo.reason.split(" (")[0]) for photo in counts.unread] == [
        (3, "cannot be decoded as an image"),
        (5, "ends the process that predicts it"),
    ]
    run_here(inputs, model, tmp_path / "undisturbed")
    others = [row for row in rows(tmp_path / "undisturbed") if row["image_id"] != 5]
    for row, second_other in zip(rows(tmp_path / "out"), others, strict=True):
        np.testing.assert_allclose(row["keypoints"], second_other["keypoints"], rtol=1e-6)


class Ended(BaseException):
    """Stands for the end of the process."""


def test_reading_that_kills_is_given_up_where_it_does(tmp_path, monkeypatch):
    parquet.write_table(arrow.table({"bytes": [b"x"] * 7}), tmp_path / "photos.parquet")
    (unit,) = find_inputs([str(tmp_path / "photos.parquet")], 3).units
    whole = [block.name for block in blocks(unit)]
    file = StoragePath.of(tmp_path / "attempt.json")

    def rows_until_the_end(_unit):
        yield from [Encoded(number, "photo") for number in range(1, 7)]
        raise Ended

    monkeypatch.setattr(reading, "_rows", rows_until_the_end)
    for _ in range(READS):
        some = blocks(unit, Attempt.begin(file))
        assert next(some).name == whole[0]
        with pytest.raises(Ended):
            next(some)
    first, last = blocks(unit, Attempt.begin(file))
    assert (first.name, last.name) == (whole[0], unit.block_name(1, is_last=True))
    (photo,) = last.photos
    assert photo.image_id == 4
    assert photo.reason == "row group 0: reading it ended the process 10 times, after 3 photos or frames"


def test_attempts_are_counted_by_item(tmp_path):
    file = StoragePath.of(tmp_path / "attempt.json")
    for begun, ended in enumerate(({}, {3: 1}, {3: 2}), 1):
        attempt = Attempt.begin(file)
        assert (attempt.begun, attempt.ended) == (begun, ended)
        attempt.note(3)
    for content in (b"{", b"[]", b'{"begun": 7, "ended": {"x": 1}, "at": null}', b'{"begun": "7"}'):
        (tmp_path / "attempt.json").write_bytes(content)
        attempt = Attempt.begin(file)
        assert (attempt.begun, attempt.ended) == (1, {})  # as if there were none


def test_a_clip_that_kills_is_left_out(tmp_path):
    write_video(tmp_path / "clip.avi")
    predict = BlockPredictor(model := model_in(tmp_path), WHOLE, model_fingerprint(model))
    first, second, _ = blocks(find_inputs([str(tmp_path / "clip.avi")], 4).units[0])
    attempt = Attempt(StoragePath.of(tmp_path / "attempt.json"), TOGETHER + ALONE + 1)
    (unread,) = predict(second, attempt)[1].unread
    assert unread.image_id == 4 and unread.reason.startswith("from frame 4 to frame 7: ends the process")
    assert predict(first, replace(attempt, begun=TOGETHER + ALONE))[1].people == 4


def machines(*cpus):
    """A stand-in for Ray with these nodes; 0 CPUs: it is lost."""
    nodes = [
        {"NodeID": str(number), "Alive": count > 0, "Resources": {"CPU": count}} for number, count in enumerate(cpus)
    ]
    return SimpleNamespace(nodes=lambda: nodes)


def test_what_is_left_of_a_cluster_is_divided_anew(monkeypatch):
    assert Cluster(machines(2, 0)).share_again(4, None) == Share(2, 1, 0)
    assert Cluster(machines(8, 0)).share_again(None, None) == Share(2, 4, 0)
    monkeypatch.setattr(cluster, "_WAIT", 0)
    with pytest.raises(InputError, match="has lost all its machines; --resume continues"):
        Cluster(machines(0, 0)).share_again(2, None)


def test_machines_that_leave_for_long_end_a_pass(monkeypatch):
    ray, now = machines(2, 2), [100.0]
    monkeypatch.setattr(cluster, "import_ray", lambda: ray)
    monkeypatch.setattr(cluster.time, "monotonic", lambda: now[0])
    watch = MachineWatch()
    watch.before_execution_starts(None)

    def later(seconds, alive):
        now[0] += seconds
        ray.nodes()[1]["Alive"] = alive
        watch.on_execution_step(None)

    for alive in (True, False, False, True, False):  # it comes back before it counts
        later(9.0, alive)
    with pytest.raises(ClusterChangedError):
        later(21.0, False)


def test_a_pass_that_ends_is_continued_with_what_is_missing():
    units = [Unit(number, TAR, "/", (f"{number}.tar",), block=2, first=0) for number in range(3)]
    passes = []

    def write(share, todo):
        passes.append((share.workers, [unit.number for unit in todo]))
        for unit in todo:
            yield unit.block_name(0, is_last=True), Counts(photos=unit.number)
            if len(passes) == 1:
                raise ClusterChangedError

    both = Cluster(machines(1, 1))
    photos = []
    for counts in write_blocks(both, (2, None), units, set(), write):
        photos.append(counts.photos)
        both.ray.nodes()[1]["Alive"] = False
    assert photos == [0, 1, 2] and passes == [(2, [0, 1, 2]), (1, [1, 2])]


def test_an_error_comes_from_a_worker_as_it_was(monkeypatch, tmp_path):
    photos, model = write_photos(tmp_path / "photos", 2), model_in(tmp_path)
    folder = RunFolder(StoragePath.of(tmp_path / "out"))
    (unit,) = find_inputs([str(photos)], 2).units
    (row,) = Read(folder)({"unit": unit.to_json()})
    right = Predict(Work(model, WHOLE, model_fingerprint(model)), folder)
    name, counts = counts_of(right(row))
    assert name == unit.block_name(0, is_last=True) and counts.people == 2
    with pytest.raises(InputError, match="is another model on a worker's machine"):
        counts_of(Predict(Work(model, WHOLE, "another"), folder)(row))

    def full(*_):
        raise DiskError("x: cannot be written (No space left on device)")

    monkeypatch.setattr(RunFolder, "commit", full)
    with pytest.raises(DiskError, match="No space left"):
        counts_of(right(row))
    monkeypatch.setattr(RunFolder, "attempt", full)
    (row,) = Read(folder)({"unit": replace(unit, kind="parquet").to_json()})
    with pytest.raises(DiskError, match="No space left"):
        counts_of(right(row))
