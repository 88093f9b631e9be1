"""People with joints filled in and labels taken away."""

from dataclasses import replace

import numpy as np
import pytest

from tests.people_cases import ListedPeople, dotted
from trustpose.datasets.augment import STRONG, TrainingCrops
from trustpose.datasets.dataset_ops import JoinedPeople, SomePeople
from trustpose.datasets.people import Cut, cut_sample
from trustpose.datasets.pseudo_labels import FilledPeople
from trustpose.training.people import labels_digest, visibility_of

KNOWN = np.array([False, True, True, True, False, True])


def bare(seed: int = 0):
    """Two of six joints unknown, and what is known of the others is only that they are labelled."""
    made = dotted(seed)
    xy, v = made.xy * KNOWN[:, None], made.v * KNOWN
    return replace(made, xy=xy, v=v, has_joint=KNOWN, has_visibility=np.zeros(6, np.bool_))


def filled(people) -> FilledPeople:
    """The head of each is filled in at the truth, the left wrist's label taken away."""
    is_filled, is_removed = np.zeros((2, len(people), 6), np.bool_)
    is_filled[:, 0], is_removed[:, 1] = True, True
    truth = np.stack([dotted(int(number)).xy for number in people.annotation_id])
    return FilledPeople(people, truth, is_filled, is_removed)


def test_only_what_was_said_changes():
    people = ListedPeople([bare(0), bare(1)])
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
    whole, part = (filled(ListedPeople([one]))[0] for one in (sample, cut))
    assert (part.affine != whole.affine).any()
    assert part.xy.tolist() == whole.xy.tolist()


def test_they_are_mirrored_and_hidden_as_labels_are_but_stay_unknown():
    people = filled(ListedPeople([bare(number) for number in range(12)]))
    crops = TrainingCrops(people, 96, 128, augmentation=replace(STRONG, half_body=0.0))
    found = [crop for epoch in range(6) for crop in crops.at_epoch(epoch)]
    assert not any(crop.has_joint[0] for crop in found)
    assert {int(crop.v[0]) for crop in found} == {0, 1, 2}  # outside, covered, seen
    left = [bool(crop.has_joint[1]) for crop in found]  # the right wrist's label, where the crop is mirrored
    assert any(left) and not all(left)


def test_labels_alone_know_it_too():
    people = filled(ListedPeople([bare(0), bare(1)]))
    for some in (people, SomePeople(people, np.array([1])), JoinedPeople([people, ListedPeople([dotted(5)])])):
        v, known = visibility_of(some)
        samples = list(some)
        assert v.tolist() == [one.v.tolist() for one in samples]
        assert known.tolist() == [(one.has_joint & (one.has_visibility | (one.v == 0))).tolist() for one in samples]
    digests = {labels_digest(people), labels_digest(people.people)}
    digests.add(labels_digest(FilledPeople(people.people, people.xy + 1, people.is_filled, people.is_removed)))
    digests.add(labels_digest(FilledPeople(people.people, people.xy, people.is_filled, ~people.is_filled)))
    assert len(digests) == 4
    assert labels_digest(filled(ListedPeople([bare(0), bare(1)]))) in digests


def test_what_does_not_fit_is_refused():
    people = ListedPeople([bare(0)])
    none, some = np.zeros((1, 6), np.bool_), np.ones((1, 6), np.bool_)
    with pytest.raises(ValueError, match="is_removed: expected no joint that is filled too"):
        FilledPeople(people, np.zeros((1, 6, 2)), some, some)
    with pytest.raises(ValueError, match=r"is_filled: expected \(1, 6\) for these people, got \(1, 5\)"):
        FilledPeople(people, np.zeros((1, 5, 2)), none[:, :5], none[:, :5])
