"""Values of part affinity fields along the limbs of people, against those of the links they were made of."""

import numpy as np

from tests.predict.tiny_fields import CODEC, made_up_people
from trustpose.codecs import Candidates
from trustpose.codecs.fields import FieldCodec, limb_support
from trustpose.skeletons import COCO_17

FIELDS = FieldCodec(COCO_17.edges, CODEC.grid, width=2.0)
LIMBS = np.array(COCO_17.edges)
WRIST = COCO_17.index("left_wrist")


def seen(count=3):
    """People and, with noise, their fields."""
    xy, labelled = made_up_people(count)
    fields = FIELDS.encode(xy, labelled, CODEC.width, CODEC.height)
    noise = np.random.default_rng(0).normal(0, 0.05, fields.shape)
    return xy, labelled, (fields + noise).astype(np.float32)[None]


def test_values_are_those_of_links():
    xy, labelled, fields = seen()
    values = FIELDS.values(xy, ~labelled, fields)
    assert values.shape == (3, len(LIMBS), FIELDS.samples)
    joint = np.repeat(np.arange(17), 3)  # sorted by joint
    candidates = Candidates(xy.transpose(1, 0, 2).reshape(-1, 2), np.ones(51), np.zeros(51, np.int64), joint, (1, 17))
    links = FIELDS.links(candidates, fields)
    of = {(int(a), int(b)): score for (a, b), score in zip(links.links, links.link_score, strict=True)}
    number = 0
    for person, limb in np.ndindex(3, len(LIMBS)):
        start, end = LIMBS[limb]
        if labelled[person, [start, end]].all():
            score = of.get((3 * int(start) + person, 3 * int(end) + person))
            if score is not None:  # else too few samples count
                np.testing.assert_allclose(values[person, limb].mean(), score, rtol=1e-6)
                number += 1
        else:
            assert np.isnan(values[person, limb]).all()
    assert number > 50 and np.isnan(values).any()


def test_a_limb_without_length_is_0_and_nobody_has_no_values():
    xy, labelled, fields = seen(1)
    start, end = LIMBS[0]
    xy[0, end] = xy[0, start]
    values = FIELDS.values(xy, ~labelled, fields)
    np.testing.assert_array_equal(values[0, 0], 0)
    assert FIELDS.values(xy[:0], ~labelled[:0], fields).shape == (0, len(LIMBS), FIELDS.samples)


def test_support_is_lower_for_joints_of_two_people():
    xy, labelled, fields = seen()
    mixed = np.where(np.arange(17)[:, None] % 4 < 2, xy[1], xy[2])[None]
    groups, missing = np.concatenate([xy, mixed]), np.concatenate([~labelled, np.zeros((1, 17), bool)])
    support = limb_support(FIELDS.values(groups, missing, fields), LIMBS, 17)
    assert support.of_joints.shape == (4, 17, 3) and support.of_group.shape == (4, 3)
    assert (support.of_group[:3, 0] > 0.8).all() and support.of_group[3, 0] < 0.6
    assert (support.of_group[:3, 1] > 0.9).all() and support.of_group[3, 2] < 0.3
    np.testing.assert_array_equal(support.of_joints[0, WRIST], 0)


def test_support_is_what_is_counted_one_by_one():
    rng = np.random.default_rng(1)
    values = rng.normal(0.3, 0.5, (4, len(LIMBS), 10))
    values[rng.random((4, len(LIMBS))) < 0.4] = np.nan
    values[3] = np.nan
    support = limb_support(values, LIMBS, 17)
    for group in range(4):
        chosen = [[limb for limb in range(len(LIMBS)) if k in LIMBS[limb]] for k in range(17)]
        rows = [*support.of_joints[group], support.of_group[group]]
        for row, some in zip(rows, [*chosen, list(range(len(LIMBS)))], strict=True):
            known = [values[group, limb] for limb in some if not np.isnan(values[group, limb]).any()]
            means = [one.mean() for one in known] or [0.0]
            shares = [(one > 0.05).mean() for one in known] or [0.0]
            np.testing.assert_allclose(row, [np.mean(means), np.mean(shares), min(means)], atol=1e-12)


def test_the_field_of_a_joint_that_is_not_found_does_not_matter():
    xy, labelled, fields = seen()
    elsewhere = np.where(labelled[..., None], xy, np.nan)
    for first, second in zip(
        *(vars(limb_support(FIELDS.values(at, ~labelled, fields), LIMBS, 17)).values() for at in (xy, elsewhere)),
        strict=True,
    ):
        np.testing.assert_array_equal(first, second)
