"""Data folders, folds, and visibility without pixels."""

import json
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.people_cases import write_coco
from tests.training.tiny import tiny_people, tiny_recipe
from trustpose.datasets.dataset_ops import join, map_joints, subset
from trustpose.datasets.photo_people import coco_people
from trustpose.datasets.sharding import ShardOptions, write_shards
from trustpose.files import InputError
from trustpose.io.coco.truth import read_coco_truth
from trustpose.skeletons import CROWDPOSE_14
from trustpose.training.crops import codec_of, collate, training_crops
from trustpose.training.people import open_people, rows_by_fold, split_by_fold
from trustpose.training.recipe import DataOptions


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A data set in the layout of shared data: train_gt.json and train/, and a dev set that is never to be read."""
    folder = tmp_path_factory.mktemp("data")
    truth, photos = write_coco(folder, photos=12)
    truth.rename(folder / "train_gt.json")
    photos.rename(folder / "train")
    (folder / "dev_gt.json").write_text("not JSON: nobody is to open it")
    return folder


def test_photos_shards_and_cocos_own_layout_are_the_same_people(folder, tmp_path):
    photos = open_people(folder, DataOptions())
    assert len(photos) == 24
    write_shards(photos, tmp_path / "shards", ShardOptions(), {}, lambda _: None)
    shards = open_people(tmp_path / "shards", DataOptions())
    (tmp_path / "coco" / "annotations").mkdir(parents=True)
    shutil.copy(folder / "train_gt.json", tmp_path / "coco" / "annotations" / "person_keypoints_train2017.json")
    shutil.copytree(folder / "train", tmp_path / "coco" / "train2017")
    official = open_people(tmp_path / "coco", DataOptions())
    for other in (shards, official):
        assert other.annotation_id.tolist() == photos.annotation_id.tolist()
        assert np.allclose(other[5].xy, photos[5].xy)


def test_min_keypoints_goes_for_every_source(folder, tmp_path):
    photos = open_people(folder, DataOptions(min_keypoints=15))
    everybody = open_people(folder, DataOptions())
    enough = (everybody.labels.v > 0).sum(axis=1) >= 15
    assert 0 < len(photos) < len(everybody)
    assert photos.annotation_id.tolist() == everybody.annotation_id[enough].tolist()
    write_shards(everybody, tmp_path / "shards", ShardOptions(), {}, lambda _: None)
    shards = open_people(tmp_path / "shards", DataOptions(min_keypoints=15))
    assert shards.annotation_id.tolist() == photos.annotation_id.tolist()


def test_validation_people_share_no_image_with_training(folder):
    people = open_people(folder, DataOptions())
    held_out = []
    for fold in range(3):
        training, validation = split_by_fold(people, DataOptions(fold=fold, folds=3))
        assert validation is not None
        assert not set(training.image_id) & set(validation.image_id)
        assert len(training) + len(validation) == len(people)
        held_out += validation.annotation_id.tolist()
    assert sorted(held_out) == sorted(people.annotation_id.tolist())
    assert split_by_fold(people, DataOptions(folds=0)) == (people, None)


def test_visibility_is_that_of_the_samples(folder):
    photos = coco_people(read_coco_truth(folder / "train_gt.json"), folder / "train")
    sources = [
        photos,
        subset(photos, np.array([3, 1, 1])),
        join([photos, subset(photos, np.array([0]))]),
        map_joints(photos, CROWDPOSE_14),
    ]
    for people in sources:
        v, is_ternary = people.labels.v, people.labels.is_ternary
        samples = list(people)
        assert v.tolist() == [sample.v.tolist() for sample in samples]
        assert is_ternary.tolist() == [sample.has_joint.tolist() for sample in samples]


def test_folders_without_a_data_set_are_reported(folder, tmp_path):
    with pytest.raises(InputError, match="no such directory"):
        open_people(tmp_path / "none", DataOptions())
    with pytest.raises(InputError, match=r"holds no known data set, expected train_gt.json with train/"):
        open_people(tmp_path, DataOptions())
    with pytest.raises(InputError, match="are too few to divide into 200"):
        split_by_fold(open_people(folder, DataOptions()), DataOptions(folds=200))


def test_a_batch_says_what_its_crops_say():
    people, recipe = tiny_people(6), tiny_recipe()
    codec = codec_of(recipe)
    crops = [training_crops(people, recipe, codec)[number] for number in range(6)]
    batch = collate(crops, codec, "box*0.53")
    assert batch["pixels"].shape == (6, 64, 48, 3)
    assert batch["heatmaps"].shape == (6, 17, 16, 12)
    assert batch["area"].tolist() == pytest.approx([crop.box_size.prod() * 0.53 for crop in crops], rel=1e-6)
    for row, crop in enumerate(crops):
        for joint in np.flatnonzero((crop.v > 0) & (batch["weights"][row].numpy() > 0)):
            x, y = np.rint(crop.xy[joint] / 4).astype(int)
            if 0 <= x < 12 and 0 <= y < 16:
                assert batch["heatmaps"][row, joint, y, x] == batch["heatmaps"][row, joint].max()
    assert not batch["heatmaps"][batch["v"] == 0].any()
    assert not batch["weights"][batch["v"] == 0].any()


def test_an_area_from_another_source_is_reported():
    people, recipe = tiny_people(2), tiny_recipe()
    people.labels.area_source[:] = ["segment", "box"]
    codec = codec_of(recipe)
    crops = [training_crops(people, recipe, codec)[number] for number in range(2)]
    with pytest.raises(InputError, match=r"^train.area: the area of annotation 2 of image 2 is box, not segment;"):
        collate(crops, codec, "segment")
    assert np.isfinite(collate(crops, codec, "file")["area"].numpy()).all()


def test_a_person_without_area_is_reported():
    people, recipe = tiny_people(2), tiny_recipe()
    people.labels.area[1] = np.nan
    codec = codec_of(recipe)
    crops = [training_crops(people, recipe, codec)[number] for number in range(2)]
    with pytest.raises(InputError, match=r"^train.area: annotation 2 of image 2 has no segment area; use box\*0.53"):
        collate(crops, codec, "segment")
    assert json.dumps(collate(crops, codec, "box")["image_id"].tolist()) == "[1, 2]"


@given(st.integers(2, 7), st.floats(0.05, 1), st.floats(0.05, 1))
def test_a_share_of_the_images_is_a_share_of_each_fold(folds, one, other):
    """Smaller shares are parts of larger ones, and those held out are the same."""
    image_id = np.repeat(np.arange(2000), 2)
    less, more = sorted((one, other))
    rows = {share: rows_by_fold(image_id, DataOptions(folds=folds, share=share)) for share in (less, more, 1.0)}
    held_out = rows[1.0][1]
    for share, (training, same) in rows.items():
        np.testing.assert_array_equal(same, held_out)
        assert not np.isin(training, held_out).any()
        assert len(training) == pytest.approx(share * len(rows[1.0][0]), abs=0.15 * len(rows[1.0][0]))
        assert (np.unique(image_id[training], return_counts=True)[1] == 2).all()  # images go whole
    assert set(rows[less][0]) <= set(rows[more][0]) <= set(rows[1.0][0])


def test_a_share_that_is_nothing():
    with pytest.raises(InputError, match=r"data\.share: 0\.0001 of 30 images are none"):
        rows_by_fold(np.arange(1, 31), DataOptions(folds=3, share=1e-4))
    with pytest.raises(ValueError, match="share: expected 1e-06 to 1, got 0"):
        DataOptions(share=0.0)
