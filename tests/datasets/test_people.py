"""People from COCO files with photos, from packed labels, and mixtures of them."""

import json
import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.people_cases import COLOURS, dotted, equal_labels, find_dot, listed_people, write_coco
from trustpose.datasets.dataset_ops import join, map_joints, subset
from trustpose.datasets.photo_people import Cut, coco_people, cut_sample, photo_paths
from trustpose.files import InputError
from trustpose.geometry.crops import grow_box, transform
from trustpose.io.coco.truth import read_coco_truth
from trustpose.io.photos import decode_photo
from trustpose.skeletons import COCO_17, LSP_14


@pytest.fixture
def people(tmp_path):
    gt, photos = write_coco(tmp_path)
    return coco_people(read_coco_truth(gt), photos)


def test_labelled_people_of_a_coco_file(people, tmp_path):
    truth = json.loads((tmp_path / "gt.json").read_text())
    labelled = [row for row in truth["annotations"] if row["num_keypoints"]]
    assert len(people) == len(labelled) == 8 and people.skeleton is COCO_17
    for sample, row in zip(people, labelled, strict=True):
        image = next(image for image in truth["images"] if image["id"] == row["image_id"])
        with Image.open(tmp_path / "photos" / image["file_name"]) as photo:
            assert np.array_equal(sample.pixels, np.asarray(photo.convert("RGB")))
        assert np.array_equal(np.c_[sample.xy, sample.v].ravel(), row["keypoints"])
        x, y, width, height = row["bbox"]
        assert np.allclose(sample.box, [x, y, x + width, y + height]) and sample.area == row["area"]
        assert (sample.image_id, sample.annotation_id) == (row["image_id"], row["id"])
        assert np.array_equal(sample.affine, np.eye(2, 3)) and sample.has_joint.all() and sample.has_visibility.all()
    assert people.annotation_id.tolist() == [row["id"] for row in labelled]
    assert [path.name for path in photo_paths(people)] == ["0001.png", "0002.png", "0003.png", "0004.png"]


def test_copies_for_other_processes_leave_photos_behind(people):
    people[0]
    copy = pickle.loads(pickle.dumps(people))
    assert equal_labels(copy[3], people[3]) and np.array_equal(copy[3].pixels, people[3].pixels)
    assert len(pickle.dumps(people)) < 50_000


@given(st.integers(0, 10**6), st.integers(60, 600), st.floats(1.0, 3.0))
def test_a_cut_keeps_the_stated_part(seed, size, margin):
    whole = dotted(seed)
    part = cut_sample(whole, Cut(size, margin))
    assert equal_labels(part, whole, within=0)
    unit = grow_box(whole.box, 1.0, 0.75)
    unit = unit[3] - unit[1]
    factor = min(1.0, size / unit)
    assert max(part.pixels.shape) <= np.ceil((margin * unit + 3) * factor) + 1
    if factor == 1:
        x, y = (-part.affine[:, 2]).astype(int)
        height, width = part.pixels.shape[:2]
        assert np.array_equal(part.pixels, whole.pixels[y : y + height, x : x + width])
    if factor > 0.5:
        for position, colour in zip(transform(part.affine, part.xy), COLOURS, strict=True):
            if (position > 10).all() and (position < np.array(part.pixels.shape[1::-1]) - 10).all():
                assert np.linalg.norm(find_dot(part.pixels, colour) - position) < 0.6


def test_shrinking_is_pillows_box_filter():
    random = np.random.default_rng(0)
    small = random.integers(0, 256, (50, 40, 3), np.uint8)
    sample = dotted(0, width=400, height=500)
    photo = cv2.resize(small, (400, 500), interpolation=cv2.INTER_CUBIC)
    sample = type(sample)(**{**sample.__dict__, "pixels": photo, "box": np.array([0.0, 0, 375, 500])})
    part = cut_sample(sample, Cut(250, 4.0))
    assert part.pixels.shape == (250, 200, 3)
    theirs = np.asarray(Image.fromarray(photo).resize((200, 250), Image.Resampling.BOX))
    assert np.abs(part.pixels.astype(int) - theirs).max() <= 1
    assert np.allclose(part.affine, [[0.5, 0, -0.25], [0, 0.5, -0.25]])


def test_a_box_beyond_the_photo_still_gives_pixels():
    sample = dotted(0)
    for box in ([900.0, 900, 950, 990], [-50.0, -60, -20, -10], [10.0, 10, 10, 10]):
        part = cut_sample(type(sample)(**{**sample.__dict__, "box": np.array(box)}), Cut())
        assert part.pixels.size and equal_labels(part, part)


def test_invalid_input_is_named(tmp_path):
    gt, photos = write_coco(tmp_path)
    with pytest.raises(InputError, match="nowhere: no such directory"):
        coco_people(read_coco_truth(gt), tmp_path / "nowhere")
    with pytest.raises(InputError, match="18 labelled keypoints"):
        coco_people(read_coco_truth(gt), photos, min_keypoints=18)
    truth = json.loads(gt.read_text())

    def spoil(change):
        spoilt = json.loads(json.dumps(truth))
        change(spoilt)
        (tmp_path / "spoilt.json").write_text(json.dumps(spoilt))
        return coco_people(read_coco_truth(tmp_path / "spoilt.json"), photos)

    with pytest.raises(InputError, match="annotation 3: field 'bbox'"):
        spoil(lambda value: value["annotations"][3].pop("bbox"))
    with pytest.raises(InputError, match="image 1: field 'file_name'"):
        spoil(lambda value: value["images"][1].pop("file_name"))
    with pytest.raises(InputError, match=r"0002.png: is \d+ × \d+ pixels, but its labels are for one of 999 × \d+"):
        spoil(lambda value: value["images"][1].update(width=999))[2]
    (photos / "0001.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"0001.png: cannot be decoded"):
        coco_people(read_coco_truth(gt), photos)[0]
    (photos / "0002.png").unlink()
    with pytest.raises(InputError, match=r"0002.png: no such file"):
        coco_people(read_coco_truth(gt), photos)[2]
    with pytest.raises(InputError, match=r"x.jpg: cannot be decoded"):
        decode_photo(b"", "x.jpg")
    with pytest.raises(IndexError):
        coco_people(read_coco_truth(gt), photos)[8]


@pytest.mark.parametrize("wrong", [{"size": 4}, {"margin": 0.9}, {"margin": float("nan")}])
def test_cuts_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Cut(**wrong)


def test_mixtures():
    people = listed_people([dotted(index) for index in range(5)])
    people_subset = subset(people, np.array([4, 0, 0]))
    assert people_subset.annotation_id.tolist() == [4, 0, 0]
    joined = join([people_subset, people])
    assert len(joined) == 8
    for made, expected in ((people_subset[1], 0), (joined[2], 0), (joined[3], 0), (joined[0], 4), (joined[7], 4)):
        assert made.pixels is people[expected].pixels and equal_labels(made, people[expected], 0)
    assert joined.annotation_id.tolist() == [sample.annotation_id for sample in joined]
    with pytest.raises(IndexError):
        joined[8]
    with pytest.raises(ValueError, match="one skeleton"):
        join([people, listed_people([dotted(0)], COCO_17)])


def test_another_skeleton():
    source = dotted(1)
    xy = np.random.default_rng(0).uniform(0, 400, (14, 2))
    flags = np.ones(14, dtype=np.bool_)
    lsp = type(source)(
        **{**source.__dict__, "xy": xy, "v": np.full(14, 2), "has_joint": flags, "has_visibility": ~flags}
    )
    coco = map_joints(listed_people([lsp], LSP_14), COCO_17)
    sample = coco[0]
    shared = [name for name in COCO_17.keypoints if name in LSP_14.keypoints]
    assert len(shared) == 12 and sample.has_joint.sum() == 12 and sample.v.sum() == 24
    for name in COCO_17.keypoints:
        index = COCO_17.keypoints.index(name)
        assert sample.has_joint[index] == (name in shared) and not sample.has_visibility[index]
        expected = xy[LSP_14.keypoints.index(name)] if name in shared else np.zeros(2)
        assert np.array_equal(sample.xy[index], expected)
    assert np.array_equal(lsp.xy, xy)
