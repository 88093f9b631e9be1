"""HOTA, IDF1 and CLEAR MOT: the numbers of TrackEval on the same similarities, by hand, what holds for any tracks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.metrics.tracking_cases import sequence
from trustpose.metrics.tracking import TrackFrame, clear_mot, hota, identity

# seeds of sequences: what TrackEval (JonathonLuiten/TrackEval, its newest) gives on these matrices, sequences combined:
# HOTA, DetA, AssA, LocA; IDF1, IDP, IDR; MOTA, MOTP; IDSW, Frag
TRACKEVAL = {
    (0,): (0.3188315745990722, 0.4226599510202263, 0.2443098605510456, 0.7457798462294857, 0.37037037037037035,
           0.40540540540540543, 0.3409090909090909, 0.1590909090909091, 0.69275, 12, 8),
    (1, 2): (0.29846349353275853, 0.4698848252040506, 0.19288538589241386, 0.7692921914663469, 0.37735849056603776,
             0.410958904109589, 0.3488372093023256, 0.1744186046511628, 0.6990714285714285, 24, 19),
    (3, 4, 5): (0.33512982875606373, 0.48667254820961214, 0.23600073049286124, 0.7919397239500006, 0.3739130434782609,
                0.37719298245614036, 0.3706896551724138, 0.12931034482758622, 0.7528313253012048, 37, 25),
}  # fmt: skip


def numbers(frames: list[TrackFrame]) -> list[float]:
    """In the order above; TrackEval has 1 for the localisation accuracy of a threshold without matches."""
    found, same, clear = hota(frames), identity(frames), clear_mot(frames)
    orders = [
        *(float(one.mean()) for one in (found.hota, found.deta, found.assa)),
        float(np.nan_to_num(found.loca, nan=1.0).mean()),
    ]
    return [*orders, same.idf1, same.precision, same.recall, clear.mota, clear.motp, clear.switches, clear.fragments]


@pytest.mark.parametrize("seeds", TRACKEVAL, ids=str)
def test_numbers_are_trackevals(seeds: tuple[int, ...]) -> None:
    frames = [frame for seed in seeds for frame in sequence(seed)]
    np.testing.assert_allclose(numbers(frames), TRACKEVAL[seeds], rtol=1e-14)


def _frame(truth: list[int], tracks: list[int], similarity: list[list[float]]) -> TrackFrame:
    return TrackFrame(
        np.array(truth, int), np.array(tracks, int), np.array(similarity, float).reshape(len(truth), len(tracks))
    )


def test_a_switch_by_hand() -> None:
    """One person in four frames, two found tracks of two frames each, at a similarity of 0.9."""
    frames = [_frame([1], [track], [[0.9]]) for track in (1, 1, 2, 2)]
    clear, same, found = clear_mot(frames), identity(frames), hota(frames)
    assert (clear.switches, clear.misses, clear.false_alarms, clear.mota) == (1, 0, 0, 0.75)
    assert (same.true, same.false, same.missed, same.idf1) == (2, 2, 2, 0.5)
    np.testing.assert_allclose(found.assa[:18], 2 / 4)  # each pair of ids: 2 frames of 4 + 2 − 2
    assert found.assa[18] == found.deta[18] == 0 and np.isnan(found.loca[18])  # 0.95 is more than 0.9
    np.testing.assert_allclose(found.hota[:18], np.sqrt(0.5))


def test_nobody() -> None:
    for frames in ([], [_frame([], [], [])]):
        assert np.isnan([*hota(frames).means().values(), identity(frames).idf1, clear_mot(frames).mota]).all()
    missed, false = [_frame([1], [], [])], [_frame([], [1], [])]
    assert hota(missed).means()["HOTA"] == hota(false).means()["HOTA"] == 0
    assert identity(missed).idf1 == identity(false).idf1 == 0
    assert clear_mot(missed).mota == 0 and np.isnan(clear_mot(false).mota) and clear_mot(false).false_alarms == 1


def test_an_id_twice_in_a_frame_is_refused() -> None:
    with pytest.raises(ValueError, match=r"TrackFrame\.track_id: 3 occurs twice in one frame"):
        _frame([1], [3, 3], [[0.5, 0.5]])


seeds = st.integers(100, 10**4)


@settings(max_examples=12, deadline=None)
@given(seeds, st.integers(0, 2**31))
def test_names_of_ids_and_the_order_of_rows_do_not_matter(seed: int, other: int) -> None:
    random = np.random.default_rng(other)
    frames = [  # no two sums of similarities are equal
        TrackFrame(one.truth_id, one.track_id, one.similarity + random.uniform(0, 1e-6, one.similarity.shape))
        for one in sequence(seed, frames=8)
    ]
    turned = []
    for frame in frames:
        rows, columns = random.permutation(len(frame.truth_id)), random.permutation(len(frame.track_id))
        similarity = frame.similarity[np.ix_(rows, columns)]
        turned.append(TrackFrame(10**8 - frame.truth_id[rows], 10**8 - frame.track_id[columns], similarity))
    np.testing.assert_allclose(numbers(turned), numbers(frames), rtol=1e-12)


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_perfect_tracks_are_1_and_nothing_is_better(seed: int) -> None:
    frames = [frame for frame in sequence(seed) if len(frame.truth_id)]
    perfect = [TrackFrame(frame.truth_id, frame.truth_id + 5, np.eye(len(frame.truth_id))) for frame in frames]
    np.testing.assert_allclose(numbers(perfect)[:9], 1)
    assert clear_mot(perfect).switches == 0
    found = np.array(numbers(frames)[:9])
    assert (found <= 1).all() and (found[:7] >= 0).all()


@settings(max_examples=15, deadline=None)
@given(seeds)
def test_clips_are_counted_together(seed: int) -> None:
    first_sequence, second_sequence = sequence(seed), sequence(seed + 10**5)
    both, apart = (
        clear_mot([*first_sequence, *second_sequence]),
        (clear_mot(first_sequence), clear_mot(second_sequence)),
    )
    assert both.switches == sum(each.switches for each in apart)
    assert both.misses == sum(each.misses for each in apart)
    together, alone = (
        identity([*first_sequence, *second_sequence]),
        (identity(first_sequence), identity(second_sequence)),
    )
    assert together.true == sum(each.true for each in alone)
