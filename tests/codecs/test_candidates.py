"""Several places for each joint out of heatmaps of any size: scipy's and a slow search's maxima, `decode`'s best."""

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import ndimage

from trustpose.codecs import Grid, Outputs
from trustpose.codecs.heatmaps import CODECS, HeatmapCodec
from trustpose.codecs.peaks import local_maxima

PEAKED = ("argmax-quarter", "dark", "udp")


def _codec(name: str, **options: Any) -> HeatmapCodec:
    decoding, convention = CODECS[name]
    return HeatmapCodec(48, 64, 4.0, decoding=decoding, convention=convention, **options)


def _bumps(positions: list[tuple[float, float, float]], width: int, height: int) -> np.ndarray:
    """One map (height, width) with a bump of σ = 2 at each x, y, of that height."""
    y, x = np.mgrid[:height, :width]
    bumps = [high * np.exp(-((x - at) ** 2 + (y - down) ** 2) / 8) for at, down, high in positions]
    return np.max(bumps, axis=0).astype(np.float32)


@given(st.integers(0, 10**6), st.integers(1, 4), st.integers(3, 30), st.integers(3, 30))
def test_maxima_are_scipys(seed: int, keypoints: int, height: int, width: int) -> None:
    maps = np.random.default_rng(seed).normal(size=(2, keypoints, height, width)).astype(np.float32)
    (batch, joint), position = local_maxima(maps, max_per_map=height * width)
    found = np.zeros(maps.shape, bool)
    found[batch, joint, position[:, 1], position[:, 0]] = True
    footprint = np.ones((1, 1, 3, 3), bool)
    expected = maps == ndimage.maximum_filter(maps, footprint=footprint, mode="constant", cval=-np.inf)
    np.testing.assert_array_equal(found, expected)
    assert len(position) == expected.sum()


@given(st.integers(0, 10**6), st.integers(1, 5))
def test_maxima_of_maps_with_equals(seed: int, most: int) -> None:
    """One map at a time, pixel by pixel, on maps of few levels."""
    maps = np.random.default_rng(seed).integers(0, 3, (2, 2, 5, 6)).astype(np.float32)
    (batch, joint), position = local_maxima(maps, most)
    found = [(*key, *at) for *key, at in zip(batch.tolist(), joint.tolist(), position.tolist(), strict=True)]
    expected = []
    for b, k in np.ndindex(2, 2):
        peaks = []
        for y, x in np.ndindex(5, 6):
            near = [(j, i) for j in range(y - 1, y + 2) for i in range(x - 1, x + 2) if 0 <= j < 5 and 0 <= i < 6]
            earlier, later = [at for at in near if at < (y, x)], [at for at in near if at > (y, x)]
            here = maps[b, k, y, x]
            if all(maps[b, k, *index] < here for index in earlier) and all(
                maps[b, k, *index] <= here for index in later
            ):
                peaks.append((-here, y, x))
        expected += [(b, k, x, y) for _, y, x in sorted(peaks)[:most]]
    assert found == expected


@given(st.integers(0, 10**6), st.sampled_from(PEAKED), st.sampled_from([None, 3, 5]), st.booleans())
@example(161098, "argmax-quarter", 3, True)
@example(161098, "argmax-quarter", 3, False)
def test_the_best_is_what_decode_gives(seed: int, name: str, smoothing: int | None, is_flat: bool) -> None:
    """To the last bit, for maps of any size, noise, bumps and flat maps alike."""
    random = np.random.default_rng(seed)
    height, width = random.integers(7, 40, 2)
    maps = random.normal(size=(2, 3, height, width)).astype(np.float32) * 0.05
    maps += _bumps([(*random.uniform(0, (width, height)), 1.0) for _ in range(3)], width, height)
    if is_flat:
        maps = np.round(maps, 1)
        maps[0, 0] = 0
    options = {"smoothing": smoothing} if name == "argmax-quarter" else {}
    codec = _codec(name, score_scale=2.0, score_offset=-0.1, **options)
    decoded = codec.decode(Outputs([maps]))
    candidates = codec.candidates(Outputs([maps]))
    best = candidates.best()
    assert best.input.tolist() == [0, 0, 0, 1, 1, 1] and best.joint.tolist() == [0, 1, 2] * 2
    np.testing.assert_array_equal(best.xy, decoded.xy.reshape(-1, 2))
    np.testing.assert_array_equal(best.score, decoded.score.reshape(-1))
    assert candidates.shape == (2, 3) and len(candidates) >= 6
    assert len(candidates) > 6 or smoothing is not None  # a small smoothed map may have a single peak
    rows = np.lexsort((np.arange(len(candidates)), candidates.joint, candidates.input))
    np.testing.assert_array_equal(rows, np.arange(len(rows)))
    assert max(np.bincount(candidates.input * 3 + candidates.joint)) <= 30


@pytest.mark.parametrize("name", PEAKED)
def test_all_people_in_a_map_are_found(name: str) -> None:
    """Three people on a map of another size than the codec's, off by no more than `decode` is."""
    people = [(10.3, 12.6, 1.0), (40.8, 20.2, 0.8), (70.4, 33.9, 0.6)]
    maps = np.stack([_bumps(people, 90, 50), _bumps(people[1:], 90, 50)])[None]
    codec = _codec(name)
    candidates = codec.candidates(Outputs([np.zeros((1, 2, 5, 5), np.float32), maps]), min_score=0.3)
    assert candidates.joint.tolist() == [0, 0, 0, 1, 1] and (np.diff(candidates.score[:3]) < 0).all()
    expected = codec.grid_of(90, 50).positions(np.array([*people, *people[1:]])[:, :2])
    assert np.abs(candidates.xy - expected).max() <= (4 * 0.3 if name == "argmax-quarter" else 0.05)
    assert len(codec.candidates(Outputs([maps]), min_score=0.7)) == 3
    assert codec.candidates(Outputs([maps]), min_score=0.3, max_per_map=1).joint.tolist() == [0, 1]
    nobody = codec.candidates(Outputs([maps]), min_score=2.0)
    assert len(nobody) == 0 and nobody.xy.shape == (0, 2) and nobody.shape == (1, 2)


@pytest.mark.parametrize("has_grid", [False, True])
def test_tags_are_read_at_the_peaks(has_grid: bool) -> None:
    """Tag maps of half the size, with two numbers for the person in each half of the photo."""
    maps = np.stack([_bumps([(8.0, 10.0, 1.0), (30.0, 20.0, 0.9)], 40, 30)] * 2)[None]
    tags = np.zeros((1, 2, 2, 15, 20), np.float32)
    tags[..., 10:] = 5.0
    tags[:, 1] += 0.25
    tags[:, :, 1] *= -1
    grids = {"tags": Grid((8.0, 8.0), offset=2.0)} if has_grid else {}
    candidates = _codec("dark").candidates(Outputs([maps], extra={"tags": tags}, grids=grids), min_score=0.5)
    assert candidates.tags is not None
    np.testing.assert_array_equal(candidates.tags, [[0, 0], [5, -5], [0.25, -0.25], [5.25, -5.25]])
    outputs = Outputs([maps], extra={"tags": tags[:, :, 0]}, grids=grids)
    single = _codec("dark").candidates(outputs, min_score=0.5).tags
    assert single is not None
    np.testing.assert_array_equal(single, candidates.tags[:, :1])
    assert _codec("dark").candidates(Outputs([maps])).tags is None


@pytest.mark.parametrize("name", ["second-highest", "integral"])
def test_one_place_out_of_a_whole_map_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"decoding: {name} reads one position per map"):
        _codec(name).candidates(Outputs([np.zeros((1, 2, 9, 9), np.float32)]))
