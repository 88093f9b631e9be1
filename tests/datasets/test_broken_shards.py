"""Invalid shards, indexes, labels and options: each gives one line that names the fault."""

import json

import numpy as np
import pytest

from tests.datasets.shard_cases import OPTIONS
from tests.datasets.shard_cases import case as case  # a fixture
from trustpose.datasets.sharding import ShardOptions, digest_files, write_shards
from trustpose.datasets.shards import INDEX, labels_from, labels_of, shard_people
from trustpose.files import InputError


def test_a_shard_cut_short_is_reported(case):
    _, folder, index = case
    entry = index["shards"][1]
    path = folder / entry["file"]
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf"{entry['file']}: has {len(whole) // 2} bytes, it was truncated"):
        shard_people(folder)
    path.unlink()
    with pytest.raises(InputError, match=rf"{entry['file']}: is missing"):
        shard_people(folder)


def test_a_shard_cut_short_whose_index_agrees(case):
    _, folder, index = case
    path = folder / index["shards"][1]["file"]
    shards = shard_people(folder)
    content = path.read_bytes()[:3000]
    path.write_bytes(content)
    with pytest.raises(InputError, match="is truncated"):
        shards[len(index["shards"][0]["places"]) + len(index["shards"][1]["places"]) - 1]
    index["shards"][1]["bytes"] = 3000
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(InputError, match=r"offsets within the file, in 'people-000001.tar'"):
        shard_people(folder)


def test_spoilt_bytes_are_input_errors(case):
    _, folder, index = case
    path = folder / index["shards"][0]["file"]
    whole = path.read_bytes()
    random = np.random.default_rng(0)
    outcomes = []
    for _ in range(60):
        spoilt = bytearray(whole)
        start = int(random.integers(0, len(whole) - 600))
        spoilt[start : start + 600] = random.bytes(600)
        path.write_bytes(bytes(spoilt))
        try:
            outcomes.append(len(list(shard_people(folder))) == 8)
        except InputError:
            outcomes.append(False)
    assert not all(outcomes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda index: index.update(format="2"), "field 'format'"),
        (lambda index: index.pop("shards"), "field 'shards' is missing"),
        (lambda index: index["image_id"].pop(), "lists 7 people"),
        (
            lambda index: index["shards"][0].update(file="../elsewhere.tar"),
            "field 'shards.0.file': expected the bare name",
        ),
        (lambda index: index["shards"][0].update(places=[[1, 2]]), "places.0': expected 4 whole numbers"),
        (lambda index: index["shards"][0].update(places=[[1, 2, 3, 4], [1]]), "places.1': expected 4 whole"),
        (lambda index: index["shards"][0].update(places=[1, 2, 3, 4]), "places.0': expected 4 whole numbers, got 1"),
        (lambda index: index["shards"][0].update(places=[[2**70, 1, 1, 1]]), "places.0.0': expected a whole number"),
        (lambda index: index["shards"][0].update(places=[[2**62, 2**62, 1, 1]]), "offsets within the file"),
        (lambda index: index["shards"][0].update(places=[[-1, 1, 1, 1]]), "offsets within the file"),
        (lambda index: index["shards"][0].update(bytes=True), "bytes': expected a whole number .*, got True"),
        (lambda index: index["shards"][0].update(bytes=2**70), "bytes': expected a whole number of at most 64 bits"),
        (lambda index: index.update(image_id=["1"] * 8), "field 'image_id.0': expected a whole number"),
        (lambda index: index.update(image_id=[[1]] * 8), "field 'image_id.0': expected a whole number"),
        (lambda index: index.update(annotation_id=[2**64] * 8), "field 'annotation_id.0': expected a whole"),
        (lambda index: index.update(skeleton=3), "field 'skeleton'"),
        (
            lambda index: index["skeleton"].update(keypoints=[1, 2]),
            "field 'skeleton.keypoints.0': expected a text, got 1",
        ),
        (
            lambda index: index["skeleton"].update(keypoints=["a", "a"]),
            "field 'skeleton.keypoints': a name occurs twice",
        ),
    ],
)
def test_invalid_indexes(case, change, message):
    _, folder, index = case
    change(index)
    (folder / INDEX).write_text(json.dumps(index))
    with pytest.raises(InputError, match=message):
        shard_people(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("image_id", 2**70),
        ("image_id", True),
        ("annotation_id", None),
        ("area", -1),
        ("area", 1e300),
        ("affine", [[1e-300, 0, 0], [0, 1, 0]]),
        ("affine", [[1, 0, 1e300], [0, 1, 0]]),
        ("bbox", [0, 0, 1e300, 1]),
        ("keypoints", [{}]),
        ("keypoints", [1.0, 2.0, 2]),
        ("keypoints", [1.0, 2.0, 3] * 17),
        ("area_source", 3),
        ("has_joint", [True] * 16),
        ("has_visibility", [1] * 17),
    ],
)
def test_labels_out_of_range(case, field, value):
    people, _, _ = case
    labels = labels_of(people[0])
    assert labels_from([json.dumps(labels).encode()], 17, ["x"])[0].image_id.tolist() == [people[0].image_id]
    with pytest.raises(InputError, match=rf"x.json: field '{field}.*': expected .*"):
        labels_from([json.dumps(labels | {field: value}).encode()], 17, ["x"])


def test_invalid_folders(tmp_path, case):
    people, folder, _ = case
    with pytest.raises(InputError, match="no such directory"):
        shard_people(tmp_path / "none")
    with pytest.raises(InputError, match=r"holds no index.json"):
        shard_people(tmp_path)
    with pytest.raises(InputError, match="exists already"):
        write_shards(people, folder, OPTIONS, {})
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        write_shards(people, tmp_path / "file" / "out", OPTIONS, {})


def test_digests_depend_on_names_and_contents(tmp_path):
    folder_path, two = tmp_path / "one", tmp_path / "two"
    folder_path.write_text("a")
    two.write_text("b")
    assert len({digest_files(paths) for paths in ([folder_path], [two], [folder_path, two], [two, folder_path])}) == 4
    before = digest_files([folder_path])
    folder_path.write_text("c")
    assert digest_files([folder_path]) != before
    with pytest.raises(InputError, match="no such file"):
        digest_files([tmp_path / "three"])


@pytest.mark.parametrize("wrong", [{"quality": 0}, {"quality": 101}, {"shard_size": 0}])
def test_options_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ShardOptions(**wrong)
