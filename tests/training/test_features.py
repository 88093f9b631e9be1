"""Stored features: what they hold, that they repeat themselves, and that a stopped writing goes on."""

import json
import signal
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.predict.tiny_trust import in_torch, normalised, write_network
from tests.training.forked import start, wait
from tests.training.tiny import tiny_people
from tests.training.tiny_frozen import store_until_killed, tiny_crops, tiny_head, tiny_reading
from trustpose.datasets.augment import HRNET, NOTHING
from trustpose.files import InputError
from trustpose.training import features
from trustpose.training.features import max_views, mirrored, store_features

PEOPLE, VIEWS = 21, 4
SPEC = {
    "input": {
        **{"name": "data", "layout": "NCHW", "dtype": "float32", "height": 64, "width": 48},
        **{"channels": "RGB", "scale": "1/255", "mean": [0.5, 0.4, 0.6], "std": [0.25, 0.2, 0.3]},
    }
}


class Stopped(BaseException):
    pass


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return write_network(tmp_path_factory.mktemp("network"), batch="batch")


@pytest.fixture(scope="module")
def whole(model, tmp_path_factory):
    """A folder that was written at one go."""
    folder = tmp_path_factory.mktemp("whole") / "features"
    store_features(folder, tiny_reading(model), tiny_crops())
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def columns_of(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: np.load(path) for path in folder.glob("*.npy")}


def argmax_quarter(maps: np.ndarray) -> np.ndarray:
    """Places (B, K, 2) in pixels of the map: the highest pixel, moved a quarter towards its higher neighbour."""
    found = np.zeros((*maps.shape[:2], 2))
    for b, k in np.ndindex(maps.shape[:2]):
        one = maps[b, k]
        y, x = np.unravel_index(one.argmax(), one.shape)
        found[b, k] = x, y
        if 0 < x < one.shape[1] - 1 and 0 < y < one.shape[0] - 1:
            found[b, k] += np.sign([one[y, x + 1] - one[y, x - 1], one[y + 1, x] - one[y - 1, x]]) / 4
    return found


@pytest.mark.parametrize("head", ["keypoint-tokens", "oks-net", "hpcvnet", "metamodel"])
def test_view_0_is_what_network_and_head_say_of_the_crops(model, tmp_path, head):
    reading, crops = tiny_reading(model, head, views=1), tiny_crops()
    stored = store_features(tmp_path, reading, crops)
    drawn = [crops[row] for row in range(PEOPLE)]
    output = in_torch(normalised(np.stack([crop.pixels for crop in drawn])))  # the network, written in torch
    made = tiny_head(reading.network, head)
    box = torch.from_numpy(np.stack([crop.box_size / [48, 64] for crop in drawn])).float()
    maps = [*(output[name] for name in made.reads), output["heatmaps"], *([box] if made.reads_box else [])]
    expected = made.pool(tuple(maps))
    assert len(stored.pooled) == len(expected) == sum(name.startswith("pooled-") for name in stored.columns)
    for found, wanted in zip(stored.pooled, expected, strict=True):
        assert found.dtype == np.float16 and isinstance(found, np.memmap)
        np.testing.assert_allclose(found, wanted.numpy(), rtol=2e-3, atol=2e-3)
    heatmaps = output["heatmaps"].numpy()
    np.testing.assert_allclose(stored.columns["score"], heatmaps.max(axis=(2, 3)), atol=1e-4)
    near = np.abs(stored.columns["found_xy"] - argmax_quarter(heatmaps) * 4).max(axis=2) < 1e-3
    assert near.mean() > 0.99  # float32 in another order moves a few by half a map pixel
    for name, values in {
        "xy": [crop.xy for crop in drawn],
        "box": [crop.box_size / (crop.pixels.shape[1], crop.pixels.shape[0]) for crop in drawn],
        "v": [crop.v for crop in drawn],
        "area": [crop.area for crop in drawn],
        "segment": [crop.area for crop in drawn],
        "affine": [crop.affine for crop in drawn],
        "image_id": np.arange(1, PEOPLE + 1),
        "annotation_id": np.arange(1, PEOPLE + 1),
        "is_known": np.ones((PEOPLE, 17)),
        "is_ternary": np.ones((PEOPLE, 17)),
    }.items():
        np.testing.assert_allclose(stored.columns[name], np.stack(values), rtol=1e-6)


def test_view_1_is_the_mirror_image_and_twice_is_the_first(whole):
    crops, columns = tiny_crops(), columns_of(whole)
    index = crops.people.skeleton.flip_index
    one = crops[3]
    turned = mirrored(one, index)
    assert np.array_equal(turned.pixels, one.pixels[:, ::-1])
    corner = turned.affine @ [10, 20, 1]
    assert corner == pytest.approx([47, 0] + [-1, 1] * (one.affine @ [10, 20, 1]))
    for k, other in enumerate(index):
        assert turned.v[k] == one.v[other]
        if turned.v[k]:
            assert turned.xy[k] == pytest.approx([47 - one.xy[other, 0], one.xy[other, 1]])
    back = mirrored(turned, index)
    for name in ("pixels", "affine", "xy", "v", "has_joint", "has_visibility"):
        np.testing.assert_allclose(getattr(back, name), getattr(one, name), atol=1e-9)
    first, second = slice(0, PEOPLE), slice(PEOPLE, 2 * PEOPLE)
    assert np.array_equal(columns["v"][second], columns["v"][first][:, index])
    output = in_torch(normalised(np.stack([crop.pixels[:, ::-1] for crop in crops])))["heatmaps"].numpy()
    np.testing.assert_allclose(columns["score"][second], output.max(axis=(2, 3)), atol=1e-4)


def test_augmented_views_differ_and_every_writing_gives_the_same(model, whole, tmp_path):
    columns = columns_of(whole)
    views = columns["pooled-0"].reshape(VIEWS, PEOPLE, -1)
    for index in range(VIEWS):
        for number in range(index):
            same = (views[index] == views[number]).all(axis=1)
            assert not same.any(), f"views {index} and {number}"
    assert np.array_equal(columns["annotation_id"].reshape(VIEWS, PEOPLE)[3], np.arange(1, PEOPLE + 1))
    drawn = tiny_crops().with_augmentation(tiny_reading(model).augmentation).at_epoch(3)[5]
    np.testing.assert_allclose(columns["affine"][3 * PEOPLE + 5], drawn.affine)
    store_features(tmp_path, tiny_reading(model), tiny_crops())
    assert contents(tmp_path) == contents(whole)


def test_what_is_there_is_not_computed_again(model, whole, monkeypatch):
    told: list[int] = []
    monkeypatch.setattr(features, "_columns_of", lambda *_: pytest.fail("computed again"))
    stored = store_features(whole, tiny_reading(model), tiny_crops(), told.append)
    assert sum(told) == PEOPLE * VIEWS
    assert (stored.people, stored.views) == (PEOPLE, VIEWS)
    assert all(isinstance(column, np.memmap) for column in stored.columns.values())


@pytest.mark.parametrize("rows", [8, 30, 60, 84])
def test_a_stopped_writing_goes_on(model, whole, tmp_path, monkeypatch, rows):
    monkeypatch.setattr(features, "_SAVED_EVERY", 2)

    def advance(limit):
        seen: list[int] = []

        def count(more):
            seen.append(more)
            if sum(seen) >= limit:
                raise Stopped

        return count

    with pytest.raises(Stopped):
        store_features(tmp_path, tiny_reading(model), tiny_crops(), advance(rows))
    written = json.loads((tmp_path / "index.json").read_text())["done"] if (tmp_path / "index.json").exists() else 0
    assert rows - 24 <= written < rows
    told: list[int] = []
    store_features(tmp_path, tiny_reading(model), tiny_crops(), told.append)
    assert (told[0], sum(told)) == (written, PEOPLE * VIEWS)
    assert contents(tmp_path) == contents(whole)


@pytest.mark.slow
def test_a_killed_writing_goes_on(model, whole, tmp_path):
    killed = start(lambda: store_until_killed(tmp_path / "f", model, 50), tmp_path / "errors")
    assert wait(killed) == -signal.SIGKILL, (tmp_path / "errors").read_text()
    assert 0 < json.loads((tmp_path / "f" / "index.json").read_text())["done"] < 50
    store_features(tmp_path / "f", tiny_reading(model), tiny_crops())
    assert contents(tmp_path / "f") == contents(whole)


def test_other_features_are_written_anew(model, whole, tmp_path):
    """Another seed, model, number of views, augmentation, area, head, crop or label: never what is there."""
    network = write_network(tmp_path / "other", batch="batch", input={**SPEC["input"], "channels": "BGR"})
    people = tiny_people(PEOPLE)
    labels = people.labels
    people = replace(people, labels=replace(labels, xy=labels.xy + (np.arange(PEOPLE) == 4)[:, None, None]))
    plain = tiny_reading(model)
    changed = {
        "same": (plain, tiny_crops()),
        "seed": (plain, tiny_crops(seed=1)),
        "input": (tiny_reading(network), tiny_crops()),
        "views": (tiny_reading(model, views=3), tiny_crops()),
        "augmentation": (tiny_reading(model, augmentation=HRNET), tiny_crops()),
        "area": (tiny_reading(model, area="box"), tiny_crops()),
        "head": (tiny_reading(model, "oks-net"), tiny_crops()),
        "no box": (tiny_reading(model, pool=lambda maps: plain.pool((*maps[:-1], maps[-1][:, :1]))), tiny_crops()),
        "described": (tiny_reading(model, described={"skeleton": "another"}), tiny_crops()),
        "padding": (plain, replace(tiny_crops(), padding=1.5)),
        "fewer": (plain, tiny_crops(tiny_people(20))),
        "a label": (plain, tiny_crops(people)),
    }
    prints = {name: features._fingerprint(*one) for name, one in changed.items()}
    assert prints["same"] == json.loads((whole / "index.json").read_text())["fingerprint"]
    assert len(set(prints.values())) == len(prints)
    store_features(tmp_path / "f", tiny_reading(model, "oks-net", views=2), tiny_crops())
    store_features(tmp_path / "f", plain, tiny_crops())
    assert contents(tmp_path / "f") == contents(whole)  # nothing of the head before is left


def test_identity_reads_no_photo(tmp_path):
    from tests.people_cases import write_coco
    from trustpose.datasets.dataset_ops import join, subset
    from trustpose.datasets.photo_people import coco_people
    from trustpose.io.coco.truth import read_coco_truth

    truth, photos = write_coco(tmp_path)
    people = coco_people(read_coco_truth(truth), photos)
    for photo in photos.iterdir():
        photo.unlink()
    text = json.loads(truth.read_text())
    text["annotations"][1]["bbox"][0] += 1
    truth.write_text(json.dumps(text))
    moved = coco_people(read_coco_truth(truth), photos)
    rows = np.arange(4)
    sources = [people, moved, subset(people, rows), subset(people, rows[::-1]), join([people, moved])]
    assert len({source.identity for source in sources}) == len(sources)
    assert subset(people, rows).identity == subset(people, rows.copy()).identity


def test_what_is_broken_is_one_line(model, whole, tmp_path):
    good = contents(whole)

    def message_for(name: str, content: bytes | None) -> str:
        folder = tmp_path / name.replace(".", "-")
        folder.mkdir(exist_ok=True)
        for key, right in good.items():
            (folder / key).write_bytes(right)
        (folder / name).unlink() if content is None else (folder / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"^{folder}") as caught:
            store_features(folder, tiny_reading(model), tiny_crops())
        assert "\n" not in str(caught.value)
        return str(caught.value)

    for wrong in (None, b"", b"no array", good["xy.npy"][:-100], good["score.npy"][:40]):
        assert "holds features that cannot be read" in message_for("xy.npy", wrong)
    short = good["v.npy"].replace(b"(84, 17)", b"(83, 17)")
    assert "v.npy has 83 rows, expected 84" in message_for("v.npy", short)
    assert "is not valid JSON" in message_for("index.json", b"{")
    index = json.loads(good["index.json"])
    assert "field 'done': expected 0 to 84, got 85" in message_for(
        "index.json", json.dumps({**index, "done": 85}).encode()
    )
    del index["columns"]
    assert "field 'columns' is missing, expected a list" in message_for("index.json", json.dumps(index).encode())


def test_people_without_a_segment_need_another_area(model, tmp_path):
    people = tiny_people(9)
    people.labels.area[8] = np.nan
    with pytest.raises(InputError, match=r"annotation 9 of image 9 has no segment area; use box\*0.53"):
        store_features(tmp_path, tiny_reading(model), tiny_crops(people))
    stored = store_features(tmp_path, tiny_reading(model, area="box", views=1), tiny_crops(people))
    assert np.isnan(stored.columns["segment"][8]) and np.isfinite(stored.columns["area"]).all()


def test_a_network_of_batch_1_says_the_same(whole, tmp_path):
    reading = tiny_reading(write_network(tmp_path, batch=1), views=1)
    stored = store_features(tmp_path / "f", reading, tiny_crops())
    np.testing.assert_allclose(stored.pooled[0], columns_of(whole)["pooled-0"][:PEOPLE], rtol=2e-3, atol=2e-3)


def test_as_many_views_as_there_is_room_for(model):
    reading = tiny_reading(model)
    one = sum(array[0].nbytes for array in features._pooled_nothing(reading.network, reading.pool))
    assert max_views(reading.network, reading.pool, 10) == 8
    assert max_views(reading.network, reading.pool, int(4.5e9 / one / 3.5)) == 3
    assert max_views(reading.network, reading.pool, 10**9) == 1
    assert NOTHING.flip == 0  # views 0 and 1 are not drawn
