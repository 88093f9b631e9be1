"""Whole photos with boxes, and random views of them: pixels and boxes agree."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest

from tests.people_cases import write_coco
from trustpose.datasets import photo_boxes
from trustpose.datasets.occlusion import Photometric
from trustpose.datasets.photo_boxes import BoxedPhotos, TrainingViews, boxed_photos
from trustpose.files import InputError
from trustpose.io.coco.truth import read_coco_truth

SIZE = 160
COLOURS = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]])


@pytest.fixture
def plain_light(monkeypatch):
    """Colours as they are, so that pixels can be told apart."""
    monkeypatch.setattr(photo_boxes, "_LIGHT", Photometric())


def painted(folder, boxes: list[np.ndarray], crowds: list[np.ndarray] | None = None, size=(150, 120)) -> BoxedPhotos:
    """Black photos of width × height with a rectangle of its own colour for each box, crowds white."""
    names = []
    crowds = [np.zeros((0, 4))] * len(boxes) if crowds is None else crowds
    for index, (people, crowd) in enumerate(zip(boxes, crowds, strict=True)):
        photo = np.zeros((size[1], size[0], 3), np.uint8)
        colours = [*COLOURS[: len(people)], *[[255, 255, 255]] * len(crowd)]
        for (x0, y0, x1, y1), colour in zip(np.concatenate([people, crowd]).astype(int), colours, strict=True):
            photo[y0:y1, x0:x1] = colour
        names.append(f"{index}.png")
        cv2.imwrite(str(folder / names[-1]), photo[..., ::-1])
    return BoxedPhotos(folder, np.arange(len(boxes)) + 10, names, boxes, crowds)


BOXES = [
    np.array([[10.0, 20, 50, 100], [60, 8, 90, 60], [100, 40, 140, 110]]),
    np.array([[20.0, 30, 120, 80]]),
    np.zeros((0, 4)),
]


@pytest.mark.usefixtures("plain_light")
def test_boxes_follow_the_pixels(tmp_path):
    """The middle of each colour is its box's, within what scaling about the first pixel's middle shifts."""
    photos, mirrored, scales = painted(tmp_path, BOXES), 0, []
    for epoch in range(25):
        view = TrainingViews(photos, SIZE, mosaic=0.0, epoch=epoch)[0]
        assert view.image_id == 10 and view.pixels.shape == (SIZE, SIZE, 3)
        middles = {}
        for box in view.box:
            x, y = ((box[:2] + box[2:]) / 2).astype(int)
            colour = int(view.pixels[y, x].argmax())
            weights = view.pixels[..., colour] / 255.0
            rows, columns = np.indices(weights.shape) + 0.5
            middle = np.array([(columns * weights).sum(), (rows * weights).sum()]) / weights.sum()
            off = middle - (box[:2] + box[2:]) / 2
            assert weights.sum() == pytest.approx((box[2:] - box[:2]).prod(), rel=0.06)
            middles[colour] = middle[0]
            whole = BOXES[0][colour, 2:] - BOXES[0][colour, :2]
            if (box > 2).all() and (box < SIZE - 2).all():
                scales.append((box[2:] - box[:2]) / whole)
                assert np.abs(off - (1 - scales[-1]) / 2).max() < 0.15  # mirrored or not, as in prediction
            assert np.abs(off).max() < 0.5
        if {0, 2} <= middles.keys():
            mirrored += middles[0] > middles[2]
    assert 4 < mirrored < 20
    np.testing.assert_allclose(np.ptp(scales, axis=1), 0, atol=1e-9)  # people keep their proportions
    assert np.min(scales) < 0.8 and np.max(scales) > 1.3


@pytest.mark.usefixtures("plain_light")
@pytest.mark.parametrize("mosaic", [0.0, 1.0])
def test_all_people_are_in_boxes_or_ignored_and_nothing_else_is(tmp_path, mosaic):
    crowds = [np.zeros((0, 4)), np.array([[20.0, 90, 140, 115]]), np.array([[5.0, 5, 60, 60]])]
    photos = painted(tmp_path, BOXES, crowds)
    seen = 0
    for epoch in range(12):
        for index in range(len(photos)):
            view = TrainingViews(photos, SIZE, mosaic=mosaic, seed=1, epoch=epoch)[index]
            inside = np.zeros((SIZE, SIZE), np.uint8)
            for x0, y0, x1, y1 in view.box.round().astype(int):
                inside[y0:y1, x0:x1] = 1
            is_painted = (view.pixels.max(axis=2) > 127).astype(np.uint8)
            explained = inside | view.ignored
            for wrong in (is_painted & ~explained, explained & ~is_painted & 1):
                assert not cv2.erode(wrong, np.ones((3, 3), np.uint8)).any()
            assert (view.box >= 0).all() and (view.box <= SIZE).all()
            assert (view.box[:, 2:] - view.box[:, :2]).max(axis=1, initial=8).min(initial=8) >= 8
            seen += len(view.box)
    assert seen > 40


@pytest.mark.usefixtures("plain_light")
def test_four_photos_in_one(tmp_path):
    """The photo itself, at most half as large, in the first corner; no person extends into another quarter."""
    photos = painted(tmp_path, [np.array([[0.0, 0, 150, 120]])] * 4)
    half = SIZE // 2
    for epoch in range(6):
        view = TrainingViews(photos, SIZE, mosaic=1.0, epoch=epoch)[2]
        assert view.image_id == 12
        quarter = (view.box[:, :2] // half).astype(int)
        assert (view.box[:, 2:] <= (quarter + 1) * half).all()
        assert len(np.unique(quarter, axis=0)) == len(view.box)
        assert view.pixels[:half, :half].any()


@pytest.mark.usefixtures("plain_light")
def test_people_too_small_or_mostly_cut_off_are_ignored(tmp_path):
    """A speck of 4 pixels; and a person of whom less than 0.3 is left."""
    photos = painted(tmp_path, [np.array([[70.0, 60, 74, 64]])])
    speck = TrainingViews(photos, 150, mosaic=0.0)  # at most 1.9 times as large
    views = [speck.at_epoch(epoch)[0] for epoch in range(20)]
    assert all(len(view.box) == 0 for view in views)
    assert any(view.ignored.any() and (view.pixels[view.ignored].max(axis=1) > 60).any() for view in views)
    box = np.array([[0.0, 0, 150, 60]])
    photos, hidden = painted(tmp_path, [box]), 0
    for epoch in range(60):
        view = TrainingViews(photos, 60, mosaic=0.0, epoch=epoch)[0]
        red = np.count_nonzero(view.pixels[..., 0] > 127)
        assert (len(view.box) == 1) or np.abs(view.ignored.sum() - red) <= 130
        hidden += len(view.box) == 0
        if len(view.box):
            assert not view.ignored.any()
            assert red == pytest.approx((view.box[0, 2:] - view.box[0, :2]).prod(), abs=130)
    assert 0 < hidden < 60


def test_views_repeat_themselves(tmp_path):
    photos = painted(tmp_path, BOXES)
    views = TrainingViews(photos, SIZE, seed=3)
    for index in (2, 0, 1):  # whatever the order, from whichever object
        for epoch in (1, 0):
            one, training_views = (
                views.at_epoch(epoch)[index],
                TrainingViews(painted(tmp_path, BOXES), SIZE, seed=3, epoch=epoch)[index],
            )
            for name in ("pixels", "box", "ignored", "image_id"):
                np.testing.assert_array_equal(getattr(one, name), getattr(training_views, name))
    first = views[0].pixels
    for training_views in (views.at_epoch(1)[0], views[1], TrainingViews(photos, SIZE, seed=4)[0]):
        assert not np.array_equal(first, training_views.pixels)
    assert len(views) == 3


@pytest.mark.usefixtures("plain_light")
@pytest.mark.parametrize("size", [(160, 120), (1280, 640)])
def test_stretched_photos_are_square_and_boxes_follow(tmp_path, size):
    """A rectangle's colour fills its box in both directions, as in a photo that a detector stretches to its input."""
    box = np.array([[0.25, 0.3, 0.5, 0.8]]) * np.tile(size, 2)
    photos = replace(painted(tmp_path, [box], size=size), stretched=True)
    pixels, scale = photos.photo(0)
    assert pixels.shape[0] == pixels.shape[1] == min(max(size), 640)
    x0, y0, x1, y1 = (box[0] * np.tile(scale, 2)).astype(int)
    assert pixels[y0 + 1 : y1 - 1, x0 + 1 : x1 - 1, 0].min() > 200 and pixels[..., 0].sum() / 255 == pytest.approx(
        (x1 - x0) * (y1 - y0), rel=0.05
    )
    view = TrainingViews(photos, SIZE, mosaic=0.0, epoch=1)[0]
    (x0, y0, x1, y1) = view.box[0]
    share = (view.box[0, 2:] - view.box[0, :2]) / SIZE
    assert share[0] / share[1] == pytest.approx(0.25 / 0.5, rel=1e-6)  # of a square photo


def test_large_photos_are_shrunk_and_kept(tmp_path):
    """Boxes stay in the photo's own pixels; `room` limits the cached bytes."""
    box = np.array([[300.0, 200, 900, 800]])
    photos = painted(tmp_path, [box, box], size=(1280, 960))
    pixels, scale = photos.photo(0)
    assert pixels.shape == (480, 640, 3) and (scale == 0.5).all()
    assert pixels[100:400, 150:450, 0].min() > 250 and pixels[:99].max() < 5
    assert photos.photo(0)[0] is pixels
    photos.room = 1000
    assert photos.photo(1)[0] is not photos.photo(1)[0] and photos.room == 1000
    for epoch in range(5):
        view = TrainingViews(photos, SIZE, mosaic=0.0, epoch=epoch)[0]
        assert len(view.box) + view.ignored.any() > 0
        size = view.box[:, 2:] - view.box[:, :2]
        assert (size <= 1.9 * SIZE / 1280 * 600 + 1e-6).all()


def test_some_of_the_photos_keep_what_is_decoded_and_get_the_others_room(tmp_path):
    photos = painted(tmp_path, BOXES)
    room = photos.room
    kept, _ = photos.photo(2)
    photos.photo(0)
    selected = photos.select(np.array([1, 2]))
    assert selected.photo(1)[0] is kept and selected.room == room - kept.nbytes
    assert photos.select(np.array([1])).room == room


def test_from_a_ground_truth(tmp_path):
    truth, folder = write_coco(tmp_path, photos=3)
    content = json.loads(truth.read_text())
    content["annotations"][4]["iscrowd"] = 1
    content["images"].append({"id": 99, "file_name": "0001.png", "width": 500, "height": 500})
    truth.write_text(json.dumps(content))
    photos = boxed_photos(read_coco_truth(truth), folder)
    assert photos.image_id.tolist() == [1, 2, 3, 99] and len(photos) == 4
    assert [len(box) for box in photos.box] == [3, 2, 3, 0] and [len(box) for box in photos.crowd] == [0, 1, 0, 0]
    x, y, w, h = content["annotations"][4]["bbox"]
    np.testing.assert_allclose(photos.crowd[1], [[x, y, x + w, y + h]])
    selected = boxed_photos(read_coco_truth(truth), folder, complete={1, 3}).select(np.array([1]))
    assert selected.file_name == ["0003.png"] and selected.image_id.tolist() == [3]
    np.testing.assert_array_equal(selected.box[0], photos.box[2])
    assert TrainingViews(photos, 64)[3].pixels.shape == (64, 64, 3)


def test_what_is_wrong_is_one_line(tmp_path):
    truth, folder = write_coco(tmp_path, photos=2)
    with pytest.raises(InputError, match="no such directory, expected the folder with the photos"):
        boxed_photos(read_coco_truth(truth), tmp_path / "none")
    with pytest.raises(InputError, match=r"gt\.json: images: field 'file_name': expected the photos' names"):
        boxed_photos(read_coco_truth(truth), folder, complete=set())
    photos = boxed_photos(read_coco_truth(truth), folder)
    (folder / "0001.png").write_bytes(b"no photo")
    (folder / "0002.png").unlink()
    for index, message in ((0, r"0001\.png: cannot be decoded"), (1, r"0002\.png: no such file")):
        with pytest.raises(InputError, match=message) as error:
            TrainingViews(photos, 64, mosaic=0.0)[index]
        assert "\n" not in str(error.value)
