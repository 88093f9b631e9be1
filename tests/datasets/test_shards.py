"""Shards return the people written: by number, in a stream, in other processes, and after an interruption."""

import hashlib
import io
import json
import multiprocessing
import pickle
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from tests.datasets.shard_cases import OPTIONS
from tests.datasets.shard_cases import case as case  # a fixture
from tests.people_cases import ListedPixels, dotted, equal_labels, listed_people
from trustpose.datasets.augment import HRNET, STRONG, TrainingCrops
from trustpose.datasets.photo_people import Cut, cut_sample
from trustpose.datasets.sharding import ShardOptions, write_shards
from trustpose.datasets.shards import INDEX, shard_people
from trustpose.files import InputError


def test_there_and_back(case):
    people, folder, _ = case
    shards = shard_people(folder)
    assert len(shards) == len(people) and shards.skeleton == people.skeleton
    assert np.array_equal(shards.image_id, people.image_id)
    assert np.array_equal(shards.annotation_id, people.annotation_id)
    for ours, theirs in zip(shards, people, strict=True):
        assert equal_labels(ours, theirs)
        cut = cut_sample(theirs, OPTIONS.cut)
        assert np.allclose(ours.affine, cut.affine) and ours.pixels.shape == cut.pixels.shape
        assert np.abs(ours.pixels.astype(int) - cut.pixels).mean() < 4  # JPEG's loss


def test_a_custom_skeleton_keeps_all_its_fields(case, tmp_path):
    people = case[0]
    mine = replace(people.skeleton, name="mine", keypoints=("tip", *people.skeleton.keypoints[1:]))
    write_shards(replace(people, skeleton=mine), tmp_path / "own", OPTIONS, {})
    skeleton = shard_people(tmp_path / "own").skeleton
    assert (skeleton.name, skeleton.keypoints, skeleton.edges) == ("mine", mine.keypoints, mine.edges)
    assert np.array_equal(skeleton.sigmas, mine.sigmas)


def test_a_training_sees_the_same_crop_from_shards_and_photos(case):
    people, folder, _ = case
    cut = replace_cut(people)
    for augmentation in (HRNET, STRONG):
        crops = [
            TrainingCrops(some, augmentation=augmentation, seed=4, epoch=2)
            for some in (people, cut, shard_people(folder))
        ]
        for whole, part, shard in zip(*crops, strict=True):
            for other in (part, shard):
                assert np.allclose(other.affine, whole.affine) and np.abs(other.xy - whole.xy).max() < 1e-3
                assert np.isclose(other.area, whole.area)
            assert np.array_equal(shard.v, part.v)
            assert np.abs(shard.pixels.astype(int) - part.pixels).mean() < 5


def replace_cut(people):
    return replace(people, sources=tuple(replace(source, cut=OPTIONS.cut) for source in people.sources))


def test_plain_tarfile_reads_webdatasets_layout(case):
    people, folder, index = case
    row = 0
    for entry in index["shards"]:
        assert hashlib.sha256((folder / entry["file"]).read_bytes()).hexdigest() == entry["sha256"]
        assert entry["bytes"] <= OPTIONS.shard_size or len(entry["places"]) == 1
        with tarfile.open(folder / entry["file"]) as tar:
            members = tar.getmembers()
            assert [member.name for member in members] == [
                f"{n:06d}.{suffix}" for n in range(row, row + len(members) // 2) for suffix in ("jpg", "json")
            ]
            for jpeg, labels in zip(members[::2], members[1::2], strict=True):
                label = json.load(tar.extractfile(labels))
                with Image.open(io.BytesIO(tar.extractfile(jpeg).read())) as image:
                    width, height = image.size
                keypoints = np.reshape(label["keypoints"], (17, 3))
                assert np.array_equal(keypoints[:, 2], people[row].v)
                labelled = keypoints[keypoints[:, 2] > 0, :2]
                assert (labelled > -1).all() and (labelled < (width, height)).all()
                _, y, _, h = label["bbox"]
                assert labelled.min(axis=0)[1] >= y - 1e-6 and labelled.max(axis=0)[1] <= y + h + 1e-6
                assert label["annotation_id"] == people.annotation_id[row]
                row += 1
    assert row == len(people)


def test_the_index(case, tmp_path):
    people, folder, index = case
    assert json.loads((folder / INDEX).read_text()) == index
    assert index["people"] == 8 and index["sources"] == {"labels": "gt.json"}
    assert index["options"] == {"cut": {"size": 160, "margin": 1.5}, "quality": 95, "shard_size": 40_000}
    assert index["skeleton"]["keypoints"] == list(people.skeleton.keypoints)
    assert not (tmp_path / ".shards.part").exists()
    assert {path.name for path in folder.iterdir()} == {INDEX, *(entry["file"] for entry in index["shards"])}


def test_unknown_labels_stay_unknown(tmp_path):
    sample = dotted(2)
    known = np.array([True, False, True, True, True, False])
    sample = replace(sample, area=float("nan"), v=np.array([2, 0, 1, 2, 0, 2]), has_joint=known, has_visibility=~known)
    sample = replace(sample, xy=np.where((sample.v > 0)[:, None], sample.xy, 0.0))
    write_shards(listed_people([sample]), tmp_path / "out", OPTIONS, {})
    assert equal_labels(shard_people(tmp_path / "out")[0], sample)


def test_sharding_shards_again(case, tmp_path):
    people, folder, _ = case
    write_shards(shard_people(folder), tmp_path / "again", ShardOptions(Cut(80, 1.2)), {})
    again = shard_people(tmp_path / "again")
    for ours, theirs in zip(again, people, strict=True):
        assert equal_labels(ours, theirs) and max(ours.pixels.shape) <= 80 * 1.2 + 4
    for ours, theirs in zip(TrainingCrops(again, 48, 64, 1.0), TrainingCrops(people, 48, 64, 1.0), strict=True):
        luma, expected = (crop.pixels @ [0.299, 0.587, 0.114] for crop in (ours, theirs))  # JPEG halves chroma's size
        error = np.abs(luma - expected).mean()
        assert error < 4 and error < 0.6 * np.abs(luma[:, 1:] - expected[:, :-1]).mean()  # nothing has moved


class _Stops(ListedPixels):
    """Reading person `stop` is where the power goes off."""

    stop = 10**9

    def pixels(self, row):
        if row == self.stop:
            raise KeyboardInterrupt
        self.read = [*getattr(self, "read", []), row]
        return super().pixels(row)


def _stopping(samples):
    pixels = _Stops(samples)
    return replace(listed_people(samples), sources=(pixels,)), pixels


def _bytes(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("stop", [0, 3, 6, 11])
def test_a_stopped_run_goes_on(tmp_path, stop):
    options = ShardOptions(Cut(500, 1.5), shard_size=25_000)
    samples = [dotted(index) for index in range(12)]
    write_shards(listed_people(samples), tmp_path / "whole", options, {})
    people, pixels = _stopping(samples)
    pixels.stop = stop
    with pytest.raises(KeyboardInterrupt):
        write_shards(people, tmp_path / "out", options, {})
    assert not (tmp_path / "out").exists()
    pixels.stop, pixels.read, seen = 10**9, [], []
    index = write_shards(people, tmp_path / "out", options, {}, seen.append)
    assert _bytes(tmp_path / "out") == _bytes(tmp_path / "whole") and sum(seen) == 12
    starts = np.cumsum([0, *(len(entry["places"]) for entry in index["shards"])])
    done = max((start for start in starts.tolist() if start < stop), default=0)  # where the last whole shard ends
    assert len(index["shards"]) > 3 and pixels.read[0] == done


def test_another_plan_starts_anew(tmp_path):
    samples = [dotted(index) for index in range(6)]
    people, pixels = _stopping(samples)
    pixels.stop = 5
    with pytest.raises(KeyboardInterrupt):
        write_shards(people, tmp_path / "out", ShardOptions(shard_size=30_000), {"labels": "old"})
    pixels.stop, pixels.read = 10**9, []
    write_shards(people, tmp_path / "out", ShardOptions(shard_size=30_000), {"labels": "new"})
    assert pixels.read == list(range(6))
    assert json.loads((tmp_path / "out" / INDEX).read_text())["sources"] == {"labels": "new"}


def test_a_damaged_note_of_a_stopped_run_is_named(tmp_path):
    people, pixels = _stopping([dotted(index) for index in range(6)])
    pixels.stop = 5
    with pytest.raises(KeyboardInterrupt):
        write_shards(people, tmp_path / "out", ShardOptions(shard_size=10_000), {})
    note = tmp_path / ".out.part" / "people-000000.tar.json"
    note.write_text(json.dumps(json.loads(note.read_text()) | {"bytes": "many"}))
    with pytest.raises(InputError, match=r"people-000000.tar.json: field 'bytes': expected .*, got 'many'"):
        write_shards(people, tmp_path / "out", ShardOptions(shard_size=10_000), {})


def _digest(shards, index):
    sample = shards[index]
    return hashlib.sha256(sample.pixels.tobytes() + sample.xy.tobytes()).hexdigest()


_PARENTS = {}


def _in_fork(at):
    return _digest(_PARENTS["shards"], at)


def test_forks_and_threads_and_pickles(case):
    _, folder, _ = case
    shards = _PARENTS["shards"] = shard_people(folder)
    expected = [_digest(shards, index) for index in range(len(shards))]  # files are open now, at some place
    order = np.random.default_rng(0).integers(0, len(shards), 60).tolist()
    with multiprocessing.get_context("fork").Pool(2) as pool:
        pending = pool.map_async(_in_fork, order, chunksize=5)
        here = [_digest(shards, row) for row in order]
        assert pending.get(60) == here == [expected[index] for index in order]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(lambda at: _digest(shards, at), order)) == here
    assert _digest(pickle.loads(pickle.dumps(shards)), 3) == expected[3]
