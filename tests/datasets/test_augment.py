"""Random crops: pixels and labels agree; flips, half bodies and random draws are as documented."""

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.people_cases import COLOURS, JOINTS, dotted, find_dot, listed_people, person
from trustpose.datasets.augment import (
    HRNET,
    NOTHING,
    STRONG,
    Augmentation,
    TrainingCrops,
    compose_affine,
    half_body_box,
    make_crop,
)
from trustpose.datasets.photo_people import Cut, coco_people, cut_sample
from trustpose.geometry.crops import affine_to_crop, cut_out, grow_box, invert_affine, transform
from trustpose.io.coco.truth import read_coco_truth
from trustpose.skeletons import AP10K_17, COCO_17, LSP_14, MPII_16

EVERYTHING = Augmentation(scale=0.3, rotation=60.0, translation=0.1, half_body=0.5, half_body_keypoints=4)


def _labels_on_dots(crop, order):
    """The distance of every keypoint well in view from the dot of its colour, which must be there."""
    height, width = crop.pixels.shape[:2]
    distances = []
    for index, (position, v) in enumerate(zip(crop.xy, crop.v, strict=True)):
        if v and (position > 12).all() and (position < (width - 12, height - 12)).all():
            distances.append(np.linalg.norm(find_dot(crop.pixels, COLOURS[order[index]]) - position))
    return distances


@given(st.integers(0, 10**6), st.booleans())
@settings(max_examples=60)
def test_pixels_and_labels_move_together(seed, is_unbiased):
    crops = TrainingCrops(
        listed_people([dotted(seed)]),
        padding=1.25,
        augmentation=EVERYTHING,
        seed=seed,
        extent=(191, 255) if is_unbiased else None,
    )
    crop = crops[0]
    is_flipped = np.linalg.det(crop.affine[:, :2]) < 0
    order = JOINTS.flip_index if is_flipped else np.arange(6)
    distances = _labels_on_dots(crop, order)
    assert all(distance < 1.0 for distance in distances)  # NaN, a dot that is missing, is not below


def test_most_dots_are_found():
    """The test above would pass on crops without people."""
    crops = TrainingCrops(listed_people([dotted(seed) for seed in range(40)]), augmentation=EVERYTHING)
    assert sum(len(_labels_on_dots(crop, np.arange(6))) for crop in crops) > 140


@given(st.integers(0, 10**6))
@settings(max_examples=20)
def test_a_cut_changes_no_label_and_hardly_a_pixel(seed):
    whole = dotted(seed)
    cut = cut_sample(whole, Cut(size=200, margin=1.5))
    assert max(cut.pixels.shape) < max(whole.pixels.shape)
    crops = [TrainingCrops(listed_people([one]), augmentation=EVERYTHING, seed=seed)[0] for one in (whole, cut)]
    assert np.array_equal(crops[0].xy, crops[1].xy) and np.array_equal(crops[0].v, crops[1].v)
    order = JOINTS.flip_index if np.linalg.det(crops[0].affine[:, :2]) < 0 else np.arange(6)
    reach = 1.4 / 2 * (whole.box[3] - whole.box[1])  # dots that the margin holds for sure
    if np.abs(whole.xy - whole.box.reshape(2, 2).mean(axis=0)).max() < reach:
        assert all(distance < 1.0 for distance in _labels_on_dots(crops[1], order))


def test_without_augmentation_it_is_the_crop_that_predictors_cut(data_dir):
    people = coco_people(read_coco_truth(data_dir / "coco" / "dev_gt.json"), data_dir / "coco" / "dev")
    crops = TrainingCrops(people)
    for index in range(0, 60, 7):
        affine = affine_to_crop(grow_box(people[index].box, 1.25, 0.75), 192, 256)
        assert np.abs(crops[index].pixels.astype(int) - cut_out(people[index].pixels, affine, 192, 256)).max() <= 1
        assert np.allclose(crops[index].affine, affine, atol=1e-9)
        inside = crops[index].v > 0
        assert np.allclose(transform(invert_affine(affine), crops[index].xy)[inside], people[index].xy[inside])


@given(st.integers(0, 10**6), st.sampled_from([(64, 64), (63, 63)]))
def test_flip_twice_is_the_identity(seed, extent):
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (64, 64, 3), np.uint8)
    box = np.array([0.0, 0, *extent])
    sample = person(pixels, random.uniform(1, 62, (6, 2)), v=random.integers(0, 3, 6), box=box)
    flip = replace(NOTHING, flip=1.0)
    once = TrainingCrops(listed_people([sample]), 64, 64, 1.0, flip, extent=extent)[0]
    again = replace(sample, pixels=once.pixels, xy=once.xy, v=once.v)
    twice = TrainingCrops(listed_people([again]), 64, 64, 1.0, flip, extent=extent)[0]
    assert np.allclose(twice.xy, np.where((sample.v > 0)[:, None], sample.xy, 0)) and np.array_equal(twice.v, sample.v)
    first = 64 - extent[0]  # W → 0: the column at 0 has its mirror one beyond the last
    assert first in (0, 1) or extent == (63, 63)
    kept = slice(1, None) if extent == (64, 64) else slice(None)
    assert np.array_equal(twice.pixels[:, kept], pixels[:, kept])
    assert not np.array_equal(once.pixels, pixels)


def test_a_flip_swaps_left_and_right():
    sample = dotted(3)
    plain, flipped = (
        TrainingCrops(listed_people([sample]), augmentation=replace(NOTHING, flip=flip), padding=1.5)[0]
        for flip in (0.0, 1.0)
    )
    assert np.allclose(flipped.xy[JOINTS.flip_index] * (-1, 1) + (192, 0), plain.xy)


@given(st.integers(0, 10**6), st.booleans())
def test_half_body_keeps_the_chosen_joints_in_view(seed, is_upper):
    random = np.random.default_rng(seed)
    xy, v = random.uniform(0, 300, (17, 2)), random.integers(0, 3, 17)
    v[random.permutation(17)[:9]] = 2
    lower = COCO_17.is_lower
    box = half_body_box(xy, v, lower, is_upper, 8)
    assert box is not None
    mask = (v > 0) & (lower != is_upper)
    chosen = mask if np.count_nonzero(mask) >= 3 else (v > 0) & ~mask
    assert np.allclose(box, [*xy[chosen].min(axis=0), *xy[chosen].max(axis=0)])
    aug = replace(NOTHING, half_body=1.0, half_body_upper=float(is_upper), scale=0.3)
    sample = person(np.zeros((8, 8, 3), np.uint8), xy, v)
    crop = TrainingCrops(listed_people([sample], COCO_17), augmentation=aug, seed=seed)[0]
    assert (crop.v[chosen] == v[chosen]).all()  # none has left the crop, at any scale


def test_few_labels_have_no_half_body():
    xy, lower = np.random.default_rng(0).uniform(0, 9, (17, 2)), COCO_17.is_lower
    assert half_body_box(xy, np.array([2] * 8 + [0] * 9), lower, True, 8) is None
    assert half_body_box(xy, np.array([2] * 9 + [0] * 8), lower, True, 8) is not None


def test_halves_are_hrnets():
    assert np.flatnonzero(COCO_17.is_lower).tolist() == [11, 12, 13, 14, 15, 16]  # lib/dataset/coco.py
    assert np.flatnonzero(MPII_16.is_lower).tolist() == [0, 1, 2, 3, 4, 5, 6]  # lib/dataset/mpii.py
    assert np.flatnonzero(LSP_14.is_lower).tolist() == [0, 1, 2, 3, 4, 5]
    assert np.flatnonzero(AP10K_17.is_lower).tolist() == [11, 12, 13, 14, 15, 16]  # hind legs, back paws too


def test_draws_have_the_papers_distribution():
    people = listed_people([dotted(1)] * 3000)
    crops = TrainingCrops(people, 4, 4, augmentation=replace(HRNET, half_body=0.0))
    linear = np.stack([crops[index].affine[:, :2] for index in range(3000)])
    flips = np.linalg.det(linear) < 0
    scale = np.sqrt(np.abs(np.linalg.det(linear)))
    size = np.sqrt(abs(np.linalg.det(TrainingCrops(people, 4, 4)[0].affine[:, :2]))) / scale
    angle = np.rad2deg(np.arctan2(linear[:, 1, 0], linear[:, 1, 1]))
    assert abs(flips.mean() - 0.5) < 0.03
    assert np.allclose([size.min(), size.max()], [0.65, 1.35], atol=1e-6)
    assert abs(np.mean((size < 0.651) | (size > 1.349)) - 0.317) < 0.03  # a normal's share beyond one deviation
    assert abs(np.mean(np.abs(angle) < 1e-9) - 0.4) < 0.03 and np.abs(angle).max() <= 90 + 1e-6
    assert abs(np.median(np.abs(angle[np.abs(angle) > 1e-9])) - 0.6745 * 45) < 2


@given(st.integers(0, 2**31), st.integers(0, 500))
@settings(max_examples=20)
def test_a_crop_depends_only_on_seed_epoch_and_index(seed, epoch):
    people = listed_people([dotted(index) for index in range(4)])
    crops = TrainingCrops(people, augmentation=STRONG, seed=seed).at_epoch(epoch)
    there = [crops[index] for index in range(4)]
    back = [crops[index] for index in reversed(range(4))][::-1]
    for first, second in zip(there, back, strict=True):
        assert np.array_equal(first.pixels, second.pixels) and np.array_equal(first.xy, second.xy)
        assert np.array_equal(first.v, second.v)
    for others in (crops.at_epoch(epoch + 1), replace(crops, seed=seed + 1)):
        assert not np.array_equal(others[0].affine, there[0].affine)


def test_disabling_one_option_does_not_change_the_others():
    people = listed_people([dotted(index) for index in range(6)])
    crops = TrainingCrops(people, augmentation=STRONG)
    plain = replace(crops, augmentation=replace(STRONG, photometric=NOTHING.photometric, occlusion=NOTHING.occlusion))
    still = replace(plain, augmentation=replace(plain.augmentation, scale=0.0))
    for first_crop, second, third in zip(crops, plain, still, strict=True):
        assert np.array_equal(first_crop.affine, second.affine)
        turn = [np.arctan2(crop.affine[1, 0], crop.affine[1, 1]) for crop in (second, third)]
        assert np.isclose(*turn)


def test_areas_are_measured_in_the_crop():
    sample = dotted(5)
    crop = TrainingCrops(listed_people([sample]), augmentation=replace(EVERYTHING, half_body=0.0))[0]
    growth = cv2.contourArea(transform(crop.affine, np.array([[0.0, 0], [1, 0], [1, 1], [0, 1]])).astype(np.float32))
    assert np.isclose(crop.area_by("segment"), 5000 * growth, rtol=1e-4)
    assert np.isclose(crop.area_by("box"), np.prod(sample.box[2:] - sample.box[:2]) * growth, rtol=1e-4)
    assert np.isclose(crop.area_by("box*0.53"), 0.53 * crop.area_by("box"))


def test_plain_affine_is_geometrys():
    box = grow_box(np.array([10.0, 20, 110, 90]), 1.25, 0.75)
    assert np.allclose(compose_affine(box, (192, 256)), affine_to_crop(box, 192, 256))


def test_a_huge_photo():
    photo = np.zeros((40, 40_000, 3), np.uint8)
    photo[18:23, 39_900:39_905] = 255
    sample = person(photo, np.full((6, 2), [39_902.0, 20]), box=[39_890, 0, 39_920, 40])
    affine = compose_affine(grow_box(sample.box, 1.25, 0.75), (192, 256), angle=30.0, is_flipped=True)
    crop = make_crop(sample, affine, 192, 256)
    assert np.linalg.norm(find_dot(crop.pixels, np.array([255, 255, 255])) - crop.xy[0]) < 1
    assert np.allclose(transform(invert_affine(affine), crop.xy), sample.xy)


@pytest.mark.parametrize("wrong", [{"scale": 1.0}, {"flip": 1.5}, {"half_body": -0.1}])
def test_out_of_range(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Augmentation(**wrong)
