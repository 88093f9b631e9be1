"""PersonLab's decoder: which limb is followed, claimed keypoints, its scores, and pixels shared out to people."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trustpose.codecs.disks import DiskCodec, DiskFields, Seeds
from trustpose.geometry.crops import Grid
from trustpose.grouping.personlab import PersonLabGrouping, embedding_distances
from trustpose.io.coco.truth import read_coco_truth
from trustpose.metrics.average_precision import evaluate
from trustpose.poses import Poses
from trustpose.skeletons import COCO_17, COCO_17_REDUNDANT

CHAIN = ((0, 1), (1, 2))
SIGMAS = (0.1, 0.1, 0.1)


class Drawn:
    """Fields of positions: for each keypoint likely positions, and where each directed limb leads from a position."""

    def __init__(self, likely: dict, leads: dict) -> None:
        self.likely, self.leads = likely, leads

    def probability(self, joint, xy):
        keys = zip(joint.tolist(), map(tuple, xy.tolist()), strict=True)
        return np.array([self.likely.get(key, 0.0) for key in keys], float)

    def across(self, number, xy):
        keys = zip(number.tolist(), map(tuple, xy.tolist()), strict=True)
        return np.array([self.leads.get(key, key[1]) for key in keys], float).reshape(-1, 2)

    def localisation(self, joint, xy, deviation):  # noqa: ARG002  # sure of all
        return np.ones(len(xy))


def seeds(*rows: tuple[int, float, float]) -> Seeds:
    joint, x, y = (np.array(column) for column in zip(*rows, strict=True))
    return Seeds(joint, np.stack([x, y], axis=1).astype(float), np.ones(len(joint)))


def test_people_grow_along_limbs_in_both_directions() -> None:
    a, b, c = (20.0, 20.0), (60.0, 20.0), (90.0, 50.0)
    leads = {(0, a): b, (1, b): a, (2, b): c, (3, c): b}
    fields = Drawn({(0, a): 0.9, (1, b): 0.8, (2, c): 0.4}, leads)
    for joint, start in enumerate((a, b, c)):
        people = PersonLabGrouping(CHAIN, SIGMAS).group(seeds((joint, *start)), fields)
        assert people.xy.tolist() == [[[*a], [*b], [*c]]]
        np.testing.assert_allclose(people.probability, [[0.9, 0.8, 0.4]])
        assert people.person_score[0] == pytest.approx(0.7)


def test_the_limb_to_the_likeliest_position_is_followed_first() -> None:
    a, hidden, c, elsewhere = (20.0, 20.0), (25.0, 20.0), (90.0, 50.0), (5.0, 90.0)
    limbs = (*CHAIN, (0, 2))
    leads = {(0, a): hidden, (2, hidden): elsewhere, (4, a): c, (3, c): (60.0, 20.0)}
    fields = Drawn({(0, a): 1.0, (1, hidden): 0.1, (2, c): 0.9, (1, (60.0, 20.0)): 0.3}, leads)
    people = PersonLabGrouping(limbs, SIGMAS).group(seeds((0, *a)), fields)
    assert people.xy.tolist() == [[[*a], [60, 20], [*c]]]  # 0 to 2 past the hidden 1, which 2 then leads to
    along_the_chain = PersonLabGrouping(CHAIN, SIGMAS).group(seeds((0, *a)), fields)
    assert along_the_chain.xy.tolist() == [[[*a], [*hidden], [*elsewhere]]]


def test_a_seed_near_the_same_keypoint_of_a_person_begins_nobody() -> None:
    likely = {(joint, (x, 20.0)): 1.0 for joint in range(3) for x in (20.0, 29.0, 31.0)}
    fields = Drawn(likely, {})
    rows = seeds((0, 20, 20), (0, 29, 20), (1, 29, 20), (0, 31, 20))
    people = PersonLabGrouping(CHAIN, SIGMAS).group(rows, fields)
    assert people.xy[:, 0, 0].tolist() == [20, 31]  # limbs lead nowhere, so that all of a person is at the seed
    assert len(PersonLabGrouping(CHAIN, SIGMAS, nms_radius=12.0).group(rows, fields).xy) == 1
    far = seeds(*((0, 100.0 * number, 20) for number in range(70)), (0, 3, 20), (2, 6905, 20))
    assert len(PersonLabGrouping(CHAIN, SIGMAS).group(far, fields).xy) == 70


def test_a_keypoint_that_a_better_person_has_does_not_count() -> None:
    a, b, c, other = (20.0, 20.0), (60.0, 20.0), (90.0, 50.0), (20.0, 80.0)
    leads = {(0, a): b, (2, b): c, (0, other): b}
    fields = Drawn({(0, a): 0.6, (0, other): 0.9, (1, b): 0.9, (2, c): 0.9}, leads)
    people = PersonLabGrouping(CHAIN, SIGMAS).group(seeds((0, *a), (0, *other)), fields)
    assert people.xy[:, 0].tolist() == [[*other], [*a]]
    np.testing.assert_allclose(people.score, [[0.9, 0.9, 0.9], [0.6, 0.9, 0.9]])
    np.testing.assert_allclose(people.person_score, [0.9, 0.2])


def test_nobody_in_an_empty_photo() -> None:
    nothing = Seeds(np.zeros(0, int), np.zeros((0, 2)), np.zeros(0))
    people = PersonLabGrouping(CHAIN, SIGMAS).group(nothing, Drawn({}, {}))
    assert people.xy.shape == (0, 3, 2) and people.person_score.shape == (0,)
    assert embedding_distances(np.zeros((4, 3, 2)), people.xy, people.probability).shape == (4, 0)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10**6))
def test_a_persons_score_is_its_oks_where_votes_are_as_far_off_as_labels(seed: int) -> None:
    """Maps that are sure of themselves, with Gaussian errors of short-range offsets: scores are the OKS that positions
    drawn from the votes have against the person."""
    random = np.random.default_rng(seed)
    xy = np.array([[[60.0, 60], [160, 80], [100, 180]]])
    codec = DiskCodec(CHAIN, Grid((1.0, 1.0)), 24.0)
    targets = codec.encode(xy, np.ones((1, 3), bool), 260, 260)
    noisy = targets.short + random.normal(0, 4, targets.short.shape).astype(np.float32)
    votes = codec.votes(targets.disks, noisy)
    fields = DiskFields(codec, targets.disks, targets.short, targets.middle, votes)
    sigmas = (0.02, 0.05, 0.1)
    people = PersonLabGrouping(CHAIN, sigmas).group(seeds((0, 60, 60)), fields)
    np.testing.assert_allclose(people.xy, xy, atol=1e-3)
    area = 100 * 120
    drawn = xy + random.normal(0, 4, (20_000, 3, 2))
    square = ((drawn - xy) ** 2).sum(axis=2)
    oks = np.exp(-square / (2 * area * (2 * np.array(sigmas)) ** 2)).mean(axis=0)
    np.testing.assert_allclose(people.score[0], oks, atol=0.03)
    np.testing.assert_allclose(people.person_score[0], oks.mean(), atol=0.03)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 4))
def test_distances_of_pixels_are_those_of_section_3_2(seed: int, count: int) -> None:
    random = np.random.default_rng(seed)
    embedding, xy = random.uniform(0, 100, (6, 3, 2)), random.uniform(0, 100, (count, 3, 2))
    probability = random.random((count, 3))
    distances = embedding_distances(embedding, xy, probability)
    for pixel, person in np.ndindex(6, count):
        sides = xy[person].max(axis=0) - xy[person].min(axis=0)
        scale = np.sqrt(max(sides[0], 1) * max(sides[1], 1))
        apart = [np.hypot(*(embedding[pixel, joint] - xy[person, joint])) / scale for joint in range(3)]
        expected = np.average(apart, weights=probability[person])
        np.testing.assert_allclose(distances[pixel, person], expected)


def test_perfect_maps_of_real_people_decode_to_them(data_dir) -> None:
    """All people of `dev`, with a cell for 8 × 8 pixels."""
    truth = read_coco_truth(data_dir / "coco/dev_gt.json").truth
    counted = np.flatnonzero((truth.num_keypoints > 0) & ~truth.iscrowd)
    codec = DiskCodec((*COCO_17.edges, *COCO_17_REDUNDANT), Grid((8.0, 8.0)), 16.0)
    grouping = PersonLabGrouping(codec.limbs, tuple(COCO_17.sigmas.tolist()))
    parts = []
    for image_id in np.unique(truth.image_id[counted]).tolist():
        rows = counted[truth.image_id[counted] == image_id]
        targets = codec.encode(truth.xy[rows], truth.v[rows] > 0, 80, 80)
        votes = codec.votes(targets.disks, targets.short)
        seeds = codec.seeds(codec.hough(votes, 17, 640, 640), 0.01)
        people = grouping.group(seeds, DiskFields(codec, targets.disks, targets.short, targets.middle, votes))
        image_ids = np.full(len(people.xy), image_id)
        parts.append(Poses(people.xy, people.score, people.person_score, image_id=image_ids))
    poses = Poses.concatenate(parts)
    ap = evaluate(poses, truth, poses.pose_score, sigmas=COCO_17.sigmas, area="file").summary()
    assert ap.AP >= 0.95
