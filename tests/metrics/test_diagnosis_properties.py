"""Properties of the error diagnosis on random scenes, and a plain loop with the same results."""

from dataclasses import replace

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.diagnosis_cases import FLIP, SIGMAS, random_scene
from trustpose.geometry.oks import oks
from trustpose.metrics.diagnosis import ERRORS, KeypointError, diagnose, optimal_score
from trustpose.metrics.diagnosis_impact import error_impact


def kind_by_loop(poses, truth, pose, person):
    """The kinds of one matched pose, straight from the definition."""
    same_image = [j for j in range(len(truth)) if truth.image_id[j] == truth.image_id[person] and j != person]
    order = [(person, False), *((j, False) for j in same_image), (person, True), *((j, True) for j in same_image)]
    kinds = []
    for k in range(4):
        found = []
        for j, is_mirrored in order:
            joint = FLIP[k] if is_mirrored else k
            distance = np.sum((poses.xy[pose, k] - truth.xy[j, joint]) ** 2)
            near = np.exp(-distance / (2 * truth.area[j] * (2 * SIGMAS[k]) ** 2))
            found.append(near if truth.v[j, joint] else 0.0)
        best = int(np.argmax(found))
        if not truth.v[person, k]:
            kinds.append(KeypointError.UNLABELLED)
        elif found[best] < 0.5:
            kinds.append(KeypointError.MISS)
        elif order[best] == (person, False):
            kinds.append(KeypointError.GOOD if found[best] >= 0.85 else KeypointError.JITTER)
        else:
            kinds.append(KeypointError.INVERSION if order[best] == (person, True) else KeypointError.SWAP)
    return kinds


@given(st.integers(0, 10**6))
@settings(max_examples=60)
def test_kinds_follow_the_definition_and_partition_the_labelled_keypoints(seed):
    poses, truth, score = random_scene(seed)
    diagnosis = diagnose(poses, truth, score, sigmas=SIGMAS, flip_index=FLIP, area="file")
    for pose, person in enumerate(diagnosis.match):
        expected = [KeypointError.UNMATCHED] * 4 if person < 0 else kind_by_loop(poses, truth, pose, person)
        assert diagnosis.kind[pose].tolist() == expected
    matched = diagnosis.match[diagnosis.match >= 0]
    assert sum(diagnosis.counts().values()) == np.count_nonzero(truth.v[matched])


@given(st.integers(0, 10**6), st.sampled_from(["exact", "coco-analyze"]))
@settings(max_examples=60)
def test_correcting_never_lowers_the_oks_of_a_matched_pose(seed, rule):
    poses, truth, score = random_scene(seed)
    diagnosis = diagnose(poses, truth, score, sigmas=SIGMAS, flip_index=FLIP, area="file", correction=rule)
    rows = np.flatnonzero((diagnosis.match >= 0) & (truth.v[diagnosis.match] > 0).any(axis=1))
    person = diagnosis.match[rows]
    last = diagnosis.xy
    levels = [ERRORS[: i + 1] for i in range(len(ERRORS))]
    for xy in [*(diagnosis.corrected(kinds) for kinds in levels), diagnosis.corrected_xy]:
        labels = (truth.xy[person], truth.v[person], truth.area[person], SIGMAS)
        assert (oks(xy[rows], *labels) >= oks(last[rows], *labels) - 1e-12).all()
        last = xy
    np.testing.assert_array_equal(last, diagnosis.corrected(ERRORS))


@given(st.integers(0, 10**6))
@settings(max_examples=40)
def test_cumulative_gains_add_up_and_order_of_rows_does_not_matter(seed):
    poses, truth, _ = random_scene(seed)
    score = np.random.default_rng(seed).permutation(len(poses)) / len(poses)  # no ties: rows may stand in any order
    measures = {"sigmas": SIGMAS, "area": "file"}
    diagnosis = diagnose(poses, truth, score, flip_index=FLIP, **measures)
    impact = error_impact(poses, truth, score, diagnosis, **measures)
    total = sum(impact.gain_per_threshold().values())
    np.testing.assert_allclose(total, 1 - impact.baseline, atol=1e-12)
    rows = np.random.default_rng(seed + 1).permutation(len(poses))
    again = diagnose(poses[rows], truth, score[rows], flip_index=FLIP, **measures)
    np.testing.assert_array_equal(again.kind, diagnosis.kind[rows])


@given(st.integers(0, 10**6))
@settings(max_examples=40)
def test_optimal_score_lies_between_zero_and_the_highest_oks(seed):
    poses, _, score = random_scene(seed)
    rescored = optimal_score(poses, score, SIGMAS)
    assert (rescored >= 0).all()
    assert (rescored <= score).all()
    for image in np.unique(poses.image_id):
        mine = poses.image_id == image
        assert rescored[mine].max() == score[mine].max()  # the best of an image keeps its score
        np.testing.assert_allclose(rescored[mine], optimal_score(poses[mine], score[mine], SIGMAS), rtol=1e-12)


@given(st.integers(0, 10**6))
@settings(max_examples=15)
def test_optimal_scores_do_not_compare_missing_keypoints(seed):
    poses, _, score = random_scene(seed)
    random = np.random.default_rng(seed)
    missing = random.random(poses.xy.shape[:2]) < 0.4
    there = optimal_score(replace(poses, missing=missing), score, SIGMAS)
    moved = np.where(missing[..., None], random.uniform(-1e5, 1e5, poses.xy.shape), poses.xy)
    np.testing.assert_array_equal(optimal_score(replace(poses, xy=moved, missing=missing), score, SIGMAS), there)
    assert (there <= score).all()
    everything = optimal_score(replace(poses, missing=missing | True), score, SIGMAS)
    np.testing.assert_array_equal(everything, score)  # nothing in common
