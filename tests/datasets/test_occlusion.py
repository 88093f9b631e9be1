"""Occluders in front of people, and the labels of the covered keypoints."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.people_cases import JOINTS, dotted, listed_people, person
from trustpose.datasets.augment import NOTHING, TrainingCrops
from trustpose.datasets.occlusion import Occlusion, Target, body_mask, cover_labels, occlude, outside_crop
from trustpose.datasets.people import People
from trustpose.datasets.photo_people import coco_people
from trustpose.io.coco.truth import read_coco_truth
from trustpose.skeletons import COCO_17

GREEN = np.array([40, 200, 40], np.uint8)
KINDS = {
    "cutout": Occlusion(cutout=1.0, max_cutouts=3, cutout_size=(0.2, 0.4)),
    "objects": Occlusion(objects=1.0, objects_size=(0.3, 0.6)),
    "people": Occlusion(people=1.0, people_size=(0.8, 1.5)),
}


def _target(seed):
    """A person on plain green: everything that is not green is an occluder."""
    random = np.random.default_rng(seed)
    xy = random.uniform(40, 260, (6, 2))
    return person(np.full((300, 300, 3), GREEN), xy, v=random.integers(0, 3, 6), box=[30, 30, 270, 270])


def _donor(seed):
    random = np.random.default_rng(seed + 1000)
    return person(random.integers(0, 30, (300, 300, 3), np.uint8), random.uniform(60, 240, (6, 2)))


@dataclass(frozen=True, eq=False)
class _TargetFirst(People):
    """The target first, whatever the index; people drawn later are donors."""

    drawn: list[int] = field(default_factory=list)

    def __getitem__(self, index):
        self.drawn.append(index)
        return super().__getitem__(min(len(self.drawn), 2) - 1)


def _target_first(target, donor):
    return _TargetFirst(**vars(listed_people([target, donor])))


@pytest.mark.parametrize("kind", KINDS)
@given(seed=st.integers(0, 10**6))
@settings(max_examples=25)
def test_what_is_covered_becomes_occluded_and_nothing_else(kind, seed):
    target = _target(seed)
    people = _target_first(target, _donor(seed))
    crops = TrainingCrops(people, 256, 256, 1.0, replace(NOTHING, occlusion=KINDS[kind]), seed=seed)
    crop = crops[0]
    plain = TrainingCrops(listed_people([target]), 256, 256, 1.0)[0]
    assert np.array_equal(crop.affine, plain.affine)
    change = np.abs(crop.pixels.astype(int) - plain.pixels).max(axis=2)
    for position, before, after in zip(plain.xy, plain.v, crop.v, strict=True):
        if before == 0:
            assert after == 0
            continue
        x, y = np.rint(position).astype(int)
        around = change[max(y - 3, 0) : y + 4, max(x - 3, 0) : x + 4]
        if around.min() > 100:  # well under something
            assert after == 1
        if around.max() == 0:  # well clear
            assert after == before
        assert after in (1, before)
    in_view = np.count_nonzero(plain.v)
    assert np.count_nonzero((plain.v == 2) & (crop.v == 1)) <= 0.6 * in_view + 1e-9
    assert np.array_equal(crop.xy, plain.xy)  # the place of what is hidden is still known


def test_occluders_are_drawn():
    """The test above would pass on crops without occluders."""
    for occlusion in KINDS.values():
        hidden, changed = 0, 0
        for seed in range(30):
            people = _target_first(_target(seed), _donor(seed))
            crop = TrainingCrops(people, 256, 256, 1.0, replace(NOTHING, occlusion=occlusion), seed=seed)[0]
            plain = TrainingCrops(listed_people([_target(seed)]), 256, 256, 1.0)[0]
            hidden += np.count_nonzero(crop.v != plain.v)
            changed += (crop.pixels != plain.pixels).any()
        assert hidden >= 10 and changed > 20


@pytest.mark.parametrize(("rule", "expected"), [("occluded", [0, 1, 1, 2]), ("absent", [0, 0, 0, 2]), ("keep", None)])
def test_the_rules_for_what_is_covered(rule, expected):
    v = np.array([0, 1, 2, 2])
    covered = np.array([True, True, True, False])
    assert cover_labels(v, covered, rule).tolist() == (v.tolist() if expected is None else expected)


@pytest.mark.parametrize("outside", ["absent", "keep"])
def test_a_keypoint_that_leaves_the_crop_is_absent(outside):
    sample = person(
        np.zeros((300, 300, 3), np.uint8), [[150, 150], [10, 150], [150, 299], [150, 0], [9, 9], [140, 160]]
    )
    sample = replace(sample, box=np.array([100.0, 100, 200, 200]), has_visibility=np.zeros(6, dtype=np.bool_))
    crop = TrainingCrops(
        listed_people([sample]), 100, 100, 1.0, replace(NOTHING, occlusion=Occlusion(outside=outside))
    )[0]
    if outside == "keep":
        assert (crop.v == 2).all() and not crop.has_visibility.any()
        return
    assert crop.v.tolist() == [2, 0, 0, 0, 0, 2]
    assert (crop.xy[crop.v == 0] == 0).all()
    assert crop.has_visibility.tolist() == [False, True, True, True, True, False]  # that they are gone is known


def test_the_rim():
    xy = np.array([[-0.5, 0], [-0.51, 0], [9.49, 4], [9.5, 4], [4, 4.49], [4, 4.5]])
    assert outside_crop(xy, 10, 5).tolist() == [False, True, False, True, False, True]


def test_joints_that_a_data_set_lacks_stay_unknown():
    sample = replace(_target(1), v=np.zeros(6, dtype=np.int64), has_joint=np.zeros(6, dtype=np.bool_))
    crops = TrainingCrops(listed_people([sample, _donor(1)]), augmentation=replace(NOTHING, occlusion=KINDS["cutout"]))
    assert not crops[0].has_joint.any() and not crops[0].v.any()


def test_body_masks_cover_the_keypoints_of_real_people(data_dir):
    people = coco_people(
        read_coco_truth(data_dir / "coco" / "dev_gt.json"), data_dir / "coco" / "dev", min_keypoints=12
    )
    labels = people.labels
    shares, covered = [], []
    for xy, v, box, area in zip(labels.xy[:200], labels.v[:200], labels.box[:200], labels.area[:200], strict=True):
        low = np.floor(np.minimum(box[:2], xy[v > 0].min(axis=0))) - 20
        width, height = (int(side) for side in np.ceil(np.maximum(box[2:], xy[v > 0].max(axis=0))) + 20 - low)
        mask = body_mask(xy - low, v, float(box[3] - box[1]), COCO_17, width, height)
        assert mask is not None
        index = np.rint((xy - low)[v > 0]).astype(int)
        covered += (mask[index[:, 1], index[:, 0]] > 60).tolist()
        shares.append((mask >= 128).sum() / area)
    assert np.mean(covered) > 0.98  # one whose neighbours are all absent may be left out
    assert 0.5 < np.median(shares) < 1.1  # of the labelled segment's area


def test_too_little_of_a_body():
    assert body_mask(dotted(1).xy, np.array([2, 2, 2, 2, 0, 0]), 100.0, JOINTS, 400, 500) is None


def test_keypoint_masking_exchanges_keypoints_and_background():
    """A green keypoint on black is either covered by black, or there is green elsewhere; its label stays."""
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[12:20, 12:20] = GREEN
    target = Target(np.array([[16.0, 16.0], [40.0, 40.0]]), np.array([2, 0]), 60.0)
    rule = Occlusion(masking=1.0, masking_size=(0.25, 0.25), covered="keep", max_covered=1.0)
    seen = set()
    for seed in range(20):
        masked, covered = occlude(pixels, target, rule, np.random.default_rng(seed), lambda: None, COCO_17)
        is_green = (masked == GREEN).all(axis=2)
        hidden = not is_green[12:20, 12:20].any()
        assert covered.tolist() == [hidden, False] or not hidden
        copied = is_green.sum() - is_green[12:20, 12:20].sum()
        assert (hidden and copied == 0) or (not hidden and copied == 64)
        seen.add(hidden)
    assert seen == {True, False}
    assert np.array_equal(cover_labels(target.v, covered, rule.covered), target.v)
