"""People with joints filled in and labels taken away."""

from dataclasses import replace

import numpy as np
import pytest

from tests.people_cases import dotted, listed_people
from trustpose.datasets.augment import STRONG, TrainingCrops
from trustpose.datasets.dataset_ops import join, subset, with_pseudo_labels
from trustpose.datasets.people import People
from trustpose.datasets.photo_people import Cut, cut_sample

KNOWN = np.array([False, True, True, True, False, True])


def bare(seed: int = 0):
    """Two of six joints are unknown, the others labelled without visibility."""
    made = dotted(seed)
    xy, v = made.xy * KNOWN[:, None], made.v * KNOWN
    return replace(made, xy=xy, v=v, has_joint=KNOWN, has_visibility=np.zeros(6, np.bool_))


def filled(people) -> People:
    """The head of each is filled in at the truth, the left wrist's label taken away."""
    is_filled, is_removed = np.zeros((2, len(people), 6), np.bool_)
    is_filled[:, 0], is_removed[:, 1] = True, True
    truth = np.stack([dotted(int(number)).xy for number in people.annotation_id])
    return with_pseudo_labels(people, truth, is_filled, is_removed)


def test_only_the_given_labels_change():
    people = listed_people([bare(0), bare(1)])
    for before, after in zip(people, filled(people), strict=True):
        assert after.v.tolist() == [2, 0, 2, 2, 0, 2]
        assert after.has_joint.tolist() == [False, False, True, True, False, True]
        assert not after.has_visibility.any()
        assert after.xy[0].tolist() == dotted(before.annotation_id).xy[0].tolist()
        assert after.xy[1].tolist() == [0, 0] and after.xy[2:].tolist() == before.xy[2:].tolist()
        assert before.v[1] == 2 and before.has_joint[1]  # the source is left as it was


def test_places_are_the_photos_whatever_part_of_it_is_at_hand():
    sample = bare(3)
    cut = cut_sample(sample, Cut(size=64, margin=1.2))
    whole, part = (filled(listed_people([one]))[0] for one in (sample, cut))
    assert (part.affine != whole.affine).any()
    assert part.xy.tolist() == whole.xy.tolist()


def test_they_are_mirrored_and_hidden_as_labels_are_but_stay_unknown():
    people = filled(listed_people([bare(number) for number in range(12)]))
    crops = TrainingCrops(people, 96, 128, augmentation=replace(STRONG, half_body=0.0))
    found = [crop for epoch in range(6) for crop in crops.at_epoch(epoch)]
    assert not any(crop.has_joint[0] for crop in found)
    assert {int(crop.v[0]) for crop in found} == {0, 1, 2}  # outside, covered, seen
    left = [bool(crop.has_joint[1]) for crop in found]  # the right wrist's label, where the crop is mirrored
    assert any(left) and not all(left)


def test_labels_without_pixels_have_the_same_flags():
    source = listed_people([bare(0), bare(1)])
    people = filled(source)
    for some in (people, subset(people, np.array([1])), join([people, listed_people([dotted(5)])])):
        v, is_ternary = some.labels.v, some.labels.is_ternary
        samples = list(some)
        assert v.tolist() == [sample.v.tolist() for sample in samples]
        assert is_ternary.tolist() == [
            (sample.has_joint & (sample.has_visibility | (sample.v == 0))).tolist() for sample in samples
        ]
    xy, is_filled = people.labels.xy, np.arange(6) == 0
    is_filled, is_removed = np.tile(is_filled, (2, 1)), np.tile(np.arange(6) == 1, (2, 1))
    identities = {people.identity, source.identity}
    identities.add(with_pseudo_labels(source, xy + 1, is_filled, is_removed).identity)
    identities.add(with_pseudo_labels(source, xy, is_filled, ~is_filled).identity)
    assert len(identities) == 4
    assert filled(listed_people([bare(0), bare(1)])).identity in identities


def test_what_does_not_fit_is_refused():
    people = listed_people([bare(0)])
    none, some = np.zeros((1, 6), np.bool_), np.ones((1, 6), np.bool_)
    with pytest.raises(ValueError, match="is_removed: expected no joint that is also filled"):
        with_pseudo_labels(people, np.zeros((1, 6, 2)), some, some)
    with pytest.raises(ValueError, match=r"is_filled: expected \(1, 6\) for these people, got \(1, 5\)"):
        with_pseudo_labels(people, np.zeros((1, 5, 2)), none[:, :5], none[:, :5])
