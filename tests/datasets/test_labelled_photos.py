"""Views of whole photos: labels stay on their pixels under every change, and nothing unknown is taught."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from trustpose.datasets.labelled_photos import LabelledPhotos, PhotoViews
from trustpose.datasets.photo_boxes import BoxedPhotos
from trustpose.skeletons import COCO_17

SIZE = 96
LEFT, RIGHT = (255, 40, 40), (40, 255, 40)  # of left and of right joints


def photos(tmp_path: Path, *, is_complete: bool = True, is_labelled: bool = True) -> LabelledPhotos:
    """One dark photo with a person of two 9 × 9 squares, a left and a right wrist; a second one without labels."""
    pixels = np.zeros((120, 160, 3), np.uint8)
    xy, v = np.zeros((2, 17, 2)), np.zeros((2, 17), np.int64)
    for joint, position, colour in ((9, (40, 50), LEFT), (10, (70, 60), RIGHT)):
        xy[0, joint], v[0, joint] = position, 2 * is_labelled
        pixels[position[1] - 4 : position[1] + 5, position[0] - 4 : position[0] + 5] = colour
    cv2.imwrite(str(tmp_path / "1.png"), pixels[..., ::-1])
    box = np.array([[30.0, 40, 80, 70], [100, 80, 130, 110]])
    boxed = BoxedPhotos(tmp_path, np.array([1]), ["1.png"], [box], [np.zeros((0, 4))])
    return LabelledPhotos(boxed, [xy], [v], np.array([is_complete]))


def test_joints_stay_on_their_pixels_and_keep_their_side(tmp_path, monkeypatch):
    monkeypatch.setattr("trustpose.datasets.labelled_photos.change_light", lambda pixels, *_: pixels)
    views = PhotoViews(photos(tmp_path), SIZE, COCO_17.flip_index)
    mirrored = 0
    for epoch in range(30):
        view = views.at_epoch(epoch)[0]
        assert view.pixels.shape == (SIZE, SIZE, 3) and view.image_id == 1
        for joint, colour in ((9, LEFT), (10, RIGHT)):
            for person in np.flatnonzero(view.labelled[:, joint]):
                x, y = np.rint(view.xy[person, joint]).astype(int)
                is_mirrored = np.abs(view.pixels[y, x].astype(int) - colour).max() > 60
                if is_mirrored:  # a mirror image's left wrist is the photo's right one
                    assert np.abs(view.pixels[y, x].astype(int) - (LEFT if colour == RIGHT else RIGHT)).max() < 60
                mirrored += is_mirrored
        assert ((view.xy[view.labelled] >= 0) & (view.xy[view.labelled] < SIZE)).all()
        inside = view.xy[view.labelled]
        if len(inside) == 2:
            assert (inside >= view.box[0, :2] - 3).all() and (inside <= view.box[0, 2:] + 3).all()
    assert 10 < mirrored < 50
    again = views.at_epoch(3)[0]
    assert np.array_equal(again.pixels, views.at_epoch(3)[0].pixels)
    assert not np.array_equal(again.pixels, views.at_epoch(4)[0].pixels)


def test_a_view_without_change_has_the_photo_s_own_coordinates(tmp_path):
    views = PhotoViews(photos(tmp_path), 160, COCO_17.flip_index, scales=(1.0, 1.0), rotation=0.0)
    view = next(view for view in map(lambda e: views.at_epoch(e)[0], range(20)) if view.xy[0, 9, 0] < view.xy[0, 10, 0])
    assert np.allclose(view.xy[0, 10] - view.xy[0, 9], [30, 10])
    assert np.allclose(view.box[0, 2:] - view.box[0, :2], [50, 30])


@pytest.mark.parametrize("is_complete", [True, False])
def test_people_without_labels_and_incomplete_photos_are_ignored(tmp_path, is_complete):
    still = {"scales": (1.0, 1.0), "rotation": 0.0}
    view = PhotoViews(photos(tmp_path, is_complete=is_complete), 160, COCO_17.flip_index, **still)[0]
    assert len(view.xy) == 1 and len(view.unlabelled) == 1
    x, y = view.unlabelled[0].reshape(2, 2).mean(axis=0).astype(int)
    assert view.ignored[y, x]
    x, y = view.box[0].reshape(2, 2).mean(axis=0).astype(int)
    assert not view.ignored[y, x]
    assert view.ignored[0, 0] == (not is_complete)


def test_a_photo_of_nobody_with_labels_still_gives_views(tmp_path):
    made = photos(tmp_path, is_labelled=False)
    view = PhotoViews(made, SIZE, COCO_17.flip_index)[0]
    assert view.xy.shape == (0, 17, 2) and view.box.shape == (0, 4)
    empty = replace(
        made, photos=replace(made.photos, box=[np.zeros((0, 4))]), xy=[np.zeros((0, 17, 2))], v=[np.zeros((0, 17), int)]
    )
    assert not PhotoViews(empty, SIZE, COCO_17.flip_index)[0].ignored.any()
    assert len(made.select(np.array([0, 0]))) == 2
